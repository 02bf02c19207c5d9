import { assertEquals } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { Pace } from "./pace.ts";

/** How long, in ms, a caller that retries at once waits for each of this many refusals. */
async function pauses(clock: ManualClock, pace: Pace, times: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < times; i++) {
    const begun = clock.now();
    let told = Infinity;
    void pace.refused().then(() => told = clock.now() - begun);
    await clock.turn();
    for (let ms = 0; told === Infinity && ms < 1000; ms++) await clock.advance(1);
    found.push(told);
  }
  return found;
}

Deno.test("a caller that retries at once gets each refusal later, up to 100 ms, until something is accepted", async () => {
  const clock = new ManualClock();
  const pace = new Pace(clock);
  assertEquals(await pauses(clock, pace, 10), [0, 1, 2, 4, 8, 16, 32, 64, 100, 100]);
  pace.accepted();
  assertEquals(await pauses(clock, pace, 3), [0, 1, 2]);
});

Deno.test("a caller that waits before it retries gets its refusal in the next turn", async () => {
  const clock = new ManualClock();
  const pace = new Pace(clock);
  await pauses(clock, pace, 5); // 8 ms
  await clock.advance(20);
  assertEquals(await pauses(clock, pace, 2), [0, 1]);
});

Deno.test("several refusals at one time are delivered together, and count once", async () => {
  const clock = new ManualClock();
  const pace = new Pace(clock);
  let told = 0;
  for (let i = 0; i < 1000; i++) void pace.refused().then(() => told++);
  await Promise.resolve();
  assertEquals(told, 0);
  await clock.turn();
  assertEquals(told, 1000);
  assertEquals(await pauses(clock, pace, 1), [1]);
});

Deno.test("of many results at once, one in 64 waits for the next turn", async () => {
  const clock = new ManualClock();
  const pace = new Pace(clock);
  const waits = Array.from({ length: 200 }, () => pace.done()).flatMap((it, i) => it ? [i] : []);
  assertEquals(waits, [63, 127, 191]);
  await clock.turn();
});
