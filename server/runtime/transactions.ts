import type { Writer } from "../link/outbox.ts";
import { DONE, failure, type Outcome } from "../link/outcome.ts";
import type { Manner } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import { type Database, FencedError, type Statement } from "../store/store.ts";
import {
  Collector,
  type Operation,
  type OperationMaker,
  type SetOptions,
  type Transaction,
  type TransactionWriteOptions,
} from "../store/transaction.ts";
import type { Post } from "../store/fleet.ts";
import type { DeviceDriver } from "./device_driver.ts";
import { type Order, Posting, type Setting, type Writing as WritingOrder } from "./orders.ts";
import { forgottenError } from "./forgetting.ts";
import { caller } from "./run.ts";
import type { Transfer } from "./transfer.ts";
import type { Turn } from "./turn.ts";

/** What transactions need from the server. */
export interface TransactionHost {
  readonly turn: Turn;
  readonly database: Database | undefined;
  /** A device that the server knows. @throws {LocalError} UNKNOWN_DEVICE */
  find(id: string): DeviceDriver;
  /**
   * Makes an operation that posts an order for a device of another process; undefined: the device is here, or there are
   * no others.
   *
   * @throws {LocalError} BAD_TEXT; BAD_ARGUMENT
   */
  post(id: string, order: Order): Posting | undefined;
  /** Whether another server has a device, or none at present; false: it is here, or unknown. */
  isElsewhere(id: string): boolean;
  /** Makes an operation that sets a channel of a device. @throws {LocalError} BAD_ARGUMENT */
  set(device: DeviceDriver, channel: string, value: unknown, options: SetOptions): Operation;
  /** Set when nothing is accepted any more: the error for callers. */
  closed(): LocalError | undefined;
}

/**
 * Makes an operation of a piece of mail.
 *
 * @param from Who waits for the outcome; undefined: nobody.
 * @throws {LocalError}
 */
export function operationOf(
  host: Pick<TransactionHost, "set"> & OrderHost,
  device: DeviceDriver,
  order: WritingOrder | Setting,
  from: string | undefined,
): Operation {
  if ("set" in order) return host.set(device, order.set, order.value, order.options);
  const { write, options, asks } = order;
  if (options.qos === false) return new Sending(device, write, from);
  const writing = new Writing(device, write, options, from);
  if (asks === undefined || from === undefined || options.expires === undefined) return writing;
  return host.asking(device, asks, from, options.expires, writing);
}

/** What `operationOf` also needs from the server. */
export interface OrderHost {
  /** A request of another process. @param writing Its message @param deadline In ms from now */
  asking(
    device: DeviceDriver,
    tag: string,
    from: string,
    deadline: number,
    writing: Operation,
  ): Operation;
}

/** A message to a device. */
class Writing implements Operation {
  readonly #line: string;
  readonly #manner: Manner;

  /** @param from See `Outgoing.from`. */
  constructor(
    readonly device: DeviceDriver,
    text: string,
    options: TransactionWriteOptions,
    from?: string,
  ) {
    const now = device.clock.now();
    const [line, manner] = device.session.check(text, options, now);
    this.#line = line;
    this.#manner = from === undefined ? manner : { ...manner, from };
  }

  apply(): void {
    try {
      this.device.session.enqueue(this.#line, this.#manner, this.device.clock.now());
    } catch (error) {
      if (error instanceof LocalError) error.device = this.device.id;
      throw error;
    }
  }

  undo(): void {
    this.device.session.unenqueue();
  }

  done(): void {
    this.device.session.resume();
    this.device.touch();
  }
}

/**
 * A message without qos that another process has posted: it is sent when the end of its mail is safe, so at most once.
 */
class Sending implements Operation {
  readonly #line: string;

  constructor(
    readonly device: DeviceDriver,
    text: string,
    readonly from: string | undefined,
  ) {
    [this.#line] = device.session.check(text, { qos: false }, device.clock.now());
  }

  apply(): void {}

  undo(): void {}

  done(): void {
    const { device: { session }, from } = this;
    const outcome = this.#send();
    if (from !== undefined) session.record.reply(from, outcome);
    this.device.touch();
  }

  #send(): Outcome {
    const { session, clock } = this.device;
    try {
      const isSent = session.write(this.#line, { qos: false }, NOBODY, clock.now());
      return isSent ? DONE : NOT_SENT;
    } catch (error) { // the device has come back meanwhile, and accepts only shorter lines
      if (error instanceof LocalError) return failure(error);
      throw error;
    }
  }
}

/** Changes nothing, but makes the commit check that this server still has a device. */
class Fence implements Operation {
  constructor(readonly device: DeviceDriver) {}

