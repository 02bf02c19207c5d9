/** Runs an application for one device, and again when it has failed. */
import { LocalError } from "../protocol/errors.ts";
import type { Clock } from "../transport/platform.ts";
import { Pace } from "./pace.ts";
import { type Reading, type Run, within } from "./run.ts";
import type { Turn } from "./turn.ts";

/** Pause before an application that has failed is restarted, in ms: it doubles from the one to the other. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/**
 * How a device's application is: "running"; "failed": restarted after a pause; "ended": it has returned, and is not
 * restarted before the server is; "none": there is no application, or its device has not connected yet.
 */
export type AppState = "none" | "running" | "failed" | "ended";

/** For which device it runs. */
export interface Served {
  readonly clock: Clock;
  readonly turn: Turn;
  readonly counts: { readonly processed: number };
  /** Why nothing of it is served any more. */
  readonly closed: LocalError | undefined;
}

/** Is told what becomes of applications. */
export interface ApplicationReports<Device> {
  started(device: Device): void;
  /** @param restartIn ms until it is restarted; undefined: it goes on, or nothing does */
  failed(device: Device, message: string, restartIn?: number): void;
  ended(device: Device): void;
}

/** What applications need of the server. */
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

  /** Begins to run it, if that was not done before. */
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
      // While the store fails it could not do much. Soon: nothing may change while results come out.
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

  /** Whether it is told so because nothing is served any more. */
  #isExpected(error: unknown): boolean {
    return error === this.#device.closed;
  }

  /** It is not restarted. */
  close(): void {
    this.#cancel?.();
  }
}

/** What is left of a run is told this: nothing that it asks for is begun. */
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
