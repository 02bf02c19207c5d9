/**
 * The devices' own topics, as far as the operator allows them. `!mqtt TOPIC VALUE` from a device is published; `=mqtt
 * ["filter", …]` subscribes it, and messages come to it as `!mqtt TOPIC VALUE`.
 *
 * A device's subscriptions are the reported value of that channel, so they are kept with the device's states. Two
 * different filters with a topic in common are not allowed: a broker may send a message once for each of them, which
 * looks like two messages.
 */
import type { HandlerContext, Server, ServerEvent, Transaction } from "../../server/mod.ts";
import { formatMarked, type Value } from "../../server/protocol/channel_lines.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { sayFault } from "../../server/protocol/fault.ts";
import { isLoss } from "./absentees.ts";
import { covers, Filters, wrongFilter } from "./filters.ts";
import { messageIn, valueFor } from "./own_message.ts";
import { Refusal, textIn, timeOf } from "./payload.ts";
import type { Message } from "./rows.ts";
import type { Delivery, RefusedFilter } from "./tasks.ts";
import { escapeLevel, type Topics } from "./topics.ts";

/** The channel through which a device uses topics of its own. */
export const OWN_CHANNEL = "mqtt";

/** Most filters of a device. */
const MOST_FILTERS = 16;

/** Stands for a device's id in a pattern. */
const ID = "{id}";

/** What it needs from the bridge. */
export interface OwnTopicsHost {
  readonly topics: Topics;
  /** As `Clock.now`. */
  now(): number;
  /** Other topic filters are wanted. */
  wantsOthers(): void;
  /**
   * Warns that a device may not do something, or cannot. @param topic The topic of a message that it does not get, if
   * it is about one.
   */
  warn(device: string, code: string, message: string, topic?: string): void;
}

export class OwnTopics {
  readonly #host: OwnTopicsHost;
  readonly #patterns: readonly string[];
  readonly #filters = new Filters();
  readonly #bridges = new Filters(); // the bridge's topics, which wildcards never allow
  readonly #devices = new Map<string, Set<string>>(); // by filter, the devices that want it
  readonly #wants = new Map<string, readonly string[]>(); // by device, the filters
  readonly #read = new Set<string>(); // devices whose reported value was read since the server has them
  #server: Pick<Server, "devices" | "thing"> | undefined; // once started

  /**
   * @param patterns Topic filters that are allowed, with `{id}` for a device's id. @throws {LocalError} BAD_ARGUMENT
   */
  constructor(host: OwnTopicsHost, patterns: readonly string[]) {
    for (const pattern of patterns) {
      const wrong = wrongFilter(pattern.replaceAll(ID, "x"));
      if (wrong === undefined) continue;
      throw new LocalError(
        "BAD_ARGUMENT",
        `topics of devices: ${JSON.stringify(pattern)}: ${wrong}`,
      );
    }
    this.#host = host;
    this.#patterns = patterns;
    for (const filter of host.topics.commands) this.#filters.add(filter);
    this.#bridges.add(host.topics.all);
  }

  /** Whether devices may have topics of their own. */
  get isOn(): boolean {
    return this.#patterns.length > 0;
  }

  /**
   * Reads the subscriptions of all devices that the server knows.
   *
   * @param known Filters that the broker may have, oldest first: the first device that wanted one keeps it.
   */
  async start(server: Pick<Server, "devices" | "thing">, known: readonly string[]): Promise<void> {
    if (!this.isOn) return;
    this.#server = server;
    const ids = server.devices.map(({ id }) => id);
    for (const id of ids) this.#read.add(id);
    const ranks = new Map(known.map((filter, i) => [filter, i]));
    const all: [id: string, filter: string][] = [];
    // All at once: for a device that is forgotten meanwhile, `thing` would wait.
    for (const thing of await Promise.all(ids.map((id) => server.thing(id)))) {
      const filters = filtersIn(thing.reported(OWN_CHANNEL)?.value);
      for (const filter of filters) all.push([thing.id, filter]);
    }
    const rank = ([, filter]: [string, string]) => ranks.get(filter) ?? Infinity;
    all.sort((one, other) => rank(one) === rank(other) ? 0 : rank(one) - rank(other));
    for (const [id, filter] of all) {
      const why = this.#why(id, filter);
      if (why === undefined) this.#add(id, filter);
      else this.#host.warn(id, "NOT_ALLOWED", why);
    }
  }

