/** The log: one entry for every change of a connection, with the reason. */
import type { EventListener, ServerEvent } from "./events.ts";

/** Events that are no entries. */
const UNLOGGED: readonly string[] = ["booted", "app_started", "messages"];

/** One event as it is logged. */
export interface LogEntry {
  /** What has happened. */
  event: Exclude<ServerEvent["event"], "booted" | "app_started" | "messages">;
  /** Id of the device. */
  device?: string;
  /** Address of the other end, or of this one where the event is `listening`. */
  address?: string;
  /** Why; a `PeerCode` where the other end is the reason. */
  code?: string;
  /** The same for people, or what the event is about. */
  message?: string;
  /** Of the connection. */
  dialect?: 1 | 2;
  /** What the device says about itself when it connects. */
  metadata?: string;
  /** How often this device has connected. */
  connects?: number;
  /** When an application that has failed is begun again, in ms. */
  restartIn?: number;
  /** How many more refusals of this kind, or lines of this device, went unsaid since the last such entry. */
  unsaid?: number;
}

/** Takes entries; `Server.listen` wants one. */
export type Log = (entry: LogEntry) => void;

/** One refusal of a kind is logged in so many ms, and as many lines of each device's own as a boot may have to say. */
const INTERVAL = 1000;

/** Makes entries of events. @param now In ms. */
export function logFrom(log: Log, now: () => number): EventListener {
  const calmed = calm(log, INTERVAL, now);
  return (event) => {
    if (isLogged(event)) calmed(event);
  };
}

function isLogged(event: ServerEvent): event is Extract<ServerEvent, LogEntry> {
  return !UNLOGGED.includes(event.event);
}

/** A log of one JSON object or one line of text per entry, each with the time in ISO 8601. */
export function logTo(print: (line: string) => void, format: "json" | "text"): Log {
  return (entry) => {
    const time = new Date().toISOString();
    const line = format === "json"
      ? JSON.stringify({ time, ...entry })
      : `${time} ${asText(entry)}`;
    print(printable(line));
  };
}

/** A text as it may go to a terminal. */
export function printable(text: string): string {
  return text.replace(ACTIVE, escape);
}

/** What a terminal, or a reader of lines, might act upon: controls, separators, changes of direction. */
// deno-lint-ignore no-control-regex
const ACTIVE = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** As JSON writes it, so that JSON stays the same JSON. */
function escape(character: string): string {
  if (character === "\n") return "\\n";
  return "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
}

function asText(entry: LogEntry): string {
  const { event, device, address, code, message, connects, metadata, restartIn, unsaid } = entry;
  const words: string[] = [event];
  // In quotes a stranger's id ends where it ends.
  if (device !== undefined) words.push(JSON.stringify(device));
  if (address) words.push(address);
  if (connects !== undefined) words.push(`connection ${connects}`);
  if (metadata) words.push(JSON.stringify(metadata));
  if (code) words.push(code);
  if (restartIn !== undefined) words.push(`restart in ${restartIn / 1000} s`);
  if (unsaid) words.push(`(and ${unsaid} more)`);
  return words.join(" ") + (message ? `: ${message}` : "");
}

/** Lines of one device's own log that are said in an interval: what a boot may have to say. */
const LINES = 32;

/** What is said of one kind in an interval. */
interface Kind {
  until: number;
  left: number;
  unsaid: number;
}

/**
 * Lets one refusal of each kind through in every `interval` ms, and of what each device logs itself 32
 * lines: neither strangers nor devices can flood the log. How many went unsaid is said with the next one, and
 * of a device's lines when it is disconnected at the latest.
 */
export function calm(log: Log, interval: number, now: () => number): Log {
  const refusals = new Map<string | undefined, Kind>();
  const devices = new Map<string | undefined, Kind>();
  const limit = (
    kinds: typeof devices,
    name: string | undefined,
    most: number,
    entry: LogEntry,
  ) => {
    let kind = kinds.get(name);
    if (kind && now() < kind.until && kind.left === 0) {
      kind.unsaid++;
      return;
    }
    log(kind?.unsaid ? { ...entry, unsaid: kind.unsaid } : entry);
    if (!kind || now() >= kind.until) {
      kind = { until: now() + interval, left: most, unsaid: 0 };
      kinds.set(name, kind);
    }
    kind.left--;
    kind.unsaid = 0;
  };
  return (entry) => {
    const { event, device, code } = entry;
    if (event === "refused") return limit(refusals, code, 1, entry);
    if (event === "log") return limit(devices, device, LINES, entry);
    const unsaid = event === "disconnected" && devices.get(device)?.unsaid;
    if (unsaid) {
      log({ event: "log", device: device!, unsaid });
      devices.get(device)!.unsaid = 0;
    }
    log(entry);
  };
}
