/** Dialect 2, messages to the device: acks, windows, resuming, a change of dialect. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Dialect2Rig, frame } from "../../tests/support/dialect2_rig.ts";
import { breaks, TIMEOUT } from "../../tests/support/session_rig.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";

// Messages to the device.

Deno.test("the first message need not wait: the greeting has shown that the device is there", () => {
  const link = new Dialect2Rig();
  link.write("early");
  link.connect();
  assertEquals(link.said(), ["00early"]);
});

Deno.test("an ack is for all messages before it, too", () => {
  const link = Dialect2Rig.up();
  const written = link.writeAll(5);
  link.hears("02\n");
  assertEquals(written.map(({ arrived }) => arrived), [1, 1, 1, 0, 0]);
  link.hears("04\n");
  assertEquals(written.map(({ arrived }) => arrived), [1, 1, 1, 1, 1]);
  assertEquals(link.record.outbox, []);
});

Deno.test("an ack that comes twice means nothing the second time", () => {
  const link = Dialect2Rig.up();
  link.writeAll(2);
  link.hears("00\n00\n");
  assertEquals(link.record.outbox.map(({ text }) => text), ["message 1"]);
});

for (
  const [what, ack, sent] of [
    ["nothing was ever sent", "00", 0],
    ["it is for the next message", "03", 3],
    ["it is far ahead", "40", 3],
    ["it is for one settled long ago", "80", 3],
  ] as const
) {
  Deno.test(`an ack for what was never sent is BAD_POSITION: ${what}`, () => {
    const link = Dialect2Rig.up();
    const written = link.writeAll(sent);
    breaks("BAD_POSITION", () => link.hears(`${ack}\n`));
    assert(written.every(({ arrived }) => arrived === 0), "nobody is told anything");
    assertEquals(link.record.outbox.length, sent);
  });
}

Deno.test("an ack for what is accepted, but not sent yet, is BAD_POSITION", () => {
  const link = Dialect2Rig.up({ window: 2 });
  link.writeAll(3);
  breaks("BAD_POSITION", () => link.hears("02\n"));
});

for (const window of [1, 2, 63, 64]) {
  Deno.test(`a device with a window of ${window} is sent no more messages than that without an ack`, () => {
    const link = Dialect2Rig.up({ window, bytes: 1_000_000 });
    const written = link.writeAll(200);
    const sent = link.said();
    assertEquals(sent.length, window);
    link.hears(`${frame(0)}\n`);
    assertEquals(link.said(), [frame(window, `message ${window}`)]);
    for (let done = 1; done < 200; done++) link.hears(`${frame(done)}\n`);
    assert(written.every(({ arrived }) => arrived === 1));
  });
}

Deno.test("a device with little room is sent no more bytes than fit without an ack, each line's frame included", () => {
  const link = Dialect2Rig.up({ bytes: 30, line: 20 });
  for (const text of ["1234567", "1234567", "1234567", "x"]) link.write(text);
  assertEquals(link.said(), ["001234567", "011234567", "021234567"]);
  link.hears("00\n");
  assertEquals(link.said(), ["03x"]);
});

Deno.test("bytes are counted in UTF-8", () => {
  const link = Dialect2Rig.up({ bytes: 20, line: 17 });
  link.write("ééé");
  link.write("ééé");
  link.write("é");
  assertEquals(link.said(), ["00ééé", "01ééé"]);
});

Deno.test("the longest message always fits: bytes are line + 3", () => {
  const link = Dialect2Rig.up({ bytes: 15, line: 12 });
  const text = "twelve bytes";
  link.write(text);
  link.write("x");
  assertEquals(link.said(), [`00${text}`]);
  link.hears("00\n");
  assertEquals(link.said(), ["01x"]);
  assertThrows(() => link.write(`${text}!`), LocalError, "12 bytes");
});

Deno.test("nothing is sent twice on a connection, however long the ack takes", () => {
  const link = Dialect2Rig.up();
  link.write("one");
  link.said();
  for (let n = 0; n < 40; n++) {
    link.now += TIMEOUT / 4;
    link.session.tick(link.now);
    link.hears("\n");
  }
  assertEquals(link.said(), []);
  breaks("SILENT", () => link.session.tick(link.now + TIMEOUT));
});

Deno.test("after an outage exactly what the device does not have is sent, under the same numbers", () => {
  const link = Dialect2Rig.up();
  const written = link.writeAll(5);
  link.hears("00\n");
  link.lose();
  const late = link.write("message 5");
  link.resume(3);
  assertEquals(written.map(({ arrived }) => arrived), [1, 1, 1, 0, 0]);
  assertEquals(link.said(), ["03message 3", "04message 4", "05message 5"]);
  link.hears("05\n");
  assertEquals([written[4]!.arrived, late.arrived], [1, 1]);
});

Deno.test("a device that lost its position gets again what was not acknowledged", () => {
  for (const said of [{ rxEpoch: 0, rxNext: 0 }, { rxEpoch: 12345, rxNext: 3 }]) {
    const link = Dialect2Rig.up();
    link.writeAll(3);
    link.hears("00\n");
    link.lose();
    link.said();
    assertEquals(link.connect(said).txFirst, 1);
    assertEquals(link.said(), ["01message 1", "02message 2"]);
  }
});

Deno.test("a position beyond what was ever sent: all that is held goes out in a new stream", () => {
  const link = Dialect2Rig.up();
  const { txEpoch } = link.record.positions;
  link.writeAll(2);
  link.said();
  const welcome = link.resume(3);
  assertEquals([welcome.renamed, welcome.txFirst], [true, 0]);
  assert(welcome.txEpoch !== txEpoch);
  assertEquals(link.record.positions.txEpoch, welcome.txEpoch);
  assertEquals(link.said(), ["00message 0", "01message 1"]);
});

Deno.test("an ack before the bytes that end a connection counts, and messages sent after it stay sent", () => {
  const link = Dialect2Rig.up();
  const [first, second] = link.writeAll(2);
  assertThrows(() => link.hears(`${frame(0)}\nnonsense\n`), PeerError, "not start with an id");
  link.lose();
  const { renamed } = link.resume(2);
  assertEquals([first!.arrived, second!.arrived, renamed], [1, 1, false]);
  assertEquals(link.said(), []);
});

Deno.test("order is kept without waiting, whatever a writer asks for", () => {
  const link = Dialect2Rig.up();
  link.write("waits", { wait: true });
  link.write("does not", { wait: false });
  link.write("may be lost", { qos: false });
  link.write("waits", { wait: true });
  assertEquals(link.said(), ["00waits", "01does not", "02may be lost", "03waits"]);
});

Deno.test("without qos a message is withdrawn when its connection ends, and the others keep their numbers", () => {
  const link = Dialect2Rig.up();
  link.write("kept");
  assertEquals(link.write("may be lost", { qos: false }).accepted, true);
  link.write("kept, too");
  link.said();
  link.lose();
  assertEquals(link.write("no link", { qos: false }).accepted, false);
  link.resume(0);
  assertEquals(link.said(), ["00kept", "01\0", "02kept, too"]);
  link.hears("02\n");
  assertEquals(link.record.outbox, []);
});

Deno.test("a device that comes back with shorter lines: longer messages are rejected, others are sent", () => {
  const link = Dialect2Rig.up();
  const [long, short] = [link.write("longer than ten bytes"), link.write("short")];
  link.lose();
  link.connect({ line: 10, bytes: 13, rxEpoch: 0 });
  assertEquals([long.failed?.code, long.arrived, short.failed], ["BAD_TEXT", 0, undefined]);
  assertEquals(link.said(), ["00\0", "01short"]);
  link.hears("01\n");
  assertEquals([long.arrived, short.arrived], [0, 1]);
});

Deno.test("a text that begins with NUL is refused: on the wire it would mean a withdrawn message", () => {
  const link = Dialect2Rig.up();
  const error = assertThrows(() => link.write("\0secret"), LocalError);
  assertEquals(error.code, "BAD_TEXT");
});

Deno.test("an outbox full of messages or of text refuses more, and has room again after an ack", () => {
  for (const limits of [{ outbox: 3 }, { queueText: 21 }]) {
    const link = Dialect2Rig.up({}, limits);
    for (const text of ["1234567", "1234567", "1234567"]) link.write(text);
    const error = assertThrows(() => link.write("x"), LocalError);
    assertEquals(error.code, "OUTBOX_FULL");
    link.hears("00\n");
    link.write("x");
  }
});

Deno.test("the room that a withdrawn message took is freed exactly once", () => {
  const link = Dialect2Rig.up({}, { queueText: 20 });
  for (let round = 0; round < 10; round++) {
    const next = link.record.positions.txNext;
    link.write("x".repeat(19), { qos: false });
    link.lose();
    link.resume(next);
    link.hears(`${frame(next)}\n`);
    assertEquals(link.record.outbox.length, 0);
  }
  link.write("x".repeat(19));
  link.write("x");
  assertThrows(() => link.write("x"), LocalError);
});

// Changes of dialect.

Deno.test("acks out of order in dialect 1 leave no hole for dialect 2", () => {
  const link = new Dialect2Rig();
  link.connect1();
  link.hears("\n");
  link.write("boot");
  link.hears("00\n");
  const written = ["a", "b", "c"].map((text) => link.write(text, { wait: false }));
  link.hears("02\n");
  assertEquals(written.map(({ arrived }) => arrived), [0, 1, 0]);
  link.lose();
  link.connect({ rxEpoch: 0 });
  assertEquals(link.said(), ["01a", "02\0", "03c"]);
  link.hears("03\n");
  assertEquals(written.map(({ arrived }) => arrived), [1, 1, 1]);
});
