/** A faulty initiator or wire makes the responder reset its link, and log that. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Random } from "../support/random.ts";
import { I2c, Kept } from "../../bridge/host/mod.ts";
import { assertSound, configuration, configured, GaveUp, Steppable } from "./rig.ts";

const RESET = /^initiator link reset: /;

/** The number of waits in an exchange with bytes both ways. */
function waits(): number {
  const { rig, initiator } = configured();
  rig.pass(3000); // a keepalive is due
  const steps = initiator.exchange("3text\n");
  let count = 0;
  for (let step = steps.next(); !step.done; count++) {
    const { until, ms } = step.value;
    rig.pass(ms, until);
    step = steps.next(until());
    if (step.done) assertEquals(step.value.text, "k\n");
  }
  return count;
}

Deno.test("if an initiator vanishes in any phase, the responder gives up on it and serves another", () => {
  const all = waits();
  assert(all > 15);
  for (let phase = 0; phase < all; phase++) {
    for (const level of [undefined, 0, 1]) {
      const why = `phase ${phase}, syn then ${level}`;
      const { rig, initiator } = configured();
      rig.pass(3000);
      rig.run(initiator.exchange("3text\n"), phase);
      rig.slave = undefined;
      rig.syn = level ?? rig.syn;
      rig.pass(5000);
      const said = rig.said().filter((line) => !/^(no server|initiator link up)$/.test(line));
      assert(said.length <= 2 && said.every((line) => RESET.test(line)), `${why}: ${said}`);
      if (rig.syn) assertEquals(said.length, 1, why);
      assertSound(rig, why);
    }
  }
});

Deno.test("a glitch of SYN in any phase costs at most one exchange", () => {
  const all = waits();
  for (let phase = 0; phase < all; phase++) {
    for (const ms of [2, 40, 1500]) {
      const { rig, initiator } = configured();
      rig.pass(3000);
      const steps = initiator.exchange("3text\n");
      let at = 0;
      const glitched = (function* () {
        let step = steps.next();
        while (!step.done) {
          if (at++ === phase) {
            rig.syn ^= 1;
            yield { until: () => false, ms };
            rig.syn ^= 1;
          }
          step = steps.next(yield step.value);
        }
      })();
      try {
        rig.run(glitched);
      } catch (error) {
        if (!(error instanceof GaveUp)) throw error;
      }
      rig.syn = 0;
      rig.pass(2500);
      rig.said();
      assertSound(rig, `phase ${phase}, ${ms} ms`);
    }
  }
});

Deno.test("an I2C line that is held low in any transfer resets the link, and the log says so", () => {
  const all = waits();
  const seen = new Set<string>();
  for (const fault of [I2c.stuck, I2c.bad, 0, 1]) {
    for (let phase = 0; phase < all; phase++) {
      const { rig, initiator } = configured();
      rig.pass(3000);
      const steps = initiator.exchange("3text\n");
      rig.run(steps, phase);
      rig.fault = fault;
      rig.pass(1500);
      rig.syn = 0;
      rig.pass(10);
      for (const line of rig.said()) seen.add(line);
      assertSound(rig, `fault ${fault}, phase ${phase}`);
    }
  }
  assert(seen.has("initiator link reset: I2C line held low"));
  assert(seen.has("initiator link reset: bytes not acknowledged"));
});

Deno.test("the time of a transfer counts neither for a deadline nor for how long ACK is low before an answer", () => {
  for (
    const [ms, reaction] of [[0, 0], [5, 0], [150, 0], [0, 10], [150, 10], [1500, 10]] as const
  ) {
    const { rig, initiator } = configured();
    rig.transfer = ms;
    if (reaction === 0) rig.quick = 0;
    initiator.reaction = reaction;
    for (let n = 0; n < 3; n++) {
      rig.lows.length = 0;
      assert(rig.run(initiator.exchange(`3line ${n}\n`))?.gone, `${ms} ms: ${rig.said()}`);
      // Before its answer ACK is low for a while: a Pyboard that is interrupted would miss a short pulse.
      const [, , low = 0] = rig.lows;
      assert(low >= 1, `${ms} ms: low for ${low} ms`);
    }
    assertEquals(rig.said(), [], `${ms} ms`);
  }
});

Deno.test("however long reads of SYN take, ACK is low long enough to be seen", () => {
  for (const quick of [1, 10, 30, 63]) {
    const { rig, initiator } = configured();
    rig.look = 0.1;
    rig.quick = quick;
    for (let n = 0; n < 3; n++) {
      rig.lows.length = 0;
      assert(rig.run(initiator.exchange(`3line ${n}\n`))?.gone, `${quick}: ${rig.said()}`);
      const [, , low = 0] = rig.lows;
      assert(low >= 1, `${quick} looks: low for ${low} ms`);
    }
  }
});

Deno.test("if SYN is stuck at either level, the board does not hang, nor flood the console", () => {
  for (const level of [0, 1]) {
    const { rig } = configured();
    rig.syn = level;
    rig.pass(600_000);
    const said = level ? ["initiator link reset: no answer from the initiator"] : [];
    assertEquals(rig.said(), [...said, "no server"]);
    assertSound(rig, `stuck at ${level}`);
  }
});

Deno.test("a size above the buffer's is refused before a byte is read", () => {
  for (const size of [201, 255, 256, 0x1234, 0x7fff]) {
    const { rig, initiator } = configured();
    assertThrows(() => rig.run(initiator.exchange("3text\n", size)), GaveUp);
    assertEquals(rig.said()[0], "initiator link reset: more bytes than fit");
    assertSound(rig, `size ${size}`);
  }
  const { rig, initiator } = configured();
  assert(rig.run(initiator.exchange(`3${"x".repeat(198)}\n`))!.gone); // 200 just fit
  assertEquals(rig.said(), []);
});

Deno.test("the board survives noise on all wires for minutes", () => {
  const random = new Random(11);
  const { rig } = configured();
  for (let i = 0; i < 30_000; i++) {
    if (random.int(0, 3) === 0) rig.syn ^= 1;
    const bytes = Array.from({ length: random.int(1, 200) }, () => random.int(0, 255));
    if (random.int(0, 1)) bytes.fill(0, 1, 2);
    rig.slave = [undefined, { send: bytes }, { receive: random.int(1, 200) }][random.int(0, 2)];
    rig.fault = random.int(0, 9) ? undefined : random.int(-3, 3);
    rig.pass(random.int(0, 4) ? 2 : 50);
  }
  rig.syn = 0;
  rig.fault = undefined;
  rig.pass(3000);
  rig.said();
  const fresh = configured(new Kept());
  assertSound(fresh.rig, "fresh");
  const initiator = new Steppable(rig);
  rig.run(initiator.synchronise());
  assert(rig.run(initiator.exchange(configuration()))!.gone || !initiator.mayWrite);
});
