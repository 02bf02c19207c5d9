/**
 * A session's subscriptions at its broker, which in the end are exactly those that are wanted. The store has a filter
 * from before SUBSCRIBE until UNSUBACK, so one that is no longer wanted is known even after a restart. It is marked as
 * not granted before UNSUBSCRIBE, whose answer may be lost, so one that is wanted again is subscribed again.
 *
 * There are two kinds. The bridge's own are subscribed on each connection, and a refusal ends it. All others are
 * subscribed once, because with MQTT 3.1.1 a broker sends retained messages again after each SUBSCRIBE; a refusal is
 * reported.
 */
import type { Packet, Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";
import { reasonOf } from "./reasons.ts";
import type { Filter, Outlet, RefusedFilter, SubscriptionTask } from "./tasks.ts";

/** Id of SUBSCRIBE and UNSUBSCRIBE, of which only one is under way at a time; publications have other ids. */
export const SUBSCRIBE_ID = 0xffff;

/** Most filters in one packet: AWS IoT accepts no more. */
const MOST_FILTERS = 8;

/** Upper bound, in bytes, for the overhead of a filter in a packet, and of the packet itself, in either version. */
const OVERHEAD = 16;

type Ask = "own" | "subscribe" | "unsubscribe";

export class Subscriptions {
  readonly #outlet: Outlet;
  readonly #version: Version;
  readonly #own: readonly string[];
  #wanted: ReadonlySet<string> = new Set();
  readonly #known = new Map<string, boolean>(); // filters that the broker may have; whether it has confirmed them
  readonly #refused = new Set<string>(); // refused on this connection
  readonly #kept = new Set<string>(); // likewise: its unsubscribing failed
  #asked: { what: Ask; filters: readonly string[]; isSent: boolean } | undefined;
  #isOpen = false;
  #longest = Infinity;

  /**
   * @param own The bridge's filters. The store has them.
   * @param known The filters in the store.
   */
  constructor(outlet: Outlet, version: Version, own: readonly string[], known: readonly Filter[]) {
    this.#outlet = outlet;
    this.#version = version;
    this.#own = own;
    for (const { filter, isGranted } of known) this.#known.set(filter, isGranted);
  }

  /** Sets the filters that are wanted besides the bridge's. */
  want(filters: ReadonlySet<string>): void {
    this.#wanted = filters;
    this.#next();
  }

  /**
   * The broker has accepted the connection.
   *
   * @param isKnown Whether the broker has the session.
   * @param longest Longest packet that it accepts, in bytes.
   */
  begin(isKnown: boolean, longest: number): void {
    if (!isKnown) { for (const filter of this.#known.keys()) this.#known.set(filter, false); }
    this.#isOpen = true;
    this.#longest = longest;
    this.#subscribe("own", this.#own);
  }

  /** The connection has ended. */
  closed(): void {
    this.#isOpen = false;
    this.#asked = undefined;
    this.#refused.clear();
    this.#kept.clear();
  }

  /** Packets that the broker has not answered. */
  get owed(): string | undefined {
    if (!this.#asked?.isSent) return undefined;
    return this.#asked.what === "unsubscribe" ? "UNSUBSCRIBE" : "SUBSCRIBE";
  }

  /** SUBACK or UNSUBACK has come. @throws {BrokerError} */
  answered(packet: Extract<Packet, { cmd: "suback" | "unsuback" }>): void {
    const { cmd, messageId } = packet;
    const asked = this.#asked;
    if (
      messageId !== SUBSCRIBE_ID || !asked?.isSent ||
      (asked.what === "unsubscribe") !== (cmd === "unsuback")
    ) {
      throw new BrokerError(
        "UNEXPECTED",
        `${cmd.toUpperCase()} for ${messageId} is not allowed now`,
      );
    }
    const { what, filters } = asked;
    const codes = (packet.granted ?? []).map(Number);
    // In MQTT 3.1.1 an UNSUBACK has no reasons.
    if (codes.length !== filters.length && (what !== "unsubscribe" || this.#version === 5)) {
      throw new BrokerError(
        "UNEXPECTED",
        `${cmd.toUpperCase()} for ${codes.length} filters, not ${filters.length}`,
      );
    }
    this.#asked = undefined;
    if (what === "unsubscribe") return this.#unsubscribed(filters, codes);
    const refused = filters.flatMap((filter, i): RefusedFilter[] => {
      const why = whyNot(codes[i]!);
      return why === undefined ? [] : [{ filter, why }];
    });
    if (what === "subscribe") return this.#subscribed(filters, refused);
    const [first] = refused;
    if (first) {
      throw new BrokerError("REFUSED", `the broker does not grant ${first.filter}: ${first.why}`);
    }
    this.#next();
  }

  /** A task is safe. */
  safe(task: SubscriptionTask): void {
    switch (task.does) {
      case "subscribe":
        for (const filter of task.filters) this.#known.set(filter, false);
        if (this.#isOpen) this.#subscribe("subscribe", task.filters);
        return;
      case "subscribed":
        for (const filter of task.granted) this.#known.set(filter, true);
        return this.#next();
      case "unsubscribe":
        for (const filter of task.filters) this.#known.set(filter, false);
        if (this.#isOpen) this.#unsubscribe(task.filters);
        return;
      case "unsubscribed":
        for (const filter of task.filters) this.#known.delete(filter);
        return this.#next();
    }
  }

  /** Subscribes missing filters and unsubscribes superfluous ones; these first, as filters may overlap. */
  #next(): void {
    if (!this.#isOpen || this.#asked) return;
    const stale = this.#some([...this.#known.keys()].filter((filter) => this.#isStale(filter)));
    if (stale.length > 0) {
      if (!stale.some((filter) => this.#known.get(filter))) return this.#unsubscribe(stale);
      this.#asked = { what: "unsubscribe", filters: stale, isSent: false };
      return this.#outlet.ask({ does: "unsubscribe", filters: stale });
    }
    const missing = [...this.#wanted].filter((filter) =>
      !this.#known.get(filter) && !this.#refused.has(filter) && !this.#own.includes(filter)
    );
    const filters = this.#some(missing);
    if (filters.length === 0) return;
    this.#asked = { what: "subscribe", filters, isSent: false };
    this.#outlet.ask({ does: "subscribe", filters });
  }

  #isStale(filter: string): boolean {
    if (this.#own.includes(filter) || this.#kept.has(filter)) return false;
    return !this.#wanted.has(filter) || this.#refused.has(filter);
  }

  /** As many filters as fit into one packet. */
  #some(filters: readonly string[]): string[] {
    let bytes = OVERHEAD;
    const some: string[] = [];
    for (const filter of filters) {
      bytes += OVERHEAD + 3 * filter.length;
      if (some.length === MOST_FILTERS || (some.length > 0 && bytes > this.#longest)) break;
      some.push(filter);
    }
    return some;
  }

  #subscribe(what: Ask, filters: readonly string[]): void {
    this.#asked = { what, filters, isSent: true };
    // In version 5 messages keep their retain flag, and retained ones are sent only once.
    const rh = what === "own" ? 0 : 1;
    const more = this.#version === 5 ? { rap: true, nl: false, rh } : {};
    const subscriptions = filters.map((topic) => ({ topic, qos: 2 as const, ...more }));
    this.#outlet.send({ cmd: "subscribe", messageId: SUBSCRIBE_ID, subscriptions });
  }

  #unsubscribe(filters: readonly string[]): void {
    this.#asked = { what: "unsubscribe", filters, isSent: true };
    const unsubscriptions = [...filters];
    this.#outlet.send({ cmd: "unsubscribe", messageId: SUBSCRIBE_ID, unsubscriptions });
  }

  #subscribed(filters: readonly string[], refused: readonly RefusedFilter[]): void {
    for (const { filter } of refused) this.#refused.add(filter);
    const granted = filters.filter((filter) => !this.#refused.has(filter));
    this.#outlet.ask({ does: "subscribed", granted, refused });
  }

  #unsubscribed(filters: readonly string[], codes: readonly number[]): void {
    const gone = filters.filter((_, i) => (codes[i] ?? 0) < 0x80);
    for (const filter of filters) if (!gone.includes(filter)) this.#kept.add(filter);
    if (gone.length > 0) this.#outlet.ask({ does: "unsubscribed", filters: gone });
    else this.#next();
  }
}

/** Why a filter is not subscribed with QoS 2; undefined: it is. */
function whyNot(code: number): string | undefined {
  if (code === 2) return undefined;
  return code < 0x80 ? `it grants QoS ${code} instead of QoS 2` : reasonOf(code);
}
