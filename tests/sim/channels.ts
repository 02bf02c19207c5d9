/** An application of channels on the server: its work with one device, in one run of the server. */
import { channels } from "../../server/channels/app.ts";
import type { HandlerContext } from "../../server/channels/channel.ts";
import { FaultError } from "../../server/protocol/fault.ts";
import type { Thing } from "../../server/channels/thing.ts";
import type { Device } from "../../server/device.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import type { Server } from "../../server/server.ts";
import { FencedError } from "../../server/store/store.ts";
import { Collector, type Transaction } from "../../server/store/transaction.ts";
import type { ChannelBooks } from "./channel_books.ts";
import { ask, set, setSome } from "./channel_acts.ts";
import { READING, RULES } from "./channel_plan.ts";
import { Attempt } from "./channel_settings.ts";
import { AppFailure, ChangedItsMind } from "./misconduct.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Random } from "../../bridge/testing/random.ts";
import type { DeviceTalk } from "./scenario.ts";
import { BROKEN, CREATE, EFFECT } from "./statements.ts";
import type { ThingBooks } from "./thing_books.ts";
import type { World } from "./world.ts";

const NAMES = Object.keys(RULES);

export class ChannelTalk {
  readonly #books: ThingBooks;
  readonly #all: ChannelBooks;
  readonly #talk: DeviceTalk;
  readonly #random: Random;
  #isReading = true;
  #pending = 0;
  #attempt: Attempt | undefined; // of the current message
  #offered = ""; // the current message's text
  #hasFailed = false;

  constructor(
    readonly world: World,
    readonly platform: SimPlatform,
    readonly device: Device,
    readonly server: Server,
  ) {
    this.#all = world.channels!;
    this.#books = this.#all.things.get(device.id)!;
    this.#talk = world.serverTalks.get(device.id)!;
    this.#random = world.random;
  }

  get isIdle(): boolean {
    return this.#isReading && this.#pending === 0 && this.#talk.messages === 0;
  }

  /** The application. */
  async hold(): Promise<void> {
    const thing = await this.server.thing(this.device.id);
    if (this.#isCurrent) this.#books.thing = thing;
    const report = (value: unknown, context: HandlerContext) => {
      this.#checkTime(context);
      return this.#handle(value, context.tx);
    };
    const app = channels({
      ...Object.fromEntries(NAMES.map((name) => [name, { report, local: RULES[name]! }])),
      [READING]: report,
      button: { event: (value, { tx }) => this.#handle(value, tx) },
      config: { ask: (value, { tx }) => this.#answer(value, tx) },
    });
    try {
      await Promise.all([app(this.#watched, this.server), this.#act(thing)]);
    } catch (error) {
      if (!this.#isOver(error)) throw error;
    }
  }

  /** The server has said that this run of the application has failed. */
  failed(): void {
    this.#hasFailed = true;
  }

  /** The server is closed, or has lost this device. */
  #isOver(error: unknown): boolean {
    if (error instanceof FencedError) return error.device === this.device.id;
    if (!(error instanceof LocalError)) return false;
    // A server that is closed does not wait until its store works again.
    if (error.code === "STORE_FAILED") return this.world.serverIsDown;
    return error.code === "CLOSED" || error.code === "FORGOTTEN";
  }

  /** Whether no other process of a fleet has the device; if one has, nothing done here is committed. */
  get #isCurrent(): boolean {
    return this.world.server.conversations.get(this.device.id) === this;
  }

  #log(what: string): void {
    this.world.log?.(`server ${what}`);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.platform.after(ms, resolve));
  }

  /** Works for a while. */
  async #work(): Promise<void> {
    const { clock, serverBusyUntil } = this.world;
    const time = Math.max(this.#random.below(this.#talk.busy + 1), serverBusyUntil - clock.now);
    if (time > 0) await this.#pause(time);
  }

  /** The device for the application, which adds an effect for each processed message. */
  get #watched(): Device {
    const { device } = this;
    const consume: Device["consume"] = (use) => this.#consume(use);
    return new Proxy(device, {
      get: (_, name) => name === "consume" ? consume : Reflect.get(device, name),
    });
  }

  async #consume(use: Parameters<Device["consume"]>[0]): Promise<void> {
    const { device } = this;
    const attempts: Attempt[] = [];
    this.#isReading = true;
    try {
      await device.consume(async (text, tx) => {
        this.#isReading = false;
        this.#attempt = this.#takes(text, tx, attempts);
        this.#offered = text;
        const collector = tx as Collector;
        collector.take = () => { // this transaction processes a further message
          this.#takes(collector.next!, tx, attempts);
          Collector.prototype.take.call(collector);
        };
        await use(text, tx);
        if (this.#random.chance(0.3)) await this.#work();
        if (this.#fails()) tx.run(BROKEN, text);
      });
    } catch (error) {
      for (const attempt of attempts) {
        this.#log(`is told that ${attempt.name} has failed: ${error}`);
        attempt.fail();
      }
      // An error of a statement of the application.
      if (!(error instanceof LocalError || error instanceof AppFailure)) {
        if (!String(error).includes("NOT NULL")) throw error;
        throw new AppFailure(attempts[0]!.name);
      }
      throw error;
    }
    for (const attempt of attempts) {
      this.#log(`has done ${attempt.name} of ${device.id}`);
      this.#told(attempt);
    }
  }

  /** A transaction processes a message, and has an effect for it. */
  #takes(text: string, tx: Transaction, attempts: Attempt[]): Attempt {
    const attempt = this.#begin(text);
    attempts.push(attempt);
    tx.run(CREATE);
    tx.run(EFFECT, this.device.id, text);
    return attempt;
  }

  #begin(text: string): Attempt {
    const { device: { id }, world } = this;
    this.#log(`is offered ${JSON.stringify(text)} of ${id}`);
    world.messages++;
    world.books.get(id)!.offered(text, !this.#isCurrent);
    const name = `the processing of ${JSON.stringify(text)}`;
    const attempt = this.#isCurrent ? this.#all.begin(name, { id, text }) : new Attempt(name);
    attempt.asked = /^\?[a-z]+\.(\d+)/.exec(text)?.[1];
    return attempt;
  }

  #told(attempt: Attempt): void {
    for (const setting of attempt.settings) setting.books.safe(setting);
  }

  /** Checks that a reading has the time at which it was taken. */
  #checkTime(context: HandlerContext): void {
    const device = this.world.devices.find(({ id }) => id === this.device.id)!;
    this.#books.readings.told(this.#offered, context, this.platform.date(), device);
  }

