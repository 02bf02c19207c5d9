/**
 * The real firmware in place of its stand-in: machine code for the chip, which QEMU runs with the emulated board's
 * flash and serial line.
 *
 * @module
 */
import { Emulator, type EmulatorOptions } from "../../../bridge/esp8266/emulator/emulator.ts";
import type { Firmware, Hardware, Program } from "../chip/chip.ts";

/** Interval for polling the serial line, in ms. */
const PACE = 5;

/** The chip's surroundings, without its flash, which is the emulated board's. */
export interface Surroundings extends Omit<EmulatorOptions, "flash" | "reset"> {
  /** Networks that a scan finds. */
  networks?: Emulator["networks"];
}

/** Its owner can inspect the chips that it has run on, and must switch them off at the end. */
export class RealFirmware implements AsyncDisposable {
  readonly #around: Surroundings;
  #current: Running | undefined;
  #stopped: Promise<void>[] = [];

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** The firmware for the emulated chip. */
  readonly firmware: Firmware = (board) => {
    this.#current = new Running(board, this.#around, (end) => this.#stopped.push(end));
    return this.#current;
  };

  /** The chip that runs, or ran last. */
  get chip(): Emulator {
    if (this.#current === undefined) throw new Error("the firmware has not been started yet");
    return this.#current.chip;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#current?.stop();
    await Promise.all(this.#stopped);
  }
}

/** A run from one reset of the emulated chip to the next. The firmware may restart itself meanwhile. */
class Running implements Program {
  readonly baud = 115200;
  readonly chip: Emulator;
  readonly #board: Hardware;
  readonly #stopping: (end: Promise<void>) => void;
  #unsent: Uint8Array[] = [];
  #runs = true;

  constructor(board: Hardware, around: Surroundings, stopping: (end: Promise<void>) => void) {
    const { networks = [], ...options } = around;
    this.#board = board;
    this.#stopping = stopping;
    this.chip = new Emulator({
      ...options,
      flash: board.flash.bytes,
      reset: board.reason,
      onSerial: (bytes) => {
        this.#unsent.push(bytes.slice());
        options.onSerial?.(bytes);
      },
    });
    this.chip.networks = networks;
    this.#attend();
  }

  /** The emulated chip has no clock of its own: output in between waits until it is told the time. */
  #attend(): void {
    this.chip.check();
    for (const bytes of this.#unsent.splice(0)) this.#board.print(bytes);
    this.#board.after(PACE, () => this.#attend());
  }

  receive(bytes: Uint8Array): void {
    this.chip.type(bytes);
  }

  stop(): void {
    if (!this.#runs) return;
    this.#runs = false;
    this.#stopping(this.chip[Symbol.asyncDispose]());
  }
}
