/** What a device says of topics of its own: `TOPIC VALUE`, or a JSON object. */
import { textOf, type Value, valueOf } from "../../server/protocol/channel_lines.ts";
import { wrongTopic } from "./filters.ts";
import type { Message } from "./rows.ts";

/**
 * The message that a device means: `home/door open`, or `{"topic":"home/door","value":"open","retain":true}`.
 *
 * @returns what is wrong with it, in its place
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
  const rule = 'it is TOPIC VALUE, or {"topic":…,"value":…,"retain":…}';
  if (Array.isArray(value)) return rule;
  const { topic, value: said, retain = false, ...more } = value;
  if (typeof topic !== "string" || typeof retain !== "boolean" || Object.keys(more).length > 0) {
    return rule;
  }
  const payload = said === undefined ? "" : typeof said === "string" ? said : textOf(said);
  return { topic, payload, retain };
}

/** A message for a device, as the value of an event. */
export function valueFor(topic: string, payload: string): string {
  const value = payload === "" ? undefined : valueOf(payload);
  // Behind a topic with a blank nobody could tell where it ends; and one that is JSON is no text.
  if (topic.includes(" ") || valueOf(topic) !== topic) {
    return textOf({ topic, ...(value !== undefined && { value }) });
  }
  return value === undefined ? topic : `${topic} ${textOf(value)}`;
}
