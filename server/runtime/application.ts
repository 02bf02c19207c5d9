/** Runs an application for one device, and restarts it when it has failed. */
import { LocalError } from "../protocol/errors.ts";
import type { Clock } from "../transport/platform.ts";
import { Pace } from "./pace.ts";
import { type Reading, type Run, within } from "./run.ts";
import type { Turn } from "./turn.ts";

/** First and longest pause before a failed application is restarted, in ms; it doubles each time. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/**
 * The state of a device's application: "running"; "failed": restarted after a pause; "ended": it has returned, and
 * is not restarted until the server is; "none": there is no application, or its device has not connected yet.
 */
export type AppState = "none" | "running" | "failed" | "ended";

/** The device for which an application runs. */
export interface Served {
  readonly clock: Clock;
  readonly turn: Turn;
  readonly counts: { readonly processed: number };
  /** Set when the device is no longer served: the error for callers. */
  readonly closed: LocalError | undefined;
}

/** Receives reports about applications. */
export interface ApplicationReports<Device> {
  started(device: Device): void;
  /** @param restartIn ms until it is restarted; undefined: it still runs, or has ended */
  failed(device: Device, message: string, restartIn?: number): void;
  ended(device: Device): void;
}

/** What applications need from the server. */
export interface ApplicationHost<Device> {
  readonly reports: ApplicationReports<Device>;
  /** Calls the application. */
  call(device: Device): Promise<void>;
}

export class Application<Device extends Served> {
  readonly #device: Device;
  readonly #host: ApplicationHost<Device>;
  #state: AppState = "none";
  #pause = FIRST_PAUSE;
  #cancel: (() => void) | undefined;

  constructor(device: Device, host: ApplicationHost<Device>) {
    this.#device = device;
    this.#host = host;
  }

  get state(): AppState {
    return this.#state;
  }

  /** Starts to run it, unless it was started before. */
  begin(): void {
    if (this.#state === "none") void this.#run();
  }

  async #run(): Promise<void> {
    const { clock, counts } = this.#device;
    const begun = clock.now();
    const { processed } = counts;
    const run = new ThisRun(new Pace(clock), (error) => this.#uncaught(run, error));
    this.#state = "running";
    this.#host.reports.started(this.#device);
    try {
      await within(run, () => this.#host.call(this.#device));
    } catch (error) {
      const wentWell = counts.processed > processed || clock.now() - begun >= LONGEST_PAUSE;
      if (wentWell) this.#pause = FIRST_PAUSE;
      return this.#failed(run, error);
    }
    this.#state = "ended";
    if (!this.#isClosed) this.#host.reports.ended(this.#device);
  }

  #failed(run: ThisRun, error: unknown): void {
    this.#state = "failed";
    run.end(error);
    if (!this.#isExpected(error)) {
      const isLast = this.#isClosed;
      this.#host.reports.failed(this.#device, describe(error), isLast ? undefined : this.#pause);
    }
    if (this.#isClosed) return;
    const { clock, turn } = this.#device;
    this.#cancel = clock.after(this.#pause, () => {
      // Only when changes are safe: while the store fails it could not do much. `soon`: nothing may change while
      // results are let out.
      turn.whenSafe(() => clock.soon(() => void (this.#isClosed || this.#run())));
    });
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  }

  #uncaught(run: ThisRun, error: unknown): void {
    if (error === run.over || this.#isExpected(error)) return;
    this.#host.reports.failed(this.#device, describe(error));
  }

  get #isClosed(): boolean {
    return this.#device.closed !== undefined;
  }

  /** Whether an error only says that the device is no longer served, or after that, that the server is closed. */
  #isExpected(error: unknown): boolean {
    if (error === this.#device.closed) return true;
    return this.#isClosed && error instanceof LocalError && error.code === "CLOSED";
  }

  /** Stops restarting it. */
  close(): void {
    this.#cancel?.();
  }
}

/** The error for calls that a failed run still makes. */
export class RunFailed extends LocalError {
  constructor() {
    super("CLOSED", "this run of the application has failed and will be restarted");
  }
}

class ThisRun implements Run {
  readonly readings = new Set<Reading>();
  over: LocalError | undefined;

  constructor(readonly pace: Pace, readonly uncaught: (error: unknown) => void) {}

  end(error: unknown): void {
    this.over = new RunFailed();
    for (const reading of this.readings) reading.leave(this, error);
  }
}

function describe(error: unknown): string {
  return error instanceof Error && error.stack || String(error);
}
