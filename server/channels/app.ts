/** Applications that are made of channels: handlers by name instead of lines. */
import type { Device } from "../device.ts";
import { wrongOwn } from "./described.ts";
import { checkDescription, type Description } from "./description.ts";
import type { Marked, Value } from "../protocol/channel_lines.ts";
import { formatMarked, parseMarked, textOf, valueOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { Collector, type Transaction } from "../store/transaction.ts";
import { FaultError } from "./requests.ts";
import { type LocalRule, LONGEST_VALUE } from "./states.ts";
import type { Moment, Thing } from "./thing.ts";
import { checkName, momentOf, ThingDriver, type Times } from "./thing_driver.ts";

/** What a handler is given beside the value. */
export interface Told extends Moment {
  /** The device. */
  readonly thing: Thing;
  /** What is done here becomes safe together with the fact that the message is processed. */
  readonly tx: Transaction;
}

/** Takes a value that a device has told. What it throws fails the message: it comes again. */
export type Handler = (value: Value | undefined, told: Told) => Promise<void> | void;

/** One channel. */
export interface Channel {
  /** Takes what the device reports. */
  report?: Handler;
  /** Takes an event. */
  event?: Handler;
  /**
   * Answers a request of the device with what it returns. A `FaultError` that it throws is the answer, and nothing
   * else of its transaction happens.
   */
  ask?: (value: Value | undefined, told: Told) => Promise<unknown> | unknown;
  /** What a change at the device itself comes to, against what was desired: "wins" (default) or "loses". */
  local?: LocalRule;
}

/** Channels by their names. A function takes reports and events. */
export type Channels = Record<string, Channel | Handler>;

/** What else an application of channels has. */
export interface ChannelsOptions {
  /** Takes plain lines. Default: they are processed, and told as events, "plain_line". */
  line?: (text: string, told: Told) => Promise<void> | void;
  /** What the channels are, if the server was not told for the application that runs on the device. */
  description?: Description;
}

/** What such an application needs of a server: `Server` has it. */
export interface ThingSource {
  /** See `Server.thing`. */
  thing(id: string): Promise<Thing>;
}

/**
 * An application of channels.
 *
 * @throws {LocalError} BAD_ARGUMENT: what is no name of a channel, or reserved; the description is wrong
 */
export function channels(
  definitions: Channels,
  options: ChannelsOptions = {},
): (device: Device, server: ThingSource) => Promise<void> {
  const byName = new Map<string, Channel>();
  for (const [name, definition] of Object.entries(definitions)) {
    checkName(name);
    if (RESERVED.includes(name)) {
      throw badArgument(`channel ${name} is reserved`);
    }
    byName.set(
      name,
      typeof definition === "function" ? { report: definition, event: definition } : definition,
    );
  }
  const description = options.description && checkDescription(options.description);
  return async (device, server) => {
    const thing = await server.thing(device.id);
    if (!(thing instanceof ThingDriver)) throw badArgument("this is no thing of a server");
    if (description) thing.describe(description);
    const dispatcher = new Dispatcher(thing, byName, options);
    for (;;) await device.consume((line, tx) => dispatcher.take(line, tx));
  };
}

/** Channels that the server itself answers. */
const RESERVED: readonly string[] = ["log", "time"];

/** Hands a device's messages to its handlers. */
class Dispatcher {
  readonly #thing: ThingDriver;
  readonly #channels: ReadonlyMap<string, Channel>;
  readonly #options: ChannelsOptions;

  constructor(
    thing: ThingDriver,
    channels: ReadonlyMap<string, Channel>,
    options: ChannelsOptions,
  ) {
    this.#thing = thing;
    this.#channels = channels;
    this.#options = options;
  }

  async take(line: string, transaction: Transaction): Promise<void> {
    const tx = collector(transaction);
    const marked = parseMarked(line);
    const times = this.#thing.timesOf(marked && "stamp" in marked ? marked.stamp : undefined);
    const told: Told = { thing: this.#thing, tx, ...momentOf(times) };
    switch (marked?.mark) {
      case undefined:
        return await this.#plain(line, told);
      case "boot":
        return this.#boot(marked, told, tx);
      case "set":
        return await this.#report(marked, times, told);
      case "event":
        return await this.#event(marked, told);
      case "ask":
        return await this.#ask(marked, told, tx);
      case "answer":
      case "fault":
        return tx.add(this.#thing.answered(marked, times.at));
    }
  }

  async #plain(line: string, told: Told): Promise<void> {
    if (this.#options.line) return await this.#options.line(line, told);
    const thing = this.#thing;
    collector(told.tx).add(thing.afterwards(() => thing.tell("plain_line", line)));
  }

  #boot(marked: Of<"boot">, told: Told, tx: Collector): void {
    const { name, version, description } = marked;
    const wrong = description === undefined ? undefined : wrongOwn(description);
    tx.add(this.#thing.started(name, version, wrong === undefined ? description : undefined));
    if (wrong !== undefined) this.#refuse(marked, "BAD_DESCRIPTION", wrong, told);
  }

  async #report(marked: Of<"set">, times: Times, told: Told): Promise<void> {
    const channel = this.#channels.get(marked.name);
    if (!channel) return this.#fault(marked, "unknown", told);
    if (marked.value.length > LONGEST_VALUE) return this.#fault(marked, "bad_value", told);
    const wrong = this.#thing.wrongReport(marked.name, marked.value);
    if (wrong !== undefined) return this.#refuse(marked, "BAD_VALUE", wrong, told);
    const report = { text: marked.value, ...times };
    // What the handler sets is newer than what the device has reported.
    collector(told.tx).add(this.#thing.reporting(marked.name, report, channel.local ?? "wins"));
    await channel.report?.(valueOf(marked.value), told);
  }

  async #event(marked: Of<"event">, told: Told): Promise<void> {
    const thing = this.#thing;
    if (marked.name === "log") {
      const log = () => thing.tell("log", marked.value ?? "");
      return collector(told.tx).add(thing.afterwards(log));
    }
    const handler = this.#channels.get(marked.name)?.event;
    if (!handler) return this.#fault(marked, "unknown", told);
    await handler(valueOf(marked.value), told);
  }

  async #ask(marked: Of<"ask">, told: Told, tx: Collector): Promise<void> {
    const { name, tag } = marked;
    if (name === "time") return this.#answer(marked, this.#thing.now, told);
    const ask = this.#channels.get(name)?.ask;
    if (!ask) return this.#fault(marked, "unknown", told);
    const forget = tx.mark();
    try {
      this.#answer(marked, await ask(valueOf(marked.value), told), told);
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      forget();
      const { fault: code, words } = error;
      const why = words === "" ? {} : { words };
      tx.write(this.#thing.id, formatMarked({ mark: "fault", name, tag, code, ...why }));
    }
  }

  #answer({ name, tag }: Of<"ask">, value: unknown, { tx }: Told): void {
    const text = value === undefined ? {} : { value: textOf(value) };
    tx.write(this.#thing.id, formatMarked({ mark: "answer", name, tag, ...text }));
  }

  /** What the device says cannot be: it is told, and so is whoever watches. */
  #refuse(
    marked: Of<"set" | "boot">,
    code: "BAD_VALUE" | "BAD_DESCRIPTION",
    wrong: string,
    told: Told,
  ): void {
    const thing = this.#thing;
    this.#fault(marked, "bad_value", told, marked.mark === "boot" ? wrong : undefined);
    collector(told.tx).add(thing.afterwards(() => thing.warn(code, wrong)));
  }

  #fault(
    marked: Of<"set" | "event" | "ask" | "boot">,
    code: "unknown" | "bad_value",
    told: Told,
    words?: string,
  ): void {
    const { name } = marked;
    const tag = marked.mark === "ask" ? { tag: marked.tag } : {};
    const why = words === undefined ? {} : { words };
    try {
      told.tx.write(this.#thing.id, formatMarked({ mark: "fault", name, ...tag, code, ...why }));
    } catch (error) {
      if (!(error instanceof LocalError && error.code === "BAD_TEXT")) throw error;
      if (words !== undefined) this.#fault(marked, code, told); // it takes short lines only
    }
  }
}

/** A marked line of these kinds. */
type Of<Mark extends Marked["mark"]> = Extract<Marked, { mark: Mark }>;

function collector(tx: Transaction): Collector {
  if (tx instanceof Collector) return tx;
  throw badArgument("this is no transaction of a server");
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
