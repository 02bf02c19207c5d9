import { assert, assertEquals, assertThrows } from "@std/assert";
import { saidAtFirst } from "../../tests/support/greeting.ts";
import { Dialect1 } from "./dialect1.ts";
import { agree, Dialect2 } from "./dialect2.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import type { Hello2 } from "../protocol/greeting.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { Session, type WriteOptions } from "./session.ts";
import { Records } from "../../tests/support/records.ts";
import { LineSplitter } from "../protocol/lines.ts";

/** In ms; nothing here takes real time. */
const TIMEOUT = 1000;

const encoder = new TextEncoder();

/** What became of a write. */
interface Written {
  accepted: boolean;
  arrived: number;
  failed: LocalError | undefined;
}

/** A session in dialect 2, and the test in the place of its device, of its store and of the clock. */
class Link {
  readonly store = new Records();
  readonly record = this.store.create("1");
  session: Session;
  now = 5000;
  /** What the device says of itself. It takes over what it gets, so that it can come back. */
  hello: Hello2 = { ...saidAtFirst, suite: 0, txEpoch: 77, metadata: "" };
  #sent = "";
  #splitter!: LineSplitter;

  constructor(readonly limits: Partial<Limits> = {}) {
    this.session = new Session(this.record, TIMEOUT, { ...defaultLimits, ...limits });
  }

  static up(said: Partial<Hello2> = {}, limits: Partial<Limits> = {}): Link {
    const link = new Link(limits);
    link.connect(said);
    return link;
  }

  /** A new connection. Returns what the welcome said. */
  connect(said: Partial<Hello2> = {}) {
    this.hello = { ...this.hello, ...said };
    this.session.disconnect();
    const agreement = agree(this.hello, this.record, this.session.limits);
    this.#splitter = new LineSplitter(this.session.limits.lineBytes + 2);
    const dialect = new Dialect2(this.hello, agreement, this.session);
    this.session.connect(dialect, this.hello.line, false, this.now);
    this.flush();
    return { ...agreement.welcome, ahead: agreement.ahead };
  }

  /** A new connection in dialect 1. */
  connect1(): void {
    this.session.disconnect();
    this.#splitter = new LineSplitter(this.session.limits.lineBytes + 2);
    const dialect = new Dialect1(this.record, this.session.settled, TIMEOUT);
    this.session.connect(dialect, this.session.limits.lineBytes, true, this.now);
    this.flush();
  }

  /** The device comes back after it has got so far in our stream. */
  resume(rxNext: number, txFirst = this.record.positions.rxNext) {
    return this.connect({ rxEpoch: this.record.positions.txEpoch, rxNext, txFirst });
  }

  lose(): void {
    this.session.disconnect();
    this.#sent = "";
  }

