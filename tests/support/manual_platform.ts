/**
 * A platform that the test controls: time passes and bytes arrive when the test says so.
 *
 * @module
 */
import { PeerError } from "../../server/protocol/errors.ts";
import type {
  Clock,
  Listener,
  Platform,
  Socket,
  SocketEvents,
} from "../../server/transport/platform.ts";

/** More consecutive turns than this, or more timers in one advance of the clock, count as endless. */
const MOST_TURNS = 1000;
const MOST_TIMERS = 10_000;

interface Timer {
  due: number;
  run: () => void;
}

/** A clock that stands still until it is advanced. */
export class ManualClock implements Clock {
  #now = 0;
  #timers = new Set<Timer>();
  #soon: (() => void)[] = [];
  /** Callbacks that wait until everything that has arrived was read. */
  readonly looking: (() => void)[] = [];

  now = (): number => this.#now;
  date = (): number => 1_700_000_000_000 + this.#now;

  after = (ms: number, run: () => void): () => void => {
    const timer = { due: this.#now + ms, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };

  soon = (run: () => void): void => void this.#soon.push(run);
  endOfTurn = this.soon;
  caughtUp = (_sockets: number, run: () => void): void => void this.looking.push(run);

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Runs this turn of the event loop and those that follow from it. Then commits to memory are done. */
  async turn(): Promise<void> {
    let turns = 0;
    do {
      if (++turns > MOST_TURNS) throw new Error("the event loop never comes to rest");
      for (const run of this.#soon.splice(0)) run();
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.#soon.length > 0);
  }

  /** Reports that everything that has arrived was read. */
  async caughtUpNow(): Promise<void> {
    for (const run of this.looking.splice(0)) run();
    await this.turn();
  }

  /** Lets time pass, during which everything that arrives is read in time. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.turn();
    for (let timers = 0;; timers++) {
      if (timers > MOST_TIMERS) throw new Error(`timers without end at ${this.#now} ms`);
      const [next] = [...this.#timers].sort((a, b) => a.due - b.due);
      if (!next || next.due > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.due);
      next.run();
      await this.turn();
      await this.caughtUpNow();
    }
    this.#now = end;
  }

  /** Lets time pass without events, then runs every timer that is due before anything is read: a loop that was busy. */
  stall(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers].sort((a, b) => a.due - b.due)) {
      if (timer.due > this.#now || !this.#timers.delete(timer)) continue;
      timer.run();
    }
  }
}

/** A socket without a network: the test decides what it reads, takes and fails with. */
export class ManualSocket implements Socket {
  readonly address = "192.0.2.1:4711";
  readonly hostname = "192.0.2.1";
  written = "";
  taken = 0;
  closed = false;
  /** Whether `finish` was called: nothing may be written any more. */
  finished = false;
  paused = true;
  /** Bytes that arrived while nobody read. */
  waiting = "";
  #events: SocketEvents | undefined;
  #takes = true;

  /** What was written, without keepalives. */
  get lines(): string[] {
    return this.written.split("\n").filter((line) => line !== "");
  }

  start(events: SocketEvents): void {
    this.#events = events;
    this.resume();
  }

  gives(text: string): void {
    if (this.closed) return;
    if (this.paused) {
      this.waiting += text;
      return;
    }
    const bytes = new TextEncoder().encode(text);
    this.#events!.data(bytes);
    bytes.fill(0xff); // they were valid only until now
  }

  fails(error: Error): void {
    if (!this.closed) this.#events!.ended(new PeerError("LOST", error.message, { cause: error }));
  }

  takesNothing(): void {
    this.#takes = false;
  }

  /** Takes some of what was written, but not all. */
  takesSome(): void {
    this.taken++;
  }

  takesAgain(): void {
    this.#takes = true;
    this.taken++;
    if (!this.closed) this.#events!.drained();
  }

  write(data: Uint8Array | string): boolean {
    if (this.closed || this.finished) throw new Error("written to a socket that was closed");
    this.written += typeof data === "string" ? data : new TextDecoder().decode(data);
    return this.#takes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    const { waiting } = this;
    this.waiting = "";
    if (waiting !== "") this.gives(waiting);
  }

  finish(): void {
    this.finished = true;
  }

  close(): void {
    this.closed = true;
  }
}

/** A machine whose only connections are those that a test makes. */
export class ManualPlatform extends ManualClock implements Platform {
  #accept: ((socket: Socket) => void) | undefined;
  isListening = false;
  /** Reports that the system cannot accept a connection. */
  acceptsNothing: (error: Error) => void = () => {};

  listen(
    _: unknown,
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener> {
    this.#accept = accept;
    this.acceptsNothing = failed;
    this.isListening = true;
    const close = () => {
      this.isListening = false;
      return Promise.resolve();
    };
    return Promise.resolve({ port: 1, setTls() {}, close });
  }

  connect(..._: Parameters<Platform["connect"]>): Socket {
    throw new Error("no connection is made from here");
  }

  resolve(): () => void {
    throw new Error("no connection is made from here");
  }

  /** Somebody has connected. */
  knock(): ManualSocket {
    const socket = new ManualSocket();
    this.#accept!(socket);
    return socket;
  }
}
