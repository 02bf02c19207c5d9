/** The checker of sleep: what a server must know and say about a sleeping device. */
import { FIRMWARE } from "../../server/protocol/lines.ts";
import type { SimDevice } from "./device.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** A server's margin, in ms, besides 1/20 of the sleep: see `server/link/nap.ts`. */
const MARGIN = 30_000;

/** What the server's own delays may add, in ms. */
const SLACK = 2000;

/** The start of its message before a sleep, after the id. */
const SLEEPING = `${FIRMWARE}s `;

const decoder = new TextDecoder();

export class Naps {
  readonly #device: SimDevice;
  /** It sleeps. */
  #isAsleep = false;
  #began = 0;
  /** When it announced the sleep on this connection, and on earlier ones that the server may use; the server counts
   * from then. */
  #saidAt = Infinity;
  #saidBefore = Infinity;
  #since = 0;
  /** The announced time, in ms. */
  #ms = 0;
  /** The server knows of the sleep, and has stored it. */
  #isKnown = false;
  #wasMissed = false;
  /** It has announced a sleep, and the server has not seen it awake since. */
  #mayBe = false;

  constructor(device: SimDevice) {
    this.#device = device;
  }

  /** It is about to sleep. */
  wanted(): void {
    this.#mayBe = true;
  }

  /** It makes another connection. */
  connects(): void {
    this.#saidBefore = Math.min(this.#saidBefore, this.#saidAt);
    this.#saidAt = Infinity;
  }

  /** It has written to its connection. */
  wrote(bytes: Uint8Array): void {
    if (!this.#mayBe) return;
    const lines = decoder.decode(bytes).split("\n");
    if (!lines.some((line) => line.startsWith(SLEEPING, 2) && !line.endsWith(" 0"))) return;
    this.#saidAt = Math.min(this.#saidAt, this.#device.world.clock.now);
  }

  /** The server reports that it has connected. */
  connected(): void {
    this.#saidBefore = Infinity;
    const { isUp, program } = this.#device;
    // Without a link, the server means a connection from before the sleep.
    this.#mayBe &&= this.#isAsleep || !isUp || (program?.wantsSleep ?? false);
  }

  /** The server reports that it sleeps. */
  fellAsleep(): void {
    this.#device.world.count("a device sleeps, and is not missed");
    if (this.#mayBe) return;
    throw new Violation(`${this.#device.id} is said to sleep, and does not`);
  }

  /** @param isTold Whether the server has acknowledged the sleep. */
  begins(ms: number, off: number, isTold: boolean): void {
    const { world } = this.#device;
    world.count(off > ms ? "device oversleeps" : "device sleeps");
    if (!isTold) world.count("device sleeps, and the server was not told");
    this.#isAsleep = true;
    this.#began = world.clock.now;
    this.#since = Math.min(this.#began, this.#saidAt, this.#saidBefore);
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
    if (!this.#isOver && !seen.asleepUntil) {
      throw new Violation(`${id} sleeps, and the server does not know`);
    }
  }

  /** The store that knew was replaced, or another server has the device. */
  forgotten(): void {
    this.#isKnown = false;
  }

  /** The server reports that its connection was lost. */
  disconnected(): void {
    if (!this.#isAsleep || !this.#isKnown || this.#isUncertain) return;
    if (this.#passed > this.#ms) return;
    throw new Violation(`${this.#device.id} sleeps, and that is taken for an outage`);
  }

  /** The server reports it as overdue. */
  missed(): void {
    const { id, world } = this.#device;
    world.count("a device that sleeps for too long is missed");
    world.broker?.faults.missed();
    if (this.#isUncertain) return;
    if (this.#wasMissed) throw new Violation(`${id} is missed twice in one sleep`);
    this.#wasMissed = this.#isAsleep;
    if (this.#isOver) return;
    throw new Violation(`${id} is missed after ${this.#passed} ms of ${this.#ms}`);
  }

  /** Whether it may be reported as overdue. */
  get #isOver(): boolean {
    return this.#device.world.clock.now - this.#since >= this.#ms + MARGIN - SLACK;
  }

  get #passed(): number {
    return this.#device.world.clock.now - this.#began;
  }

  /** The server's date decides, and somebody has set it. */
  get #isUncertain(): boolean {
    return this.#device.world.server.isDateSet;
  }
}
