import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Dialect1 } from "./dialect1.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { Session, type WriteOptions } from "./session.ts";
import { Records } from "../../tests/support/records.ts";
import { LineSplitter, nextId } from "../protocol/lines.ts";

const encoder = new TextEncoder();

/** In ms; nothing here takes real time. */
const TIMEOUT = 1000;

/** A session in dialect 1, and the test in the place of its device, of its store and of the clock. */
class Link {
  readonly store = new Records();
  readonly record = this.store.create("1");
  session: Session;
  now = 5000;
  /** Whether the socket takes what the session has to say. */
  takes = true;
  #sent = "";
  #splitter!: LineSplitter;

  constructor(readonly limits: Partial<Limits> = {}) {
    this.session = new Session(this.record, TIMEOUT, { ...defaultLimits, ...limits });
  }

  /** A link over which both ends have heard each other, but no message has passed. */
  static up(limits: Partial<Limits> = {}): Link {
    const link = new Link(limits);
    link.connect("\n");
    link.said();
    return link;
  }

  /** The same, and the server's first message is done: the next one's id is 01. */
  static booted(limits: Partial<Limits> = {}): Link {
    const link = Link.up(limits);
    link.write("boot");
    assertEquals(link.said(), ["00boot"]);
    link.hears("00\n");
    return link;
  }

  /** A new connection, over which `text` is heard behind the hello. */
  connect(text = ""): void {
    this.#splitter = new LineSplitter(this.session.limits.lineBytes + 2);
    const { session } = this;
    session.disconnect();
    const dialect = new Dialect1(this.record, session.settled, TIMEOUT);
    session.connect(dialect, session.limits.lineBytes, true, this.now);
    this.hears(text);
  }

  /** The connection is gone; returns what it carried since the last look. */
  lose(): string[] {
    this.session.disconnect();
    return this.said();
  }

  /** The server is started again on what it remembers. */
  restart(): void {
    this.session = new Session(this.record, TIMEOUT, this.session.limits);
  }

  hears(text: string): void {
    if (text !== "") this.session.receive(this.#splitter.push(encoder.encode(text)), this.now);
    this.flush();
  }

  flush(): void {
    this.store.commit();
    if (this.takes) this.#sent += this.session.transmit(this.now);
  }

  /** What was sent since the last look, keepalives left out. */
  said(): string[] {
    return this.saidAll().filter((line) => line !== "");
  }

  saidAll(): string[] {
    const lines = this.#sent.split("\n");
    assertEquals(lines.pop(), "", "every line is ended");
    this.#sent = "";
    return lines;
  }

  /** Lets `ms` pass, with calls at the deadlines and at no other time. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = this.session.deadline();
      assert(due > this.now || !this.takes, "after a call the deadline is in the future");
      if (due > end || !this.takes) break;
      this.now = due;
      this.session.tick(this.now);
      this.flush();
    }
    this.now = end;
    this.session.tick(this.now);
  }

  /** The same, with a keepalive from the device four times in every timeout. */
  passAlive(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.pass(Math.min(TIMEOUT / 4, end - this.now));
      this.hears("\n");
    }
  }

  /** Writes; the result tells whether it was accepted, and later whether it was acknowledged. */
  write(text: string, options: WriteOptions = {}): { accepted: boolean; acked: number } {
    const result = { accepted: false, acked: 0 };
    result.accepted = this.session.write(text, options, {
      arrived: () => result.acked++,
      failed: (error) => {
        throw error;
      },
    }, this.now);
    this.flush();
    return result;
  }