  apply(): void {
    this.device.ledger.check();
  }

  undo(): void {
    this.device.ledger.uncheck();
  }

  done(): void {}
}

/** The outcome if there is no link on which to send a message at once. */
const NOT_SENT: Outcome = { code: "NOT_SENT", message: "there is no link to send it by" };

/** The lane of transactions that neither belong to an application nor remove a message from an inbox. */
const NOBODYS = {};

const NOBODY: Writer = { arrived() {}, failed() {} };

/**
 * Runs an application's transaction.
 *
 * @param use Collects what the transaction will do.
 * @param consumer The device from whose inbox it removes the oldest message.
 * @param order See `TransactionOptions`.
 * @returns when all of it is safe; while the store fails, that takes until it works again
 * @throws what `use` throws, or why it could not be committed; then nothing has changed
 */
export async function transact(
  host: TransactionHost,
  use: (tx: Transaction) => Promise<void> | void,
  consumer?: DeviceDriver,
  order?: object,
): Promise<void> {
  const run = caller();
  const maker = {
    write: (...[id, text, options]: Parameters<OperationMaker["write"]>) =>
      host.post(id, { write: text, options }) ?? new Writing(host.find(id), text, options),
    set: (...[id, set, value, options]: Parameters<OperationMaker["set"]>) =>
      host.post(id, { set, value, options }) ?? host.set(host.find(id), set, value, options),
    fence: (id: string) => {
      if (host.isElsewhere(id)) throw new FencedError(id);
      return new Fence(host.find(id));
    },
  };
  const record = consumer?.session.record;
  const collector = new Collector(host.database, maker, (n) => {
    return record && n + 1 < record.safe ? record.inbox[n + 1] : undefined;
  });
  const checkOpen = () => {
    const devices = [
      ...collector.operations.map(({ device }) => device),
      ...consumer ? [consumer] : [],
    ];
    const closed = host.closed() ?? run?.over ?? devices.find(({ closed }) => closed)?.closed;
    if (closed) throw closed;
  };
  checkOpen();
  try {
    await use(collector);
  } finally {
    collector.end();
  }
  checkOpen();
  await new Promise<void>((resolve, reject) => {
    const { statements } = collector.end();
    const { operations, taken } = collector;
    const consumed = consumer && { device: consumer, count: 1 + taken };
    const done = () => {
      collector.committed();
      resolve();
    };
    const lane = order ?? run ?? consumer ?? NOBODYS;
    host.turn.transfer(
      new ApplicationTransfer(statements, operations, lane, consumed, done, reject),
    );
  });
}

export function unknownDevice(id: string): LocalError {
  return new LocalError("UNKNOWN_DEVICE", `no device has ever connected as ${JSON.stringify(id)}`);
}

/** Messages that a transaction removes from an inbox. */
interface Consumed {
  readonly device: DeviceDriver;
  readonly count: number;
}

/** The changes of an application's transaction to the records. */
class ApplicationTransfer implements Transfer {
  readonly posts: readonly Post[];
  #applied = 0; // number of applied operations
  #texts: string[] = []; // texts of the messages removed from the inbox

  constructor(
    readonly statements: readonly Statement[],
    readonly operations: readonly Operation[],
    readonly lane: object,
    readonly consumed: Consumed | undefined,
    readonly resolve: () => void,
    readonly failed: (error: unknown) => void,
  ) {
    this.posts = operations.flatMap((operation) =>
      operation instanceof Posting ? [operation.post] : []
    );
  }

  changes(device: string): boolean {
    return this.consumed?.device.id === device ||
      this.operations.some((operation) => operation.device.id === device);
  }

  apply(): void {
    const { device: consumer, count = 0 } = this.consumed ?? {};
    try {
      const gone = consumer?.isForgotten
        ? consumer
        : this.operations.find(({ device }) => device.isForgotten)?.device;
      if (gone) throw forgottenError(gone.id, `device ${JSON.stringify(gone.id)} was forgotten`);
      for (const operation of this.operations) {
        operation.apply();
        this.#applied++;
      }
    } catch (error) {
      this.undo();
      throw error;
    }
    while (this.#texts.length < count) this.#texts.push(consumer!.session.record.process());
  }

  undo(): void {
    for (let text; (text = this.#texts.pop()) !== undefined;) {
      this.consumed!.device.session.record.unprocess(text);
    }
    while (this.#applied > 0) this.operations[--this.#applied]!.undo();
  }

  done(): void {
    for (const operation of this.operations) operation.done();
    for (const text of this.#texts) this.consumed!.device.session.processed(text);
    this.consumed?.device.touch();
    this.resolve();
  }
}
