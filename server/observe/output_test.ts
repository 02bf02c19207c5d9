import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { Output } from "./output.ts";

/** A sink that a test controls. */
class Tap {
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  taken = "";
  /** The results of the next writes: the number of bytes taken, or an error. When empty, all bytes are taken. */
  next: (number | Error)[] = [];
  #waiting: (() => void) | undefined;
  blocked = false;
  readonly output = new Output(this, this.clock, {
    losing: (why) => this.told.push(`losing: ${why}`),
    lost: (lines, why) => {
      this.told.push(`lost ${lines}: ${why}`);
      this.output.write(`${lines} lost\n`);
    },
  });

  async write(bytes: Uint8Array): Promise<number> {
    if (this.blocked) await new Promise<void>((resolve) => this.#waiting = resolve);
    const next = this.next.shift() ?? bytes.length;
    if (typeof next !== "number") throw next;
    const taken = Math.min(next, bytes.length);
    this.taken += new TextDecoder().decode(bytes.subarray(0, taken));
    return taken;
  }

  async unblock(): Promise<void> {
    this.blocked = false;
    this.#waiting?.();
    await this.clock.turn();
  }
}

Deno.test("lines are written in order, many at once, also where the sink takes them in pieces", async () => {
  const tap = new Tap();
  tap.next = [3, 1];
  for (let n = 0; n < 100; n++) tap.output.write(`line ${n}\n`);
  await tap.output.flush(1000);
  assertEquals(tap.taken, Array.from({ length: 100 }, (_, n) => `line ${n}\n`).join(""));
  assertEquals([tap.told, tap.clock.timers], [[], 0]);
});

Deno.test("a sink that fails is tried again, later and later, and loses nothing as long as there is room", async () => {
  const tap = new Tap();
  tap.next = [2, ...Array(8).fill(new Error("no space left"))];
  tap.output.write("first\n");
  await tap.clock.turn();
  for (const pause of [20, 40, 80, 160, 320, 640, 1000]) {
    tap.output.write("x\n");
    await tap.clock.advance(pause - 1);
    assertEquals(tap.taken, "fi");
    await tap.clock.advance(1);
  }
  await tap.clock.advance(999);
  assertEquals(tap.taken, "fi");
  await tap.clock.advance(1);
  assertEquals([tap.taken, tap.told], [`first\n${"x\n".repeat(7)}`, []]);
});

Deno.test("a sink that takes nothing costs bounded memory; lost lines are counted, and reported in their place", async () => {
  const tap = new Tap();
  tap.blocked = true;
  const line = `${"x".repeat(1023)}\n`;
  for (let n = 0; n < 300; n++) tap.output.write(line);
  tap.output.write("a\nb\n");
  assertEquals(tap.told, ["losing: undefined"]);
  await tap.unblock();
  await tap.output.flush(1000);
  assertEquals(tap.told, ["losing: undefined", "lost 46: undefined"]);
  tap.output.write("goes on\n");
  await tap.output.flush(1000);
  assertEquals(tap.taken, `${line.repeat(256)}46 lost\ngoes on\n`);
});

Deno.test("lines that are lost to an error are reported with the error", async () => {
  const tap = new Tap();
  tap.next = [new Error("no space left")];
  tap.output.write("x\n");
  await tap.clock.turn();
  for (let n = 0; n < 300; n++) tap.output.write(`${"x".repeat(1023)}\n`);
  await tap.clock.advance(1000);
  await tap.output.flush(1000);
  assertEquals(tap.told, ["losing: no space left", "lost 45: no space left"]);
});

Deno.test("a single line larger than the buffer is written, if nothing else waits", async () => {
  const tap = new Tap();
  const line = `${"x".repeat(1024 * 1024)}\n`;
  tap.output.write(line);
  await tap.output.flush(1000);
  assertEquals(tap.taken, line);
});

Deno.test("a flush waits for a sink that takes nothing for the given time, and no longer", async () => {
  const tap = new Tap();
  await tap.output.flush(1000); // nothing was ever written
  tap.blocked = true;
  tap.output.write("x\n");
  let flushed = false;
  const flushing = tap.output.flush(1000).then(() => flushed = true);
  await tap.clock.advance(999);
  assert(!flushed);
  await tap.clock.advance(1);
  assert(flushed);
  await flushing;
  await tap.unblock();
  assertEquals([tap.taken, tap.clock.timers], ["x\n", 0]);
});