  /** What the application reads, and has thereby processed. */
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

/** A line as the device sends it; without a text, an ack. */
function frame(id: number, text = ""): string {
  return `${id.toString(16).padStart(2, "0")}${text}\n`;
}

function breaks(code: string, call: () => void): void {
  assertEquals(assertThrows(call, PeerError).code, code);
}

// Connections, keepalives and silence.

Deno.test("a hello is answered with a keepalive, and messages wait until something is heard", () => {
  const link = new Link();
  link.write("early");
  assertEquals(link.saidAll(), []);
  link.connect();
  assertEquals(link.saidAll(), [""]);
  link.pass(TIMEOUT / 2);
  assertEquals(link.said(), []);
  link.hears("\n");
  assertEquals(link.said(), ["00early"]);
});

Deno.test("half a line does not open the way for messages, and a whole one does", () => {
  const link = new Link();
  link.write("early");
  link.connect("00hal");
  assertEquals(link.said(), []);
  link.hears("f\n");
  assertEquals(link.said(), ["00", "00early"]);
});

Deno.test("a message that came with the hello is not lost", () => {
  const link = new Link();
  link.connect("00behind the hello\n01and another\n");
  assertEquals(link.readAll(), ["behind the hello", "and another"]);
  assertEquals(link.said(), ["00", "01"]);
});

Deno.test("a keepalive goes out when nothing else did for a quarter of the timeout", () => {
  const link = Link.booted();
  link.passAlive(3 * TIMEOUT);
  assertEquals(link.saidAll().length, 12);
  for (let n = 0; n < 8; n++) {
    link.write(`message ${n}`, { wait: false });
    link.pass(TIMEOUT / 8);
    link.hears("\n");
  }
  assertEquals(link.saidAll().filter((line) => line === "").length, 0);
});

Deno.test("a device of which nothing is heard for the timeout is given up", () => {
  const link = Link.up();
  link.pass(TIMEOUT - 1);
  breaks("SILENT", () => link.pass(1));
});

Deno.test("a single byte is a sign of life", () => {
  const link = Link.up();
  for (const byte of "00slow") {
    link.pass(TIMEOUT - 1);
    link.hears(byte);
  }
  breaks("SILENT", () => link.pass(TIMEOUT));
});

Deno.test("without a connection there is no deadline, and time may pass", () => {
  const link = new Link();
  assertEquals(link.session.deadline(), Infinity);
  link.connect("\n");
  link.lose();
  assertEquals(link.session.deadline(), Infinity);
  link.pass(100 * TIMEOUT);
  assertEquals(link.said(), []);
  assertEquals(link.session.connected, false);
});

Deno.test("a new connection may come after a long time, or in place of a live one", () => {
  const link = Link.up();
  link.lose();
  link.now += 1000 * TIMEOUT;
  link.connect("\n");
  link.pass(TIMEOUT / 2);
  link.connect("\n");
  link.pass(TIMEOUT - 1);
  assertEquals(link.session.connected, true);
  assertEquals(link.record.positions.connects, 3);
});

// Messages from the device.

Deno.test("messages are acknowledged and come in the order in which they were sent", () => {
  const link = Link.up();
  link.hears("00one\n01two\n\n02three\n");
  assertEquals(link.said(), ["00", "01", "02"]);
  assertEquals(link.readAll(), ["one", "two", "three"]);
});

Deno.test("half a line left from a dead connection is not glued to the next one's first", () => {
  const link = Link.up();
  link.hears("00one\n01tw");
  link.lose();
  link.connect("01two\n");
  assertEquals(link.readAll(), ["one", "two"]);
});

Deno.test("a newline in a segment of its own ends its message", () => {
  const link = Link.up();
  link.hears("00one");
  link.hears("\n");
  assertEquals(link.said(), ["00"]);
  assertEquals(link.readAll(), ["one"]);
});

Deno.test("a character cut in two by a segment arrives whole", () => {
  const link = Link.up();
  const bytes = encoder.encode("00grün 🐙\n");
  const splitter = new LineSplitter(100);
  for (const byte of bytes) {
    link.session.receive(splitter.push(new Uint8Array([byte])), link.now);
  }
  assertEquals(link.readAll(), ["grün 🐙"]);
});

Deno.test("a line without an id ends the connection, and what came before it counts", () => {
  for (const line of ["xyz", "0", "0Ghi", "FFupper case", " 0", "é"]) {
    const link = Link.up();
    breaks("BAD_LINE", () => link.hears(`00good\n${line}\n01lost\n`));
    assertEquals(link.readAll(), ["good"]);
    link.lose();
    link.connect("00good\n01again\n");
    assertEquals(link.readAll(), ["again"]);
  }
});

Deno.test("a bad line is quoted in short, and cannot break a log's line", () => {
  const link = Link.up();
  const error = assertThrows(() => link.hears(`\r\u001b[2J${"x".repeat(1000)}\n`), PeerError);
  assert(error.message.length < 200, error.message);
  // deno-lint-ignore no-control-regex
  assert(!/[\r\x1b]/.test(error.message), error.message);
});

Deno.test("messages before one that is not UTF-8 count", () => {
  const link = Link.up();
  const bytes = new Uint8Array([...encoder.encode("00good\n01"), 0xff, 10]);
  breaks(
    "BAD_UTF8",
    () => link.session.receive(new LineSplitter(100).push(bytes), link.now),
  );
  assertEquals(link.readAll(), ["good"]);
});

Deno.test("the first message after a boot whose ack was lost is delivered once", () => {
  const link = Link.up();
  link.takes = false;
  link.hears("00first\n");
  assertEquals(link.lose(), []);
  link.takes = true;
  link.connect("00first\n");
  assertEquals(link.said(), ["00"]);
  assertEquals(link.readAll(), ["first"]);
});

Deno.test("a message whose ack was lost is delivered once, on the same connection or the next", () => {
  const link = Link.up();
  link.hears("00one\n01two\n02three\n");
  link.hears("01two\n02three\n");
  link.lose();
  link.connect("02three\n03four\n");
  assertEquals(link.readAll(), ["one", "two", "three", "four"]);
  assertEquals(link.said(), ["02", "03"]);
});

Deno.test("a device boots, and its first message is lost: the next ones are delivered", () => {
  const link = Link.up();
  for (let id = 0; id < 20; id++) link.hears(frame(id, `before ${id}`));
  assertEquals(link.readAll().length, 20);
  link.lose();
  link.connect("01after 1\n02after 2\n");
  assertEquals(link.readAll(), ["after 1", "after 2"]);
});

Deno.test("a message comes again after two hundred newer ones and is known", () => {
  const link = Link.up();
  let id = 0;
  const send = (text: string) => {
    link.hears(frame(id, text));
    id = nextId(id);
  };
  send("boot");
  const late = frame(id, "late");
  send("late");
  for (let n = 0; n < 200; n++) send(`newer ${n}`);
  link.readAll();
  link.said();
  link.hears(late);
  assertEquals(link.readAll(), []);
  assertEquals(link.said(), [late.slice(0, 2)]);
});

Deno.test("a server started again knows a repeat, and has what nobody read before", () => {
  const link = Link.up();
  link.hears("00read\n01handed out\n02waits\n");
  assertEquals(link.read(), "read");
  assertEquals(link.session.peek(), "handed out");
  link.lose();
  link.restart();
  link.connect("01handed out\n02waits\n03new\n");
  assertEquals(link.said(), ["01", "02", "03"]);
  assertEquals(link.readAll(), ["handed out", "waits", "new"]);
});

Deno.test("a thousand messages, each sent twice, arrive once", () => {
  const link = Link.up();
  const texts: string[] = [];
  for (let n = 0, id = 0; n < 1000; n++, id = nextId(id)) {
    link.hears(frame(id, `${n % 3}`).repeat(2));
    texts.push(`${n % 3}`);
    if (n % 100 === 99) {
      link.lose();
      link.connect(frame(id, `${n % 3}`));
    }
  }
  assertEquals(link.readAll(), texts);
});

// A full inbox.

Deno.test("a full inbox stops acks and reading; the application makes room, in order", () => {
  const link = Link.up({ inbox: 2 });
  link.hears("00a\n01b\n02c\n03d\n");
  assertEquals(link.said(), ["00", "01"]);
  assertEquals(link.session.wantsInput, false);
  assertEquals(link.read(), "a");
  assertEquals(link.said(), ["02"]);
  assertEquals(link.session.wantsInput, false);
  assertEquals(link.read(), "b");
  assertEquals(link.said(), ["03"]);
  assertEquals(link.session.wantsInput, true);
  assertEquals(link.readAll(), ["c", "d"]);
});

Deno.test("an inbox is full of text, too", () => {
  const link = Link.up({ queueText: 10 });
  link.hears("00123456789\n01x\n02y\n");
  assertEquals(link.said(), ["00", "01"]);
  assertEquals(link.read(), "123456789");
  assertEquals(link.said(), ["02"]);
});

Deno.test("keepalives go both ways while the inbox is full", () => {
  const link = Link.up({ inbox: 1 });
  link.hears("00a\n");
  link.passAlive(3 * TIMEOUT);
  assert(link.saidAll().length >= 12);
  assertEquals(link.session.wantsInput, true, "a full inbox alone is no reason not to read");
});

Deno.test("a device is not taken for silent while nothing is read from it", () => {
  const link = Link.up({ inbox: 1 });
  link.hears("00a\n01b\n");
  assertEquals(link.session.wantsInput, false);
  link.pass(10 * TIMEOUT);
  assertEquals(link.session.connected, true);
  assertEquals(link.read(), "a");
  assertEquals(link.session.wantsInput, true);
  link.pass(TIMEOUT / 2);
  breaks("SILENT", () => link.pass(TIMEOUT));
});

Deno.test("behind a full inbox acks still get through while they are awaited", () => {
  const link = Link.up({ inbox: 1 });
  link.hears("00a\n01b\n");
  assertEquals(link.session.wantsInput, false);
  const written = link.write("question");
  assertEquals(link.session.wantsInput, true);
  link.hears("02c\n00\n");
  assertEquals(written.acked, 1);
  assertEquals(link.session.wantsInput, false);
  assertEquals(link.readAll(), ["a", "b", "c"]);
});

Deno.test("what is read beyond a full inbox has an end", () => {
  const link = Link.up({ inbox: 1 });
  link.write("question");
  let read = 0;
  for (let id = 0; link.session.wantsInput; id = nextId(id)) {
    link.hears(frame(id, `message ${read++}`));
    assert(read < 1000);
  }
  assert(read > 200, `only ${read}`);
});

Deno.test("a message that is repeated while the inbox is full is accepted once", () => {
  const link = Link.up({ inbox: 1 });
  link.write("question");
  link.hears("00a\n01b\n02c\n01b\n02c\n00a\n");
  link.said();
  assertEquals(link.readAll(), ["a", "b", "c"]);
  assertEquals(link.said(), ["01", "02", "00"]);
});

Deno.test("what was read beyond a full inbox belongs to its connection: it comes again", () => {
  const link = Link.up({ inbox: 1 });
  link.hears("00a\n01b\n02c\n");
  link.lose();
  assertEquals(link.readAll(), ["a"]);
  link.connect("01b\n02c\n");
  assertEquals(link.readAll(), ["b", "c"]);
});

Deno.test("acks that nobody takes stop the reading", () => {
  const link = Link.up({ inbox: 1_000_000 });
  link.takes = false;
  let lines = 0;
  for (let id = 0; link.session.wantsInput; id = nextId(id)) {
    link.hears(frame(id, `${lines++}`));
    assert(lines < 100_000);
  }
  link.takes = true;
  link.flush();
  assertEquals(link.said().length, lines);
  assertEquals(link.session.wantsInput, true);
});

// Messages to the device.

Deno.test("a message is done when it is acknowledged, once", () => {
  const link = Link.up();
  const written = link.write("one");
  assertEquals([link.said(), written.acked], [["00one"], 0]);
  link.hears("00\n");
  link.hears("00\n");
  assertEquals(written.acked, 1);
  assertEquals(link.record.outbox, []);
  link.passAlive(3 * TIMEOUT);
  assertEquals(link.said(), []);
});

Deno.test("a message waits for the ack of the one before it", () => {
  const link = Link.up();
  const written = ["one", "two", "three"].map((text) => link.write(text));
  assertEquals(link.said(), ["00one"]);
  link.hears("00\n");
  assertEquals(link.said(), ["01two"]);
  link.hears("01\n");
  assertEquals(link.said(), ["02three"]);
  assertEquals(written.map(({ acked }) => acked), [1, 1, 0]);
});

Deno.test("a message that need not wait overtakes acks, but not the messages before it", () => {
  const link = Link.booted();
  link.write("one");
  link.write("two", { wait: false });
  link.write("three", { wait: false });
  assertEquals(link.said(), ["01one", "02two", "03three"]);
  link.write("four");
  link.write("five", { wait: false });
  assertEquals(link.said(), []);
  link.hears("03\n02\n");
  assertEquals(link.said(), []);
  link.hears("01\n");
  assertEquals(link.said(), ["04four", "05five"]);
});

Deno.test("nothing overtakes the first message after a boot: its repeat would look like a boot", () => {
  const link = Link.up();
  link.write("boot");
  const waits = link.write("waits all the same", { wait: false });
  assertEquals(link.write("nor does this pass", { qos: false }).accepted, false);
  assertEquals(link.said(), ["00boot"]);
  link.lose();
  link.connect("\n");
  assertEquals(link.write("nor now", { qos: false }).accepted, false);
  assertEquals(link.said(), ["00boot"]);
  link.hears("00\n");
  assertEquals(link.said(), ["01waits all the same"]);
  assertEquals(link.write("now it does", { qos: false }).accepted, true);
  link.hears("01\n02\n");
  assertEquals(waits.acked, 1);
});

Deno.test("acks in any order finish the messages that they name", () => {
  const link = Link.booted();
  const written = ["a", "b", "c"].map((text) => link.write(text, { wait: false }));
  link.hears("02\n");
  assertEquals(written.map(({ acked }) => acked), [0, 1, 0]);
  link.hears("03\n01\n");
  assertEquals(written.map(({ acked }) => acked), [1, 1, 1]);
});

Deno.test("an ack of something never sent means nothing", () => {
  const link = Link.up();
  const sent = link.write("sent");
  const waits = link.write("waits");
  link.hears("01\n02\nff\n");
  assertEquals([sent.acked, waits.acked], [0, 0]);
  link.hears("00\n");
  assertEquals(link.said(), ["00sent", "01waits"]);
});

Deno.test("what is on its way without an ack is bounded, and an ack makes room", () => {
  const link = Link.booted();
  for (let n = 0; n < 200; n++) link.write(`message ${n}`, { wait: false });
  const sent = link.said();
  // A stock device has a queue of 20, and acknowledges what does not fit into it.
  assert(sent.length > 1 && sent.length <= 20, `${sent.length} messages`);
  link.hears(`${sent[0]!.slice(0, 2)}\n${sent[1]!.slice(0, 2)}\n`);
  assertEquals(link.said().length, 2);
});

Deno.test("a message without an ack is sent again after the timeout, again and again", () => {
  const link = Link.up();
  const written = link.write("one");
  link.passAlive(TIMEOUT - 1);
  assertEquals(link.said(), ["00one"]);
  link.passAlive(1);
  assertEquals(link.said(), ["00one"]);
  link.passAlive(3 * TIMEOUT);
  assertEquals(link.said(), ["00one", "00one", "00one"]);
  link.hears("00\n");
  assertEquals(written.acked, 1);
});

Deno.test("while acks come, slowly, nothing is sent again", () => {
  const link = Link.booted();
  for (let n = 0; n < 10; n++) link.write(`${n}`, { wait: false });
  const sent = link.said();
  assertEquals(sent.length, 10);
  for (const line of sent) {
    link.passAlive(TIMEOUT * 0.9);
    link.hears(`${line.slice(0, 2)}\n`);
  }
  assertEquals(link.said(), []);
});

Deno.test("all messages without an ack go out again in order, on the same connection or the next", () => {
  const link = Link.booted();
  for (const text of ["a", "b", "c"]) link.write(text, { wait: false });
  assertEquals(link.said(), ["01a", "02b", "03c"]);
  link.hears("02\n");
  link.passAlive(TIMEOUT);
  assertEquals(link.said(), ["01a", "03c"]);
  link.lose();
  link.write("d");
  link.connect();
  assertEquals(link.said(), []);
  link.hears("\n");
  assertEquals(link.said(), ["01a", "03c"]);
  link.hears("01\n03\n");
  assertEquals(link.said(), ["04d"]);
});

Deno.test("an ack that was on its way when the connection died does not count on the next one", () => {
  const link = Link.up();
  const written = link.write("one");
  link.lose();
  link.connect("00\n");
  assertEquals(written.acked, 0);
  assertEquals(link.said(), ["00one"]);
});

Deno.test("what an old connection did not take is not said on the next one", () => {
  const link = Link.up();
  link.takes = false;
  link.hears("00one\n");
  link.write("lost", { qos: false });
  link.lose();
  link.takes = true;
  link.connect("\n");
  assertEquals(link.said(), []);
});

Deno.test("what a stopped server had not delivered, the next one delivers under the same ids", () => {
  const link = Link.up();
  link.write("one");
  link.write("two");
  link.lose();
  link.restart();
  const written = link.write("three");
  link.connect("\n");
  for (const id of [0, 1, 2]) link.hears(frame(id));
  assertEquals(link.said(), ["00one", "01two", "02three"]);
  assertEquals(written.acked, 1);
});

Deno.test("ids come round, and 00 does not come again", () => {
  const link = Link.up();
  const ids: string[] = [];
  for (let n = 0; n < 600; n++) {
    link.write("x");
    const [line = ""] = link.said();
    ids.push(line.slice(0, 2));
    link.hears(`${line.slice(0, 2)}\n`);
  }
  assertEquals(ids.slice(254, 258), ["fe", "ff", "01", "02"]);
  assertEquals(ids.lastIndexOf("00"), 0);
});

Deno.test("without qos a message goes out at once, once, or never", () => {
  const link = Link.booted();
  link.lose();
  assertEquals(link.write("no link", { qos: false }).accepted, false);
  link.connect();
  assertEquals(link.write("nothing heard yet", { qos: false }).accepted, false);
  link.hears("\n");
  link.write("waits for its ack");
  assertEquals(link.said(), ["01waits for its ack"]);
  const written = link.write("now", { qos: false });
  assertEquals([written.accepted, link.said()], [true, ["02now"]]);
  link.hears("01\n02\n");
  link.passAlive(3 * TIMEOUT);
  link.lose();
  link.connect("\n");
  assertEquals([written.acked, link.said()], [0, []]);
  assertEquals(link.record.outbox, []);
});

Deno.test("the ack of a message without qos is never taken for that of one with qos", () => {
  const link = Link.booted();
  const kept = link.write("must arrive");
  assertEquals(link.said(), ["01must arrive"]);
  // The device had no room for it at first, and has some for what comes later.
  for (let n = 0; n < 600; n++) {
    link.write(`may be lost ${n}`, { qos: false });
    for (const line of link.said()) link.hears(`${line.slice(0, 2)}\n`);
  }
  assertEquals(kept.acked, 0, "nobody has acknowledged it");
  link.passAlive(TIMEOUT);
  assertEquals(link.said(), ["01must arrive"]);
  link.hears("01\n");
  assertEquals(kept.acked, 1);
  assertEquals(link.write("there is room again", { qos: false }).accepted, true);
});

Deno.test("messages without qos that nobody acknowledges do not hold up one with qos", () => {
  const link = Link.booted();
  let sent = 0;
  while (link.write("may be lost", { qos: false }).accepted) assert(++sent < 255);
  assert(sent > 10, `only ${sent}`);
  link.said();
  link.write("must arrive");
  assertEquals(link.said().map((line) => line.slice(2)), ["must arrive"]);
});

Deno.test("messages that wait for their turn do not hold up those without qos", () => {
  const link = Link.booted();
  for (let n = 0; n < 300; n++) link.write(`message ${n}`);
  assertEquals(link.write("now", { qos: false }).accepted, true);
  assertEquals(link.said(), ["01message 0", "02now"]);
  link.hears("01\n02\n");
  assertEquals(link.said(), ["03message 1"]);
});

Deno.test("two messages on their way never have the same id, whatever goes out between them", () => {
  const link = Link.booted();
  const open = new Set<string>();
  // Some are acknowledged late, and those without qos at once.
  for (let n = 0; n < 2000; n++) {
    if (n % 51 === 0) link.write(`kept ${n}`, { wait: false });
    else link.write(`may be lost ${n}`, { qos: false });
    for (const line of link.said()) {
      const id = line.slice(0, 2);
      assert(!open.has(id), `${line} is on its way, and so is its id`);
      if (line.includes("kept")) open.add(id);
      else link.hears(`${id}\n`);
    }
    if (n % 500 === 0) {
      for (const id of open) link.hears(`${id}\n`);
      open.clear();
    }
  }
});

Deno.test("an outbox full of messages refuses the next one, and has room after an ack", () => {
  const link = Link.up({ outbox: 3 });
  for (let n = 0; n < 3; n++) link.write(`${n}`);
  const error = assertThrows(() => link.write("too much"), LocalError, "3 messages wait");
  assertEquals(error.code, "OUTBOX_FULL");
  link.hears("00\n");
  link.write("now");
  for (const id of [1, 2, 3]) link.hears(frame(id));
  assertEquals(link.said(), ["000", "011", "022", "03now"]);
});

Deno.test("an outbox is full of text, too, also after a restart", () => {
  const link = Link.up({ queueText: 10 });
  link.write("1234567890");
  assertThrows(() => link.write("x"), LocalError, "1 messages wait");
  link.lose();
  link.restart();
  assertThrows(() => link.write("x"), LocalError, "1 messages wait");
  link.connect("\n");
  link.hears("00\n");
  link.write("x");
});

Deno.test("a message that has waited for too long refuses further ones, until the device takes it", () => {
  const link = Link.booted({ outboxAge: 60_000 });
  link.lose();
  link.now += 5000;
  link.write("old");
  link.now += 40_000;
  const later = link.write("later");
  link.now += 20_000;
  assert(link.write("exactly as old as it may be").accepted);
  link.now += 1;
  const error = assertThrows(
    () => link.write("too late"),
    LocalError,
    "waited for this device for 60.0 s",
  );
  assertEquals(error.code, "OUTBOX_FULL");
  assertStringIncludes(error.message, "60.0 s is the most (limit outboxAge)");
  assertStringIncludes(error.message, "away for 65.0 s");
  assertEquals(link.write("now or never", { qos: false }).accepted, false);

  link.connect("\n");
  assertThrows(
    () => link.write("too late"),
    LocalError,
    "is connected, and has not acknowledged it",
  );
  assertEquals(link.said(), ["01old"]);
  link.hears("01\n");
  const goesOn = link.write("goes on");
  for (const id of [2, 3, 4]) link.hears(frame(id));
  assertEquals(link.said(), ["02later", "03exactly as old as it may be", "04goes on"]);
  assertEquals([later.acked, goesOn.acked], [1, 1]);
});

Deno.test("how long a message has waited is known after a restart, too", () => {
  const link = Link.booted({ outboxAge: 1000 });
  link.lose();
  link.write("old");
  link.now += 1001;
  link.restart();
  assertThrows(() => link.write("x"), LocalError, "not connected since the server was started");
});

Deno.test("what is withdrawn does not grow old, and without a limit nothing does", () => {
  const limited = Link.booted({ outboxAge: 1000 });
  limited.write("first", { wait: false });
  limited.write("overtakes", { wait: false });
  limited.hears("02\n"); // it stays in the outbox, withdrawn
  limited.now += 900;
  limited.hears("01\n");
  limited.lose();
  limited.now += 900;
  assert(limited.write("x").accepted);

  const unlimited = Link.booted();
  unlimited.lose();
  unlimited.write("old");
  unlimited.now += 2 ** 40;
  assert(unlimited.write("x").accepted);
});

Deno.test("while a socket takes nothing, messages without qos are refused in the end", () => {
  const link = Link.up();
  link.takes = false;
  let accepted = 0;
  while (link.write("x".repeat(1000), { qos: false }).accepted) assert(++accepted < 1000);
  assert(accepted > 10);
});

Deno.test("a text that no line can carry is refused at its writer, and nothing is sent", () => {
  const link = Link.up({ lineBytes: 10 });
  for (const text of ["", "two\nlines", "eleven byte", "\ud83d"]) {
    for (const qos of [true, false]) {
      const error = assertThrows(() => link.write(text, { qos }), LocalError);
      assertEquals(error.code, "BAD_TEXT");
    }
  }
  link.write("ten bytes.\n");
  assertEquals(link.said(), ["00ten bytes."]);
});

Deno.test("both inboxes full, each end waiting for an ack: both get theirs", () => {
  const link = Link.up({ inbox: 1 });
  const written = link.write("to the device");
  link.hears("00fills the inbox\n01to the server\n00\n");
  assertEquals(written.acked, 1);
  assertEquals(link.said(), ["00to the device", "00"]);
  assertEquals(link.readAll(), ["fills the inbox", "to the server"]);
  assertEquals(link.said(), ["01"]);
});
