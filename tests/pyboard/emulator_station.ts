/**
 * The responder on an emulated chip: the firmware's machine code, with its own I2C driver, on the testbed's wires.
 *
 * @module
 */
import { Emulator, type EmulatorOptions } from "../../bridge/esp8266/emulator/emulator.ts";
import type { Testbed } from "./testbed.ts";
import type { StationLike } from "./station.ts";

/** Interval of reading the reset wire, in ms. */
const LOOK = 1;

export class EmulatorStation implements StationLike {
  readonly board: Emulator;
  #testbed: Testbed;
  #resets = 0;
  #timer: ReturnType<typeof setInterval>;

  constructor(
    testbed: Testbed,
    options: Pick<EmulatorOptions, "firmware" | "application" | "settings" | "arguments">,
  ) {
    this.#testbed = testbed;
    this.board = new Emulator({
      ...options,
      pins: testbed.pins(),
      onOff: () => testbed.boardOff(), // not before: its last commands may still be on their way
    });
    this.#timer = setInterval(() => this.#look(), LOOK);
  }

  get lines(): string[] {
    return this.board.lines;
  }

  get boots(): number {
    return this.board.boots;
  }

  get linked(): boolean {
    const last = this.lines.findLast((line) => /^holdfast: (link (up|down)|boot)/.test(line));
    return last?.startsWith("holdfast: link up") ?? false;
  }

  check(): void {
    this.board.check();
  }

  reset(): void {
    this.board.reset("external");
  }

  radio(on: boolean): void {
    this.board.wifi = on ? "up" : "not-found";
    if (!on) this.board.loseWifi();
  }

  #look(): void {
    const { times } = this.#testbed.reset;
    // The emulated chip restarts at once, however long the wire stays low.
    if (times !== this.#resets) this.reset();
    this.#resets = times;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.board[Symbol.asyncDispose]();
  }
}
