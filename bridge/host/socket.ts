import type { PeerError } from "../../server/protocol/errors.ts";
import { concat } from "../../server/protocol/lines.ts";
import { nothingShared, type Seal } from "../../server/protocol/seal.ts";
import type { ConnectOptions, Platform, Socket } from "../../server/transport/platform.ts";
import { type Core, UP } from "./core.ts";

/** Most bytes collected before they are written to the socket. */
const SEND_BYTES = 64 * 1024;

const NEWLINE = 10;

const NOTHING = new Uint8Array(0);

/** What a `CoreSocket` reports, never from within a call to it. */
export interface CoreSocketEvents {
  /** The socket is connected. */
  opened(): void;
  /** Bytes were read. */
  received(): void;
  /** The system has accepted everything that was written. */
  drained(): void;
  /** The connection has ended, not by `close`. Called once. */
  ended(reason: PeerError): void;
}

/**
 * A platform's socket as a core needs it: collects output, holds input for which the core has no room yet, and seals
 * and opens both once the greeting has made the keys.
 */
export class CoreSocket {
  readonly #platform: Platform;
  readonly #events: CoreSocketEvents;
  readonly #socket: Socket;
  #open = false;
  #output = new Uint8Array(1024);
  #outputLength = 0;
  /** How much of the output is sent unsealed: the greeting. */
  #clearLength = 0;
  /** Bytes that the socket has not accepted yet, or their buffer for the next time. */
  #written: Uint8Array<ArrayBuffer> = NOTHING;
  #busy = false;
  /** Whether the collected bytes were sent while earlier ones were still waiting. */
  #waits = false;
  /** How much the socket had accepted when the core last sent. */
  #takenBefore = 0;
  #input: Uint8Array = NOTHING;
  /** Seals bytes sent after the proof, and opens bytes read after the welcome. */
  #seal: Seal | undefined;
  #isProven = false;
  #isBroken = false; // further input is ignored, and nothing more is sent
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
   * Whether `send` may be called. While earlier bytes wait, it may be called once each time the socket has accepted
   * some, so that the core can tell a slow server from a stalled one.
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
      this.#isProven = this.#seal !== undefined; // the first piece after the welcome is the proof
    }
    this.#takenBefore = this.#socket.taken;
    this.#waits ||= this.#busy;
  }

  /** Whether `flush` has anything to do. */
  get hasOutput(): boolean {
    return this.#outputLength > 0 && !this.#busy;
  }

  /** Writes the collected bytes. Returns whether there is room again after there was none. */
  flush(): boolean {
    if (!this.hasOutput) return false;
    const output = this.#sealed(this.#output.subarray(0, this.#outputLength));
    this.#outputLength = this.#clearLength = 0;
    this.#busy = !this.#socket.write(output);
    // Bytes accepted at once do not show whether the rest will be. If bytes had to wait, something was accepted
    // since.
    if (!this.#waits) this.#takenBefore = this.#socket.taken;
    this.#waits = false;
    if (!this.#busy) return output.length >= SEND_BYTES;
    // The buffer must not change until it is accepted.
    [this.#output, this.#written] = [this.#written, this.#output];
    return false;
  }

  #sealed(output: Uint8Array): Uint8Array {
    const clear = output.subarray(0, this.#clearLength);
    if (clear.length === output.length) return output;
    const records = this.#seal!.seal(output.subarray(clear.length));
    return clear.length === 0 ? records : concat(clear, records);
  }

  /** Whether something was read that the core does not have yet. */
  get hasInput(): boolean {
    return this.#input.length > 0;
  }

  /** Moves received bytes into the core, as far as it has room. Returns whether there were any. */
  moveInput(core: Core, now: number): boolean {
    // After the first line, the welcome, come records, whose key depends on it.
    const isSealed = core.isSealed && !this.#seal;
    const end = isSealed ? this.#input.indexOf(NEWLINE) + 1 : 0;
    const n = Math.min(end || this.#input.length, core.roomToReceive);
    if (n > 0) {
      core.receive(this.#input.subarray(0, n), now);
      this.#input = this.#input.subarray(n);
    }
    if (isSealed && n > 0 && n === end) {
      this.#seal = core.seal; // none: the welcome was wrong, and the core is about to report that
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

  /** Takes received bytes. */
  #take(bytes: Uint8Array): void {
    const opened = this.#seal?.open(bytes);
    const read = opened?.bytes ?? bytes;
    this.#input = this.#input.length === 0 ? read : concat(this.#input, read);
    if (opened?.error) this.#break(opened.error);
  }

  /** The link is broken: drops what is buffered. */
  #break(error: PeerError): void {
    this.#isBroken = true;
    this.#platform.soon(() => this.#events.ended(error));
  }

  /** Keeps bytes that the core has not taken; meanwhile nothing more is read. */
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
