/**
 * Decides at which speed to listen to a board. The firmware speaks at 115200 baud. A chip that does not start it says
 * why at 74880, which is noise here. The time is passed in: there is no clock inside, and no port.
 *
 * @module
 */
import { SLOW } from "../chip/serial.ts";
import type { Diagnosis } from "./diagnosis.ts";

/** The speed of the chip's ROM, with a crystal of 26 MHz. */
export const ROM_BAUD = 74880;

/** A running board prints its first line within a second, its ROM at once: a longer silence means something. In ms. */
const FIRST_LINE = 8000;
const ROM_LINES = 4000;
/** The watchdog lets a program hang for some seconds before the ROM speaks again. */
const ROM_AGAIN = 12_000;
/** Noise at the ROM's speed is the program, which uses another speed: the ROM has finished. */
const ROM_DONE = 1000;
/** Longer than the firmware ever waits without printing a line. */
const NEXT_LINE = 90_000;

/** What to do with the port. */
export interface Order {
  baud: number;
  /** Whether to restart the board, so that its first lines are received. */
  restart: boolean;
}

export class Hearing {
  readonly #diagnosis: Diagnosis;
  #baud = SLOW;
  #deadline: number;
  /** The first attempt at the ROM's speed is over: from now on the board is not restarted any more. */
  #tried = false;
  /** What has come at this speed: bytes that are not text, and meaningful lines. */
  #noise = false;
  #lines = false;
  /** Noise came at the previous speed. */
  #noiseBefore = false;
  /** Nothing prevents the board from starting its program any more: the user followed the advice. */
  #mended = false;

  constructor(diagnosis: Diagnosis, now: number) {
    this.#diagnosis = diagnosis;
    this.#deadline = now + FIRST_LINE;
  }

  get baud(): number {
    return this.#baud;
  }

  /** When `tick` must be called if nothing arrives before, in ms; Infinity: never. */
  get deadline(): number {
    return Math.min(this.#deadline, this.#diagnosis.deadline);
  }

  /** Takes a line. Returns true if the verdict may have changed. */
  line(text: string, now: number): boolean {
    const { known } = this.#diagnosis;
    if (!this.#diagnosis.push(text, now)) return false;
    this.#lines = true;
    this.#mended = known && !this.#diagnosis.known || this.#mended && !this.#diagnosis.known;
    if (this.#baud === ROM_BAUD) {
      this.#deadline = this.#diagnosis.known ? Infinity : now + ROM_AGAIN;
    } else if (this.#diagnosis.speaks) this.#deadline = now + NEXT_LINE;
    return true;
  }

  /** Takes bytes that are not text. */
  noise(now: number): void {
    this.#diagnosis.pushNoise();
    this.#noise = true;
    if (this.#diagnosis.known) return;
    if (this.#baud === ROM_BAUD) this.#wait(now + ROM_DONE);
    else if (this.#tried && !this.#lines) this.#wait(now + FIRST_LINE);
  }

  /** A frame of Improv-Serial: the speed is right. */
  frame(now: number): void {
    this.#diagnosis.pushFrame();
    this.#lines = true;
    this.#deadline = now + NEXT_LINE;
  }

  /** Tells the time; returns what to do with the port, if anything. */
  tick(now: number): Order | undefined {
    this.#diagnosis.tick(now);
    // A board that has stopped restarting has more to say.
    if (this.#deadline === Infinity && this.#diagnosis.verdict.kind === "waiting") {
      this.#deadline = now + (this.#baud === SLOW ? NEXT_LINE : 0);
    }
    if (now < this.#deadline) return undefined;
    this.#deadline = Infinity;
    if (this.#baud === SLOW) {
      if (!this.#lines) return this.#turn(ROM_BAUD, now);
      this.#diagnosis.overdue();
      return undefined;
    }
    if (this.#mended) return this.#turn(SLOW, now);
    this.#diagnosis.overdue();
    this.#tried = true;
    // The advice asks for a reset by hand, and what the ROM then prints would be noise at the other speed.
    const stays = this.#diagnosis.known || !this.#noise && !this.#lines && this.#noiseBefore;
    return stays ? undefined : this.#turn(SLOW, now);
  }

  #wait(until: number): void {
    this.#deadline = Math.min(this.#deadline, until);
  }

  #turn(baud: number, now: number): Order {
    this.#baud = baud;
    this.#noiseBefore = this.#noise;
    this.#noise = this.#lines = false;
    const restart = !this.#tried || this.#mended;
    if (restart) this.#diagnosis.expectRestart();
    if (baud === ROM_BAUD) this.#deadline = now + (this.#noiseBefore ? ROM_AGAIN : ROM_LINES);
    else if (restart) this.#deadline = now + FIRST_LINE;
    this.#mended = false;
    return { baud, restart };
  }
}
