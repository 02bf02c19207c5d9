/** What a session counts, and what it does at its bounds; in dialect 2 unless it says otherwise. */
import { assertEquals, assertThrows } from "@std/assert";
import { Dialect2Rig, frame } from "../../tests/support/dialect2_rig.ts";
import { SessionRig, TIMEOUT } from "../../tests/support/session_rig.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { defaultLimits } from "./limits.ts";
import { Session } from "./session.ts";

Deno.test("while nothing can be made safe, a keepalive goes out a quarter of the timeout after the last bytes", () => {
  const link = SessionRig.up();
  const { session } = link;
  const after = (ms: number) => session.keepAlive(link.now += ms);
  assertEquals([after(0), after(TIMEOUT / 4 - 1), after(1), after(0)], ["", "", "\n", ""]);
  link.lose();
  assertEquals(after(TIMEOUT), "");
});

Deno.test("messages count as received, but log lines and withdrawn messages do not", () => {
  const link = Dialect2Rig.up();
  link.hears(`${frame(0, "\x01a line of the log")}\n${frame(1, "\0")}\n${frame(2, "a")}\n`);
  assertEquals(link.session.counts.received, 1);
  assertEquals(link.readAll(), ["a"]);
  assertEquals(link.session.counts.processed, 1);
});

Deno.test("messages with qos that the device has count as delivered, but not those too long for it", () => {
  const link = Dialect2Rig.up();
  link.write("too long for the device");
  link.lose();
  link.connect({ line: 8 });
  link.write("no qos", { qos: false });
  link.write("qos");
  assertEquals(link.said(), [frame(0, "\0"), frame(1, "no qos"), frame(2, "qos")]);
  link.hears(`${frame(2)}\n`);
  const { written, delivered } = link.session.counts;
  assertEquals([written, delivered, link.record.outbox.length], [2, 1, 0]);
});

Deno.test("a device comes back with less room: what just fits stays, and the rest is withdrawn, whether or not a writer waits", () => {
  const link = Dialect2Rig.up();
  const [fits, long] = [link.write("12345"), link.write("123456")];
  link.lose();
  // The server is started again meanwhile: nobody waits any more.
  const restarted = new Session(link.record, TIMEOUT, defaultLimits);
  link.connect({ line: 5 });
  assertEquals([fits.failed, long.failed?.code], [undefined, "BAD_TEXT"]);
  link.lose();
  link.session = restarted;
  link.connect({ line: 4 });
  assertEquals(link.record.outbox.map(({ text }) => text), ["\0", "\0"]);
});

Deno.test("cleared: waiting messages are counted, and writers that have gone are not called", () => {
  const link = Dialect2Rig.up();
  link.write("too long");
  link.lose();
  link.connect({ line: 4 });
  const written = link.write("a");
  link.hears(`${frame(0, "b")}\n${frame(1, "c")}\n`);
  link.lose();
  assertEquals(link.session.clear(new LocalError("CLEARED", "by a test")), { inbox: 2, outbox: 1 });
  assertEquals(written.failed?.code, "CLEARED");
  link.connect({ line: 100 });
  link.write("nobody waits for it");
  link.lose();
  link.session = new Session(link.record, TIMEOUT, defaultLimits);
  assertEquals(link.session.clear(new LocalError("CLEARED", "by a test")).outbox, 1);
});

Deno.test("without qos, a message is refused where there is no room in the outbox", () => {
  const link = Dialect2Rig.up({}, { outbox: 1 });
  link.write("a");
  assertEquals(link.write("b", { qos: false }).accepted, false);
  assertThrows(() => link.write("c"), LocalError, "1 messages wait");
  link.hears(`${frame(0)}\n`);
  assertEquals(link.write("d", { qos: false }).accepted, true);
});

Deno.test("without qos, a message is refused while the socket takes nothing: dialect 1", () => {
  const link = SessionRig.booted({ lineBytes: 10_000 });
  link.takes = false;
  let accepted = 0;
  while (link.write("x".repeat(9000), { qos: false }).accepted && accepted < 1000) accepted++;
  assertEquals(accepted, Math.ceil(64 * 1024 / 9003), "64 KB, and the one that goes beyond");
  link.takes = true;
  link.flush();
  assertEquals(link.write("x", { qos: false }).accepted, true);
});

Deno.test("a message that is too old stops further ones, unless it has no qos or was withdrawn", () => {
  const limits = { outboxAge: 1000 };
  const noQos = Dialect2Rig.up({}, limits);
  noQos.write("no qos", { qos: false });
  noQos.now += 1001;
  assertEquals(noQos.write("a").accepted, true);

  const withdrawn = Dialect2Rig.up({}, limits);
  withdrawn.write("too long");
  withdrawn.lose();
  withdrawn.connect({ line: 4 });
  withdrawn.now += 1001;
  assertEquals(withdrawn.write("a").accepted, true);
  withdrawn.now += 1000;
  assertEquals(withdrawn.write("b").accepted, true, "just not too old");
  withdrawn.now += 1;
  assertThrows(() => withdrawn.write("c"), LocalError, "has waited");
});

Deno.test("a session is idle when both queues are empty, or hold only withdrawn messages", () => {
  const link = Dialect2Rig.up();
  assertEquals(link.session.isIdle, true);
  link.hears(`${frame(0, "a")}\n`);
  assertEquals(link.session.isIdle, false, "a message of the device");
  link.readAll();
  assertEquals(link.session.isIdle, true);
  link.write("too long for it");
  assertEquals(link.session.isIdle, false, "a message to the device");
  link.lose();
  link.connect({ line: 4 });
  assertEquals([link.record.outbox.length, link.session.isIdle], [1, true], "it was withdrawn");
  const restarted = new Session(link.record, TIMEOUT, defaultLimits);
  assertEquals(restarted.isIdle, true);
});

Deno.test("a device has booted when its stream has a new epoch, and only then", () => {
  const link = new Dialect2Rig();
  let boots = 0;
  link.session = new Session(link.record, TIMEOUT, defaultLimits, {
    logged() {},
    told() {},
    notWritten() {},
    booted: () => boots++,
  });
  const seen: number[] = [];
  for (const txEpoch of [77, 77, 78, 78]) {
    link.connect({ txEpoch });
    seen.push(boots);
  }
  assertEquals(seen, [1, 1, 2, 2]);
});

Deno.test("a message out of order: the error says which came, and which should have", () => {
  const link = Dialect2Rig.up();
  link.hears(`${frame(0, "a")}\n`);
  const error = assertThrows(() => link.hears(`${frame(255, "b")}\n`), PeerError);
  assertEquals([error.code, error.message], ["GAP", "message ff came instead of 01"]);
});

Deno.test("a transaction's message waits for those before it: dialect 1", () => {
  const link = SessionRig.booted();
  link.write("a");
  link.session.enqueue("b", { overtakes: false, qos: true }, link.now);
  link.session.resume();
  link.flush();
  assertEquals(link.said(), ["01a"]);
  link.hears("01\n");
  assertEquals(link.said(), ["02b"]);
});

Deno.test("a device has the credit that it was given, however many messages were acknowledged before", () => {
  const link = Dialect2Rig.up({}, { lineBytes: 20, inbox: 1 });
  let number = 0;
  const next = () => `${frame(number++, "x".repeat(20))}\n`;
  for (let i = 0; i < 100; i++) {
    link.hears(next());
    link.readAll();
  }
  link.hears(next()); // the inbox is full
  for (let i = 0; i < 4; i++) link.hears(next()); // the credit is four lines of that length
  const error = assertThrows(() => link.hears(next()), PeerError);
  assertEquals(error.code, "CREDIT");
});
