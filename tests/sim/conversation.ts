/** An application on the server: its work with one device, in one run of the server. */
import type { Device } from "../../server/device.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { RunFailed } from "../../server/runtime/application.ts";
import type { Server } from "../../server/server.ts";
import { FencedError } from "../../server/store/store.ts";
import type { Transaction } from "../../server/store/transaction.ts";
import { type Answering, type Attempt, type Entry, FAILURES, type Sending } from "./attempt.ts";
import type { Books } from "./books.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { AppFailure, ChangedItsMind, Misconduct } from "./misconduct.ts";
import { isLost } from "./operator.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Random } from "../../bridge/testing/random.ts";
import type { DeviceTalk } from "./scenario.ts";
import { BROKEN, COUNT, CREATE, EFFECT } from "./statements.ts";
import { newText } from "./text.ts";
import type { World } from "./world.ts";

export class Conversation {
  readonly #books: Books | undefined;
  readonly #talk: DeviceTalk | undefined;
  readonly #random: Random;
  readonly #misconduct: Misconduct | undefined;
  #isReading = true; // it waits for the next message, or has not begun
  #pending = 0; // writes without an outcome yet
  #toAnswer = 0;
  #isWriting = false;
  #failedAt: number | undefined; // the step in which this run of the application has failed: its writes are refused
  #readsAhead = false;

  constructor(
    readonly world: World,
    readonly platform: SimPlatform,
    readonly device: Device,
    readonly server: Server,
  ) {
    this.#books = world.books.get(device.id);
    this.#talk = world.serverTalks.get(device.id);
    this.#random = world.random;
    if (this.#talk) this.#misconduct = new Misconduct(world, platform, this.#talk);
  }

  get isIdle(): boolean {
    return this.#isReading && this.#pending === 0 && this.#toAnswer === 0 &&
      this.#talk!.messages === 0;
  }

  /** The application. */
  async hold(): Promise<void> {
    const { device } = this;
    if (!this.#books) { // a stranger
      for await (const line of device) if (line !== "") device.write(line).catch(() => {});
      return;
    }
    const talks = this.#converse();
    if (this.#misconduct!.returns) this.#run(talks);
    else await talks;
  }

  async #converse(): Promise<void> {
    try {
      await Promise.all([this.#read(), this.#write(() => this.#misbehave())]);
    } catch (error) {
      if (!this.#isOver(error)) throw error;
    }
  }

  /** The server has said that this run of the application has failed. */
  failed(): void {
    this.#failedAt = this.world.clock.steps;
  }

  #misbehave(): void {
    this.#misconduct!.drop();
    if (this.#misconduct!.fails()) throw new AppFailure("the application");
  }

  #insist(tries: () => Promise<unknown>): Promise<void> {
    return this.#misconduct!.insist(tries, (error) => this.#isOver(error));
  }

  #log(what: string): void {
    this.world.log?.(`server ${what}`);
  }

  /** The server is closed, or has lost this device. */
  #isOver(error: unknown): boolean {
    if (error instanceof FencedError) return error.device === this.device.id;
    if (!(error instanceof LocalError)) return false;
    return error.code === "CLOSED" || (error.code === "FORGOTTEN" && !this.#isCurrent);
  }

  /** This run has failed before, perhaps after its device was lost; what it still tried was not begun. */
  #isLeft(error: unknown): boolean {
    return (this.#failedAt !== undefined || !this.#isCurrent) && error instanceof RunFailed;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.platform.after(ms, resolve));
  }

  /** Reads in the way that was drawn for this run of the server. */
  #read(): Promise<void> {
    switch (this.#random.pick(this.world.scenario.reads)) {
      case "readline":
        return this.#readLines();
      case "ahead":
        return this.#readAhead();
      case "for await":
        return this.#iterate();
      case "consume":
        return this.#consumeAll();
    }
  }

  async #readLines(): Promise<void> {
    for (;;) {
      this.#isReading = true;
      this.#see(await this.device.readline());
      await this.#work();
    }
  }

