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
  readonly #announced = new Announced();
  /** The announced time, in ms. */
  #ms = 0;
  /** When this sleep should end, or an earlier one that the server may still count. */
  #endsAt = 0;
  /** The server knows of the sleep, and has stored it. */
  #isKnown = false;
  /** Since the device made this connection, the store was replaced or has forgotten it: what was acknowledged is lost. */
  #isLost = false;
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
    this.#announced.connects();
    this.#isLost = false;
  }

  /** It has written to its connection. */
  wrote(bytes: Uint8Array): void {
    if (!this.#mayBe) return;
    for (const line of decoder.decode(bytes).split("\n")) {
      if (!line.startsWith(SLEEPING, 2) || line.endsWith(" 0")) continue;
      const seconds = Number(line.slice(2 + SLEEPING.length));
      this.#announced.add(this.#device.world.clock.now + seconds * 1000);
    }
  }

  /** The server reports that it has connected. */
  connected(): void {
    const { isUp, program } = this.#device;
    // Without a link, the server means an earlier connection, and may read an announcement on it afterwards.
    if (isUp) this.#announced.admitted();
    this.#mayBe &&= this.#isAsleep || !isUp || (program?.wantsSleep ?? false);
  }

  /** A commit is done. */
  committed(): void {
    this.#announced.committed();
  }

  /** The server was killed, or another server has taken the device. @param isReplaced Its store is another one */
  serverDied(isReplaced = false): void {
    this.#announced.serverDied(isReplaced);
    if (isReplaced) this.forgotten();
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
    this.#ms = ms;
    this.#endsAt = Math.min(this.#began + ms, this.#announced.endsAt);
    this.#isKnown = isTold && !this.#device.meetsImpostor && !this.#isLost;
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

  /** The store that knew was replaced or has forgotten the device, or another server has taken it. */
  forgotten(): void {
    this.#isKnown = false;
    this.#isLost = true;
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
    const endsAt = Math.min(this.#endsAt, this.#announced.endsAt); // an old copy may have been put back since it began
    return this.#device.world.clock.now >= endsAt + MARGIN - SLACK;
  }

  get #passed(): number {
    return this.#device.world.clock.now - this.#began;
  }

  /** The server's date decides, and somebody has set it. */
  get #isUncertain(): boolean {
    return this.#device.world.server.isDateSet;
  }
}

/** When announced sleeps end that the server may count, in ms; of several the first, Infinity if there is none. */
class Announced {
  /** Of those on this connection. */
  #here = Infinity;
  /** Of those on earlier connections. */
  #before = Infinity;
  /** Of those from before an admission that is not safe yet: if that is lost, they count again. */
  #unsafe = Infinity;
  /** Of all: an old copy of the store may have any of them. */
  #ever = Infinity;

  get endsAt(): number {
    return Math.min(this.#here, this.#before, this.#unsafe);
  }

  add(endsAt: number): void {
    this.#here = Math.min(this.#here, endsAt);
    this.#ever = Math.min(this.#ever, endsAt);
  }

  /** The device makes another connection. */
  connects(): void {
    this.#before = Math.min(this.#before, this.#here);
    this.#here = Infinity;
  }

  /** The server has admitted this connection. */
  admitted(): void {
    this.#unsafe = Math.min(this.#unsafe, this.#before);
    this.#before = Infinity;
  }

  committed(): void {
    this.#unsafe = Infinity;
  }

  serverDied(isReplaced: boolean): void {
    this.#before = Math.min(this.#before, this.#unsafe, isReplaced ? this.#ever : Infinity);
    this.#unsafe = Infinity;
  }
}
