/** A simulated device's socket: collects what the core sends, and gives it what has arrived. */
import type { Core } from "../../bridge/host/core.ts";
import type { Life } from "./clock.ts";
import { Connection, type Listener, type Path, type Socket } from "./network.ts";

/** What a `DeviceSocket` reports. */
export interface DeviceSocketEvents {
  opened(): void;
  /** Something has arrived, or more can be sent. */
  wake(): void;
  /** The network says that it is gone. */
  ended(): void;
  /** Bytes go out. */
  sends(socket: Socket, bytes: Uint8Array): void;
}

export class DeviceSocket {
  #socket: Socket;
  #connected = false;
  #gone = false;
  #output = new Uint8Array(256);
  #outputLength = 0;
  #writing = false;

  /**
   * Starts to connect.
   *
   * @param collects Bytes that it takes before they are sent; 1: one piece after the other.
   */
  constructor(
    path: Path,
    listener: Listener,
    life: Life,
    readonly collects: number,
    readonly events: DeviceSocketEvents,
  ) {
    const enter = (run: () => void) => life.enter(() => this.#gone || run());
    this.#socket = new Connection(path, {
      opened: () =>
        enter(() => {
          this.#connected = true;
          events.opened();
        }),
      readable: () => enter(events.wake),
      writable: () =>
        enter(() => {
          this.#writing = false;
          events.wake();
        }),
      ended: () => enter(events.ended),
    }, listener).client;
  }

  get canSend(): boolean {
    return this.#connected && !this.#writing && this.#outputLength < this.collects;
  }

  send(piece: Uint8Array): void {
    const length = this.#outputLength + piece.length;
    if (length > this.#output.length) {
      const larger = new Uint8Array(length * 2);
      larger.set(this.#output);
      this.#output = larger;
    }
    this.#output.set(piece, this.#outputLength);
    this.#outputLength = length;
  }

  /** Sends what was collected. @returns whether more can be sent than before */
  flush(): boolean {
    if (this.#writing || this.#outputLength === 0) return false;
    const bytes = this.#output.subarray(0, this.#outputLength);
    this.events.sends(this.#socket, bytes);
    const n = this.#socket.write(bytes);
    this.#output.copyWithin(0, n, this.#outputLength);
    this.#outputLength -= n;
    this.#writing = this.#outputLength > 0;
    return !this.#writing && this.collects === 1;
  }

  /** Moves what has arrived into the core, as far as it has room. @returns whether that was anything */
  moveInput(core: Core, now: number): boolean {
    if (!this.#connected) return false;
    const most = Math.min(core.roomToReceive, this.#socket.available);
    if (most > 0) core.receive(this.#socket.read(most), now);
    return most > 0;
  }

  /** The server has closed, and all that it sent was read. */
  get isAtEnd(): boolean {
    return this.#connected && this.#socket.isAtEnd;
  }

  close(): void {
    this.#gone = true;
    this.#socket.close();
  }

  /** The machine is off: nobody closes anything. */
  vanish(): void {
    this.#gone = true;
    this.#socket.vanish();
  }
}
