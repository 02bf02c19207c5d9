/**
 * Announces a device to Home Assistant: makes the payload of device-based discovery from the
 * device's description and diagnostics. Pure.
 */
import type { ChannelDescription, Description, RunningApplication } from "../../server/mod.ts";
import { textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import { type DiagnosticName, DIAGNOSTICS } from "../../server/protocol/diagnostics.ts";
import type { Diagnostics } from "./diagnostics.ts";
import type { Topics } from "./topics.ts";
import { deviceClassOf, stateClassOf } from "./units.ts";

/**
 * Which entities depend on the device's availability, besides the bridge's: entities of an unavailable device are
 * grey, and cannot be set. "sensors": those that only report, not those that can be set, as settings wait safely.
 * "all". "none".
 */
export type AvailabilityOf = "sensors" | "all" | "none";

/** All values of `AvailabilityOf`. */
export const AVAILABILITIES: readonly AvailabilityOf[] = ["sensors", "all", "none"];

/** What is published about a device. */
export interface Portrait {
  readonly id: string;
  readonly application: RunningApplication | undefined;
  readonly description: Description;
  readonly diagnostics: Diagnostics;
}

/** An entity. One with nothing but its platform is removed. */
export type Component = Readonly<Record<string, unknown>> & { readonly p: string };

/** The payload of a discovery message: device, origin and components. */
export interface DiscoveryPayload {
  readonly dev: Readonly<Record<string, unknown>>;
  readonly o: Readonly<Record<string, unknown>>;
  readonly cmps: Readonly<Record<string, Component>>;
  readonly [more: string]: unknown;
}

/** Everything is sent and subscribed with QoS 2. */
const QOS = 2;

/** Longest state of an entity, in characters. */
const MOST_STATE = 255;

/** The limit of a number that has none: Home Assistant needs one, and would assume 1 to 100. */
const MOST_NUMBER = 1e15;

/** Home Assistant's smallest step. */
const LEAST_STEP = 0.001;

/** Type of an event whose word is not in its description. */
const ANY_EVENT = "event";

const IS_TEXT = "value_json is string";
const WORD = `{{ value_json if ${IS_TEXT} else value }}`;
const LEVEL =
  "{{ 'on' if value in ['1', 'true'] else 'off' if value in ['0', 'false'] else 'None' }}";
const AS_JSON = "{{ value | tojson }}";

const encoder = new TextEncoder();

/**
 * Encodes a text in characters that Home Assistant allows in ids, `a-z A-Z 0-9 - _`. The encoding is unique, and never
 * contains `__`.
 */
export function plainId(text: string): string {
  return Array.from(encoder.encode(text), (byte) => {
    const character = String.fromCharCode(byte);
    if (/[a-zA-Z0-9-]/.test(character)) return character;
    return `_${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

/** A device's id in Home Assistant. @param prefix The bridge's: several bridges may share a broker */
export function objectId(prefix: string, device: string): string {
  return `${plainId(prefix)}__${plainId(device)}`;
}

/** @returns undefined: there is nothing to show */
export function discoveryOf(
  { id, application, description, diagnostics }: Portrait,
  topics: Topics,
  availability: AvailabilityOf,
): DiscoveryPayload | undefined {
  const own = objectId(topics.prefix, id);
  const bridges = { topic: topics.status };
  const both = {
    availability: [bridges, { topic: topics.availability(id) }],
    availability_mode: "all",
  };
  const cmps: Record<string, Component> = {};
  const add = (component: Component, name: string, isTold: boolean) => {
    const { p, ...rest } = component;
    const counts = availability === "sensors" && isTold ? both : {};
    cmps[`${p}__${name}`] = { p, unique_id: `${own}__${name}`, qos: QOS, ...rest, ...counts };
  };
  for (const [channel, described] of Object.entries(description.channels)) {
    const component = componentOf(id, channel, described, topics);
    add(component, plainId(channel), !("command_topic" in component));
  }
  for (const [name, component] of Object.entries(diagnosticsIn(diagnostics))) {
    // No channel has this id: in an encoded name "_" is followed by two upper-case letters or digits.
    add({ ...component, state_topic: topics.diagnostics(id) }, `_${name}`, true);
  }
  if (Object.keys(cmps).length === 0) return undefined;
  const model = description.name ?? application?.name;
  return {
    dev: {
      ids: [own],
      name: id,
      mf: "Holdfast",
      ...(model !== undefined && { mdl: model }),
      ...(application && { sw: application.version }),
    },
    o: { name: "Holdfast" },
    ...(availability === "all" ? both : { availability: [bridges] }),
    cmps,
  };
}

/**
 * The same payload, with removals of components that it no longer has. @param before The last payload, as JSON, or ""
 */
export function withRemoved(payload: DiscoveryPayload, before: string): DiscoveryPayload {
  if (before === "") return payload;
  const { cmps } = JSON.parse(before) as DiscoveryPayload;
  const gone = Object.entries(cmps).filter(([name]) => !Object.hasOwn(payload.cmps, name))
    .map(([name, { p }]): [string, Component] => [name, { p }]);
  return { ...payload, cmps: { ...payload.cmps, ...Object.fromEntries(gone) } };
}

/** For a device that Home Assistant should forget: a mark of what it may still show. @param before A payload */
export function nothingOf(before: string): string {
  return JSON.stringify({ cmps: withRemoved({ dev: {}, o: {}, cmps: {} }, before).cmps });
}

/** Whether a kept payload is such a mark. */
export function isNothing(kept: string): boolean {
  return kept !== "" && !("dev" in JSON.parse(kept));
}

/** Whether a payload removes something: then it must be published once more without that part. */
export function removes(payload: string): boolean {
  if (payload === "") return false;
  const { cmps } = JSON.parse(payload) as DiscoveryPayload;
  return Object.values(cmps).some((component) => Object.keys(component).length === 1);
}

function componentOf(
  id: string,
  channel: string,
  described: ChannelDescription,
  topics: Topics,
): Component {
  const name = described.name ?? channel;
  const state = { name, state_topic: topics.state(id, channel) };
  const setting = { ...state, command_topic: topics.setting(id, channel) };
  switch (described.kind) {
    case "sensor":
      return sensor(channel, state, described);
    case "binary":
      return {
        p: "binary_sensor",
        ...state,
        payload_on: "on",
        payload_off: "off",
        value_template: LEVEL,
      };
    case "switch":
      // Chips read 1 and 0, and applications that accept true accept these as well.
      return {
        p: "switch",
        ...setting,
        payload_on: "1",
        payload_off: "0",
        state_on: "on",
        state_off: "off",
        value_template: LEVEL,
      };
    case "number":
      return { p: "number", ...setting, ...measured(described.unit), ...numbers(described) };
    case "enum": {
      const { values } = described;
      const command = values.every(isItself) ? {} : { command_template: AS_JSON };
      return { p: "select", ...setting, options: values, value_template: WORD, ...command };
    }
    case "text": {
      const template = `{{ (value_json if ${IS_TEXT} else value)[:${MOST_STATE}] }}`;
      return { p: "text", ...setting, value_template: template, command_template: AS_JSON };
    }
    case "event":
      return event(name, topics.event(id, channel), described.values);
    case "button": {
      const { value } = described;
      const payload = value === undefined ? "" : textOf(value);
      return {
        p: "button",
        name,
        command_topic: topics.request(id, channel),
        payload_press: payload,
      };
    }
  }
}

/** Whether a word without quotes is parsed as the same word: null and 1.0 are not. */
function isItself(word: string): boolean {
  const value = valueOf(word);
  return typeof value !== "object" && String(value) === word;
}

function sensor(
  channel: string,
  state: object,
  { unit, min, max }: { unit?: string; min?: number; max?: number },
): Component {
  const category = Object.hasOwn(DIAGNOSTICS, channel) ? { entity_category: "diagnostic" } : {};
  const isAny = unit === undefined && min === undefined && max === undefined;
  if (isAny) {
    return { p: "sensor", ...state, value_template: `{{ value[:${MOST_STATE}] }}`, ...category };
  }
  const measures = measured(unit);
  const statistics = { state_class: stateClassOf(measures.device_class) };
  return { p: "sensor", ...state, ...measures, ...statistics, ...category };
}

function measured(unit?: string): { unit_of_measurement?: string; device_class?: string } {
  const known = deviceClassOf(unit);
  return {
    ...(unit !== undefined && { unit_of_measurement: unit }),
    ...(known !== undefined && { device_class: known }),
  };
}

/** Home Assistant needs a range whose end is greater than its beginning. */
function numbers({ min, max, step }: { min?: number; max?: number; step?: number }): object {
  const isOpen = min === undefined || max === undefined;
  const least = min ?? -MOST_NUMBER;
  const greater = least + Math.max(LEAST_STEP, Math.abs(least) / 2 ** 50);
  return {
    min: least,
    max: Math.max(max ?? MOST_NUMBER, greater),
    ...(step !== undefined && { step: Math.max(step, LEAST_STEP) }),
    ...(isOpen && { mode: "box" }),
  };
}

/** In Home Assistant an event has a type from a list; ours has any value. */
function event(name: string, topic: string, values: readonly string[] = []): Component {
  const types = [...new Set([...values, ANY_EVENT])];
  const word = `(value_json if ${IS_TEXT} else value)`;
  const list = `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
  const type = values.length === 0
    ? `'${ANY_EVENT}'`
    : `word if word in ${list} else '${ANY_EVENT}'`;
  const template = `{% set word = ${word} %}{{ {'event_type': ${type}, 'value': word} | tojson }}`;
  return { p: "event", name, state_topic: topic, event_types: types, value_template: template };
}

/** The diagnostics that are shown. */
function diagnosticsIn({ rssi, heap, booted }: Diagnostics): Record<string, Component> {
  const entity_category = "diagnostic";
  const number = (key: string, { name, unit }: DiagnosticName): Component => ({
    p: "sensor",
    name,
    ...measured(unit),
    state_class: "measurement",
    entity_category,
    value_template: `{{ value_json.${key} }}`,
  });
  return {
    ...(typeof rssi === "number" && { rssi: number("rssi", DIAGNOSTICS.rssi!) }),
    ...(typeof heap === "number" && { heap: number("heap", DIAGNOSTICS.heap!) }),
    ...(booted !== undefined && {
      started: {
        p: "sensor",
        name: "Started",
        device_class: "timestamp",
        entity_category,
        value_template: "{{ value_json.booted }}",
      },
    }),
  };
}
