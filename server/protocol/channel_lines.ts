/**
 * Lines of the layer above the link: messages about a channel, marked by their first character.
 * `client-as/CHANNELS.md` has the grammar; the chip's side is in `client-as/assembly/channel.ts`. Every
 * other line is a plain line, for the application alone.
 */
import { LocalError } from "./errors.ts";

/** Longest name of a channel, in characters: `a-z 0-9 _ - /`. */
export const CHANNEL_NAME_LENGTH = 32;

/** Deepest nesting of a value's arrays and objects, so that no recursion overflows the stack. */
export const VALUE_DEPTH = 32;

/** What can be wrong with a setting or a request. */
export type FaultCode = "unknown" | "bad_value" | "busy" | "failed" | "unsupported";

/** All fault codes. */
export const FAULT_CODES: readonly FaultCode[] = [
  "unknown",
  "bad_value",
  "busy",
  "failed",
  "unsupported",
];

/** What a channel's value can be: JSON. */
export type Value = null | boolean | number | string | Value[] | { [name: string]: Value };

/** A line about a channel. `value` is its text on the wire: {@link valueOf} converts it. */
export type Marked =
  /**
   * `=name.tag value`, down: the desired value. `=name value` or `=name@stamp value`, up: the reported value.
   * `stamp`: the device's ms, 32 bits, unsigned. `tag`: 1 to 10 digits, which the answer repeats.
   */
  | { mark: "set"; name: string; tag?: string; stamp?: number; value: string }
  /** `!name value`. Up: an event. Down: do it once. */
  | { mark: "event"; name: string; stamp?: number; value?: string }
  /** `?name.tag value`: a request. */
  | { mark: "ask"; name: string; tag: string; value?: string }
  /** `:name.tag value`, or without a tag if there was none: the answer to a request, or the device's to a setting. */
  | { mark: "answer"; name: string; tag?: string; value?: string }
  /** `~name.tag code words`: the same for a failure. The words are for people. */
  | { mark: "fault"; name: string; tag?: string; code: FaultCode; words?: string }
  /**
   * `@name version`, or `@name version {…}`: the application has started. `description`: that of its channels, JSON.
   */
  | { mark: "boot"; name: string; version: string; description?: string };

const MARKS = {
  "=": "set",
  "!": "event",
  "?": "ask",
  ":": "answer",
  "~": "fault",
  "@": "boot",
} as const;
const SIGNS = { set: "=", event: "!", ask: "?", answer: ":", fault: "~", boot: "@" } as const;

const HEAD = /^[=!?:~@]([a-z0-9_/-]{1,32})(?:\.(\d{1,10})|@(\d{1,10}))?(?: |$)/;
const NAME = /^[a-z0-9_/-]{1,32}$/;
const TAG = /^\d{1,10}$/;

/** Whether this is a valid name for a channel or an application. */
export function isName(name: string): boolean {
  return NAME.test(name);
}

/** @throws {LocalError} BAD_ARGUMENT: no channel may have this name */
export function checkChannel(name: string): void {
  if (!isName(name)) throw bad(`${JSON.stringify(name)} is not a channel: ${NAME_RULE}`);
}

/** Parses a line about a channel; undefined: it is a plain line. */
export function parseMarked(line: string): Marked | undefined {
  const head = HEAD.exec(line);
  if (!head) return undefined;
  const [{ length }, name, tag, digits] = head as unknown as [string, string, string?, string?];
  const value = line.length > length ? line.slice(length) : undefined;
  // A space must be followed by a value.
  if (value === undefined && line.endsWith(" ")) return undefined;
  const stamp = digits === undefined ? undefined : Number(digits);
  if (stamp !== undefined && !isStamp(stamp)) return undefined;
  const mark = MARKS[line[0] as keyof typeof MARKS];
  if (stamp !== undefined && mark !== "set" && mark !== "event") return undefined;
  if (tag !== undefined && (mark === "event" || mark === "boot")) return undefined;
  switch (mark) {
    case "set":
      return value === undefined ? undefined : { mark, name, ...given({ tag, stamp }), value };
    case "event":
      return { mark, name, ...given({ stamp }), ...given({ value }) };
    case "ask":
      return tag === undefined ? undefined : { mark, name, tag, ...given({ value }) };
    case "answer":
      return { mark, name, ...given({ tag }), ...given({ value }) };
    case "fault":
      return parseFault(name, tag, value);
    case "boot":
      return value === undefined ? undefined : parseBoot(name, value);
  }
}

/** A brace starts the description. */
function parseBoot(name: string, text: string): Marked | undefined {
  if (text.startsWith("{")) return undefined;
  const end = text.indexOf(" {");
  if (end < 0) return { mark: "boot", name, version: text };
  if (end === 0) return undefined;
  return { mark: "boot", name, version: text.slice(0, end), description: text.slice(end + 1) };
}

function parseFault(name: string, tag?: string, text = ""): Marked | undefined {
  const end = text.indexOf(" ");
  const code = end < 0 ? text : text.slice(0, end);
  const words = end < 0 ? undefined : text.slice(end + 1);
  if (!isFaultCode(code) || words === "") return undefined;
  return { mark: "fault", name, ...given({ tag }), code, ...given({ words }) };
}

