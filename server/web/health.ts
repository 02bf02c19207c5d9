/** Checks whether a server works: its store takes commits, and its event loop is on time. */
import { HoldfastError } from "../protocol/errors.ts";
import type { Transaction } from "../store/transaction.ts";
import { nodePlatform } from "../transport/node.ts";
import type { Clock } from "../transport/platform.ts";

/** Interval between measurements of the event loop, in ms. */
const BEAT = 500;

/** Number of measurements that count: those of the last ten seconds. */
const LOOKS = 20;

/** How long a commit may take before the store counts as failing, in ms. */
const PATIENCE = 2000;

/** The result of a commit is used for this many ms, so that health checks do not wear out the disk. */
const FRESH = 1000;

const KEEP =
  "INSERT INTO web_health VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET checked = excluded.checked";
const TABLE = "CREATE TABLE IF NOT EXISTS web_health (id BIGINT PRIMARY KEY, checked BIGINT)";

/** The part of `Server` that is needed here. */
export interface Healthy {
  /** Silence that counts as an outage, in ms. */
  readonly timeout: number;
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void>;
}

/** The health of a server. */
export interface HealthView {
  readonly status: "ok" | "failing";
  readonly store: {
    readonly ok: boolean;
    /** Time to write and read a row, in ms. */
    readonly commitMs?: number;
    /** What is wrong with it. */
    readonly message?: string;
  };
  readonly eventLoop: {
    readonly ok: boolean;
    /** Its largest delay in the last ten seconds, in ms. */
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

  /** @param signal Ends the measurements. */
  constructor(server: Healthy, signal: AbortSignal, clock: Clock = nodePlatform) {
    this.#server = server;
    this.#clock = clock;
    if (!signal.aborted) this.#beat();
    signal.addEventListener("abort", () => this.#cancel());
  }

  /** The largest delay of the event loop in the last ten seconds, in ms. */
  get lateMs(): number {
    return Math.max(0, ...this.#late);
  }

  /** The present health. */
  async look(): Promise<HealthView> {
    const store = await this.#lookAtStore();
    // Half the timeout: a server that is later than that disconnects healthy devices.
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
        // A store without a database: an empty transaction tests its commit.
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