  hears(text: string): void {
    this.session.receive(this.#splitter.push(encoder.encode(text)), this.now);
    this.flush();
  }

  flush(): void {
    this.store.commit();
    this.#sent += this.session.transmit(this.now);
  }

  /** What was sent since the last look, keepalives left out. */
  said(): string[] {
    const lines = this.#sent.split("\n").filter((line) => line !== "");
    this.#sent = "";
    return lines;
  }

  write(text: string, options: WriteOptions = {}): Written {
    const result: Written = { accepted: false, arrived: 0, failed: undefined };
    result.accepted = this.session.write(text, options, {
      arrived: () => result.arrived++,
      failed: (error) => result.failed = error,
    }, this.now);
    this.flush();
    return result;
  }

  writeAll(count: number): Written[] {
    return Array.from({ length: count }, (_, n) => this.write(`message ${n}`));
  }

  read(): string | undefined {
    this.flush();
    const text = this.session.peek();
    if (text !== undefined) this.session.shift();
    this.flush();
    return text;
  }

  readAll(): string[] {
    const texts: string[] = [];
    for (let text; (text = this.read()) !== undefined;) texts.push(text);
    return texts;
  }
}

/** A line as either end sends it; without a text, an ack. */
function frame(number: number, text = ""): string {
  return `${(number & 255).toString(16).padStart(2, "0")}${text}`;
}

function lines(from: number, count: number): string {
  return Array.from({ length: count }, (_, n) => `${frame(from + n, `text ${from + n}`)}\n`).join(
    "",
  );
}

function breaks(code: string, call: () => void): void {
  assertEquals(assertThrows(call, PeerError).code, code);
}

// Messages from the device.

Deno.test("messages that came together have one ack, that of the last one", () => {
  const link = Link.up();
  link.hears("00one\n01two\n\n02three\n");
  assertEquals(link.said(), ["02"]);
  assertEquals(link.readAll(), ["one", "two", "three"]);
});

Deno.test("nothing is acknowledged, and nothing is shown, before it is safe", () => {
  const link = Link.up();
  link.session.receive(new LineSplitter(100).push(encoder.encode("00one\n")), link.now);
  assertEquals(link.session.peek(), undefined);
  link.store.commit();
  assertEquals(link.session.peek(), "one");
  assertEquals(link.session.transmit(link.now), "00\n");
});

Deno.test("numbers go on over 255 and over 2^32", () => {
  for (const first of [0, 2 ** 32 - 300]) {
    const link = new Link();
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
  Deno.test(`a message out of turn is a GAP: ${what}; what came before it counts`, () => {
    const link = Link.up();
    link.hears("00one\n");
    breaks("GAP", () => link.hears(`${line}\n01two\n`));
    assertEquals(link.readAll(), ["one"]);
    link.lose();
    assertEquals(link.resume(0, 0).rxNext, 1);
    link.hears("01two\n");
    assertEquals(link.readAll(), ["two"]);
  });
}

Deno.test("a message before the one that is lost with its connection is taken up where it was left", () => {
  const link = Link.up();
  link.hears("00one\n01tw");
  link.lose();
  assertEquals(link.resume(0, 0).rxNext, 1);
  link.hears("01two\n");
  assertEquals(link.readAll(), ["one", "two"]);
});

Deno.test("a device that has lost its outbox begins a new stream, and nothing of it is a repeat", () => {
  const link = Link.up();
  link.hears("00same\n01same\n");
  link.lose();
  assertEquals(link.connect({ txEpoch: 78, txFirst: 0 }).rxNext, 0);
  link.hears("00same\n01same\n");
  assertEquals(link.readAll(), ["same", "same", "same", "same"]);
});

Deno.test("a withdrawn message is counted and acknowledged, and nobody sees it", () => {
  const link = Link.up();
  link.hears("00one\n01\0\n02three\n03\0with a rest\n");
  assertEquals(link.said(), ["03"]);
  assertEquals(link.readAll(), ["one", "three"]);
});

Deno.test("a second hello, of either dialect, on a connection is BAD_LINE", () => {
  for (const hello of [`\x0100${"0".repeat(88)}1`, "kitchen"]) {
    const link = Link.up();
    breaks("BAD_LINE", () => link.hears(`00one\n${hello}\n01two\n`));
    assertEquals(link.readAll(), ["one"]);
  }
});

Deno.test("a line longer than the server takes is LINE_TOO_LONG, the longest one is not", () => {
  const link = Link.up({}, { lineBytes: 5 });
  link.hears("00five\n");
  link.hears("01five!\n");
  breaks("LINE_TOO_LONG", () => link.hears("02sixsix\n"));
  assertEquals(link.readAll(), ["five", "five!"]);
});

Deno.test("a full inbox stops acks, and the device is read on as far as its credit", () => {
  const link = Link.up({}, { inbox: 2 });
  link.hears("00a\n01b\n02c\n03d\n");
  assertEquals(link.said(), ["01"]);
  assertEquals(link.session.wantsInput, false);
  assertEquals(link.read(), "a");
  assertEquals(link.said(), ["02"]);
  assertEquals(link.readAll(), ["b", "c", "d"]);
  assertEquals(link.said(), ["03"]);
});

Deno.test("a full inbox lets withdrawn messages through, as they take no room", () => {
  const link = Link.up({}, { inbox: 1 });
  link.hears("00a\n01\0\n02\0\n");
  assertEquals(link.said(), ["02"]);
});

Deno.test("a device that sends more than 64 messages without an ack breaks its credit", () => {
  const link = Link.up({}, { inbox: 1 });
  link.write("an ack that is waited for keeps it reading");
  link.hears(lines(0, 1)); // fills the inbox
  link.hears(lines(1, 64));
  breaks("CREDIT", () => link.hears(lines(65, 1)));
});

Deno.test("a device that sends more bytes without an ack than there is room for breaks its credit", () => {
  const link = Link.up({}, { inbox: 1, lineBytes: 10 });
  link.write("an ack that is waited for keeps it reading".slice(0, 10));
  link.hears("00fills it\n");
  for (const id of [1, 2, 3, 4]) link.hears(`${frame(id, "ten bytes.")}\n`);
  breaks("CREDIT", () => link.hears("05x\n"));
});

Deno.test("credit is given back with the room: any number of bytes may pass", () => {
  const link = Link.up({}, { inbox: 1, lineBytes: 10 });
  link.hears("00fills it\n");
  for (let n = 1; n < 100; n++) {
    link.hears(`${frame(n, "ten bytes.")}\n`);
    link.read();
  }
});

Deno.test("what was read beyond a full inbox is not acknowledged, and comes again", () => {
  const link = Link.up({}, { inbox: 1 });
  link.hears("00a\n01b\n02c\n");
  link.lose();
  assertEquals(link.resume(0, 1).rxNext, 1);
  assertEquals(link.readAll(), ["a"]);
  link.hears("01b\n");
  assertEquals(link.readAll(), ["b"]);
});

// Messages to the device.

Deno.test("the first message need not wait: the greeting has shown that the device is there", () => {
  const link = new Link();
  link.write("early");
  link.connect();
  assertEquals(link.said(), ["00early"]);
});

Deno.test("an ack is for all messages before it, too", () => {
  const link = Link.up();
  const written = link.writeAll(5);
  link.hears("02\n");
  assertEquals(written.map(({ arrived }) => arrived), [1, 1, 1, 0, 0]);
  link.hears("04\n");
  assertEquals(written.map(({ arrived }) => arrived), [1, 1, 1, 1, 1]);
  assertEquals(link.record.outbox, []);
});

Deno.test("an ack that comes twice means nothing the second time", () => {
  const link = Link.up();
  link.writeAll(2);
  link.hears("00\n00\n");
  assertEquals(link.record.outbox.map(({ text }) => text), ["message 1"]);
});

for (
  const [what, ack, sent] of [
    ["nothing was ever sent", "00", 0],
    ["it is of the next message", "03", 3],
    ["it is far ahead", "40", 3],
    ["it is of one long settled", "80", 3],
  ] as const
) {
  Deno.test(`an ack for what was never sent is BAD_POSITION: ${what}`, () => {
    const link = Link.up();
    const written = link.writeAll(sent);
    breaks("BAD_POSITION", () => link.hears(`${ack}\n`));
    assert(written.every(({ arrived }) => arrived === 0), "nobody is told anything");
    assertEquals(link.record.outbox.length, sent);
  });
}

Deno.test("an ack for what is accepted, but not sent yet, is BAD_POSITION", () => {
  const link = Link.up({ window: 2 });
  link.writeAll(3);
  breaks("BAD_POSITION", () => link.hears("02\n"));
});

for (const window of [1, 2, 63, 64]) {
  Deno.test(`to a device with a window of ${window} no more go out without an ack`, () => {
    const link = Link.up({ window, bytes: 1_000_000 });
    const written = link.writeAll(200);
    const sent = link.said();
    assertEquals(sent.length, window);
    link.hears(`${frame(0)}\n`);
    assertEquals(link.said(), [frame(window, `message ${window}`)]);
    for (let done = 1; done < 200; done++) link.hears(`${frame(done)}\n`);
    assert(written.every(({ arrived }) => arrived === 1));
  });
}

Deno.test("to a device with little room no more bytes go out without an ack, a line's frame counted", () => {
  const link = Link.up({ bytes: 30, line: 20 });
  for (const text of ["1234567", "1234567", "1234567", "x"]) link.write(text);
  assertEquals(link.said(), ["001234567", "011234567", "021234567"]);
  link.hears("00\n");
  assertEquals(link.said(), ["03x"]);
});

Deno.test("bytes are those of UTF-8", () => {
  const link = Link.up({ bytes: 20, line: 17 });
  link.write("ééé");
  link.write("ééé");
  link.write("é");
  assertEquals(link.said(), ["00ééé", "01ééé"]);
});

Deno.test("the longest message fits always: bytes are line + 3", () => {
  const link = Link.up({ bytes: 15, line: 12 });
  const text = "twelve bytes";
  link.write(text);
  link.write("x");
  assertEquals(link.said(), [`00${text}`]);
  link.hears("00\n");
  assertEquals(link.said(), ["01x"]);
  assertThrows(() => link.write(`${text}!`), LocalError, "12 bytes");
});

Deno.test("nothing is sent twice on a connection, however long the ack takes", () => {
  const link = Link.up();
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
  const link = Link.up();
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
    const link = Link.up();
    link.writeAll(3);
    link.hears("00\n");
    link.lose();
    link.said();
    assertEquals(link.connect(said).txFirst, 1);
    assertEquals(link.said(), ["01message 1", "02message 2"]);
  }
});

Deno.test("a position beyond what was ever sent: all that is held goes out in a new stream", () => {
  const link = Link.up();
  const { txEpoch } = link.record.positions;
  link.writeAll(2);
  link.said();
  const welcome = link.resume(3);
  assertEquals([welcome.ahead, welcome.txFirst], [true, 0]);
  assert(welcome.txEpoch !== txEpoch);
  assertEquals(link.record.positions.txEpoch, welcome.txEpoch);
  assertEquals(link.said(), ["00message 0", "01message 1"]);
});

Deno.test("order is kept without waiting, whatever a writer asks for", () => {
  const link = Link.up();
  link.write("waits", { wait: true });
  link.write("does not", { wait: false });
  link.write("may be lost", { qos: false });
  link.write("waits", { wait: true });
  assertEquals(link.said(), ["00waits", "01does not", "02may be lost", "03waits"]);
});

Deno.test("without qos a message is withdrawn when its connection ends, and the others keep their numbers", () => {
  const link = Link.up();
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

Deno.test("a device that comes back with shorter lines: who wrote a longer one is told, others go on", () => {
  const link = Link.up();
  const [long, short] = [link.write("longer than ten bytes"), link.write("short")];
  link.lose();
  link.connect({ line: 10, bytes: 13, rxEpoch: 0 });
  assertEquals([long.failed?.code, long.arrived, short.failed], ["BAD_TEXT", 0, undefined]);
  assertEquals(link.said(), ["00\0", "01short"]);
  link.hears("01\n");
  assertEquals([long.arrived, short.arrived], [0, 1]);
});

Deno.test("a text that begins with NUL is refused at its writer: on the wire it would be withdrawn", () => {
  const link = Link.up();
  const error = assertThrows(() => link.write("\0secret"), LocalError);
  assertEquals(error.code, "BAD_TEXT");
});

Deno.test("an outbox full of messages or of text refuses, and has room again after an ack", () => {
  for (const limits of [{ outbox: 3 }, { queueText: 21 }]) {
    const link = Link.up({}, limits);
    for (const text of ["1234567", "1234567", "1234567"]) link.write(text);
    const error = assertThrows(() => link.write("x"), LocalError);
    assertEquals(error.code, "OUTBOX_FULL");
    link.hears("00\n");
    link.write("x");
  }
});

Deno.test("the room that withdrawn messages took is given back, once", () => {
  const link = Link.up({}, { queueText: 20 });
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
  const link = new Link();
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
