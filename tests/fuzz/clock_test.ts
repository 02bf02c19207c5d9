/**
 * The time of readings through boots, outages, restarts of the server, dead letters, and clocks that are set. A reading
 * has the time at which it was taken. It has none only if its device has not said its milliseconds.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { renumbered, Timekeeper } from "../../server/channels/clock.ts";
import { Records } from "../support/records.ts";
import { type Random, randomTest } from "../support/random.ts";

const HOUR = 3_600_000;
const ROUND = 2 ** 32;

/** When a reading was taken, and whether the server can know it. */
interface Reading {
  readonly taken: number;
  readonly stamp: number;
  isKnown: boolean;
}

class ClockWorld {
  readonly record = new Records().create("1");
  /** Readings in the inbox. */
  readonly inbox: Reading[] = [];
  readonly letters = new Map<number, Reading>();
  /** Readings that the device has not sent. */
  waiting: Reading[] = [];
  /** The true time. */
  now = 1_700_000_000_000;
  #epoch = 0;
  #zero = 0; // when the device's milliseconds were 0
  #isOn = false;
  #saysTime = false;
  #skew = 0; // how far the server's machine is ahead
  #started = 0;
  keeper!: Timekeeper;
  checked = 0;

  /** @param setsClock Whether the machine's clock is set, and the server goes on, in place of a restart. */
  constructor(readonly random: Random, readonly setsClock: boolean) {
    this.boot();
    this.restart();
  }

  boot(): void {
    this.#isOn = false;
    this.#epoch++;
    this.#zero = this.now - this.random.pick([0, this.random.bits(), ROUND - 1 - HOUR]);
    this.waiting = [];
  }

  restart(): void {
    this.#isOn = false;
    this.#started = this.now - this.random.int(0, 1e9);
    const date = () => this.now + this.#skew;
    this.keeper = new Timekeeper({ now: () => this.now - this.#started, date });
  }

  setClock(): void {
    this.#skew += this.random.int(-2e9, 2e9);
  }

  read(): void {
    const stamp = (this.now - this.#zero) % ROUND;
    this.waiting.push({ taken: this.now, stamp, isKnown: false });
    if (this.#isOn) this.#send();
  }

  connect(): void {
    this.#isOn = true;
    this.#saysTime = !this.random.once(6);
    this.record.change({ rxEpoch: this.#epoch });
    const metadata = this.#saysTime ? `ms=${(this.now - this.#zero) % ROUND} version=1` : "";
    this.keeper.note(this.record, metadata);
    this.#send();
  }

  leave(): void {
    this.#isOn = false;
  }

  #send(): void {
    for (const reading of this.waiting.splice(0)) {
      reading.isKnown = this.#saysTime;
      this.record.inbox.push("=");
      this.inbox.push(reading);
    }
  }

  process(): void {
    const reading = this.inbox.shift();
    if (!reading) return;
    this.check(this.record.positions.processed, reading);
    if (!this.random.once(4)) return void this.record.process();
    this.letters.set(this.record.positions.processed, reading);
    this.record.addDeadLetter("why", this.now);
  }

  revive(): void {
    const [first] = this.letters;
    if (!first) return;
    const [number, reading] = first;
    this.letters.delete(number);
    this.record.removeDeadLetter(
      this.record.state.deadLetters!.find((it) => it.number === number)!,
      true,
    );
    renumbered(this.record, number);
    this.inbox.push(reading);
  }

  /** All messages that wait. */
  checkAll(): void {
    const { processed } = this.record.positions;
    for (const [i, reading] of this.inbox.entries()) this.check(processed + i, reading);
    for (const [number, reading] of this.letters) this.check(number, reading);
  }

  check(number: number, reading: Reading): void {
    const at = this.keeper.takenAt(this.record, number, reading.stamp);
    if (at !== undefined) {
      this.checked++;
      return assertEquals(at - this.#skew, reading.taken, `${number}`);
    }
    const boots = JSON.parse(this.record.memos.get("ms") ?? "[]").length;
    assert(!reading.isKnown || boots >= 8, "the time of a reading is lost");
    reading.isKnown = false; // its boot was dropped to make room, though there may be fewer later
  }
}

let checked = 0;

randomTest("a reading has its time, or none", 500, (random) => {
  const world = new ClockWorld(random, random.once(2));
  for (let step = 0; step < 80; step++) {
    world.now += random.pick([0, 1, 50, 1000, random.int(0, HOUR), random.int(0, 12 * HOUR)]);
    random.pick<() => void>([
      () => world.read(),
      () => world.read(),
      () => world.connect(),
      () => world.connect(),
      () => world.leave(),
      () => world.boot(),
      () => world.process(),
      () => world.process(),
      () => world.revive(),
      () => world.setsClock ? world.setClock() : world.restart(),
    ])();
    world.checkAll();
  }
  checked += world.checked;
});

Deno.test("some readings have a time", () => {
  assert(checked > 1000, `${checked} had one`);
});