  /** Handles a report or an event. */
  async #handle(_: unknown, tx: Transaction): Promise<void> {
    if (this.#random.chance(0.3)) await this.#work();
    this.#setTo(tx, this.#attempt!, 0.2);
    if (this.#fails()) throw new AppFailure(this.#attempt!.name);
  }

  /** Answers a request of the device. */
  #answer(value: unknown, tx: Transaction): unknown {
    if (value !== "interval") throw new Violation(`${value} is asked for`);
    const attempt = new Attempt("what is refused");
    this.#setTo(tx, this.#random.chance(0.5) ? attempt : this.#attempt!, 0.2);
    if (attempt.settings.length === 0) return this.#books.count();
    attempt.fail();
    throw new FaultError("busy", `until ${this.#books.count()}`);
  }

  /** Draws whether the current work fails as a whole. */
  #fails(): boolean {
    if (this.#talk.failures <= 0 || !this.#random.chance(0.1)) return false;
    this.#talk.failures--;
    return true;
  }

  /** Sets channels of this device and of others in the transaction. */
  #setTo(tx: Transaction, attempt: Attempt, chance: number): void {
    setSome(this, tx, attempt, chance);
  }

  /** Acts on its own. */
  async #act(thing: Thing): Promise<void> {
    const talk = this.#talk;
    while (talk.messages > 0) {
      if (this.#random.chance(0.9)) await this.#pause(this.#random.below(talk.pause + 1));
      if (talk.messages <= 0 || this.#hasFailed) return;
      talk.messages--;
      if (this.#isCurrent) this.#books.look(thing);
      const act = this.#random.pick([
        () => set(this, thing),
        () => set(this, thing),
        () => ask(this, thing),
        () => this.#transact(),
      ]);
      this.#pending++;
      const done = act().finally(() => this.#pending--);
      if (this.#random.chance(0.5)) await done;
      else done.catch((error) => this.#isOver(error) || this.world.failed(error));
    }
  }

  async #transact(): Promise<void> {
    const attempt = this.#all.begin(`a transaction for ${this.device.id}`);
    try {
      await this.server.transaction(async (tx) => {
        if (this.#random.chance(0.3)) await this.#pause(this.#random.below(this.#talk.pause + 1));
        this.#setTo(tx, attempt, 0.5);
        if (this.#random.chance(this.world.scenario.failures)) {
          if (this.#random.chance(0.5)) throw new ChangedItsMind();
          tx.run(BROKEN, "");
        }
      });
    } catch (error) {
      this.#log(`is told that ${attempt.name} has failed: ${error}`);
      attempt.fail();
      const isMeant = error instanceof ChangedItsMind || String(error).includes("NOT NULL");
      const isLost = error instanceof LocalError &&
        (error.code === "FENCED" || error.code === "FORGOTTEN");
      if (!isMeant && !isLost) throw error;
      return;
    }
    this.#told(attempt);
  }
}
