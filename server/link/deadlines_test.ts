import { assertEquals, assertThrows } from "@std/assert";
import { Dialect2Rig, frame, type Written } from "../../tests/support/dialect2_rig.ts";
import { Records } from "../../tests/support/records.ts";
import { SessionRig, TIMEOUT } from "../../tests/support/session_rig.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { defaultLimits } from "./limits.ts";
import { WITHDRAWN } from "./record.ts";
import { Session } from "./session.ts";

/** Time passes, and the driver tells the session. */
function reach(link: Dialect2Rig | SessionRig, ms: number): void {
  link.now += ms;
  link.session.expire(link.now);
  link.flush();
}

function fate({ arrived, failed }: Written): string {
  return failed?.code ?? (arrived === 1 ? "arrived" : "waits");
}

/** The server restarts with what it has stored. */
function restart(link: Dialect2Rig): void {
  const { mayHaveForgotten } = new Records().create("1", structuredClone(link.record.state));
  link.record.mayHaveForgotten = mayHaveForgotten;
  link.session = new Session(link.record, TIMEOUT, defaultLimits);
}

/** The expired messages that were reported, whether or not anybody waits for them. */
function told({ session }: Dialect2Rig): string[] {
  return session.takeExpired().map(({ text, error }) => `${text}: ${error.code}`);
}

Deno.test("a message that was not sent in time is EXPIRED at its deadline, and never sent", () => {
  const link = new Dialect2Rig();
  const written = link.write("open the door", { expires: 100 });
  assertEquals(link.session.expiry, link.now + 100);
  reach(link, 99);
  assertEquals(fate(written), "waits");
  reach(link, 1);
  assertEquals([fate(written), link.session.expiry], ["EXPIRED", Infinity]);
  assertEquals([link.session.counts.expired, link.record.outbox.length], [1, 0]);
  link.connect();
  assertEquals(link.said(), []);
});

Deno.test("an expired message leaves its number behind, and the others keep theirs", () => {
  const link = new Dialect2Rig();
  const [first, second, third] = [
    link.write("stays"),
    link.write("expires", { expires: 100 }),
    link.write("stays, too"),
  ];
  reach(link, 100);
  assertEquals([first, second, third].map(fate), ["waits", "EXPIRED", "waits"]);
  link.connect();
  assertEquals(link.said(), [frame(0, "stays"), frame(1, WITHDRAWN), frame(2, "stays, too")]);
  link.hears(`${frame(2)}\n`);
  assertEquals([first, second, third].map(fate), ["arrived", "EXPIRED", "arrived"]);
});

Deno.test("an ack that comes after the deadline counts: the device has the message", () => {
  const link = Dialect2Rig.up();
  const written = link.write("a", { expires: 100 });
  reach(link, 150);
  assertEquals([fate(written), link.session.counts.expired], ["waits", 0]);
  link.hears(`${frame(0)}\n`);
  assertEquals(fate(written), "arrived");
});

Deno.test("what was sent without an ack is decided by the next greeting", () => {
  for (const [has, expected] of [[0, "EXPIRED"], [1, "arrived"]] as const) {
    const link = Dialect2Rig.up();
    const written = link.write("a", { expires: 100 });
    link.lose();
    reach(link, 100);
    assertEquals(fate(written), "waits");
    link.resume(has);
    assertEquals(fate(written), expected);
    assertEquals(link.said(), expected === "EXPIRED" ? [frame(0, WITHDRAWN)] : []);
  }
});

Deno.test("a message that was never sent is not in doubt, although a connection was up", () => {
  const link = Dialect2Rig.up({ window: 1 });
  const [sent, behind] = ["a", "b"].map((text) => link.write(text, { expires: 100 }));
  link.lose();
  reach(link, 100);
  assertEquals([fate(sent!), fate(behind!)], ["waits", "EXPIRED"]);
});