  /** All filters that devices want. */
  get filters(): ReadonlySet<string> {
    return new Set(this.#devices.keys());
  }

  /** Handles an event of the server. */
  take(event: ServerEvent): void {
    if (event.event === "connected") return void this.#comes(event.device);
    if (isLoss(event)) return void this.#read.delete(event.device!);
    if (event.event !== "forgotten") return;
    this.#read.delete(event.device);
    if (!this.#wants.has(event.device)) return;
    this.#remove(event.device);
    this.#host.wantsOthers();
  }

  /** A device has connected. If another server had it at the start or since, its subscriptions are read now. */
  async #comes(id: string): Promise<void> {
    if (!this.#server || this.#read.has(id)) return;
    this.#read.add(id);
    const thing = await this.#server.thing(id);
    if (!this.#read.has(id)) return; // it was lost or forgotten meanwhile
    const filters = filtersIn(thing.reported(OWN_CHANNEL)?.value);
    if (filters.length === 0 && !this.#wants.has(id)) return;
    for (const why of this.#assign(id, filters)) this.#host.warn(id, "NOT_ALLOWED", why);
    this.#host.wantsOthers();
  }

  /** A device reports its subscriptions, in its transaction. */
  report(value: Value, context: HandlerContext): void {
    const { thing: { id }, tx } = context;
    const listed = filtersIn(value);
    const isList = Array.isArray(value) && listed.length === value.length || value === null;
    const rule = `it must be a list of at most ${MOST_FILTERS} filters`;
    if (!isList) this.#refuse(context, "BAD_VALUE", rule);
    // Other devices' subscriptions may change before this is safe: it is checked now, and takes effect then.
    const before = this.#wants.get(id) ?? [];
    const refused = this.#assign(id, listed);
    this.#assign(id, before);
    for (const why of refused) this.#refuse(context, "NOT_ALLOWED", why);
    tx.afterCommit(() => {
      this.#assign(id, listed);
      this.#host.wantsOthers();
    });
  }

  /** The message that a device wants published; undefined: it was refused, in its transaction. */
  message(value: Value | undefined, context: HandlerContext): Message | undefined {
    const message = messageIn(value);
    if (typeof message === "string") {
      this.#refuse(context, "BAD_VALUE", message);
      return undefined;
    }
    if (this.#allows(context.thing.id, message.topic)) return message;
    this.#refuse(context, "NOT_ALLOWED", notAllowed(message.topic));
    return undefined;
  }

  /** The message of a value that a device has reported, if the operator allows it. */
  allowed(id: string, value: Value): Message | undefined {
    const message = messageIn(value);
    return typeof message !== "string" && this.#allows(id, message.topic) ? message : undefined;
  }

  /**
   * A message has come whose topic is not the bridge's.
   *
   * @param without Devices that cannot accept it, and why.
   * @throws {HoldfastError} it is for no device
   */
  deliver(delivery: Delivery, tx: Transaction, without: ReadonlyMap<string, LocalError>): void {
    const { topic } = delivery;
    const filters = [...this.#filters.meeting(topic)].filter((filter) => this.#devices.has(filter));
    if (filters.length === 0) throw new Refusal("UNKNOWN_TOPIC", "no device wants it any more");
    const expires = timeOf(delivery, this.#host.now());
    const value = valueFor(topic, textIn(delivery));
    const line = formatMarked({ mark: "event", name: OWN_CHANNEL, value });
    for (const filter of filters) {
      for (const id of this.#devices.get(filter)!) {
        try {
          const why = without.get(id);
          if (why) throw why;
          tx.write(id, line, expires === undefined ? {} : { expires });
        } catch (error) {
          if (!(error instanceof LocalError)) throw error;
          tx.afterCommit(() => this.#lost(id, topic, error));
        }
      }
    }
  }

  /** The broker refuses a filter. */
  notGranted({ filter, why }: RefusedFilter): void {
    for (const id of this.#devices.get(filter) ?? []) {
      const message = `it cannot subscribe to ${
        JSON.stringify(filter)
      }: the broker refuses: ${why}`;
      this.#host.warn(id, "NOT_SUBSCRIBED", message);
    }
  }

  /** Reports a refusal to the device and in the log. */
  #refuse(
    { thing: { id }, channel: name, tx }: HandlerContext,
    code: "BAD_VALUE" | "NOT_ALLOWED",
    why: string,
  ): void {
    const fault = code === "BAD_VALUE" ? "bad_value" : "unsupported";
    const write = (line: string) => tx.write(id, line);
    sayFault(write, { mark: "fault", name, code: fault, words: why });
    tx.afterCommit(() => this.#host.warn(id, code, why));
  }

  /** A message cannot be sent to a device that wants it. */
  #lost(device: string, topic: string, { code, message }: LocalError): void {
    this.#host.warn(device, code, `it does not get ${JSON.stringify(topic)}: ${message}`, topic);
  }

  /** Replaces a device's filters. @returns why some of them were refused */
  #assign(id: string, filters: readonly string[]): string[] {
    this.#remove(id);
    return filters.flatMap((filter) => {
      const why = this.#why(id, filter);
      if (why === undefined) this.#add(id, filter);
      return why ?? [];
    });
  }

  /** Why a device cannot subscribe to a filter; undefined: it can. */
  #why(id: string, filter: string): string | undefined {
    const wrong = wrongFilter(filter);
    if (wrong !== undefined) return `${JSON.stringify(filter)} is not a filter: ${wrong}`;
    if (!this.#allows(id, filter)) return notAllowed(filter);
    for (const other of this.#filters.meeting(filter)) {
      if (other === filter) continue;
      return `${JSON.stringify(filter)} has topics in common with ${JSON.stringify(other)}`;
    }
    return undefined;
  }

  /** Whether the operator allows it. A pattern's wildcard never matches topics of the bridge itself. */
  #allows(id: string, filter: string): boolean {
    const isBridges = this.#bridges.meeting(filter).next().value !== undefined;
    return this.#patterns.some((pattern) => {
      const mine = pattern.replaceAll(ID, escapeLevel(id));
      return covers(mine, filter) && (!isBridges || this.#host.topics.owns(mine));
    });
  }

  #add(id: string, filter: string): void {
    const mine = this.#wants.get(id) ?? [];
    if (mine.includes(filter)) return;
    this.#wants.set(id, [...mine, filter]);
    const devices = this.#devices.get(filter) ?? new Set();
    this.#devices.set(filter, devices.add(id));
    this.#filters.add(filter);
  }

  #remove(id: string): void {
    for (const filter of this.#wants.get(id) ?? []) {
      const devices = this.#devices.get(filter)!;
      devices.delete(id);
      if (devices.size > 0) continue;
      this.#devices.delete(filter);
      this.#filters.delete(filter);
    }
    this.#wants.delete(id);
  }
}

/** The filters that a device lists, up to the limit. Other values are ignored. */
function filtersIn(value: Value | undefined): string[] {
  if (!Array.isArray(value) || value.length > MOST_FILTERS) return [];
  return value.filter((filter) => typeof filter === "string");
}

function notAllowed(topic: string): string {
  return `${JSON.stringify(topic)} is not a topic that the operator allows it to use`;
}