  async #readAhead(): Promise<void> {
    this.#readsAhead = true;
    const ask = () => this.device.readline().then((line) => this.#see(line));
    let next = ask();
    for (;;) {
      const asked = next;
      next = ask();
      next.catch(() => {}); // it is awaited later
      this.#isReading = true;
      await asked;
      await this.#work();
    }
  }

  async #iterate(): Promise<void> {
    for await (const line of this.device) {
      this.#see(line);
      await this.#work();
      this.#isReading = true;
    }
  }

  /** Checks that code left from a failed run gets nothing. */
  #checkServed(what: string): void {
    if (this.#failedAt === undefined || this.#failedAt === this.world.clock.steps) return;
    throw new Violation(`what is left of a failed application ${what}`);
  }

  #see(line: string): void {
    this.#checkServed(`is given ${JSON.stringify(line)}`);
    this.#isReading = false;
    this.#log(`sees ${JSON.stringify(line)} of ${this.device.id}`);
    this.world.messages++;
    this.#books!.handedOut(line);
    // The message was on its way to this run when the run failed.
    if (this.#failedAt !== undefined) this.#books!.appFailed();
    if (this.#misconduct!.fails()) {
      // An application that has asked for the next one may have marked this one as processed.
      if (!this.#readsAhead) this.#books!.owes(line);
      throw new AppFailure(`with ${line}`);
    }
    this.#answer();
  }

  /** A message was seen: perhaps answers it. */
  #answer(): void {
    const talk = this.#talk!;
    if (talk.answers <= 0) return;
    talk.answers--;
    this.#toAnswer++;
    this.#run(this.#send({ qos: true, wait: true, isAnswer: true }));
  }

  /** Works for a while. */
  async #work(): Promise<void> {
    const { clock, serverBusyUntil } = this.world;
    const time = Math.max(this.#random.below(this.#talk!.busy + 1), serverBusyUntil - clock.now);
    if (time > 0) await this.#pause(time);
  }

  async #consumeAll(): Promise<void> {
    for (;;) {
      this.#isReading = true;
      let attempt: Attempt | undefined;
      let line = "";
      let isLate = false;
      try {
        await this.device.consume(async (text, tx) => {
          this.#isReading = false;
          line = text;
          this.#checkServed(`is offered ${JSON.stringify(text)}`);
          attempt = this.#begin(`the consuming of ${JSON.stringify(text)}`);
          await this.#consume(text, tx, attempt);
          isLate = this.#failedAt !== undefined;
        });
      } catch (error) {
        if (attempt && isLost(error)) this.#failed(attempt, error);
        if (this.#isOver(error)) {
          if (this.#isLeft(error)) this.#failed(attempt, error);
          throw error;
        }
        this.#failed(attempt, error);
        if (error instanceof AppFailure) throw error;
        this.#misconduct!.spin();
        if (this.#misconduct!.isStubborn) continue;
        await this.#pause(1 + this.#random.below(this.#talk!.busy + 10));
        continue;
      }
      if (!attempt) throw new Violation("consume has returned without a message");
      if (isLate) this.#checkServed(`has consumed ${JSON.stringify(line)}`);
      this.#log(`has consumed ${JSON.stringify(line)} of ${this.device.id}`);
      attempt.transfer.told();
    }
  }

  async #consume(text: string, tx: Transaction, attempt: Attempt): Promise<void> {
    const { world, device: { id } } = this;
    this.#log(`is offered ${JSON.stringify(text)} of ${id}`);
    world.messages++;
    this.#books!.offered(text, !this.#isCurrent);
    const misconduct = this.#misconduct!;
    const fails = misconduct.failsWith(text, world.scenario.failures)
      ? this.#random.pick(["before", "after", "statement"])
      : undefined;
    if (fails === "before") {
      throw misconduct.fails() ? new AppFailure(`with ${text}`) : new ChangedItsMind();
    }
    if (this.#random.chance(0.5)) tx.run(CREATE);
    else {
      const row = await tx.get(COUNT, id, text);
      const { repeats, copied } = this.#books!.fromDevice.find(text)!;
      if (this.#isCurrent && row && Number(row.n) > 0 && repeats === 0 && !copied) {
        throw new Violation(`${JSON.stringify(text)} comes again, and its effect is there`);
      }
    }
    tx.run(EFFECT, id, text);
    if (this.#isCurrent) attempt.transfer.add(`effect of ${id}\0${text}`);
    if (this.#random.chance(0.3)) await this.#work();
    if (fails === "statement") tx.run(BROKEN, text);
    this.#writeTo(tx, attempt);
    if (world.ponders > 0) await this.#pause(this.#random.below(world.ponders));
    if (fails === "after") throw new ChangedItsMind();
  }

  /**
   * False if the device was lost meanwhile, and perhaps regained, as during a slow answer of the store: then nothing
   * seen or done here is committed.
   */
  get #isCurrent(): boolean {
    return this.world.server.conversations.get(this.device.id) === this;
  }

  #begin(name: string): Attempt {
    return { transfer: this.world.transfers.begin(name), entries: [] };
  }

  /** Writes to this device and to others in the transaction. */
  #writeTo(tx: Transaction, attempt: Attempt): void {
    for (const id of this.world.books.keys()) {
      if (!this.#random.chance(0.3)) continue;
      const options = { qos: true, wait: this.#random.chance(0.7), ...this.#expiring };
      const entry = this.#enter(id, options);
      if (!entry) continue;
      const { text } = entry.message;
      try {
        tx.write(id, text, options);
      } catch (error) {
        if (!(error instanceof LocalError)) throw error;
        // It may not have connected yet, and may take shorter lines than is known here.
        if (error.code !== "BAD_TEXT" && error.code !== "UNKNOWN_DEVICE") throw error;
        entry.books.serverRefused(entry.message);
        continue;
      }
      attempt.entries.push(entry);
      attempt.transfer.add(`${id}\0${text}`);
    }
  }

  /** A transaction had no effect. */
  #failed(attempt: Attempt | undefined, error: unknown): void {
    const known = error instanceof ChangedItsMind || error instanceof AppFailure ||
      (error instanceof LocalError && this.#mayFail(error)) || this.#isLeft(error) ||
      (error instanceof Error && error.message.includes("NOT NULL"));
    if (!known) throw error;
    if (!attempt) return;
    this.#log(`is told that ${attempt.transfer.name} has failed: ${error}`);
    attempt.transfer.fail();
    for (const { books, message } of attempt.entries) books.serverRefused(message);
  }

  /** Whether a transaction may fail with this error. */
  #mayFail({ code }: LocalError): boolean {
    // A server that is closed does not wait until its store works again.
    if (code === "STORE_FAILED") return this.world.serverIsDown;
    return FAILURES.has(code);
  }

  /** @param failing Called before each message. */
  async #write(failing = () => {}): Promise<void> {
    const talk = this.#talk!;
    this.#isWriting = true;
    while (talk.messages > 0) {
      if (this.#random.chance(0.9)) await this.#pause(this.#random.below(talk.pause + 1));
      if (talk.messages <= 0) break;
      failing();
      const { qosOff, waits } = talk;
      const qos = !this.#random.chance(qosOff);
      const manner = {
        qos,
        wait: this.#random.chance(waits),
        isAnswer: false,
        ...(qos && this.#expiring),
      };
      if (this.#random.chance(this.world.scenario.transactions)) await this.#transact();
      else {
        const sent = this.#send(manner);
        if (this.#random.chance(0.3)) await sent;
        else this.#run(sent);
      }
    }
    this.#isWriting = false;
  }

  /** The deadline of the next message, if it has one. */
  get #expiring(): { expires?: number } {
    if (!this.#random.chance(this.#talk!.expiring)) return {};
    return { expires: 1 + this.#random.skewed(0, 2 * this.world.scenario.timeout) };
  }

  /** Runs something that nobody waits for. */
  #run(work: Promise<void>): void {
    work.catch((error) => {
      if (!this.#isOver(error)) this.world.failed(error);
    });
  }

  async #transact(): Promise<void> {
    const talk = this.#talk!;
    const attempt = this.#begin(`a transaction for ${this.device.id}`);
    const fails = this.#random.chance(this.world.scenario.failures)
      ? this.#random.pick(["throws", "statement"])
      : undefined;
    this.#pending++;
    talk.messages--;
    try {
      await this.server.transaction(async (tx) => {
        if (this.#random.chance(0.3)) await this.#pause(this.#random.below(talk.pause + 1));
        this.#writeTo(tx, attempt);
        if (fails === "statement") tx.run(BROKEN, "");
        if (fails === "throws") throw new ChangedItsMind();
      });
      attempt.transfer.told();
    } catch (error) {
      const isRefused = isLost(error) || this.#isLeft(error) || !this.#isOver(error);
      if (isRefused) this.#failed(attempt, error);
      if (this.#isOver(error)) throw error;
      // Not after its device was lost: the run that has the device now may have stopped writing, as nothing was left.
      if (this.#isCurrent) talk.messages++;
    } finally {
      this.#pending--;
    }
  }

  /** Makes up a text for a device; undefined: none that fits. */
  #enter(id: string, { qos, wait, expires = Infinity }: Sending): Entry | undefined {
    const { world } = this;
    const books = world.books.get(id)!;
    const most = Math.min(world.lineBytes, world.mayBeFirst(id) ? world.deviceLine(id) : Infinity);
    const text = newText(books.toDevice, this.#random, most, this.#talk!.long);
    if (text === undefined) return undefined;
    const manner = { qos, waits: wait, expires: world.clock.now + expires };
    return { books, message: world.serverWrites(this.platform, books, text, manner) };
  }

  /** Writes a message; if it is refused, writes another one later. */
  async #send(manner: Answering): Promise<void> {
    const { device, world } = this;
    const entry = this.#enter(device.id, manner);
    let isDone = true;
    this.#pending++;
    try {
      if (entry) isDone = await this.#sendOne(entry, manner);
    } finally {
      this.#pending--;
    }
    if (!isDone) {
      // Not at once, or not always: a full queue stays full for a while.
      this.#pending++;
      await this.#insist(() => device.write(""));
      await this.#insist(() => this.server.transaction(() => {}));
      await this.#pause(1 + this.#random.below(world.scenario.timeout / 4));
      this.#pending--;
      if (manner.isAnswer) return this.#send(manner);
      if (!this.#isWriting) this.#run(this.#write());
    } else if (manner.isAnswer) this.#toAnswer--;
  }

  /** @returns whether it was accepted, or need not be */
  async #sendOne(
    { books, message }: Entry,
    { isAnswer, ...options }: Answering,
  ): Promise<boolean> {
    const { device, world } = this;
    const { text } = message;
    const { qos } = options;
    const limit = this.#random.chance(0.1) ? new AbortController() : undefined;
    if (limit) this.platform.after(this.#random.below(world.scenario.timeout), () => limit.abort());
    const end = this.#random.chance(0.1) ? "\n" : "";
    this.#log(`writes ${JSON.stringify(text)} to ${device.id}${qos ? "" : " without qos"}`);
    if (!isAnswer) this.#talk!.messages--;
    try {
      const signal = limit ? { signal: limit.signal } : {};
      const sent = await device.write(text + end, { ...options, ...signal });
      if (!qos && !sent) books.serverRefused(message);
      else if (!qos) books.serverSent(message);
      else books.serverTold(message);
      return true;
    } catch (error) {
      if (limit?.signal.aborted && error === limit.signal.reason) {
        books.serverGaveUp(message);
        return true;
      }
      if (isLost(error)) books.serverLost(message);
      if (this.#isLeft(error)) books.serverRefused(message);
      if (!(error instanceof LocalError) || this.#isOver(error)) throw error;
      this.#log(`is told that ${JSON.stringify(text)} was refused: ${error.code}`);
      if (error.code === "EXPIRED" || error.code === "UNDECIDED") {
        books.expiring.expired(message, error.code === "EXPIRED");
        return true;
      }
      if (error.code === "CLEARED" || error.code === "FORGOTTEN") {
        books.serverCleared(message);
        return true;
      }
      if (error.code === "BAD_TEXT") {
        books.serverFailed(message, error, world.deviceLine(device.id));
        return true;
      }
      if (error.code !== "OUTBOX_FULL" && error.code !== "STORE_FAILED") throw error;
      books.serverRefused(message);
      if (!isAnswer && this.#isCurrent) this.#talk!.messages++; // as for a transaction
      return false;
    }
  }
}
