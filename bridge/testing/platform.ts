/** A simulated machine for one run of a process: the real drivers of both ends run on it. */
import type {
  Boot,
  ConnectOptions,
  Listener,
  ListenOptions,
  Platform,
  Socket,
  SocketEvents,
} from "../../server/transport/platform.ts";
import { PeerError } from "../../server/protocol/errors.ts";
import type { End } from "./network.ts";
import type { Process } from "./process.ts";
import { SimSocket } from "./socket.ts";

/** Longest lookup of a name, in ms. */
const LONGEST_LOOKUP = 3000;

/** The port for a program that asks for any free one. */
const DEFAULT_PORT = 8123;

/** The date at the beginning of a world, in ms since 1970. */
export const BEGINNING = Date.UTC(2030, 0, 1);

/** A process's surroundings: how it reaches others, and how others reach it. */
export interface Wiring {
  /** How far the process's clock is ahead of the world's, in ms. */
  clockAhead: number;
  /** How far its date is ahead, in ms. */
  dateAhead: number;
  /** How late the end of a turn of its event loop may come, in ms. */
  readonly gather: number;
  /** The machine's host name. */
  readonly name?: string;
  /** Looks a name up. @returns its addresses; undefined: nobody knows it at present */
  resolve(hostname: string): readonly string[] | undefined;
  /** Makes a connection; its events go to the returned socket. */
  connect(
    platform: SimPlatform,
    options: ConnectOptions,
    events: SocketEvents & { opened(): void },
  ): SimSocket;
}

export class SimPlatform implements Platform {
  /** The sockets that were not closed. */
  readonly sockets = new Set<SimSocket>();
  #accept: ((socket: Socket) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #port = DEFAULT_PORT;
  #life: number;

  constructor(readonly process: Process, readonly wiring: Wiring) {
    this.#life = process.life;
  }

  /** Whether its process has not been killed. */
  get isAlive(): boolean {
    return this.#life === this.process.life;
  }

  machine(): string | undefined {
    return this.wiring.name;
  }

  now(): number {
    return this.process.world.clock.now + this.wiring.clockAhead;
  }

  date(): number {
    // As `Date.now`: in whole ms. The world's events may lie between two of them.
    return BEGINNING + Math.floor(this.process.world.clock.now + this.wiring.dateAhead);
  }

  /** All processes run on one machine, which is never switched off. */
  boot(): Boot {
    return { id: "the only one", uptime: this.process.world.clock.now };
  }

  after(ms: number, run: () => void): () => void {
    if (!this.isAlive) return () => {};
    // As real timers: in whole ms, at least one, and late rather than early, but not by a fraction.
    const delay = Math.max(1, Math.floor(ms)) + this.process.world.random.below(2);
    return this.process.after(delay, run);
  }

  soon(run: () => void): void {
    if (this.isAlive) this.process.soon(run);
  }

  endOfTurn(run: () => void): void {
    if (!this.isAlive) return;
    this.process.after(this.process.world.random.below(this.wiring.gather + 1), run);
  }

  caughtUp(_sockets: number, run: () => void): void {
    if (this.isAlive) this.process.caughtUp(run);
  }

  listen(
    { port }: ListenOptions,
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener> {
    this.#accept = accept;
    this.#failed = failed;
    this.#port = port || DEFAULT_PORT;
    const close = () => {
      this.#accept = this.#failed = undefined;
      return Promise.resolve();
    };
    return Promise.resolve({ port: this.#port, setTls() {}, close });
  }

  /** Looks a name up; the answer comes after a while. */
  resolve(hostname: string, ended: (found: readonly string[] | PeerError) => void): () => void {
    const addresses = this.wiring.resolve(hostname);
    return this.after(this.process.world.random.skewed(1, LONGEST_LOOKUP), () => {
      ended(addresses ?? new PeerError("NO_ADDRESS", `${hostname} is not known at present`));
    });
  }

  get listens(): boolean {
    return this.isAlive && this.#accept !== undefined;
  }

  /** The port that it listens on, or did last. */
  get port(): number {
    return this.#port;
  }

  /** A connection was made to it: the program gets it after a while. */
  accept(end: End, address: string): SimSocket {
    const socket = new SimSocket(this.process, end, address);
    this.sockets.add(socket);
    this.process.arrive(() => {
      if (this.#accept) this.#accept(socket);
      else socket.close();
    });
    return socket;
  }

  /** The system fails to accept a connection. */
  fail(error: Error): void {
    this.process.arrive(() => this.#failed?.(error));
  }

  connect(options: ConnectOptions, events: SocketEvents & { opened(): void }): Socket {
    const socket = this.wiring.connect(this, options, events);
    if (this.isAlive) this.sockets.add(socket);
    else socket.die(false); // killed in the middle of its work
    return socket;
  }

  /** Its process is killed. @param closes Whether the system closes its connections. */
  die(closes: boolean): void {
    for (const socket of this.sockets) socket.die(closes);
    this.sockets.clear();
    this.#accept = undefined;
  }
}
