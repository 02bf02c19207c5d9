import type { Manner } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Database, Statement } from "../store/store.ts";
import {
  Collector,
  type Deed,
  type DeedMaker,
  type SetOptions,
  type Transaction,
  type TransactionWriteOptions,
} from "../store/transaction.ts";
import type { Post } from "../store/fleet.ts";
import type { DeviceDriver } from "./device_driver.ts";
import { type Errand, Posting } from "./errands.ts";
import { caller } from "./run.ts";
import type { Transfer, Turn } from "./turn.ts";

/** What transactions need of the server. */
export interface TransactionHost {
  readonly turn: Turn;
  readonly database: Database | undefined;
  /** A device that the server knows. @throws {LocalError} UNKNOWN_DEVICE */
  find(id: string): DeviceDriver;
  /**
   * Makes a deed of what is to be done with a device that another process has; undefined: none can, or it is here.
   *
   * @throws {LocalError} BAD_TEXT; BAD_ARGUMENT
   */
  post(id: string, errand: Errand): Posting | undefined;
  /** Makes a deed of what a channel of a device should be. @throws {LocalError} BAD_ARGUMENT */
  set(device: DeviceDriver, channel: string, value: unknown, options: SetOptions): Deed;
  /** Why nothing is accepted any more. */
  closed(): LocalError | undefined;
}

/** Makes a deed of what mail says. @throws {LocalError} */
export function deedOf(
  host: Pick<TransactionHost, "set">,
  device: DeviceDriver,
  errand: Errand,
): Deed {
  if ("write" in errand) return new Writing(device, errand.write, errand.options);
  return host.set(device, errand.set, errand.value, errand.options);
}

/** A message to a device. */
class Writing implements Deed {
  readonly #line: string;
  readonly #manner: Manner;

  constructor(readonly device: DeviceDriver, text: string, options: TransactionWriteOptions) {
    const now = device.clock.now();
    [this.#line, this.#manner] = device.session.check(text, options, now);
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
 * Runs an application's transaction.
 *
 * @param use Collects what it is to do.
 * @param consumer The device whose oldest message it takes out of the inbox.
 * @returns when all of it is safe; while the store fails, that takes until it works again
 * @throws what `use` throws, or why it could not be committed: nothing of it has happened then
 */
export async function transact(
  host: TransactionHost,
  use: (tx: Transaction) => Promise<void> | void,
  consumer?: DeviceDriver,
): Promise<void> {
  const run = caller();
  const maker = {
    write: (...[id, text, options]: Parameters<DeedMaker["write"]>) =>
      host.post(id, { write: text, options }) ?? new Writing(host.find(id), text, options),
    set: (...[id, set, value, options]: Parameters<DeedMaker["set"]>) =>
      host.post(id, { set, value, options }) ?? host.set(host.find(id), set, value, options),
  };
  const record = consumer?.session.record;
  const collector = new Collector(host.database, maker, (n) => {
    return record && n + 1 < record.safe ? record.inbox[n + 1] : undefined;
  });
  const checkOpen = () => {
    const devices = [...collector.deeds.map(({ device }) => device), ...consumer ? [consumer] : []];
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
    const { deeds, taken } = collector;
    const consumed = consumer && { device: consumer, count: 1 + taken };
    const done = () => {
      collector.committed();
      resolve();
    };
    host.turn.transfer(new ApplicationTransfer(statements, deeds, consumed, done, reject));
  });
}

export function unknownDevice(id: string): LocalError {
  return new LocalError("UNKNOWN_DEVICE", `no device has ever connected as ${JSON.stringify(id)}`);
}

/** Messages that a transaction takes out of an inbox. */
interface Consumed {
  readonly device: DeviceDriver;
  readonly count: number;
}

/** What an application's transaction changes in the records. */
class ApplicationTransfer implements Transfer {
  readonly posts: readonly Post[];
  #applied = 0; // how many of the deeds
  #texts: string[] = []; // of the messages taken out of the inbox

  constructor(
    readonly statements: readonly Statement[],
    readonly deeds: readonly Deed[],
    readonly consumed: Consumed | undefined,
    readonly resolve: () => void,
    readonly failed: (error: unknown) => void,
  ) {
    this.posts = deeds.flatMap((deed) => deed instanceof Posting ? [deed.post] : []);
  }

  changes(device: string): boolean {
    return this.consumed?.device.id === device ||
      this.deeds.some((deed) => deed.device.id === device);
  }

  apply(): void {
    const { device: consumer, count = 0 } = this.consumed ?? {};
    try {
      if (consumer?.isForgotten || this.deeds.some(({ device }) => device.isForgotten)) {
        throw new LocalError("FORGOTTEN", "a device that it changes was forgotten");
      }
      for (const deed of this.deeds) {
        deed.apply();
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
    while (this.#applied > 0) this.deeds[--this.#applied]!.undo();
  }

  done(): void {
    for (const deed of this.deeds) deed.done();
    for (const text of this.#texts) this.consumed!.device.session.processed(text);
    this.consumed?.device.touch();
    this.resolve();
  }
}
