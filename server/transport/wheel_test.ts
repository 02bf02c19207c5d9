import { assert, assertEquals } from "@std/assert";
import { Random } from "../../tests/support/random.ts";
import type { Clock } from "./platform.ts";
import { TimerWheel, type WheelEntry } from "./wheel.ts";

const TICK = 10;
const HOUR = 3_600_000;

/** A clock that the test moves. */
class FakeClock implements Clock {
  time: number;
  /** Errors that callbacks of `soon` have thrown. */
  thrown: unknown[] = [];
  /** The number of timers that were set. */
  made = 0;
  #timers = new Set<{ due: number; run: () => void }>();

  constructor(time = 12.34) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  date(): number {
    return 0;
  }

  after(ms: number, run: () => void): () => void {
    assert(ms >= 0);
    const timer = { due: this.time + ms, run };
    this.#timers.add(timer);
    this.made++;
    return () => void this.#timers.delete(timer);
  }

  soon(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.thrown.push(error);
    }
  }

  endOfTurn(): void {}
  caughtUp(): void {}

  get timers(): number {
    return this.#timers.size;
  }

  /** Moves to `time`, and runs all timers until then, each at its time. */
  goTo(time: number): void {
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.due - b.due);
      if (!next || next.due > time) break;
      this.time = Math.max(this.time, next.due);
      this.#timers.delete(next);
      next.run();
    }
    this.time = Math.max(this.time, time);
  }

  /** Jumps to `time`: timers that were due before run late. */
  sleepUntil(time: number): void {
    this.time = time;
    this.goTo(time);
  }
}

function setUp(start?: number) {
  const clock = new FakeClock(start);
  const wheel = new TimerWheel(clock, TICK);
  const log: [name: string, at: number][] = [];
  const named = (name: string) => wheel.entry(() => log.push([name, clock.time]));
  return { clock, wheel, log, named };
}

Deno.test("an entry fires at its time, never early and at most one tick late", () => {
  const { clock, log, named } = setUp();
  const start = clock.time;
  const waits = [0, 0.001, 5, 9.999, 10, 10.001, 319, 320, 321, 10_239, 10_241, 330_000, 9 * HOUR];
  for (const wait of waits) named(`${wait}`).at(start + wait);
  clock.goTo(start + 10 * HOUR);
  assertEquals(log.map(([name]) => Number(name)), waits);
  for (const [name, at] of log) {
    const late = at - start - Number(name);
    assert(late >= 0 && late <= TICK, `${late} ms late: ${name}`);
  }
  assertEquals(clock.timers, 0);
});

Deno.test("an entry that is postponed again and again costs one check per slot, and no timer each time", () => {
  const { clock, log, named } = setUp(0);
  const entry = named("silent");
  for (let time = 0; time < 60_000; time += 20) {
    clock.goTo(time);
    entry.at(time + 2000);
  }
  assertEquals(log, []);
  assert(clock.made < 100, `${clock.made} timers`);
  clock.goTo(HOUR);
  assertEquals(log, [["silent", 61_980]]);
});

Deno.test("an entry that is moved to an earlier time fires then, once", () => {
  const { clock, log, named } = setUp(0);
  const [far, near] = [named("far"), named("near")];
  far.at(HOUR);
  near.at(500);
  far.at(505);
  far.at(30);
  far.at(400);
  near.at(200);
  clock.goTo(2 * HOUR);
  assertEquals(log, [["near", 200], ["far", 400]]);
});

Deno.test("one timer runs while any entry is armed, and none otherwise", () => {
  const { clock, log, named } = setUp();
  const entries = ["a", "b", "c"].map(named);
  assertEquals(clock.timers, 0);
  for (const [i, entry] of entries.entries()) {
    assertEquals(entry.armed, false);
    entry.at(clock.time + 1000 * i);
    assertEquals([entry.armed, clock.timers], [true, 1]);
  }
  entries[0]!.clear();
  entries[2]!.clear();
  entries[2]!.clear();
  assertEquals(clock.timers, 1);
  entries[1]!.at(Infinity);
  assertEquals([clock.timers, entries[1]!.armed], [0, false]);
  clock.goTo(clock.time + HOUR);
  assertEquals(log, []);
  entries[0]!.at(clock.time + 5);
  clock.goTo(clock.time + HOUR);
  assertEquals([log.length, clock.timers, entries[0]!.armed], [1, 0, false]);
});

Deno.test("an entry whose time has passed fires within a tick, and one in the infinite future never", () => {
  const { clock, log, named } = setUp(0);
  clock.goTo(1000);
  named("past").at(3);
  named("long past").at(-Infinity);
  named("never").at(Number.MAX_VALUE);
  clock.goTo(1000 + TICK);
  assertEquals(log.map(([name]) => name), ["past", "long past"]);
  clock.goTo(1e12);
  assertEquals(log.length, 2);
});

