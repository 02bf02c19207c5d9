/**
 * Descriptions of an application's channels: kind, unit, range, name for people. Every description from a file, a
 * program or a device is first checked against a JSON Schema; errors name the place in it.
 */
import { type OutputUnit, type Schema, Validator } from "@cfworker/json-schema";
import { CHANNEL_NAME_LENGTH, isName, textOf, type Value } from "../protocol/channel_lines.ts";
import { printable } from "../observe/log.ts";
import { LocalError } from "../protocol/errors.ts";
import { MOST_CHANNELS } from "./states.ts";

/** What every channel's description has. */
export interface NamedChannel {
  /** For people, 1 to 64 characters. */
  readonly name?: string;
}

/** The range of a number, and its unit. */
export interface NumberRange {
  /** 1 to 16 characters: °C. */
  readonly unit?: string;
  /** The least value. */
  readonly min?: number;
  /** The greatest value. */
  readonly max?: number;
}

/**
 * A measured value: the device reports it, and it cannot be set. A number if it has a unit or a range, else any JSON.
 */
export interface SensorDescription extends NamedChannel, NumberRange {
  /** Tells that the channel is a sensor. */
  readonly kind: "sensor";
}

/** A number that can be set. */
export interface NumberDescription extends NamedChannel, NumberRange {
  /** Tells that the channel is a number. */
  readonly kind: "number";
  /** Step between the values that a user interface offers; others are accepted, too. */
  readonly step?: number;
}

/** One of several words; it can be set. */
export interface EnumDescription extends NamedChannel {
  /** Tells that the channel is an enum. */
  readonly kind: "enum";
  /** 1 to 64 of them, each of 1 to 64 characters. */
  readonly values: readonly string[];
}

/** Something that happens at a moment: the device sends it, and it has no lasting value. */
export interface EventDescription extends NamedChannel {
  /** Tells that the channel is an event. */
  readonly kind: "event";
  /** Values that the event may carry, as for an enum; others are accepted, too. */
  readonly values?: readonly string[];
}

/** An action: the device does it when it gets a request. */
export interface ButtonDescription extends NamedChannel {
  /** Tells that the channel is a button. */
  readonly kind: "button";
  /** The request's value, 1 to 64 characters. Default: none. */
  readonly value?: string;
}

/**
 * "switch": on or off, as `true` and `false` or 1 and 0; it can be set. "binary": the same, but it cannot be set.
 * "text": any text; it can be set.
 */
export interface PlainDescription extends NamedChannel {
  /** Which of the three it is. */
  readonly kind: "switch" | "binary" | "text";
}

/** Describes a channel. */
export type ChannelDescription =
  | SensorDescription
  | NumberDescription
  | EnumDescription
  | EventDescription
  | ButtonDescription
  | PlainDescription;

/** Describes an application's channels. */
export interface Description {
  /** Name of the application for people, 1 to 64 characters. */
  readonly name?: string;
  /** By channel name, 256 at most. Channels that are not listed may be used, too. */
  readonly channels: Readonly<Record<string, ChannelDescription>>;
}

/** Longest text of a description, in UTF-16 units. */
export const LONGEST_DESCRIPTION = 65_536;

/** Beyond this a double cannot represent tenths. */
const MOST_NUMBER = 1e15;

/** Text for people must have no control characters and no lone surrogates. */
const UNSHOWABLE = /[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/u;

const label: Schema = { type: "string", minLength: 1, maxLength: 64 };
const number: Schema = { type: "number", minimum: -MOST_NUMBER, maximum: MOST_NUMBER };
const range = { unit: { ...label, maxLength: 16 }, min: number, max: number };
const words: Schema = { type: "array", minItems: 1, maxItems: 64, items: label };

const FRAME = validator({
  type: "object",
  required: ["channels"],
  properties: {
    name: label,
    channels: {
      type: "object",
      maxProperties: MOST_CHANNELS,
      additionalProperties: { type: "object", required: ["kind"] },
    },
  },
  additionalProperties: false,
});

const KINDS: ReadonlyMap<unknown, Validator> = new Map(
  Object.entries<Record<string, Schema>>({
    sensor: range,
    switch: {},
    number: { ...range, step: { ...number, minimum: 1e-9 } },
    enum: { values: words },
    event: { values: words },
    text: {},
    binary: {},
    button: { value: label },
  }).map(([kind, properties]) => [
    kind,
    validator({
      required: kind === "enum" ? ["values"] : [],
      properties: { kind: true, name: label, ...properties },
      additionalProperties: false,
    }),
  ]),
);

function validator(schema: Schema): Validator {
  return new Validator(schema, "2020-12");
}

/**
 * A description from its JSON.
 *
 * @param longest Most characters.
 * @throws {LocalError} BAD_ARGUMENT, beginning with the place in it
 */
export function parseDescription(text: string, longest = LONGEST_DESCRIPTION): Description {
  if (text.length > longest) {
    throw refusal("", `it may have at most ${longest} characters, not ${text.length}`);
  }
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    throw refusal("", "this is not JSON: look for a wrong comma or quote");
  }
  check(FRAME, json, "");
  const { channels, ...rest } = json as Description;
  checkWords(rest.name, "/name");
  // Without a prototype, so that only the given names have a description.
  const checked: Record<string, ChannelDescription> = Object.create(null);
  for (const [name, channel] of Object.entries(channels)) {
    const place = `/channels/${pointer(name)}`;
    if (!isName(name)) {
      throw refusal(
        place,
        `not a channel name: use 1 to ${CHANNEL_NAME_LENGTH} of a-z 0-9 _ - /`,
      );
    }
    checked[name] = checkChannel(channel, place);
  }
  return { ...rest, channels: checked };
}

