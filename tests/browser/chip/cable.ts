/**
 * A serial port with the chip at its other end, in real time: it stands for the operating system and the USB bridge.
 * Every program reaches a chip through one of these.
 *
 * @module
 */
import type { Chip } from "./chip.ts";

/** Callbacks of a port. */
export interface PortEvents {
  /** Bytes have arrived. */
  data(bytes: Uint8Array): void;
  /** The cable came off. */
  lost(): void;
}

/** Why a port cannot be used. */
export class PortError extends Error {
  override name = "PortError";
}

/** A cable between a chip and one program at a time. */
export class Cable {
  /** Speed of the computer's end, in baud. */
  baud = 115200;
  #user: PortEvents | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly chip: Chip) {}

  get #now(): number {
    return performance.now();
  }

  get isOpen(): boolean {
    return this.#user !== undefined;
  }

  /**
   * Opens the port. Like most drivers this pulls both control lines at once, which does not affect the chip.
   */
  open(baud: number, user: PortEvents): void {
    if (!this.chip.plugged) throw new PortError("the device is gone");
    if (this.#user !== undefined) throw new PortError("the port is in use");
    this.#user = user;
    this.baud = baud;
    this.chip.take(baud, this.#now); // output while nobody listened is lost
    this.setLines({ dtr: true, rts: true });
  }

  close(): void {
    if (this.#user === undefined) return;
    if (this.chip.plugged) this.setLines({ dtr: false, rts: false });
    this.#user = undefined;
    clearTimeout(this.#timer);
  }

  write(bytes: Uint8Array): void {
    if (this.#user === undefined) throw new PortError("the port is not open");
    if (!this.chip.plugged) throw new PortError("the device is gone");
    this.chip.receive(bytes, this.baud, this.#now);
    this.#pump();
  }

  setLines(lines: { dtr?: boolean; rts?: boolean }): void {
    if (!this.chip.plugged) throw new PortError("the device is gone");
    this.chip.setLines(lines, this.#now);
    this.#pump();
  }

  /** Somebody presses the board's reset button, and holds FLASH meanwhile or not. */
  press(flashButton: boolean): void {
    this.chip.press({ flashButton }, this.#now);
    this.#pump();
  }

  unplug(): void {
    this.chip.unplug(this.#now);
    this.#pump();
  }

  plug(): void {
    this.chip.plug(this.#now);
    this.#pump();
  }

  /** Hands over output, reports events, and schedules the next call. */
  #pump(): void {
    const bytes = this.chip.take(this.baud, this.#now);
    const user = this.#user;
    if (user === undefined) return;
    if (bytes.length > 0) user.data(bytes);
    clearTimeout(this.#timer);
    if (!this.chip.plugged) {
      this.#user = undefined;
      user.lost();
      return;
    }
    const wait = this.chip.deadline - this.#now;
    if (wait < Infinity) this.#timer = setTimeout(() => this.#pump(), Math.max(0, Math.ceil(wait)));
  }
}