Deno.test("after a long sleep every due entry fires once, in the order of ticks", () => {
  const { clock, log, named } = setUp(0);
  const repeats = named("repeats");
  for (const wait of [7000, 20, 40_000, 300, 90_000]) named(`${wait}`).at(wait);
  repeats.at(50_000);
  clock.sleepUntil(60_000);
  assertEquals(log.map(([name]) => name), ["20", "300", "7000", "40000", "repeats"]);
  clock.goTo(HOUR);
  assertEquals(log.at(-1), ["90000", 90_000]);
});

Deno.test("an entry that fires may set, move and clear others and itself", () => {
  const { clock, wheel, log, named } = setUp(0);
  const [taken, moved, nearer] = [named("taken"), named("moved"), named("nearer")];
  let times = 0;
  const first: WheelEntry = wheel.entry(() => {
    log.push([`first ${++times}`, clock.time]);
    assertEquals(first.armed, false);
    if (times < 3) first.at(clock.time + 25);
    taken.clear();
    if (times === 1) moved.at(clock.time + 300);
    if (times === 1) nearer.at(clock.time + 50);
  });
  first.at(100);
  taken.at(100);
  moved.at(100);
  nearer.at(HOUR);
  clock.goTo(2 * HOUR);
  assertEquals(log, [
    ["first 1", 100],
    ["first 2", 130],
    ["nearer", 150],
    ["first 3", 160],
    ["moved", 400],
  ]);
});

Deno.test("an entry that always sets itself to a past time fires once a tick", () => {
  const { clock, wheel, log, named } = setUp(0);
  let times = 0;
  const greedy: WheelEntry = wheel.entry(() => {
    times++;
    greedy.at(0);
  });
  greedy.at(0);
  named("other").at(100);
  clock.goTo(1000);
  assertEquals([times, log], [100, [["other", 100]]]);
});

Deno.test("a near entry costs at most three timers, however long nothing was due", () => {
  const { clock, log, named } = setUp(0);
  const near = named("near");
  named("far").at(HOUR);
  for (let time = 1_000_000; time < HOUR; time += 123_457) {
    clock.goTo(time);
    const { made } = clock;
    near.at(time + 25);
    clock.goTo(time + 1000);
    assertEquals(log.pop()?.[0], "near");
    assert(clock.made - made <= 3, `${clock.made - made} timers`); // near's slot, near, and far
  }
});

Deno.test("an entry that throws does not stop others, and its error is reported", () => {
  const { clock, wheel, log, named } = setUp(0);
  const error = new Error("mine");
  wheel.entry(() => {
    throw error;
  }).at(10);
  named("same tick").at(10);
  named("later").at(50);
  clock.goTo(100);
  assertEquals(log.map(([name]) => name), ["same tick", "later"]);
  assertEquals(clock.thrown, [error]);
});

Deno.test("entries that are set, moved and cleared at random fire as in a plain list of deadlines", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const clock = new FakeClock(random.int(0, 1) ? 0 : random.int(0, 1e9) / 7);
    const tick = [1, 7.3, 10, 50][random.int(0, 3)]!;
    const wheel = new TimerWheel(clock, tick);
    const due = new Map<number, number>(); // the model
    let sleeping = false;
    const change = (n: number) => {
      const wait = [3, 50, 3000, 200_000, 40_000_000][random.int(0, 4)]!;
      const time = clock.time + random.int(-1, wait) + random.int(0, 9) / 10;
      if (random.int(0, 5) === 0) {
        due.delete(n);
        entries[n]!.clear();
      } else {
        due.set(n, time);
        entries[n]!.at(time);
      }
    };
    const entries = Array.from({ length: 20 }, (_, n) =>
      wheel.entry(() => {
        const time = due.get(n);
        const late = clock.time - (time ?? Infinity);
        // It may have been set to up to 1 ms before that moment.
        if (late < 0 || (!sleeping && late > tick + 1 + 1e-6)) {
          throw new Error(`seed ${seed}: entry ${n} for ${time} came at ${clock.time}`);
        }
        due.delete(n);
        while (random.int(0, 2) === 0) change(random.int(0, 19));
      }));
    for (let step = 0; step < 300; step++) {
      while (random.int(0, 2) > 0) change(random.int(0, 19));
      const time = clock.time + random.int(0, [5, 100, 5000, 1_000_000][random.int(0, 3)]!);
      sleeping = random.int(0, 9) === 0;
      if (sleeping) clock.sleepUntil(time);
      else clock.goTo(time);
      const late = [...due].filter(([, at]) => at + tick + 1e-6 <= clock.time);
      const wrong = entries.filter((entry, n) => entry.armed !== due.has(n));
      const timers = due.size > 0 ? 1 : 0;
      if (late.length + wrong.length === 0 && clock.timers === timers) continue;
      assertEquals([late, wrong, clock.timers], [[], [], timers], `seed ${seed} at ${clock.time}`);
    }
    assertEquals(clock.thrown, [], `seed ${seed}`);
  }
});
