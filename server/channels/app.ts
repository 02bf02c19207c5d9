/** Applications made of channels: handlers by channel name instead of lines. */
import type { Device } from "../device.ts";
import type { FaultCode, Marked } from "../protocol/channel_lines.ts";
import {
  checkChannel,
  formatMarked,
  parseMarked,
  textOf,
  valueOf,
} from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { caller } from "../runtime/run.ts";
import { Collector, type Transaction } from "../store/transaction.ts";
import { wrongOwn } from "./described.ts";
import { checkDescription } from "./description.ts";
import { DistantThing } from "./distant_thing.ts";
import { PlainDevice, type PlainLines, runPlain } from "./plain_lines.ts";
import { FaultError, sayFault } from "../protocol/fault.ts";
import { LONGEST_VALUE } from "./states.ts";
import type { Channel, Channels, ChannelsOptions, HandlerContext, ThingSource } from "./channel.ts";
import { declareParts, type Holder, type Holding, Table } from "./table.ts";
import { ThingDriver } from "./thing_driver.ts";
import { momentOf, type Times } from "./thing_record.ts";

/**
 * An application of channels.
 *
 * @throws {LocalError} BAD_ARGUMENT: a name is not a channel name, or is reserved; the description is
 * wrong
 */
export function channels(
  definitions: Channels,
  options: ChannelsOptions = {},
): (device: Device, server: ThingSource) => Promise<void> {
  const byName = new Map<string, Channel>();
  for (const [name, definition] of Object.entries(definitions)) {
    checkChannel(name);
    if (RESERVED.includes(name)) {
      throw badArgument(`channel ${name} is reserved`);
    }
    byName.set(
      name,
      typeof definition === "function" ? { report: definition, event: definition } : definition,
    );
  }
  const described = options.description && { description: checkDescription(options.description) };
  const part = { name: "", channels: byName, options: { ...options, ...described } };
  const table = new Table([part]);
  return declareParts((device: Device, server: ThingSource) => serve(device, server, table), [
    part,
  ]);
}

/**
 * Hands a device's messages to the applications that have their channels, one transaction for each, until the device
 * ends.
 */
export async function serve<Server extends ThingSource>(
  device: Device,
  server: Server,
  table: Table,
): Promise<void> {
  const thing = await server.thing(device.id);
  if (thing instanceof DistantThing) await device.ready(); // another server took over the device meanwhile: this throws the reason
  if (!(thing instanceof ThingDriver)) throw badArgument("this is not a thing of a server");
  if (device instanceof PlainDevice) {
    throw badArgument("give share what channels({ … }) returns, not a function that calls it");
  }
  for (const description of table.descriptions) thing.describe(description);
  thing.isShared = table.parts.length > 1;
  const plain = table.plain && runPlain(thing, table.plain, server);
  const dispatcher = new Dispatcher(thing, table, plain?.lines);
  let failing: string | undefined; // the message that has failed, once reported
  try {
    for (;;) {
      let message = "";
      try {
        await device.consume((line, tx) => dispatcher.take(message = line, tx));
        plain?.lines.settled();
        failing = undefined;
        dispatcher.isCareful = false;
      } catch (error) {
        plain?.lines.settled(error);
        dispatcher.isCareful = true;
        const over = thing.device.closed ?? caller()?.over;
        if (over) throw passes(error) ? over : error; // no application has failed then
        if (passes(error)) continue; // the message comes again, at the pace of `consume`
        if (message !== failing) thing.failed(dispatcher.blame(error));
        failing = message;
      }
    }
  } finally {
    plain?.close();
  }
}

/** Channels that the server itself answers. */
const RESERVED: readonly string[] = ["log", "time"];

/** Whether no handler is to blame: another device has no room, or has left this server. */
function passes(error: unknown): boolean {
  return error instanceof LocalError && PASSING.has(error.code);
}

const PASSING: ReadonlySet<string> = new Set(["OUTBOX_FULL", "FENCED", "FORGOTTEN"]);