Deno.test("a message whose deadline is after the outage is sent again until then", () => {
  const link = Dialect2Rig.up();
  const written = link.write("a", { expires: 100 });
  link.lose();
  link.resume(0);
  assertEquals(link.said(), [frame(0, "a")]);
  link.lose();
  reach(link, 100);
  link.resume(0);
  assertEquals([link.said(), fate(written)], [[frame(0, WITHDRAWN)], "EXPIRED"]);
});

Deno.test("a device that has lost its memory cannot say what it has: UNDECIDED, and not sent again", () => {
  const link = Dialect2Rig.up();
  const written = link.write("a", { expires: 100 });
  link.lose();
  reach(link, 100);
  link.connect({ rxEpoch: 0, rxNext: 0 });
  assertEquals([fate(written), link.said()], ["UNDECIDED", [frame(0, WITHDRAWN)]]);
});

Deno.test("once a device may have had a message and forgotten it, no greeting decides any more", () => {
  for (const isRestarted of [false, true]) {
    const link = Dialect2Rig.up();
    link.write("a", { expires: 100 });
    link.lose();
    link.connect({ rxEpoch: 0, rxNext: 0 }); // it may have the message, which is sent again
    assertEquals(link.said(), [frame(0, "a")]);
    link.lose();
    if (isRestarted) restart(link);
    reach(link, 100);
    link.resume(0);
    assertEquals([told(link), link.said()], [["a: UNDECIDED"], []]);
    assertEquals(told(link), [], "it is reported once");
  }
});

Deno.test("a deadline survives a restart, and what may have been sent before it waits for a greeting", () => {
  const link = Dialect2Rig.up();
  link.write("perhaps sent", { expires: 100 });
  link.lose();
  link.write("not sent", { expires: 100 });
  restart(link);
  reach(link, 100);
  assertEquals(link.record.outbox.map(({ text }) => text), ["perhaps sent", WITHDRAWN]);
  assertEquals(told(link), ["not sent: EXPIRED"]);
  link.resume(0);
  assertEquals(link.said(), [frame(0, WITHDRAWN), frame(1, WITHDRAWN)]);
  assertEquals(
    told(link),
    ["perhaps sent: UNDECIDED"],
    "the device may have forgotten the message meanwhile",
  );
});

Deno.test("an unconfirmed welcome does not prove what the device has", () => {
  const link = Dialect2Rig.up();
  const written = link.write("a", { expires: 100 });
  link.lose();
  reach(link, 100);
  link.record.mayHaveForgotten = true; // the device has said that it knows nothing, and was gone again
  link.resume(0);
  assertEquals(fate(written), "UNDECIDED");
});

Deno.test("an ack that does not come for a timeout after the deadline ends the connection", () => {
  const link = Dialect2Rig.up();
  const written = link.write("a", { expires: 100 });
  const tick = (ms: number) => {
    reach(link, ms);
    link.hears("\n"); // the device is there
    link.session.tick(link.now);
  };
  tick(100);
  tick(TIMEOUT - 1);
  const error = assertThrows(() => tick(1), PeerError, "after its deadline");
  assertEquals(error.code, "LATE");
  link.lose();
  link.resume(0);
  assertEquals(fate(written), "EXPIRED");
  tick(2 * TIMEOUT);
});

Deno.test("of several messages past their deadline the first one decides when the connection ends", () => {
  const link = Dialect2Rig.up();
  for (const expires of [100, 100 + TIMEOUT / 2, 10 * TIMEOUT]) link.write("a", { expires });
  const tick = (ms: number) => {
    reach(link, ms);
    link.hears("\n");
    link.session.tick(link.now);
  };
  tick(100);
  tick(TIMEOUT - 1);
  assertEquals(assertThrows(() => tick(1), PeerError).code, "LATE");
  // With an ack for that one, it is the second one's turn.
  link.hears(`${frame(0)}\n`);
  tick(TIMEOUT / 2 - 1);
  assertEquals(assertThrows(() => tick(1), PeerError).code, "LATE");
});

