/**
 * A device's plain lines, for an application that knows nothing else, beside others that handle its channels. It reads
 * them as it would read all lines. The sharing code holds the message until the line is processed, so the effects of
 * all applications are in the same commit.
 */
import type { Device, DeviceWriteOptions } from "../device.ts";
import type { MessageCounts } from "../link/counts.ts";
import type { DeadLetter } from "../link/record.ts";
import type { Cleared } from "../link/session.ts";
import { LocalError } from "../protocol/errors.ts";
import { Application, type AppState, RunFailed, type Served } from "../runtime/application.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { Deploy, DeployOptions } from "../firmware/deploy.ts";
import type { RunningApp } from "../protocol/firmware_lines.ts";
import type { MessageListener } from "../runtime/message_watch.ts";
import { dismiss } from "../runtime/pace.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Part } from "./table.ts";
import type { ThingDriver } from "./thing_driver.ts";

/** A line that waits to be processed. */
interface Offer {
  readonly line: string;
  readonly tx: Transaction;
  /** Whether a reader has taken it. */
  isTaken: boolean;
  /** Settled when the application has processed it, or has failed. */
  readonly done: PromiseWithResolvers<void>;
  /** Settled when that is safe, or its transaction has failed. */
  readonly safe: PromiseWithResolvers<void>;
}

/** Hands plain lines to the runs of one application, one after the other. */
export class PlainLines {
  readonly #device: DeviceDriver;
  #offer: Offer | undefined;
  #view: PlainDevice | undefined;
  #hasReturned = false;
  #taken = 0;

  constructor(device: DeviceDriver) {
    this.#device = device;
  }

  /** How many lines the application has taken. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Makes the application process a line.
   *
   * @returns false: it has returned, and takes no more lines
   * @throws why it has failed
   */
  async process(line: string, tx: Transaction): Promise<boolean> {
    if (this.#hasReturned) return false;
    const [done, safe] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    safe.promise.catch(() => {}); // nobody may wait for it
    this.#offer = { line, tx, isTaken: false, done, safe };
    this.#view?.deliver();
    await done.promise;
    return true;
  }

  /** The transaction of the line that was processed last is safe, or has failed. */
  settled(...failures: [unknown?]): void {
    const { safe } = this.#offer ?? {};
    this.#offer = undefined;
    if (failures.length === 0) safe?.resolve();
    else safe?.reject(failures[0]);
  }

  /** A run begins. @returns the `Device` for it */
  begin(): Device {
    return this.#view = new PlainDevice(this.#device, () => this.#next());
  }

  #next(): Offer | undefined {
    if (!this.#offer || this.#offer.isTaken) return undefined;
    this.#offer.isTaken = true;
    this.#taken++;
    return this.#offer;
  }

  /** The run has failed: it gets nothing more, and its line comes again in the next run. */
  failed(error: unknown): void {
    this.#view?.end(new RunFailed());
    this.#view = undefined;
    this.#offer?.done.reject(error);
  }

  /** The application has returned and takes no more lines. */
  returned(): void {
    this.#hasReturned = true;
    this.#view?.end(new LocalError("CLOSED", "this application has returned"));
    this.#offer?.done.resolve();
  }

  /** Rejects everything that waits. */
  close(reason: LocalError): void {
    this.#view?.end(reason);
    this.#offer?.done.reject(reason);
  }
}

/** The `Device` of one run of the application. */
export class PlainDevice implements Device {
  readonly #device: DeviceDriver;
  readonly #next: () => Offer | undefined;
  readonly #readers: PromiseWithResolvers<Offer>[] = [];
  #inHand: Offer | undefined; // of `readline`
  #over: LocalError | undefined;

  constructor(device: DeviceDriver, next: () => Offer | undefined) {
    this.#device = device;
    this.#next = next;
  }

