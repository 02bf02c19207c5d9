/** The last log entries of each device, in memory, for pages that are opened later. */
import type { ServerEvent } from "../observe/events.ts";
import { isLogged, type LogEntry } from "../observe/log.ts";
import type { Watched } from "./fleet.ts";

/** Most entries of each device. */
const MOST_ENTRIES = 30;

/** Longest message in UTF-16 units, so that one device cannot fill the memory. */
const LONGEST = 500;

/** An entry, with its time in ms since 1970. */
export type TimedEntry = LogEntry & { readonly at: number };

export class RecentLog {
  readonly #entries = new Map<string, TimedEntry[]>();
  readonly #unsubscribe: () => void;

  constructor(server: Pick<Watched, "events">, now: () => number) {
    this.#unsubscribe = server.events.subscribe((event) => {
      if (event.event === "forgotten") this.#entries.delete(event.device);
      const entry = entryOf(event);
      if (entry?.device === undefined) return;
      const entries = this.#entries.get(entry.device) ?? [];
      entries.push({ ...entry, at: now() });
      if (entries.length > MOST_ENTRIES) entries.shift();
      this.#entries.set(entry.device, entries);
    });
  }

  /** The entries of a device, oldest first. */
  of(device: string): readonly TimedEntry[] {
    return this.#entries.get(device) ?? [];
  }

  close(): void {
    this.#unsubscribe();
  }
}

/** An event as an entry of bounded length; undefined: it is not logged. */
export function entryOf(event: ServerEvent): LogEntry | undefined {
  if (!isLogged(event) || event.event === "forgotten") return undefined;
  if (!("message" in event) || event.message === undefined) return event;
  return { ...event, message: event.message.slice(0, LONGEST) };
}
