/** Dialect 2, messages from the device: acks, repeats, credit, a full inbox. */
import { assertEquals } from "@std/assert";
import { Dialect2Rig, frame, lines } from "../../tests/support/dialect2_rig.ts";
import { breaks } from "../../tests/support/session_rig.ts";
import { LineSplitter } from "../protocol/lines.ts";

const encoder = new TextEncoder();

Deno.test("messages that arrive together get one ack, for the last one", () => {
  const link = Dialect2Rig.up();
  link.hears("00one\n01two\n\n02three\n");
  assertEquals(link.said(), ["02"]);
  assertEquals(link.readAll(), ["one", "two", "three"]);
});

Deno.test("nothing is acknowledged, and nothing is shown, before it is safe", () => {
  const link = Dialect2Rig.up();
  link.session.receive(new LineSplitter(100).push(encoder.encode("00one\n")), link.now);
  assertEquals(link.session.peek(), undefined);
  link.store.commit();
  assertEquals(link.session.peek(), "one");
  assertEquals(link.session.transmit(link.now), "00\n");
});

Deno.test("numbers continue across 255 and 2^32", () => {
  for (const first of [0, 2 ** 32 - 300]) {
    const link = new Dialect2Rig();
    link.connect({ txFirst: first });
    for (let n = 0; n < 600; n++) {
      const number = (first + n) >>> 0;
      link.hears(`${frame(number, `${n}`)}\n`);
      assertEquals(link.said(), [frame(number)]);
      assertEquals(link.read(), `${n}`);
    }
    assertEquals(link.record.positions.rxNext, (first + 600) >>> 0);
  }
});

for (
  const [what, line] of [
    ["a number is left out", "02three"],
    ["the same number comes again", "00one"],
    ["a number comes from long ago", "ffold"],
  ] as const
) {
  Deno.test(`a message out of order is a GAP: ${what}; what came before it counts`, () => {
    const link = Dialect2Rig.up();
    link.hears("00one\n");
    breaks("GAP", () => link.hears(`${line}\n01two\n`));
    assertEquals(link.readAll(), ["one"]);
    link.lose();
    assertEquals(link.resume(0, 0).rxNext, 1);
    link.hears("01two\n");
    assertEquals(link.readAll(), ["two"]);
  });
}

Deno.test("if a connection ends in the middle of a message, the stream continues with that message", () => {
  const link = Dialect2Rig.up();
  link.hears("00one\n01tw");
  link.lose();
  assertEquals(link.resume(0, 0).rxNext, 1);
  link.hears("01two\n");
  assertEquals(link.readAll(), ["one", "two"]);
});

Deno.test("a device that has lost its outbox begins a new stream, and none of its messages is a repeat", () => {
  const link = Dialect2Rig.up();
  link.hears("00same\n01same\n");
  link.lose();
  assertEquals(link.connect({ txEpoch: 78, txFirst: 0 }).rxNext, 0);
  link.hears("00same\n01same\n");
  assertEquals(link.readAll(), ["same", "same", "same", "same"]);
});

Deno.test("a withdrawn message is counted and acknowledged, and nobody sees it", () => {
  const link = Dialect2Rig.up();
  link.hears("00one\n01\0\n02three\n03\0with a rest\n");
  assertEquals(link.said(), ["03"]);
  assertEquals(link.readAll(), ["one", "three"]);
});

Deno.test("a second hello, of either dialect, on a connection is BAD_LINE", () => {
  for (const hello of [`\x0100${"0".repeat(88)}1`, "kitchen"]) {
    const link = Dialect2Rig.up();
    breaks("BAD_LINE", () => link.hears(`00one\n${hello}\n01two\n`));
    assertEquals(link.readAll(), ["one"]);
  }
});

Deno.test("a line longer than the server takes is LINE_TOO_LONG, the longest one is not", () => {
  const link = Dialect2Rig.up({}, { lineBytes: 5 });
  link.hears("00five\n");
  link.hears("01five!\n");
  breaks("LINE_TOO_LONG", () => link.hears("02sixsix\n"));
  assertEquals(link.readAll(), ["five", "five!"]);
});

Deno.test("a full inbox stops acks, and the device is read up to its credit", () => {
  const link = Dialect2Rig.up({}, { inbox: 2 });
  link.hears("00a\n01b\n02c\n03d\n");
  assertEquals(link.said(), ["01"]);
  assertEquals(link.session.wantsInput, false);
  assertEquals(link.read(), "a");
  assertEquals(link.said(), ["02"]);
  assertEquals(link.readAll(), ["b", "c", "d"]);
  assertEquals(link.said(), ["03"]);
});

Deno.test("a full inbox lets withdrawn messages through, as they take no room", () => {
  const link = Dialect2Rig.up({}, { inbox: 1 });
  link.hears("00a\n01\0\n02\0\n");
  assertEquals(link.said(), ["02"]);
});

Deno.test("a device that sends more than 64 messages without an ack breaks its credit", () => {
  const link = Dialect2Rig.up({}, { inbox: 1 });
  link.write("an ack that is waited for keeps it reading");
  link.hears(lines(0, 1)); // fills the inbox
  link.hears(lines(1, 64));
  breaks("CREDIT", () => link.hears(lines(65, 1)));
});

Deno.test("a device that sends more bytes without an ack than there is room for breaks its credit", () => {
  const link = Dialect2Rig.up({}, { inbox: 1, lineBytes: 10 });
  link.write("an ack that is waited for keeps it reading".slice(0, 10));
  link.hears("00fills it\n");
  for (const id of [1, 2, 3, 4]) link.hears(`${frame(id, "ten bytes.")}\n`);
  breaks("CREDIT", () => link.hears("05x\n"));
});

Deno.test("credit is given back with the room: any number of bytes may pass", () => {
  const link = Dialect2Rig.up({}, { inbox: 1, lineBytes: 10 });
  link.hears("00fills it\n");
  for (let n = 1; n < 100; n++) {
    link.hears(`${frame(n, "ten bytes.")}\n`);
    link.read();
  }
});

Deno.test("what was read beyond a full inbox is not acknowledged, and comes again", () => {
  const link = Dialect2Rig.up({}, { inbox: 1 });
  link.hears("00a\n01b\n02c\n");
  link.lose();
  assertEquals(link.resume(0, 1).rxNext, 1);
  assertEquals(link.readAll(), ["a"]);
  link.hears("01b\n");
  assertEquals(link.readAll(), ["b"]);
});
