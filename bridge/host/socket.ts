import type { PeerError } from "../../server/protocol/errors.ts";
import { concat } from "../../server/protocol/lines.ts";
import { nothingShared, type Seal } from "../../server/protocol/seal.ts";
import type { ConnectOptions, Platform, Socket } from "../../server/transport/platform.ts";
import { type Core, UP } from "./core.ts";

/** Bytes collected before they are handed to the socket. */
const SEND_BYTES = 64 * 1024;

const NEWLINE = 10;

const NOTHING = new Uint8Array(0);

/** What a `CoreSocket` reports, never from within a call to it. */
export interface CoreSocketEvents {
  /** It is connected. */
  opened(): void;
  /** Bytes were read. */
  received(): void;
  /** All that was written has been taken. */
  drained(): void;
  /** It is gone, not by `close`. Called once. */
  ended(reason: PeerError): void;
}

/**
 * A platform's socket as a core needs it: collects what goes out, holds what the core has no room for yet, and seals and
 * opens both once the greeting has made the keys for that.
 */
export class CoreSocket {
  readonly #platform: Platform;
  readonly #events: CoreSocketEvents;
  readonly #socket: Socket;
  #open = false;
  #output = new Uint8Array(1024);
  #outputLength = 0;
  /** How much of it goes out as it is: the greeting. */
  #clearLength = 0;
  /** What the socket has not taken yet, or the buffer of that for the next time. */
  #written: Uint8Array<ArrayBuffer> = NOTHING;
  #busy = false;
  /** What is collected was sent while the socket had something to take. */
  #waits = false;
  /** How much the socket had taken when the core sent last. */
  #takenBefore = 0;
  #input: Uint8Array = NOTHING;
  /** What seals what is sent behind the proof, and opens what was read behind the welcome. */
  #seal: Seal | undefined;
  #isProven = false;
  #isBroken = false; // what is read from now on means nothing, and nothing more is said
  #paused = false;

  /** Starts to connect. */
  constructor(platform: Platform, address: ConnectOptions, events: CoreSocketEvents) {
    this.#platform = platform;
    this.#events = events;
    this.#socket = platform.connect(address, {
      opened: () => {
        this.#open = true;
        events.opened();
      },
      data: (bytes) => {
        if (this.#isBroken) return;
        this.#take(bytes);
        events.received();
        this.#hold();
      },
      drained: () => {
        this.#busy = false;
        events.drained();
      },
      ended: (reason) => events.ended(reason),
    });
  }

  /**
   * Whether `send` may be called. While the socket has something to take, once for each time that it takes some: so
   * the core sees that a slow server is not a stalled one.
   */
  get canSend(): boolean {
    if (!this.#open || this.#outputLength >= SEND_BYTES) return false;
    return !this.#busy || this.#socket.taken > this.#takenBefore;
  }

  /** Collects a piece; `flush` sends what was collected. */
  send(piece: Uint8Array): void {
    if (this.#isBroken) return;
    const length = this.#outputLength + piece.length;
    if (length > this.#output.length) {
      const larger = new Uint8Array(length * 2);
      larger.set(this.#output.subarray(0, this.#outputLength));
      this.#output = larger;
    }
    this.#output.set(piece, this.#outputLength);
    this.#outputLength = length;
    if (!this.#isProven) {
      this.#clearLength = length;
      this.#isProven = this.#seal !== undefined; // the first piece behind the welcome is the proof
    }
    this.#takenBefore = this.#socket.taken;
    this.#waits ||= this.#busy;
  }

  /** Whether `flush` has anything to do. */
  get hasOutput(): boolean {
    return this.#outputLength > 0 && !this.#busy;
  }

  /** Returns whether there is room again where there was none. */
  flush(): boolean {
    if (!this.hasOutput) return false;
    const output = this.#sealed(this.#output.subarray(0, this.#outputLength));
    this.#outputLength = this.#clearLength = 0;
    this.#busy = !this.#socket.write(output);
    // What was taken at once says nothing about whether the rest will be. What has waited for its turn shows that
    // something was taken since.
    if (!this.#waits) this.#takenBefore = this.#socket.taken;
    this.#waits = false;
    if (!this.#busy) return output.length >= SEND_BYTES;
    // It must not change until it was taken.
    [this.#output, this.#written] = [this.#written, this.#output];
    return false;
  }

  #sealed(output: Uint8Array): Uint8Array {
    const clear = output.subarray(0, this.#clearLength);
    if (clear.length === output.length) return output;
    const records = this.#seal!.seal(output.subarray(clear.length));
    return clear.length === 0 ? records : concat(clear, records);
  }

  /** Whether something was read that the core has not got yet. */
  get hasInput(): boolean {
    return this.#input.length > 0;
  }

  /** Moves what was read into the core, as far as it has room. Returns whether that was anything. */
  moveInput(core: Core, now: number): boolean {
    // Behind the first line, the welcome, there are records, and their key is made of it.
    const isSealed = core.isSealed && !this.#seal;
    const end = isSealed ? this.#input.indexOf(NEWLINE) + 1 : 0;
    const n = Math.min(end || this.#input.length, core.roomToReceive);
    if (n > 0) {
      core.receive(this.#input.subarray(0, n), now);
      this.#input = this.#input.subarray(n);
    }
    if (isSealed && n > 0 && n === end) {
      this.#seal = core.seal; // none: the welcome was no good, and the core is about to say so
      const records = this.#input;
      this.#input = NOTHING;
      if (this.#seal || core.state !== UP) this.#take(records);
      else this.#break(nothingShared());
    }
    if (this.#paused && this.#input.length === 0) {
      this.#paused = false;
      this.#socket.resume();
    }
    return n > 0;
  }

  /** Takes what was read. */
  #take(bytes: Uint8Array): void {
    const opened = this.#seal?.open(bytes);
    const read = opened?.bytes ?? bytes;
    this.#input = this.#input.length === 0 ? read : concat(this.#input, read);
    if (opened?.error) this.#break(opened.error);
  }

  /** What is on its way is no link's. */
  #break(error: PeerError): void {
    this.#isBroken = true;
    this.#platform.soon(() => this.#events.ended(error));
  }

  /** Keeps what the core has not taken; meanwhile nothing more is read. */
  #hold(): void {
    if (this.#input.length === 0) return;
    this.#input = this.#input.slice();
    if (this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  close(): void {
    this.#input = NOTHING;
    this.#socket.close();
  }
}