  /** Gives the waiting line to a reader, if there are both. */
  deliver(): void {
    if (this.#readers.length === 0) return;
    const offer = this.#next();
    if (offer) this.#readers.shift()!.resolve(offer);
  }

  end(reason: LocalError): void {
    this.#over = reason;
    for (const reader of this.#readers.splice(0)) dismiss(reader, reason);
  }

  #take(): Promise<Offer> {
    const over = this.#over;
    if (over) return this.#device.pace.refused().then(() => Promise.reject(over));
    this.#processed();
    const reader = Promise.withResolvers<Offer>();
    this.#readers.push(reader);
    this.deliver();
    return reader.promise;
  }

  /** Asking for the next line, or dropping all, marks the previous line as processed. */
  #processed(): void {
    this.#inHand?.done.resolve();
    this.#inHand = undefined;
  }

  async readline(): Promise<string> {
    this.#inHand = await this.#take();
    return this.#inHand.line;
  }

  async consume(use: (line: string, tx: Transaction) => Promise<void> | void): Promise<void> {
    const { line, tx, done, safe } = await this.#take();
    try {
      await use(line, tx);
    } catch (error) {
      done.reject(error);
      await this.#device.pace.refused();
      throw error;
    }
    done.resolve();
    await safe.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return {
      next: () =>
        this.readline().then(
          (value) => ({ value }),
          () => ({ done: true, value: undefined }),
        ),
    };
  }

  clear(): Promise<Cleared> {
    this.#processed();
    return this.#device.clear();
  }

  get id(): string {
    return this.#device.id;
  }
  get server(): string | undefined {
    return this.#device.server;
  }

  get connected(): boolean {
    return this.#device.connected;
  }
  get asleepUntil(): Date | undefined {
    return this.#device.asleepUntil;
  }

  get since(): Date {
    return this.#device.since;
  }
  get roundTrip(): number | undefined {
    return this.#device.roundTrip;
  }
  get connects(): number {
    return this.#device.connects;
  }
  get metadata(): string {
    return this.#device.metadata;
  }
  get inbox(): number {
    return this.#device.inbox;
  }
  get outbox(): number {
    return this.#device.outbox;
  }
  get counts(): Readonly<MessageCounts> {
    return this.#device.counts;
  }
  get app(): AppState {
    return this.#device.app;
  }
  get runs(): RunningApp | undefined {
    return this.#device.runs;
  }
  get deployment(): Deploy | undefined {
    return this.#device.deployment;
  }
  get deadLetters(): readonly DeadLetter[] {
    return this.#device.deadLetters;
  }
  deploy(wasm: Uint8Array, options: DeployOptions): Promise<void> {
    return this.#device.deploy(wasm, options);
  }
  giveUp(): Promise<void> {
    return this.#device.giveUp();
  }
  revive(number: number): Promise<void> {
    return this.#device.revive(number);
  }
  discard(number: number): Promise<void> {
    return this.#device.discard(number);
  }
  watch(listener: MessageListener): () => void {
    return this.#device.watch(listener);
  }
  ready(): Promise<void> {
    return this.#device.ready();
  }
  write(text: string, options?: DeviceWriteOptions): Promise<boolean> {
    return this.#device.write(text, options);
  }
}

/** Runs an application of plain lines for a device, as if it were alone, until it is closed. */
export function runPlain(
  thing: ThingDriver,
  { name, plain }: Part,
  server: unknown,
): { lines: PlainLines; close(): void } {
  const { device } = thing;
  const lines = new PlainLines(device);
  const served: Served = {
    clock: device.clock,
    turn: device.turn,
    counts: {
      get processed() {
        return lines.taken;
      },
    },
    get closed() {
      return device.closed;
    },
  };
  const application = new Application(served, {
    reports: {
      started() {},
      failed: (_, message, restartIn) => thing.failed(`${name}: ${message}`, restartIn),
      ended: () => thing.ended(`${name} has returned: plain lines are reported as events now`),
    },
    call: async () => {
      try {
        await plain!(lines.begin(), server);
      } catch (error) {
        lines.failed(error);
        throw error;
      }
      lines.returned();
    },
  });
  const end = (reason: LocalError) => {
    application.close();
    lines.close(reason);
  };
  const forget = thing.whenClosed(end);
  application.begin();
  return {
    lines,
    close() {
      forget();
      end(new LocalError("CLOSED", "this run of the application has failed"));
    },
  };
}