/** Most further messages in one transaction, after the first. */
const MOST_FURTHER = 63;

/** Hands a device's messages to their handlers. */
class Dispatcher {
  readonly #thing: ThingDriver;
  readonly #table: Table;
  readonly #plain: PlainLines | undefined;
  #called: string[] = []; // applications that received the message
  #blamed: unknown; // an error that names its application
  /** A transaction has failed: the next one takes one message, to find out which one fails. */
  isCareful = false;

  constructor(thing: ThingDriver, table: Table, plain: PlainLines | undefined) {
    this.#thing = thing;
    this.#table = table;
    this.#plain = plain;
  }

  /**
   * Takes a message, and those after it that no application handles: these need no transaction of their own, and nobody
   * sees a state that is not safe. If the observer fails with a message, that message gets a transaction of its own, so
   * that only it fails.
   */
  async take(line: string, transaction: Transaction): Promise<void> {
    const tx = collector(transaction);
    const first = parseMarked(line);
    await this.#takeOne(line, first, tx);
    // Messages after a boot message depend on the description that it brings, which must be safe first.
    if (this.isCareful || first?.mark === "boot") return;
    for (let next; tx.taken < MOST_FURTHER && (next = tx.next) !== undefined;) {
      const marked = parseMarked(next);
      if (!this.#isSilent(marked)) return;
      const forget = tx.mark();
      tx.take();
      try {
        await this.#takeOne(next, marked, tx);
      } catch {
        return forget();
      }
    }
  }

  /** Whether a message only changes a channel's stored state, or goes to an observer that shares transactions. */
  #isSilent(marked: Marked | undefined): boolean {
    const { observer } = this.#thing;
    if (observer && !observer.shares?.()) return false;
    if (marked?.mark === "answer" || marked?.mark === "fault") return !observer;
    if (marked?.mark !== "set" && marked?.mark !== "event") return false;
    if (this.#isFollowed(marked.name)) return false;
    if (marked.mark === "event") {
      return observer !== undefined && marked.name !== "log" &&
        this.#having(marked.name, "event").every(({ channel }) => channel.event === ignore);
    }
    // New channels are counted when they are safe.
    if (observer && !this.#thing.knows(marked.name)) return false;
    const holding = this.#find(marked.name);
    return holding !== undefined && holding.holders.every(({ channel }) => !channel.report) &&
      this.#thing.hasRoom(marked.name) && this.#whyBad(marked) === undefined;
  }

  /** Why a report is not kept, for people; "" if that needs no message. */
  #whyBad({ name, value }: Of<"set">): string | undefined {
    return value.length > LONGEST_VALUE ? "" : this.#thing.wrongReport(name, value);
  }

  async #takeOne(line: string, marked: Marked | undefined, tx: Collector): Promise<void> {
    this.#called = [];
    const stamp = marked && "stamp" in marked ? marked.stamp : undefined;
    const times = this.#thing.timesOf(stamp, tx.taken);
    const context: HandlerContext = {
      thing: this.#thing,
      channel: marked?.name ?? "",
      tx,
      ...momentOf(times),
    };
    switch (marked?.mark) {
      case undefined:
        return await this.#takePlain(line, context);
      case "boot":
        return this.#boot(marked, context, tx);
      case "set":
        return await this.#report(marked, times, context);
      case "event":
        return await this.#event(marked, context);
      case "ask":
        return await this.#ask(marked, context, tx);
      case "answer":
      case "fault":
        return await this.#answered(marked, times.at, context);
    }
  }

