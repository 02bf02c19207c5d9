import { assertEquals } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { Intake } from "./intake.ts";

const TIMEOUT = 1000;

/** More peers than may start, which take every place that the intake gives. */
class Rush {
  readonly clock = new ManualClock();
  readonly intake = new Intake(this.clock, TIMEOUT, () => 0, () => this.come());
  begun = 0;

  constructor() {
    this.come();
  }

  come(): void {
    this.begun = 0;
    while (this.intake.take()) this.begun++;
  }

  /** Lets the look at the sockets end this many ms late. @returns how many greetings start then */
  async after(late: number): Promise<number> {
    this.clock.stall(late);
    await this.clock.caughtUpNow();
    return this.begun;
  }
}

Deno.test("while the server is on time, twice as many greetings start each time, up to a limit", async () => {
  const rush = new Rush();
  const begun = [rush.begun];
  for (let i = 0; i < 5; i++) begun.push(await rush.after(TIMEOUT / 16));
  assertEquals(begun, [64, 128, 256, 512, 1024, 1024]);
});

Deno.test("when the server is late fewer greetings start, and when it is very late none, until it is on time", async () => {
  const rush = new Rush();
  const late = [100, 125, 126, 250, 251, 2000, 200, 100, 100, 62, 62, 0];
  const begun = [];
  for (const ms of late) begun.push(await rush.after(ms));
  assertEquals(begun, [64, 64, 32, 16, 0, 0, 0, 1, 1, 2, 4, 8]);
});

Deno.test("when few peers come now and then, nothing is measured", async () => {
  const clock = new ManualClock();
  const intake = new Intake(clock, TIMEOUT, () => 0, () => {});
  for (let i = 0; i < 10; i++) {
    for (let one = 0; one < 64; one++) assertEquals(intake.take(), true);
    await clock.advance(TIMEOUT / 40);
  }
  assertEquals([clock.looking.length, clock.timers], [0, 0]);
});

Deno.test("after close no greeting starts, and no timer is left", async () => {
  const rush = new Rush();
  rush.intake.close();
  assertEquals([await rush.after(0), rush.intake.take()], [64, false]);
  await rush.clock.advance(TIMEOUT);
  assertEquals(rush.clock.timers, 0);
  const none = new Intake(rush.clock, TIMEOUT, () => 0, () => {});
  none.close();
  assertEquals([none.take(), rush.clock.timers], [false, 0]);
});
