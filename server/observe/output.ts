import type { Clock } from "../transport/platform.ts";

/** Where bytes are written: `Deno.stderr`, for example. */
export interface Sink {
  /** @returns how many bytes were written */
  write(bytes: Uint8Array): Promise<number>;
}

/** Most bytes that wait for the sink. */
const MOST = 256 * 1024;

/** Most bytes that are written at once. */
const BATCH = 64 * 1024;

/** Delay after a failed write, in ms; doubles each time. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 1000;

const encoder = new TextEncoder();

/** Receives reports of lost lines. */
export interface LossEvents {
  /** The first line is lost. @param why The system's error; undefined: the reader is slow */
  losing?(why: string | undefined): void;
  /** There is room again after these lines were lost. */
  lost(lines: number, why: string | undefined): void;
}

/**
 * Buffers lines for a sink that may be slow, full, closed or gone: the writer never waits and never fails. What
 * the sink has not accepted is kept and retried for ever; beyond a limit, new lines are dropped and counted.
 */
export class Output {
  readonly #sink: Sink;
  readonly #clock: Pick<Clock, "after">;
  readonly #events: LossEvents;
  #waiting: Uint8Array[] = [];
  #bytes = 0; // bytes waiting or being written
  #lost = 0;
  #why: string | undefined; // the error of the last write, if it failed
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(sink: Sink, clock: Pick<Clock, "after">, events: LossEvents) {
    this.#sink = sink;
    this.#clock = clock;
    this.#events = events;
  }

  /** Whether lines written now would be lost. */
  get isLosing(): boolean {
    return this.#lost > 0;
  }

  /** Writes lines, each with its newline. */
  write(text: string): void {
    const bytes = encoder.encode(text);
    // Once lines are lost, drops all until there is room for many, so that there is one gap, reported in its place.
    if (this.#lost > 0 || (this.#bytes > 0 && this.#bytes + bytes.length > MOST)) {
      const first = this.#lost === 0;
      this.#lost += text.split("\n").length - 1;
      return first ? this.#events.losing?.(this.#why) : undefined;
    }
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (this.#idle) return;
    this.#idle = Promise.withResolvers();
    this.#run(this.#idle.resolve);
  }

  /** Resolves when all is written, or after this many ms. */
  async flush(ms: number): Promise<void> {
    if (!this.#idle) return;
    const late = Promise.withResolvers<void>();
    const forget = this.#clock.after(ms, late.resolve);
    await Promise.race([this.#idle.promise, late.promise]);
    forget();
  }

  async #run(done: () => void): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      await this.#write(batch);
      this.#bytes -= batch.length;
      if (this.#lost > 0 && this.#bytes <= MOST / 2) this.#tell();
    }
    this.#idle = undefined;
    done();
  }

  #take(): Uint8Array {
    let length = 0;
    let count = 0;
    while (count < this.#waiting.length && (count === 0 || length < BATCH)) {
      length += this.#waiting[count++]!.length;
    }
    const batch = new Uint8Array(length);
    let at = 0;
    for (const line of this.#waiting.splice(0, count)) {
      batch.set(line, at);
      at += line.length;
    }
    return batch;
  }

  /** Writes all of it, however long that takes. */
  async #write(batch: Uint8Array): Promise<void> {
    let pause = FIRST_PAUSE;
    for (let at = 0; at < batch.length;) {
      try {
        const taken = await this.#sink.write(batch.subarray(at));
        if (taken === 0) throw new Error("nothing was taken");
        at += taken;
        pause = FIRST_PAUSE;
      } catch (error) {
        this.#why = error instanceof Error ? error.message : String(error);
        await new Promise<void>((resolve) => this.#clock.after(pause, resolve));
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
  }

  #tell(): void {
    const [lost, why] = [this.#lost, this.#why];
    this.#lost = 0;
    this.#why = undefined;
    this.#events.lost(lost, why);
  }
}