  async #takePlain(line: string, context: HandlerContext): Promise<void> {
    let isTaken = false;
    for (const { name, options, plain } of this.#table.parts) {
      const { line: take } = options;
      if (take) await this.#call(name, () => take(line, context));
      isTaken ||= take !== undefined;
      if (!plain) continue;
      isTaken = await this.#call(name, () => this.#plain!.process(line, context.tx)) || isTaken;
    }
    if (isTaken) return;
    const thing = this.#thing;
    collector(context.tx).add(thing.afterwards(() => thing.tell("plain_line", line)));
  }

  #boot(marked: Of<"boot">, context: HandlerContext, tx: Collector): void {
    const { name, version, description } = marked;
    const wrong = description === undefined ? undefined : wrongOwn(description);
    tx.add(this.#thing.started(name, version, wrong === undefined ? description : undefined));
    if (wrong !== undefined) this.#refuse(marked, "BAD_DESCRIPTION", wrong, context);
  }

  async #report(marked: Of<"set">, times: Times, context: HandlerContext): Promise<void> {
    const holding = this.#find(marked.name);
    if (!holding) return this.#fault(marked, "unknown", context);
    const wrong = this.#whyBad(marked);
    if (wrong === "") return this.#fault(marked, "bad_value", context);
    if (wrong !== undefined) return this.#refuse(marked, "BAD_VALUE", wrong, context);
    if (!this.#thing.hasRoom(marked.name)) return this.#fault(marked, "unsupported", context);
    const report = { text: marked.value, ...times };
    const isNews = this.#isFollowed(marked.name) &&
      this.#thing.isNews(marked.name, marked.value, holding.local);
    // Added before the handler runs: what it sets is newer than what the device has reported.
    collector(context.tx).add(this.#thing.reporting(marked.name, report, holding.local));
    for (const { app, channel } of holding.holders) {
      if (!channel.report) continue;
      await this.#call(app, () => channel.report!(valueOf(marked.value), context));
    }
    await this.#observe("report", marked.value, context);
    if (isNews) this.#follow(marked, context);
  }

  async #answered(
    marked: Of<"answer" | "fault">,
    at: number,
    context: HandlerContext,
  ): Promise<void> {
    const text = this.#thing.reportedBy(marked);
    // Without a value it confirms the present setting, which may change before this is safe.
    const said = text === undefined ? marked : { ...marked, value: text };
    collector(context.tx).add(this.#thing.answered(said, at));
    if (text !== undefined) await this.#observe("report", text, context);
  }

  /** Calls the observer of all devices. */
  async #observe(
    what: "report" | "event",
    text: string | undefined,
    context: HandlerContext,
  ): Promise<void> {
    const { observer } = this.#thing;
    if (!observer?.[what]) return;
    const value = text === undefined ? undefined : valueOf(text);
    await this.#call("observe", () => observer[what]!(value, context));
  }

  async #event(marked: Of<"event">, context: HandlerContext): Promise<void> {
    const thing = this.#thing;
    if (marked.name === "log") {
      const log = () => thing.tell("log", marked.value ?? "");
      return collector(context.tx).add(thing.afterwards(log));
    }
    const holders = this.#having(marked.name, "event");
    if (holders.length === 0 && !this.#isWatched(marked.name)) {
      return this.#fault(marked, "unknown", context);
    }
    for (const { app, channel } of holders) {
      await this.#call(app, () => channel.event!(valueOf(marked.value), context));
    }
    await this.#observe("event", marked.value, context);
    this.#follow(marked, context);
  }

  async #ask(marked: Of<"ask">, context: HandlerContext, tx: Collector): Promise<void> {
    const { name } = marked;
    if (name === "time") return void this.#answer(marked, this.#thing.now, context);
    const [holder] = this.#having(name, "ask");
    if (!holder) return this.#fault(marked, "unknown", context);
    const { app, channel } = holder;
    const forget = tx.mark();
    try {
      const value = await this.#call(app, () => channel.ask!(valueOf(marked.value), context));
      const unsayable = this.#answer(marked, value, context);
      if (unsayable === undefined) return;
      forget();
      this.#fault(marked, "failed", context);
      this.#warn("BAD_VALUE", `the answer to ?${name}: ${unsayable}`, context);
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      forget();
      const words = error.words === "" ? undefined : error.words;
      this.#fault(marked, error.fault, context, words);
    }
  }

  /**
   * The applications that handle a channel's reports. A channel that was set or is watched is known even without an
   * application.
   */
  #find(channel: string): Holding | undefined {
    const isKnown = () => this.#thing.knows(channel) || this.#isWatched(channel);
    return this.#table.find(channel) ?? (isKnown() ? UNHELD : undefined);
  }

  #isFollowed(channel: string): boolean {
    return this.#thing.links.follows(this.#thing.id, channel);
  }

  /** Whether a link or the observer follows a channel. */
  #isWatched(channel: string): boolean {
    return this.#thing.observer !== undefined || this.#isFollowed(channel);
  }

  /** Sets the channels of other devices that are linked to this one. */
  #follow({ name, value }: Of<"set" | "event">, { tx }: HandlerContext): void {
    this.#thing.links.follow(this.#thing, name, valueOf(value), collector(tx));
  }

  /** The applications that handle the channel's events or requests. */
  #having(channel: string, handler: "event" | "ask"): readonly Holder[] {
    const holders = this.#table.find(channel)?.holders ?? [];
    return holders.filter(({ channel }) => channel[handler]);
  }

  /** Calls an application's handler. @throws what it throws, with the application's name */
  async #call<T>(app: string, handler: () => Promise<T> | T): Promise<T> {
    this.#called.push(app);
    try {
      return await handler();
    } catch (error) {
      if (error instanceof FaultError) throw error;
      throw this.#blamed = named(app, error);
    }
  }

  /** Adds to an error the names of the applications that may have caused it. */
  blame(error: unknown): unknown {
    return error === this.#blamed ? error : named(this.#called.join(" or "), error);
  }

  /** @returns why the answer cannot be sent, if it cannot: not JSON, or longer than the device takes */
  #answer({ name, tag }: Of<"ask">, value: unknown, { tx }: HandlerContext): string | undefined {
    try {
      const text = value === undefined ? {} : { value: textOf(value) };
      tx.write(this.#thing.id, formatMarked({ mark: "answer", name, tag, ...text }));
      return undefined;
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      return error.message;
    }
  }

  /** The device has sent an invalid value: tells the device, and emits a warning. */
  #refuse(
    marked: Of<"set" | "boot">,
    code: "BAD_VALUE" | "BAD_DESCRIPTION",
    wrong: string,
    context: HandlerContext,
  ): void {
    this.#fault(marked, "bad_value", context, marked.mark === "boot" ? wrong : undefined);
    this.#warn(code, wrong, context);
  }

  /** Emits a warning once the transaction is safe. */
  #warn(code: "BAD_VALUE" | "BAD_DESCRIPTION", message: string, { tx }: HandlerContext): void {
    const thing = this.#thing;
    collector(tx).add(thing.afterwards(() => thing.warn(code, message)));
  }

  #fault(
    marked: Of<"set" | "event" | "ask" | "boot">,
    code: FaultCode,
    context: HandlerContext,
    words?: string,
  ): void {
    const { name } = marked;
    const tag = marked.mark === "ask" ? { tag: marked.tag } : {};
    const why = words === undefined ? {} : { words };
    const write = (line: string) => context.tx.write(this.#thing.id, line);
    sayFault(write, { mark: "fault", name, ...tag, code, ...why });
  }
}

/** A handler for events that need none, so that their channels count as known. */
export function ignore(): void {}

/** The holding of a channel that no application has. */
const UNHELD: Holding = { holders: [], local: "wins" };

/** An error that names the application it comes from; a single application has no name. */
function named(app: string, error: unknown): unknown {
  if (app === "") return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  const message = `${app}: ${cause.message}`;
  const blamed = cause instanceof LocalError
    ? new LocalError(cause.code, message, { cause })
    : new Error(message, { cause });
  blamed.stack = `${app}: ${cause.stack}`;
  return blamed;
}

/** A marked line of these kinds. */
type Of<Mark extends Marked["mark"]> = Extract<Marked, { mark: Mark }>;

function collector(tx: Transaction): Collector {
  if (tx instanceof Collector) return tx;
  throw badArgument("this is not a transaction of a server");
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
