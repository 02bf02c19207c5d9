import type { PeerError } from "../protocol/errors.ts";
import type { Seal } from "../protocol/seal.ts";
import type { Clock, Socket, SocketEvents } from "../transport/platform.ts";
import type { TimerWheel, WheelEntry } from "../transport/wheel.ts";

/** The present user of a connection: first the greeting, then serving. */
export interface Stage {
  /** Bytes were read; they are valid until this returns. */
  data(bytes: Uint8Array): void;
  /** The system has accepted everything that was written. */
  drained(): void;
  /** The time given to `wakeAt` has come. */
  wake(now: number): void;
  /** The network or the other end has ended the connection. */
  ended(reason: PeerError): void;
}

/** What all connections of a server share. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Number of connections. */
  readonly connections: number;
  /** A connection only waits for the other end to close it. */
  lingers(connection: Connection): void;
  /** A connection has ended. */
  left(connection: Connection): void;
}

const encoder = new TextEncoder();

/** One TCP connection: its socket, its seal, its deadline, and the progress of its output. */
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
  #missed = false; // reading was paused during the look
  #writing = false;
  #taken = 0;
  #takenAt = 0; // when the system was last seen to accept waiting bytes

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

  /** Starts to read. */
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
   * @param ahead Sealed bytes that were already read.
   * @returns their contents
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

  /** Whether the system has yet to accept what was written: then nothing more must be written. */
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

  /** Whether the system has accepted nothing of what was written for this many ms. */
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
    this.#missed = true;
    this.#socket.resume();
  }

  /** Calls the stage's `wake` at this time, instead of any time set before. */
  wakeAt(time: number): void {
    if (!this.#closed) this.#entry.at(time);
  }

  /**
   * Calls `judge` when everything that has arrived by now was read: the other end may already have sent what seems to
   * be missing.
   */
  lookAgain(judge: () => void): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#look(judge);
  }

  #look(judge: () => void): void {
    this.#missed = false;
    this.#host.clock.caughtUp(this.#host.connections, () => {
      if (this.#missed && !this.#closed) return this.#look(judge);
      this.#looking = false;
      if (!this.#closed) judge();
    });
  }

  /**
   * Writes nothing more, drops what is read, and closes when the other end does, or after `ms`. Closing a socket
   * with unread input would reset it, and the last output might be lost. To be called when the system has accepted
   * everything.
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

  /** Closes it without telling its stage. Bytes that the system has not accepted yet are lost. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#entry.clear();
    this.#socket.close();
    this.#host.left(this);
  }
}