/**
 * Checks a description from a program in the same way. @throws {LocalError} BAD_ARGUMENT, beginning with the place in
 * it
 */
export function checkDescription(description: Description): Description {
  let text;
  try {
    text = JSON.stringify(description);
  } catch (cause) {
    throw refusal("", `this is not JSON: ${cause}`);
  }
  return parseDescription(text ?? "");
}

/** The texts of a description that people see or choose from. */
interface Words {
  readonly unit?: string;
  readonly value?: string;
  readonly values?: readonly string[];
}

function checkChannel(channel: ChannelDescription, place: string): ChannelDescription {
  const kind = KINDS.get(channel.kind);
  if (!kind) {
    const all = [...KINDS.keys()].join(", ");
    const { kind: given } = channel;
    throw refusal(
      `${place}/kind`,
      `${typeof given === "string" ? short(given) : "this"} is not a kind: use one of ${all}`,
    );
  }
  check(kind, channel, place);
  const { name, unit, value, values = [] } = channel as NamedChannel & Words;
  checkWords(name, `${place}/name`);
  checkWords(unit, `${place}/unit`);
  checkWords(value, `${place}/value`);
  for (const [i, value] of values.entries()) checkWords(value, `${place}/values/${i}`);
  if (new Set(values).size < values.length) {
    throw refusal(`${place}/values`, "a value occurs twice");
  }
  const { min = -Infinity, max = Infinity } = channel as NumberRange;
  if (min > max) throw refusal(`${place}/min`, `${min} is more than max, ${max}`);
  return channel;
}

/** Checked here because the library would compile a pattern for each text. */
function checkWords(text: string | undefined, place: string): void {
  if (text !== undefined && UNSHOWABLE.test(text)) {
    throw refusal(place, "texts for people must not have control characters");
  }
}

function check(validator: Validator, json: unknown, place: string): void {
  const { valid, errors } = validator.validate(json);
  if (valid) return;
  const error = errors.at(-1)!; // the innermost
  throw refusal(place + error.instanceLocation.slice(1), wordsOf(error));
}

/** The library's message, or our own where that says too little. */
function wordsOf({ keyword, error }: OutputUnit): string {
  if (keyword === "false") return "there is no such field";
  if (keyword === "maxProperties") return `there may be at most ${MOST_CHANNELS} channels`;
  return error;
}

function refusal(place: string, what: string): LocalError {
  const where = printable(place.length > 100 ? `${place.slice(0, 100)}…` : place).toWellFormed();
  return new LocalError("BAD_ARGUMENT", `${where || "/"}: ${what}`);
}

/** A name in a JSON pointer. */
function pointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Kinds that cannot be set, in words for messages. */
const UNSETTABLE: Readonly<Partial<Record<ChannelDescription["kind"], string>>> = {
  sensor: "a sensor",
  binary: "a sensor",
  event: "an event",
  button: "a button",
};

/** Why a channel with this description cannot be set to this value; undefined: it can. */
export function wrongSetting(
  { channels }: Description,
  channel: string,
  value: unknown,
): string | undefined {
  const described = channels[channel];
  if (!described) return undefined;
  const { kind } = described;
  const what = UNSETTABLE[kind];
  if (what) return `${channel} is ${what}: it cannot be set`;
  const range = kind === "text"
    ? typeof value !== "string" && "a text"
    : rangeIfBeyond(described, value);
  return range ? `${channel} takes ${range}, not ${short(value)}` : undefined;
}

/** Why a device cannot report this value for a channel with this description; undefined: it can. */
export function wrongReport(
  { channels }: Description,
  channel: string,
  value: Value,
): string | undefined {
  const described = channels[channel];
  if (!described) return undefined;
  const { kind } = described;
  if (kind === "event" || kind === "button") {
    return `${channel} is ${UNSETTABLE[kind]} and has no value`;
  }
  const range = rangeIfBeyond(described, value);
  return range && `${channel} is ${range}, not ${short(value)}`;
}

/** The allowed range in words, if the value is outside it. */
function rangeIfBeyond(described: ChannelDescription, value: unknown): string | undefined {
  switch (described.kind) {
    case "sensor":
    case "number":
      return isWithin(described, value) ? undefined : rangeOf(described);
    case "switch":
    case "binary":
      return [true, false, 0, 1].includes(value as boolean) ? undefined : "true or false";
    case "enum":
      return typeof value !== "object" && described.values.includes(String(value))
        ? undefined
        : `one of ${described.values.join(", ")}`;
    default:
      return undefined;
  }
}

function isWithin(described: SensorDescription | NumberDescription, value: unknown): boolean {
  const { kind, unit, min, max } = described;
  const isAny = kind === "sensor" && unit === undefined && min === undefined && max === undefined;
  return isAny ||
    typeof value === "number" && value >= (min ?? -Infinity) && value <= (max ?? Infinity);
}

function rangeOf({ unit, min, max }: NumberRange): string {
  const last = unit === undefined ? "" : ` ${unit}`;
  if (min !== undefined && max !== undefined) return `${min} to ${max}${last}`;
  if (min !== undefined) return `${min}${last} or more`;
  if (max !== undefined) return `${max}${last} or less`;
  return "a number";
}

function short(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : textOf(value);
  return text.length > 60 ? `${text.slice(0, 60).toWellFormed()}…` : text;
}
