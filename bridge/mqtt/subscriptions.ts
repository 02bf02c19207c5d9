/**
 * Topic filters that a session has at its broker: in the end those that are wanted, and no other. The store has a filter
 * before SUBSCRIBE goes out, and until UNSUBACK has come: so one that is wanted no longer is known also after a restart.
 * It has it as not granted before UNSUBSCRIBE goes out, which the broker may take when nobody is there for its answer:
 * so one that is wanted again is subscribed again.
 *
 * There are two kinds. Those of the bridge itself are subscribed with each connection, and one that is refused ends it.
 * All others are subscribed once, as a broker sends retained messages again with each SUBSCRIBE of MQTT 3.1.1; one that
 * is refused is told.
 */
import type { Packet, Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";
import { reasonOf } from "./reasons.ts";
import type { Filter, Outlet, RefusedFilter, SubscriptionTask } from "./tasks.ts";

/** Id of all these packets, of which one is under way: publications have others. */
export const SUBSCRIBE_ID = 0xffff;

/** Filters of one packet: AWS IoT takes no more. */
const MOST_FILTERS = 8;

/** Around a filter in a packet, and around all of them: more than either version takes. */
const OVERHEAD = 16;

type Ask = "own" | "subscribe" | "unsubscribe";

export class Subscriptions {
  readonly #outlet: Outlet;
  readonly #version: Version;
  readonly #own: readonly string[];
  #wanted: ReadonlySet<string> = new Set();
  readonly #known = new Map<string, boolean>(); // what the broker may have; whether it has said so
  readonly #refused = new Set<string>(); // with this connection
  readonly #kept = new Set<string>(); // likewise: it does not end these
  #asked: { what: Ask; filters: readonly string[]; isSent: boolean } | undefined;
  #isOpen = false;
  #longest = Infinity;

  /**
   * @param own The bridge's. The store has them.
   * @param known What the store has.
   */
  constructor(outlet: Outlet, version: Version, own: readonly string[], known: readonly Filter[]) {
    this.#outlet = outlet;
    this.#version = version;
    this.#own = own;
    for (const { filter, isGranted } of known) this.#known.set(filter, isGranted);
  }

  /** These are wanted from now on, beside the bridge's. */
  want(filters: ReadonlySet<string>): void {
    this.#wanted = filters;
    this.#next();
  }

  /**
   * The broker is there.
   *
   * @param isKnown It has the session.
   * @param longest Packet that it takes, in bytes.
   */
  begin(isKnown: boolean, longest: number): void {
    if (!isKnown) { for (const filter of this.#known.keys()) this.#known.set(filter, false); }
    this.#isOpen = true;
    this.#longest = longest;
    this.#subscribe("own", this.#own);
  }

  /** The connection is gone. */
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
      throw new BrokerError("UNEXPECTED", `${cmd.toUpperCase()} for ${messageId} cannot come now`);
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

  /** Asks for what is missing, and ends what is too much: that first, as filters may overlap. */
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

  /** As many as one packet has. */
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
    // Version 5 says of each message whether it was published as a retained one, and sends those once.
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

/** Why a filter is not subscribed as it should be; undefined: it is. */
function whyNot(code: number): string | undefined {
  if (code === 2) return undefined;
  return code < 0x80 ? `it grants QoS ${code}, and no QoS 2` : reasonOf(code);
}
