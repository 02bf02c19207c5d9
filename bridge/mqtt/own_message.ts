/** Parses a device's message for a topic of its own: `TOPIC VALUE`, or a JSON object. */
import { textOf, type Value, valueOf } from "../../server/protocol/channel_lines.ts";
import { wrongTopic } from "./filters.ts";
import type { Message } from "./rows.ts";

/**
 * Parses `home/door open`, or `{"topic":"home/door","value":"open","retain":true}`.
 *
 * @returns the message, or what is wrong with it
 */
export function messageIn(value: Value | undefined): Message | string {
  const said = typeof value === "object" && value !== null ? fromObject(value) : fromText(value);
  if (typeof said === "string") return said;
  const wrong = wrongTopic(said.topic);
  return wrong === undefined ? said : `${JSON.stringify(said.topic)} is not a topic: ${wrong}`;
}

function fromText(value: Value | undefined): Message | string {
  if (value === undefined) return "a topic is missing";
  const text = typeof value === "string" ? value : textOf(value);
  const [topic = ""] = text.split(" ", 1);
  return { topic, payload: text.slice(topic.length + 1), retain: false };
}

function fromObject(value: Value[] | { [name: string]: Value }): Message | string {
  const rule = 'it must be TOPIC VALUE, or {"topic":…,"value":…,"retain":…}';
  if (Array.isArray(value)) return rule;
  const { topic, value: said, retain = false, ...more } = value;
  if (typeof topic !== "string" || typeof retain !== "boolean" || Object.keys(more).length > 0) {
    return rule;
  }
  const payload = said === undefined ? "" : typeof said === "string" ? said : textOf(said);
  return { topic, payload, retain };
}

/** Formats a message for a device, as the value of an event. */
export function valueFor(topic: string, payload: string): string {
  const value = payload === "" ? undefined : valueOf(payload);
  // The end of a topic with a space would be ambiguous; and a topic that is JSON would not be parsed as text.
  if (topic.includes(" ") || valueOf(topic) !== topic) {
    return textOf({ topic, ...(value !== undefined && { value }) });
  }
  return value === undefined ? topic : `${topic} ${textOf(value)}`;
}