Deno.test("while the server does not read from a device, an ack may be waiting: the connection stays", () => {
  const link = Dialect2Rig.up();
  link.write("a", { expires: 100 });
  reach(link, 100 + TIMEOUT);
  assertEquals([link.session.isLate(link.now, true), link.session.isLate(link.now, false)], [
    true,
    false,
  ]);
  link.session.tick(link.now, false);
  assertEquals(assertThrows(() => link.session.tick(link.now, true), PeerError).code, "LATE");
});

Deno.test("when a device is read again, its ack may come for a whole timeout", () => {
  const link = Dialect2Rig.up();
  link.write("a", { expires: 100 });
  reach(link, 100 + 2 * TIMEOUT);
  link.session.listen(link.now);
  link.session.tick(link.now);
  reach(link, TIMEOUT - 1);
  link.hears("\n");
  link.session.tick(link.now);
  reach(link, 1);
  assertEquals(assertThrows(() => link.session.tick(link.now), PeerError).code, "LATE");
});

Deno.test("a device that has lost its memory leaves nothing in doubt that it was never sent", () => {
  const link = Dialect2Rig.up({ window: 1 });
  const [sent, behind] = [link.write("a"), link.write("b", { expires: 100 })];
  link.lose();
  link.connect({ rxEpoch: 0, rxNext: 0 });
  reach(link, 100);
  assertEquals([fate(sent), fate(behind)], ["waits", "EXPIRED"]);
  assertEquals(link.record.outbox[0]!.isDoubtful, false, "it has no deadline");
});

Deno.test("dialect 1 never shows what a device has: a sent message is UNDECIDED, and not sent again", () => {
  const link = SessionRig.booted();
  const codes: string[] = [];
  const writer = { arrived: () => {}, failed: ({ code }: LocalError) => codes.push(code) };
  for (const text of ["sent", "not sent"]) {
    link.session.write(text, { expires: 100 }, writer, link.now);
  }
  link.flush();
  assertEquals(link.said(), ["01sent"]);
  reach(link, 100);
  assertEquals(codes, ["UNDECIDED", "EXPIRED"]);
  link.lose();
  link.connect("\n");
  assertEquals(link.said(), []);
  link.hears("01\n");
  assertEquals(
    [link.session.counts.delivered, link.session.counts.expired],
    [1, 2],
    "message 00 was delivered before",
  );
});

Deno.test("a deadline does not affect a message that has arrived before it", () => {
  const link = Dialect2Rig.up();
  const written = link.write("a", { expires: 100 });
  link.hears(`${frame(0)}\n`);
  reach(link, 1000);
  assertEquals([fate(written), link.session.counts.expired], ["arrived", 0]);
});

Deno.test("messages that expire while a device is away leave room for others", () => {
  const link = new Dialect2Rig({ outbox: 10 });
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 10; n++) link.write(`${n}`, { expires: 100 });
    assertThrows(() => link.write("one more"), LocalError, "10 messages wait");
    reach(link, 100);
  }
  link.write("the last");
  link.connect();
  assertEquals(link.said(), [frame(50, "the last")]);
});

Deno.test("malformed deadlines are refused", () => {
  const link = Dialect2Rig.up();
  for (const expires of [0, -1, 1.5, NaN, Infinity, 366 * 24 * 3_600_000]) {
    const error = assertThrows(() => link.write("a", { expires }), LocalError, "expires");
    assertEquals(error.code, "BAD_ARGUMENT");
  }
  assertThrows(() => link.write("a", { expires: 1, qos: false }), LocalError, "never waits");
  assertEquals(link.record.outbox, []);
  for (const expires of [1, 365 * 24 * 3_600_000]) link.write("a", { expires });
  assertEquals(link.record.outbox.length, 2);
});