/**
 * The line that says this.
 *
 * @throws {LocalError} BAD_ARGUMENT, with the reason
 */
export function formatMarked(marked: Marked): string {
  const { mark, name } = marked;
  if (!isName(name)) throw bad(`${JSON.stringify(name)} is not a name: ${NAME_RULE}`);
  let line = SIGNS[mark] + name;
  if ("tag" in marked && marked.tag !== undefined) {
    if (!TAG.test(marked.tag)) {
      throw bad(`${JSON.stringify(marked.tag)} is not a tag: use 1 to 10 digits`);
    }
    line += `.${marked.tag}`;
  } else if (mark === "ask") throw bad("a request must have a tag");
  if ("stamp" in marked && marked.stamp !== undefined) {
    if (!isStamp(marked.stamp)) {
      throw bad(`${marked.stamp} is not a stamp: use 0 to 4294967295, in ms`);
    }
    if ("tag" in marked && marked.tag !== undefined) {
      throw bad("a line cannot have both a tag and a stamp");
    }
    line += `@${marked.stamp}`;
  }
  if (mark === "fault") {
    if (!isFaultCode(marked.code)) {
      throw bad(`${JSON.stringify(marked.code)} is not a fault code`);
    }
    return line + ` ${marked.code}` + behind(marked.words, "words");
  }
  if (mark === "boot") return line + formatBoot(marked);
  if (mark === "set" && marked.value === undefined) throw bad("a setting must have a value");
  return line + behind(marked.value, "value");
}

function formatBoot({ version, description }: Extract<Marked, { mark: "boot" }>): string {
  if (version.startsWith("{") || version.includes(" {")) {
    throw bad("a version must not contain a brace where a description would start");
  }
  if (description !== undefined && !description.startsWith("{")) {
    throw bad("a description must be a JSON object");
  }
  return behind(version, "version") + behind(description, "description");
}

/** The rule for names, in words. */
export const NAME_RULE = `use 1 to ${CHANNEL_NAME_LENGTH} of a-z 0-9 _ - /`;

function behind(text: string | undefined, what: string): string {
  if (text === "") throw bad(`${what}: at least one character is needed`);
  return text === undefined ? "" : ` ${text}`;
}

/** The value of a text: parsed JSON if it is JSON, otherwise the text itself. */
export function valueOf(text: string): Value;
export function valueOf(text: string | undefined): Value | undefined;
export function valueOf(text: string | undefined): Value | undefined {
  // Most texts that are not JSON are recognised here, without the cost of an error.
  if (text === undefined || !/^[\s"[{\d\-tfn]/.test(text)) return text;
  try {
    const value = JSON.parse(text);
    // 1e999 is Infinity here, which could not be sent back.
    return wrongValue(value, 0) === undefined ? value : text;
  } catch {
    return text;
  }
}

/**
 * The text of a value, the inverse of {@link valueOf} (-0 becomes 0): JSON, or a string without quotes if that is
 * unambiguous.
 *
 * @throws {LocalError} BAD_ARGUMENT if it is not JSON: undefined, a function, NaN, a cycle, an object of a class
 */
export function textOf(value: unknown): string {
  if (typeof value === "string") return isSafe(value) ? value : JSON.stringify(value);
  const wrong = wrongValue(value, 0);
  if (wrong !== undefined) throw bad(`a value must be JSON: ${wrong}`);
  return JSON.stringify(value);
}

/** Whether a string without quotes is parsed as the same string. */
function isSafe(text: string): boolean {
  if (text === "" || text !== text.trim() || !text.isWellFormed()) return false;
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f-\x9f]/.test(text)) return false;
  return valueOf(text) === text;
}

/** Why this is not JSON; undefined: it is. */
function wrongValue(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : `${value} cannot be sent`;
    case "object":
      return value === null ? undefined : wrongObject(value, depth + 1);
    default:
      return `${typeof value} cannot be sent`;
  }
}

function wrongObject(value: object, depth: number): string | undefined {
  if (depth > VALUE_DEPTH) {
    return `it is nested deeper than ${VALUE_DEPTH} levels, or contains itself`;
  }
  if (!Array.isArray(value)) {
    const kind = Object.getPrototypeOf(value);
    if (kind !== null && kind !== Object.prototype) return "an object of a class cannot be sent";
  }
  // `Array.from` turns holes into undefined.
  for (const part of Array.isArray(value) ? Array.from(value) : Object.values(value)) {
    const wrong = wrongValue(part, depth);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** Whether this is a fault code. */
function isFaultCode(code: string): code is FaultCode {
  return (FAULT_CODES as readonly string[]).includes(code);
}

function isStamp(stamp: number): boolean {
  return Number.isInteger(stamp) && stamp >= 0 && stamp < 2 ** 32;
}

/** A copy without the members that are undefined. */
function given<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const result: { [K in keyof T]?: Exclude<T[K], undefined> } = {};
  for (const key in members) {
    if (members[key] !== undefined) result[key] = members[key] as Exclude<T[typeof key], undefined>;
  }
  return result;
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
