import { assertEquals, assertThrows } from "@std/assert";
import { Records } from "../../tests/support/records.ts";
import { TIMEOUT } from "../../tests/support/session_rig.ts";
import { LocalError } from "../protocol/errors.ts";
import { type Lines } from "../protocol/lines.ts";
import { addDeadLetter, removeDeadLetter } from "./dead_letters.ts";
import { Dialect1 } from "./dialect1.ts";
import { defaultLimits } from "./limits.ts";
import { MESSAGE, Pool, PoolShare } from "./pool.ts";
import type { Writer } from "./outbox.ts";
import { Session } from "./session.ts";

const nobody: Writer = { arrived() {}, failed() {} };

/** Devices that share a pool. */
class Devices {
  readonly records = new Records();
  readonly pool: Pool;
  #ids = 0;

  constructor(most: number, hasNamed = false) {
    this.pool = new Pool(most, () => hasNamed);
  }

  /** A new one, connected in dialect 1. */
  add(isOpen = false): Session {
    const record = this.records.create(`${++this.#ids}`);
    const share = new PoolShare(this.pool, isOpen);
    const session = new Session(record, TIMEOUT, defaultLimits, undefined, share);
    connect(session);
    return session;
  }
}

function connect(session: Session): void {
  const dialect = new Dialect1(session.record, session.settled, TIMEOUT);
  session.connect(dialect, 100, false, 0);
}

function hears(session: Session, ...lines: string[]): string {
  session.receive({ lines } as Lines, 0);
  return session.transmit(0).replaceAll("\n", " ").trim();
}

function refused(session: Session): string {
  const error = assertThrows(() => session.write("x", {}, nobody, 0), LocalError);
  assertEquals(error.code, "OUTBOX_FULL");
  return error.message;
}

Deno.test("what all queues hold is counted, and the count returns to 0", () => {
  const devices = new Devices(1000);
  const [one, two] = [devices.add(), devices.add()];
  hears(one, "00hello", "01you");
  two.write("abcd", {}, nobody, 0);
  two.write("now", { qos: false }, nobody, 0);
  assertEquals(devices.pool.taken, 5 + 3 + 4 + 3 * MESSAGE);
  two.transmit(0);
  hears(two, "00");
  one.shift();
  one.shift();
  assertEquals(devices.pool.taken, 0);
  two.write("lost", { qos: false }, nobody, 0);
  two.write("kept", {}, nobody, 0);
  two.disconnect();
  assertEquals(devices.pool.taken, 4 + MESSAGE);
  // The messages in a store are counted when its server starts.
  const again = new Pool(1000);
  new Session(two.record, TIMEOUT, defaultLimits, undefined, new PoolShare(again));
  assertEquals(again.taken, 4 + MESSAGE);
});

Deno.test("when the queues of all devices are full, none grows, but each device may still have one message", () => {
  const devices = new Devices(3 * MESSAGE);
  const [greedy, other] = [devices.add(), devices.add()];
  for (let n = 0; n < 3; n++) greedy.write("x", {}, nobody, 0);
  assertEquals(
    refused(greedy),
    "the queues and dead letters of all devices hold 303 units of text, at most 300 are allowed (limit totalText)",
  );
  assertEquals(greedy.write("x", { qos: false }, nobody, 0), false);
  other.write("one", {}, nobody, 0);
  refused(other);
  assertEquals(hears(other, "00a", "01b"), "00 00one");
  assertEquals([other.record.inbox, other.wantsInput], [["a"], true]);
  assertEquals(hears(other, "00"), "");
  assertEquals(other.wantsInput, false, "b is not acknowledged, and nothing more is read");
  // Others make room, which this device cannot know: it looks again.
  greedy.clear(new LocalError("CLEARED", "dropped"));
  other.tick(0);
  assertEquals([other.record.inbox, other.wantsInput], [["a", "b"], true]);
  assertEquals(other.transmit(0), "01\n");
});

