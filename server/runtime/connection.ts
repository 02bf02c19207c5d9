import type { PeerError } from "../protocol/errors.ts";
import type { Seal } from "../protocol/seal.ts";
import type { Clock, Socket, SocketEvents } from "../transport/platform.ts";
import type { TimerWheel, WheelEntry } from "../transport/wheel.ts";

/** What a connection is used for now: first the greeting, then serving. */
export interface Stage {
  /** Bytes were read; they are valid until this returns. */
  data(bytes: Uint8Array): void;
  /** The system has taken all that was written. */
  drained(): void;
  /** The time given to `wakeAt` has come. */
  wake(now: number): void;
  /** The network or the other end has ended it. */
  ended(reason: PeerError): void;
}

/** What all connections of a server share. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** How many there are. */
  readonly connections: number;
  /** A connection only waits for the other end to close it. */
  lingers(connection: Connection): void;
  /** A connection is no more. */
  left(connection: Connection): void;
}

const encoder = new TextEncoder();

/** One TCP connection: its socket, its seal, its deadline, and what has become of the bytes written to it. */
export class Connection implements SocketEvents {
  #socket: Socket;
  #host: ConnectionHost;
  #stage: Stage | undefined;
  #seal: Seal | undefined;
  #entry: WheelEntry;
  #closed = false;
  #lingers = false;
  #paused = false;
  #looking = false;
  #writing = false;
  #taken = 0;
  #takenAt = 0; // when the system was last seen to take bytes while there were some

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.#entry = host.wheel.entry(() => this.#stage?.wake(host.clock.now()));
  }

  get address(): string {
    return this.#socket.address;
  }

  /** Address without the port. */
  get hostname(): string {
    return this.#socket.hostname;
  }

  /** Begins to read. */
  start(stage: Stage): void {
    this.#stage = stage;
    this.#socket.start(this);
  }

  become(stage: Stage): void {
    this.#stage = stage;
  }

  data(bytes: Uint8Array): void {
    if (this.#closed || this.#lingers) return;
    if (!this.#seal) return this.#stage!.data(bytes);
    const { bytes: opened, error } = this.#seal.open(bytes);
    if (opened.length > 0) this.#stage!.data(opened);
    if (error) this.ended(error);
  }

  /**
   * From now on everything is sealed, both ways.
   *
   * @param ahead What was read already, and is.
   * @returns what that holds
   * @throws {PeerError} BAD_SEAL
   */
  seal(seal: Seal, ahead: Uint8Array): Uint8Array {
    this.#seal = seal;
    const { bytes, error } = seal.open(ahead);
    if (error) throw error;
    return bytes;
  }

  drained(): void {
    this.#writing = false;
    if (!this.#closed) this.#stage!.drained();
  }

  ended(reason: PeerError): void {
    if (this.#closed) return;
    this.close();
    this.#stage!.ended(reason);
  }

  /** Whether the system has not taken yet what was written: nothing more must be written now. */
  get isWriting(): boolean {
    return this.#writing;
  }

  write(data: string): void {
    if (this.#closed) return;
    const written = this.#seal ? this.#seal.seal(encoder.encode(data)) : data;
    this.#writing = !this.#socket.write(written);
    if (!this.#writing) return;
    this.#taken = this.#socket.taken;
    this.#takenAt = this.#host.clock.now();
  }

  /** Whether the system has taken nothing of what was written for this many ms. */
  isStalled(ms: number, now: number): boolean {
    if (!this.#writing) return false;
    const { taken } = this.#socket;
    if (taken !== this.#taken) {
      this.#taken = taken;
      this.#takenAt = now;
    }
    return now - this.#takenAt >= ms;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Stops reading. One more piece may come. */
  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** Calls the stage's `wake` then, in place of any earlier time. */
  wakeAt(time: number): void {
    if (!this.#closed) this.#entry.at(time);
  }

  /** Calls `judge` when all that had arrived by now was read: the other end may have said what seems to be missing. */
  lookAgain(judge: () => void): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#host.clock.caughtUp(this.#host.connections, () => {
      this.#looking = false;
      if (!this.#closed) judge();
    });
  }

  /**
   * Nothing more is written, what is read is dropped, and it ends when the other end does, or after `ms`. To close a
   * socket while something lies unread in it would take back what the other end was told last. To be called when the
   * system has taken all that was written.
   */
  linger(ms: number): void {
    if (this.#closed) return;
    this.#lingers = true;
    this.#host.lingers(this);
    this.#socket.finish();
    this.#stage = { data() {}, drained() {}, ended() {}, wake: () => this.close() };
    this.resume();
    this.wakeAt(this.#host.clock.now() + ms);
  }

  /** Ends it without telling its stage. Bytes that the system has not taken yet are lost. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#entry.clear();
    this.#socket.close();
    this.#host.left(this);
  }
}
