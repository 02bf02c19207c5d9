/** The log: one entry for every change of a connection, with the reason. */
import type { ServerEvent } from "./events.ts";

/** Events that are not logged. */
export type Unlogged =
  | "booted"
  | "app_started"
  | "deploying"
  | "described"
  | "messages"
  | "reported"
  | "seen"
  | "elsewhere"
  | "set"
  | "met"
  | "parted";

const UNLOGGED: readonly string[] = [
  "booted",
  "app_started",
  "deploying",
  "described",
  "messages",
  "reported",
  "seen",
  "elsewhere",
  "set",
  "met",
  "parted",
] satisfies Unlogged[];

/** One event as it is logged. */
export interface LogEntry {
  /** What has happened. */
  event: Exclude<ServerEvent["event"], Unlogged>;
  /** Id of the device. */
  device?: string;
  /** The id that a refused peer claimed; anybody may claim any. */
  claimed?: string;
  /** Address of the other end; for `listening` and `reachable`, of this end. */
  address?: string;
  /** The reason; a `PeerCode` if the other end caused it. */
  code?: string;
  /** The same for people, or what the event is about. */
  message?: string;
  /** The topic at a broker that the warning is about. */
  topic?: string;
  /** The dialect of the connection. */
  dialect?: 1 | 2;
  /** What the device says about itself when it connects. */
  metadata?: string;
  /** Until when it sleeps. */
  until?: Date;
  /** How often this device has connected. */
  connects?: number;
  /** When an application that has failed is restarted, in ms. */
  restartIn?: number;
  /** How many entries about this peer or device were suppressed since the last one. */
  unsaid?: number;
}

/** Receives log entries; an option of `Server.listen`. */
export type Log = (entry: LogEntry) => void;

/** Whether an event is an entry. */
export function isLogged(event: ServerEvent): event is Extract<ServerEvent, LogEntry> {
  return !UNLOGGED.includes(event.event);
}

/** A log with one JSON object or one line of text for each entry, with the time in ISO 8601. */
export function logTo(print: (line: string) => void, format: "json" | "text"): Log {
  return (entry) => {
    const time = new Date().toISOString();
    const line = format === "json"
      ? JSON.stringify({ time, ...entry })
      : `${time} ${asText(entry).text}`;
    print(printable(line));
  };
}

/** Makes a text safe for a terminal. */
export function printable(text: string): string {
  return text.replace(ACTIVE, escape);
}

/** Characters on which a terminal or a line reader might act: controls, separators, direction marks. */
// deno-lint-ignore no-control-regex
const ACTIVE = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Escaped as in JSON, so that JSON text keeps its meaning. */
function escape(character: string): string {
  if (character === "\n") return "\\n";
  return "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
}

/** An event in words, and its fields that are not in them. */
export function asText<T extends Partial<Omit<LogEntry, "event">> & { event: string }>(entry: T) {
  const {
    event,
    device,
    claimed,
    address,
    code,
    message,
    connects,
    metadata,
    restartIn,
    unsaid,
    until: _, // the message contains these, too
    topic: __,
    ...rest
  } = entry;
  const words: string[] = [event];
  // Quotes show where a stranger's id ends.
  if (device !== undefined) words.push(JSON.stringify(device));
  if (claimed !== undefined) words.push(JSON.stringify(claimed));
  if (address) words.push(address);
  if (connects !== undefined) words.push(`connection ${connects}`);
  if (metadata) words.push(JSON.stringify(metadata));
  if (code) words.push(code);
  if (restartIn !== undefined) words.push(`restart in ${restartIn / 1000} s`);
  if (unsaid) words.push(`(and ${unsaid} more)`);
  return { text: words.join(" ") + (message ? `: ${message}` : ""), rest };
}