Deno.test("dead letters count, and none is added while the pool is full", () => {
  const devices = new Devices(3 * MESSAGE);
  const [failing, other] = [devices.add(), devices.add()];
  hears(failing, "00bad", "01worse", "02worst");
  const { taken } = devices.pool;
  assertEquals([addDeadLetter(failing, "", 0), addDeadLetter(failing, "", 0), devices.pool.taken], [
    true,
    true,
    taken,
  ]);
  other.write("x", {}, nobody, 0);
  assertEquals(addDeadLetter(failing, "", 0), false);
  // The messages in a store are counted when its server starts.
  const again = new Pool(1000);
  new Session(failing.record, TIMEOUT, defaultLimits, undefined, new PoolShare(again));
  assertEquals(again.taken, taken);
  removeDeadLetter(failing, 0, false);
  assertEquals(devices.pool.taken, taken + 1 - "bad".length);
  failing.shift();
  removeDeadLetter(failing, 1, true);
  assertEquals(failing.record.inbox, ["worse"]);
  failing.shift();
  assertEquals(devices.pool.taken, 1 + MESSAGE);
});

Deno.test("devices with a key leave strangers their half of the pool, dead letters included", () => {
  const devices = new Devices(8 * MESSAGE, true);
  const [stranger, other, keyed] = [devices.add(true), devices.add(true), devices.add()];
  for (let n = 0; n < 3; n++) keyed.write("x", {}, nobody, 0);
  hears(stranger, "00bad", "01worse", "02worst");
  assertEquals([addDeadLetter(stranger, "", 0), addDeadLetter(stranger, "", 0)], [true, true]);
  other.write("x", {}, nobody, 0);
  assertEquals(addDeadLetter(stranger, "", 0), true, "it takes no more room than before");
  refused(other);
  keyed.write("x", {}, nobody, 0);
  hears(stranger, "03evil");
  assertEquals(addDeadLetter(stranger, "", 0), false);
});

Deno.test("a device that has left memory no longer counts, whatever still happens to it", () => {
  const devices = new Devices(1000);
  const [one, other] = [devices.add(true), devices.add(true)];
  hears(one, "00a", "01b");
  other.write("kept", {}, nobody, 0);
  one.share.leave();
  one.shift();
  assertEquals(devices.pool.taken, 4 + MESSAGE);
  one.write("something", {}, nobody, 0);
  assertEquals(devices.pool.taken, 4 + MESSAGE);
});

Deno.test("a withdrawn message takes no room after a restart, either", () => {
  const one = new Devices(1000).add();
  one.write("kept", {}, nobody, 0);
  one.write("of use for a ms", { expires: 1 }, nobody, 0);
  one.disconnect();
  one.expire(1);
  assertEquals(one.record.outbox.length, 2, "its number must still be sent");
  const pool = new Pool(1000);
  new Session(one.record, TIMEOUT, defaultLimits, undefined, new PoolShare(pool));
  assertEquals(pool.taken, 4 + MESSAGE);
});

Deno.test("a backlog behind a full inbox counts, and is given back with the connection", () => {
  const devices = new Devices(4 * MESSAGE);
  const [greedy, other] = [devices.add(), devices.add()];
  for (let n = 0; n < 3; n++) greedy.write("x", {}, nobody, 0);
  other.write("awaits its ack", {}, nobody, 0);
  other.transmit(0);
  hears(other, "00first");
  const before = devices.pool.taken;
  hears(other, "01more");
  assertEquals([devices.pool.taken - before, other.wantsInput], [6 + MESSAGE, true]);
  // The server reads on because an ack may be next, but only this far.
  const long = "x".repeat(16_000);
  hears(other, ...["02", "03", "04", "05"].map((id) => id + long));
  assertEquals(other.wantsInput, true);
  hears(other, `06${long}`);
  assertEquals(other.wantsInput, false);
  other.disconnect();
  assertEquals(devices.pool.taken, before);
});

Deno.test("strangers have half of the room if there are keys, and all of it if there are no keys", () => {
  const devices = new Devices(4 * MESSAGE, true);
  const [stranger, keyed] = [devices.add(true), devices.add()];
  stranger.write("x", {}, nobody, 0);
  stranger.write("x", {}, nobody, 0);
  assertEquals(refused(stranger).endsWith("half of it for devices without a key)"), true);
  keyed.write("x", {}, nobody, 0);
  keyed.write("x", {}, nobody, 0);
  refused(keyed);
  // A stranger that is given a key takes what it has along.
  keyed.clear(new LocalError("CLEARED", "dropped"));
  stranger.share.isOpen = false;
  stranger.write("x", {}, nobody, 0);
  devices.add(true).write("x", {}, nobody, 0);
  assertEquals(devices.pool.taken, 4 * (MESSAGE + 1));
  const alone = new Devices(3 * MESSAGE);
  const session = alone.add(true);
  for (let n = 0; n < 3; n++) session.write("x", {}, nobody, 0);
  refused(session);
});
