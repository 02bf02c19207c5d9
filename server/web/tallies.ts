/** Counts a server's events since its start. */
import type { Device } from "../device.ts";
import { type MessageCounts, noMessages } from "../link/counts.ts";
import type { ServerEvent } from "../observe/events.ts";
import { isOwn, type Watched } from "./fleet.ts";

/** Most codes counted for one event: more than exist, but applications may make up others. */
const MOST_CODES = 64;

/** Stands for codes beyond these. */
const OTHER = "OTHER";

/** Events that are counted, each with its codes. */
const COUNTED = [
  "app_failed",
  "asleep",
  "booted",
  "connected",
  "dead_letter",
  "deploy",
  "disconnected",
  "expired",
  "forgotten",
  "overdue",
  "refused",
  "replaced",
  "reported",
  "warning",
] as const satisfies ServerEvent["event"][];

type Counted = typeof COUNTED[number];

export class Tallies {
  readonly #server: Watched;
  readonly #events = new Map<string, Map<string, number>>(
    COUNTED.map((event) => [event, new Map()]),
  );
  /** Devices as they were last seen, so that their counts remain when they are forgotten. */
  #known = new Map<string, Device>();
  readonly #gone = noMessages();
  /** Whether the store currently accepts nothing. */
  storeFails = false;

  /** @param signal Ends the counting. */
  constructor(server: Watched, signal: AbortSignal) {
    this.#server = server;
    const end = server.events.subscribe((event) => this.#take(event));
    signal.addEventListener("abort", end);
  }

  /** How often an event has happened, by code; "" if it has none. */
  of(event: Counted): ReadonlyMap<string, number> {
    return this.#events.get(event)!;
  }

  /** Message counts of all devices, including those that this server no longer has; and the devices that it has. */
  look(): { messages: MessageCounts; devices: readonly Device[] } {
    const devices = this.#server.devices.filter(isOwn);
    this.#known = new Map(devices.map((device) => [device.id, device]));
    const messages = { ...this.#gone };
    for (const { counts } of devices) add(messages, counts);
    return { messages, devices };
  }

  #take(event: ServerEvent): void {
    if (event.event === "store") this.storeFails = event.code !== undefined;
    if (event.event === "forgotten" || event.event === "moved") this.#leaves(event.device);
    const codes = this.#events.get(event.event);
    if (!codes) return;
    const said = "code" in event ? event.code ?? "" : "";
    const code = codes.has(said) || codes.size < MOST_CODES ? said : OTHER;
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }

  #leaves(id: string): void {
    const device = this.#known.get(id);
    if (!device || !this.#known.delete(id)) return;
    add(this.#gone, device.counts);
  }
}

function add(sum: MessageCounts, counts: Readonly<MessageCounts>): void {
  for (const name of Object.keys(sum) as (keyof MessageCounts)[]) sum[name] += counts[name];
}
