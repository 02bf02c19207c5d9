import type { Manner } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Database, Statement } from "../store/store.ts";
import { Collector, type Transaction } from "../store/transaction.ts";
import type { DeviceDriver } from "./device_driver.ts";
import type { Pace } from "./pace.ts";
import { caller } from "./run.ts";
import type { Transfer, Turn } from "./turn.ts";

/** What transactions need of the server. */
export interface TransactionHost {
  readonly turn: Turn;
  readonly database: Database | undefined;
  /** A device that the server knows. */
  find(id: string): DeviceDriver | undefined;
  /** Why nothing is accepted any more. */
  closed(): LocalError | undefined;
}

/** A message that a transaction writes. */
interface Written {
  to: DeviceDriver;
  line: string;
  manner: Manner;
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
  const written: Written[] = [];
  const run = caller();
  const checkOpen = () => {
    const devices = written.map(({ to }) => to).concat(consumer ?? []);
    const closed = host.closed() ?? run?.over ?? devices.find(({ closed }) => closed)?.closed;
    if (closed) throw closed;
  };
  checkOpen();
  const collector = new Collector(host.database, (id, text, options = {}) => {
    const to = host.find(id);
    if (!to) throw unknownDevice(id);
    const [line, manner] = to.session.check(text, options, to.clock.now());
    written.push({ to, line, manner });
  });
  try {
    await use(collector);
  } finally {
    collector.end();
  }
  checkOpen();
  await new Promise<void>((resolve, reject) => {
    const { statements } = collector.end();
    host.turn.transfer(new ApplicationTransfer(statements, written, consumer, resolve, reject));
  });
}

export function unknownDevice(id: string): LocalError {
  return new LocalError("UNKNOWN_DEVICE", `no device has ever connected as ${JSON.stringify(id)}`);
}

/** The same for somebody who may call it again and again. */
export async function transactAtPace(
  host: TransactionHost,
  use: (tx: Transaction) => Promise<void> | void,
  pace: Pace,
): Promise<void> {
  try {
    await transact(host, use);
  } catch (error) {
    await pace.refused();
    throw error;
  }
  await pace.done();
}

/** What an application's transaction changes in the records. */
class ApplicationTransfer implements Transfer {
  #applied = 0; // how many of the messages written
  #consumed: string | undefined;

  constructor(
    readonly statements: readonly Statement[],
    readonly written: readonly Written[],
    readonly consumer: DeviceDriver | undefined,
    readonly resolve: () => void,
    readonly failed: (error: unknown) => void,
  ) {}

  get #devices(): DeviceDriver[] {
    return this.written.map(({ to }) => to).concat(this.consumer ?? []);
  }

  changes(device: string): boolean {
    return this.#devices.some(({ id }) => id === device);
  }

  apply(): void {
    try {
      if (this.#devices.some(({ isForgotten }) => isForgotten)) {
        throw new LocalError("FORGOTTEN", "a device that it changes was forgotten");
      }
      for (const { to, line, manner } of this.written) {
        to.session.enqueue(line, manner, to.clock.now());
        this.#applied++;
      }
    } catch (error) {
      this.undo();
      throw error;
    }
    const record = this.consumer?.session.record;
    this.#consumed = record?.inbox[0];
    record?.process();
  }

  undo(): void {
    if (this.#consumed !== undefined) this.consumer!.session.record.unprocess(this.#consumed);
    this.#consumed = undefined;
    for (; this.#applied > 0; this.#applied--) {
      this.written[this.#applied - 1]!.to.session.unenqueue();
    }
  }

  done(): void {
    for (const { to } of this.written) {
      to.session.resume();
      to.touch();
    }
    if (this.#consumed !== undefined) {
      this.consumer!.session.processed(this.#consumed);
      this.consumer!.touch();
    }
    this.resolve();
  }
}
