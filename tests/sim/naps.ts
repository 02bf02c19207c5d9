/** What a server must know of a device that sleeps, and say of it: the checker of that. */
import type { SimDevice } from "./device.ts";
import { Violation } from "./promises.ts";

/** A server is as patient, in ms, and for 1/20 of the sleep: see `server/link/nap.ts`. */
const MARGIN = 30_000;

/** What its own delays may make of that, in ms. */
const SLACK = 2000;

export class Naps {
  readonly #device: SimDevice;
  /** It sleeps. */
  #isAsleep = false;
  #began = 0;
  /** As it has said, in ms. */
  #ms = 0;
  /** The server knows, and has it in its store. */
  #isKnown = false;
  #wasMissed = false;
  /** It has wanted to, and the server has not seen it awake since. */
  #mayBe = false;

  constructor(device: SimDevice) {
    this.#device = device;
  }

  /** It is about to sleep. */
  wanted(): void {
    this.#mayBe = true;
  }

  /** The server says that it has connected. */
  connected(): void {
    const { isUp, program } = this.#device;
    // Without a link it is a connection from before the sleep that the server speaks of.
    this.#mayBe &&= this.#isAsleep || !isUp || (program?.wantsSleep ?? false);
  }

  /** The server says that it sleeps. */
  fellAsleep(): void {
    this.#device.world.count("a device sleeps, and is not missed");
    if (this.#mayBe) return;
    throw new Violation(`${this.#device.id} is said to sleep, and does not`);
  }

  /** @param isTold The server has acknowledged that it sleeps. */
  begins(ms: number, off: number, isTold: boolean): void {
    const { world } = this.#device;
    world.count(off > ms ? "device oversleeps" : "device sleeps");
    if (!isTold) world.count("device sleeps, and the server was not told");
    this.#isAsleep = true;
    this.#began = world.clock.now;
    this.#ms = ms;
    this.#isKnown = isTold && !this.#device.meetsImpostor;
    this.#wasMissed = false;
  }

  /** It wakes. */
  ends(): void {
    const { id, world } = this.#device;
    this.#isAsleep = false;
    const seen = world.server.server?.known(id);
    if (!seen || seen.connected || !this.#isKnown || this.#isUncertain) return;
    if (this.#passed > this.#ms * 1.05 + MARGIN + SLACK) {
      if (this.#wasMissed || world.server.isFresh) return;
      throw new Violation(`${id} sleeps for too long, and nobody misses it`);
    }
    if (this.#passed < this.#ms + MARGIN - SLACK && !seen.asleepUntil) {
      throw new Violation(`${id} sleeps, and the server does not know`);
    }
  }

  /** The store that knew is another one now, or the device is another server's. */
  forgotten(): void {
    this.#isKnown = false;
  }

  /** The server says that its connection was lost. */
  disconnected(): void {
    if (!this.#isAsleep || !this.#isKnown || this.#isUncertain) return;
    if (this.#passed > this.#ms) return;
    throw new Violation(`${this.#device.id} sleeps, and that is taken for an outage`);
  }

  /** The server says that it misses it. */
  missed(): void {
    const { id, world } = this.#device;
    world.count("a device that sleeps for too long is missed");
    if (this.#isUncertain) return;
    if (this.#wasMissed) throw new Violation(`${id} is missed twice in one sleep`);
    this.#wasMissed = this.#isAsleep;
    if (this.#passed < this.#ms + MARGIN - SLACK) {
      throw new Violation(`${id} is missed after ${this.#passed} ms of ${this.#ms}`);
    }
  }

  get #passed(): number {
    return this.#device.world.clock.now - this.#began;
  }

  /** The server's date decides, and somebody has set that. */
  get #isUncertain(): boolean {
    return this.#device.world.server.isDateSet;
  }
}
