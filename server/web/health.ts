/** Whether a server works: its store takes commits, its event loop is on time. */
import { HoldfastError } from "../protocol/errors.ts";
import type { Transaction } from "../store/transaction.ts";
import { nodePlatform } from "../transport/node.ts";
import type { Clock } from "../transport/platform.ts";

/** How often the event loop is looked at, in ms. */
const BEAT = 500;

/** Looks that count: of the last ten seconds. */
const LOOKS = 20;

/** For how long a commit may take until the store does not work, in ms. */
const PATIENCE = 2000;

/** One commit answers all who ask meanwhile, and this many ms after it: asking must not wear the disk. */
const FRESH = 1000;

const KEEP =
  "INSERT INTO web_health VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET checked = excluded.checked";
const TABLE = "CREATE TABLE IF NOT EXISTS web_health (id BIGINT PRIMARY KEY, checked BIGINT)";

/** What is needed of `Server`. */
export interface Healthy {
  /** Silence that is taken for an outage, in ms. */
  readonly timeout: number;
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void>;
}

/** How a server is. */
export interface HealthView {
  readonly status: "ok" | "failing";
  readonly store: {
    readonly ok: boolean;
    /** How long it took to write and to read a row, in ms. */
    readonly commitMs?: number;
    /** What is wrong with it. */
    readonly message?: string;
  };
  readonly eventLoop: {
    readonly ok: boolean;
    /** How late it was at most in the last ten seconds, in ms. */
    readonly lateMs: number;
  };
}

export class Health {
  readonly #server: Healthy;
  readonly #clock: Clock;
  readonly #late: number[] = [];
  #cancel: () => void = () => {};
  #isTable = false;
  #probe: Promise<number> | undefined;
  #last: { at: number; commitMs: number } | undefined;

  /** @param signal ends it */
  constructor(server: Healthy, signal: AbortSignal, clock: Clock = nodePlatform) {
    this.#server = server;
    this.#clock = clock;
    if (!signal.aborted) this.#beat();
    signal.addEventListener("abort", () => this.#cancel());
  }

  /** How late the event loop was at most in the last ten seconds, in ms. */
  get lateMs(): number {
    return Math.max(0, ...this.#late);
  }

  /** How it is now. */
  async look(): Promise<HealthView> {
    const store = await this.#lookAtStore();
    // Half of a device's patience: a server that is later than that cuts off healthy devices.
    const eventLoop = { ok: this.lateMs < this.#server.timeout / 2, lateMs: this.lateMs };
    return { status: store.ok && eventLoop.ok ? "ok" : "failing", store, eventLoop };
  }

  async #lookAtStore(): Promise<HealthView["store"]> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#clock.after(PATIENCE, () => resolve(undefined));
    try {
      const commitMs = await Promise.race([this.#commit(), late]);
      if (commitMs !== undefined) return { ok: true, commitMs };
      return { ok: false, message: `nothing was committed within ${PATIENCE} ms` };
    } catch (error) {
      if (error instanceof HoldfastError) return { ok: false, message: error.message };
      return { ok: false, message: String(error) };
    } finally {
      cancel();
    }
  }

  /** @returns how long it took, in ms; while the store fails, that takes until it works again */
  #commit(): Promise<number> {
    const last = this.#last;
    if (last && this.#clock.now() - last.at < FRESH) return Promise.resolve(last.commitMs);
    return this.#probe ??= this.#write().finally(() => this.#probe = undefined);
  }

  async #write(): Promise<number> {
    const began = this.#clock.now();
    const date = this.#clock.date();
    await this.#server.transaction(async (tx) => {
      try {
        if (!this.#isTable) tx.run(TABLE);
        tx.run(KEEP, date);
        if (this.#isTable) await tx.get("SELECT checked FROM web_health");
      } catch (error) {
        // It has no database: what it has takes an empty transaction.
        if (!(error instanceof HoldfastError && error.code === "BAD_ARGUMENT")) throw error;
      }
    });
    this.#isTable = true;
    const at = this.#clock.now();
    this.#last = { at, commitMs: at - began };
    return at - began;
  }

  #beat(): void {
    const due = this.#clock.now() + BEAT;
    this.#cancel = this.#clock.after(BEAT, () => {
      this.#late.push(Math.max(0, Math.round(this.#clock.now() - due)));
      if (this.#late.length > LOOKS) this.#late.shift();
      this.#beat();
    });
  }
}
