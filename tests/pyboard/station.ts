/**
 * The responder's board on the testbed, with its power, its button and the reset wire of the initiator.
 *
 * @module
 */
import { Board, Kept, loadModule, Wifi } from "../../bridge/host/mod.ts";
import type { Testbed } from "./testbed.ts";

/** Interval of reading the reset wire, in ms; a pulse lasts 200 ms. */
const LOOK = 2;

export interface StationLike extends AsyncDisposable {
  /** Lines of its console. */
  readonly lines: string[];
  /** How often it was started. */
  readonly boots: number;
  /** Whether it has a link to the server. */
  readonly linked: boolean;
  /** Throws if it has failed. */
  check(): void;
  /** Presses its reset button for a moment. */
  reset(): void;
  /** Switches its WiFi on or off. The proxy is the network. */
  radio(on: boolean): void;
}

/** The application as the firmware runs it, in this process. */
export class Station implements StationLike {
  /** Lines of its console. */
  readonly lines: string[] = [];
  /** How often it was started. */
  boots = 0;
  #testbed: Testbed;
  #kept = new Kept();
  #board: Board | undefined;
  #closing: Promise<void>[] = [];
  #inReset = false;
  #radio = true;
  #power = true;
  #failure: unknown;
  #timer: ReturnType<typeof setInterval>;

  constructor(testbed: Testbed) {
    this.#testbed = testbed;
    this.#start();
    this.#timer = setInterval(() => this.#look(), LOOK);
  }

  /** Whether it has a link to the server. */
  get linked(): boolean {
    return this.#board?.connected ?? false;
  }

  /** Throws if the application has failed. */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Presses its reset button for a moment. */
  reset(): void {
    this.#stop();
    this.#start();
  }

  /** Switches its power on or off; off, it loses all memory. */
  power(on: boolean): void {
    this.#power = on;
    this.#stop();
    this.#kept = new Kept();
    if (on && !this.#inReset) this.#start();
  }

  /** Switches the board's WiFi on or off. The proxy is the network. */
  radio(on: boolean): void {
    this.#radio = on;
    if (this.#board) this.#board.wifi = on ? Wifi.up : Wifi.joining;
  }

  #look(): void {
    const low = this.#testbed.reset.level === 0;
    if (low === this.#inReset) return;
    this.#inReset = low;
    if (low) this.#stop();
    else if (this.#power) this.#start();
  }

  #start(): void {
    this.boots++;
    const board = this.#board = new Board({
      application: loadModule(new URL("../../client-as/build/pyboard.wasm", import.meta.url)),
      wires: this.#testbed,
      kept: this.#kept,
      onLog: (line) => this.lines.push(line),
    });
    board.ended.catch((error) => this.#failure ??= error);
    this.radio(this.#radio);
  }

  #stop(): void {
    if (this.#board) this.#closing.push(this.#board.close());
    this.#board = undefined;
    this.#testbed.boardOff();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stop();
    await Promise.all(this.#closing);
  }
}
