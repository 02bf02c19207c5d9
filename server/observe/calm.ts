import { peerOf } from "../transport/address.ts";
import type { Clock } from "../transport/platform.ts";
import type { EventListener } from "./events.ts";
import { isLogged, type Log, type LogEntry } from "./log.ts";

/** The allowance of one peer or device: this many bytes at once, and this many a second in the long run. */
interface Allowance {
  burst: number;
  rate: number;
}

const KB = 1024;

/** Lines that a device itself logs: many at boot, then few. At most 22 MB a day. */
const LINES: Allowance = { burst: 32 * KB, rate: 256 };

/** Other events of a device: 11 MB a day. */
const DEVICE: Allowance = { burst: 16 * KB, rate: 128 };

/** All devices at one address, which may be that of a whole house. 177 MB a day. */
const HOUSE: Allowance = { burst: 1024 * KB, rate: 2 * KB };

/** Refusals of one address: 11 MB a day. */
const PEER: Allowance = { burst: 4 * KB, rate: 128 };

/** Refusals of all addresses. 177 MB a day. */
const PEERS: Allowance = { burst: 64 * KB, rate: 2 * KB };

/** Events of the server itself. 22 MB a day. */
const SERVER: Allowance = { burst: 64 * KB, rate: 256 };

/** Always logged: each happens once, or because a user asks for it. */
const ALWAYS: readonly string[] = [
  "listening",
  "page",
  "closed",
  "keys",
  "descriptions",
  "certificate",
  "credentials",
];

/** Longest message in characters. */
const LONGEST = 2048;

/** Most topics that are tracked. */
const MOST = 20_000;

/** Interval for reporting suppressed entries, in ms. */
const INTERVAL = 10_000;

/** One peer or device. */
interface Topic {
  readonly allowance: Allowance;
  /** Bytes logged beyond what time has allowed since. */
  debt: number;
  /** When `debt` was computed. */
  at: number;
  unsaid: number;
}

/**
 * Limits the log entries of each peer and device, so that none can flood the log. The number of suppressed entries is
 * logged with the next one or, if none follows, in a separate warning, UNSAID.
 *
 * @param log Receives the entries; `closed` is the last.
 */
export function calm(log: Log, clock: Pick<Clock, "now" | "after">): Log {
  const topics = new Topics(log, clock);
  return (entry) => topics.say(shortened(entry));
}

/** Turns events into entries, within the allowance of each peer and device. */
export function logFrom(log: Log, clock: Pick<Clock, "now" | "after">): EventListener {
  const calmed = calm(log, clock);
  return (event) => {
    if (!isLogged(event)) return;
    const { text: _, ...entry } = { text: "", ...event }; // the message quotes the text
    calmed(withoutTime(entry));
  };
}

/** A device's milliseconds mean nothing to people. */
function withoutTime(entry: LogEntry): LogEntry {
  if (entry.metadata === undefined) return entry;
  const metadata = entry.metadata.replace(/(?:^| )ms=\S*/, "").trimStart();
  const { metadata: _, ...rest } = entry;
  return metadata === "" ? rest : { ...rest, metadata };
}

/** The peers and devices that an entry is charged to. If it is not logged, the first one counts it. */
function accountsOf({ event, device, address }: LogEntry): [string, Allowance][] {
  const host = hostOf(address);
  if (event === "refused" || (device === undefined && address !== undefined)) {
    return [[`refused ${host}`, PEER], ["refused", PEERS]];
  }
  if (device === undefined) return [["server", SERVER]];
  if (event === "log") return [[`log ${device}`, LINES]];
  const accounts: [string, Allowance][] = [[`device ${device}`, DEVICE]];
  if (address !== undefined) accounts.push([`house ${host}`, HOUSE]);
  return accounts;
}

class Topics {
  readonly #log: Log;
  readonly #clock: Pick<Clock, "now" | "after">;
  readonly #topics = new Map<string, Topic>(); // least recently used first
  readonly #unsaid = new Map<Topic, Pick<LogEntry, "device" | "address">>(); // the device or address of each
  #cancel: (() => void) | undefined;

  constructor(log: Log, clock: Pick<Clock, "now" | "after">) {
    this.#log = log;
    this.#clock = clock;
  }

  say(entry: LogEntry): void {
    if (ALWAYS.includes(entry.event)) {
      if (entry.event === "closed") this.#end();
      return this.#log(entry);
    }
    const topics = accountsOf(entry).map(([name, allowance]) => this.#find(name, allowance));
    const [topic] = topics as [Topic];
    if (!topics.every((it) => this.#hasRoom(it))) return this.#keepBack(topic, entry);
    const cost = JSON.stringify(entry).length;
    for (const it of topics) it.debt += cost;
    const { unsaid } = topic;
    this.#unsaid.delete(topic);
    topic.unsaid = 0;
    this.#log(unsaid > 0 ? { ...entry, unsaid } : entry);
  }

  #find(name: string, allowance: Allowance): Topic {
    const topic = this.#topics.get(name) ?? { allowance, debt: 0, at: 0, unsaid: 0 };
    this.#topics.delete(name);
    this.#topics.set(name, topic);
    if (this.#topics.size > MOST) this.#topics.delete(this.#topics.keys().next().value!);
    return topic;
  }

  #hasRoom(topic: Topic): boolean {
    const now = this.#clock.now();
    const { rate, burst } = topic.allowance;
    topic.debt = Math.max(0, topic.debt - rate * (now - topic.at) / 1000);
    topic.at = now;
    return topic.debt < burst;
  }

  #keepBack(topic: Topic, { event, device, address }: LogEntry): void {
    topic.unsaid++;
    const host = hostOf(address);
    if (event === "refused") this.#unsaid.set(topic, host === "" ? {} : { address: host });
    else this.#unsaid.set(topic, device === undefined ? {} : { device });
    this.#cancel ??= this.#clock.after(INTERVAL, this.#catchUp);
  }

  readonly #catchUp = (): void => {
    this.#cancel = undefined;
    for (const [topic, whose] of this.#unsaid) if (this.#hasRoom(topic)) this.#count(topic, whose);
    if (this.#unsaid.size > 0) this.#cancel = this.#clock.after(INTERVAL, this.#catchUp);
  };

  #count(topic: Topic, whose: Pick<LogEntry, "device" | "address">): void {
    const { unsaid } = topic;
    topic.unsaid = 0;
    this.#unsaid.delete(topic);
    const entry: LogEntry = { event: "warning", ...whose, code: "UNSAID", unsaid };
    topic.debt += JSON.stringify(entry).length;
    this.#log(entry);
  }

  #end(): void {
    this.#cancel?.();
    for (const [topic, whose] of this.#unsaid) this.#count(topic, whose);
  }
}

/** An address without its port. */
function hostOf(address = ""): string {
  return peerOf(address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1"));
}

function shortened(entry: LogEntry): LogEntry {
  const { message } = entry;
  if (message === undefined || message.length <= LONGEST) return entry;
  return { ...entry, message: `${message.slice(0, LONGEST).toWellFormed()}…` };
}
