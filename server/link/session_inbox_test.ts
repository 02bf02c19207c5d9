/** Dialect 1, messages from the device: acks, repeats, a full inbox. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { breaks, frame, SessionRig, TIMEOUT } from "../../tests/support/session_rig.ts";
import { Records } from "../../tests/support/records.ts";
import { PeerError } from "../protocol/errors.ts";
import { LineSplitter, nextId } from "../protocol/lines.ts";
import { Dialect1 } from "./dialect1.ts";
import { defaultLimits } from "./limits.ts";
import { Session } from "./session.ts";
import { NOBODY } from "./session_reports.ts";

const encoder = new TextEncoder();

// Messages from the device.

Deno.test("messages are acknowledged and come in the order in which they were sent", () => {
  const link = SessionRig.up();
  link.hears("00one\n01two\n\n02three\n");
  assertEquals(link.said(), ["00", "01", "02"]);
  assertEquals(link.readAll(), ["one", "two", "three"]);
});

Deno.test("half a line left from a dead connection is not glued to the next one's first", () => {
  const link = SessionRig.up();
  link.hears("00one\n01tw");
  link.lose();
  link.connect("01two\n");
  assertEquals(link.readAll(), ["one", "two"]);
});

Deno.test("a newline in a segment of its own ends its message", () => {
  const link = SessionRig.up();
  link.hears("00one");
  link.hears("\n");
  assertEquals(link.said(), ["00"]);
  assertEquals(link.readAll(), ["one"]);
});

Deno.test("a character cut in two by a segment arrives whole", () => {
  const link = SessionRig.up();
  const bytes = encoder.encode("00grün 🐙\n");
  const splitter = new LineSplitter(100);
  for (const byte of bytes) {
    link.session.receive(splitter.push(new Uint8Array([byte])), link.now);
  }
  assertEquals(link.readAll(), ["grün 🐙"]);
});

Deno.test("a line without an id ends the connection, and what came before it counts", () => {
  for (const line of ["xyz", "0", "0Ghi", "FFupper case", " 0", "é"]) {
    const link = SessionRig.up();
    breaks("BAD_LINE", () => link.hears(`00good\n${line}\n01lost\n`));
    assertEquals(link.readAll(), ["good"]);
    link.lose();
    link.connect("00good\n01again\n");
    assertEquals(link.readAll(), ["again"]);
  }
});

Deno.test("a bad line is quoted in part, and cannot break a log's line", () => {
  const link = SessionRig.up();
  const error = assertThrows(() => link.hears(`\r\u001b[2J${"x".repeat(1000)}\n`), PeerError);
  assert(error.message.length < 200, error.message);
  // deno-lint-ignore no-control-regex
  assert(!/[\r\x1b]/.test(error.message), error.message);
});

Deno.test("messages before one that is not UTF-8 count", () => {
  const link = SessionRig.up();
  const bytes = new Uint8Array([...encoder.encode("00good\n01"), 0xff, 10]);
  breaks(
    "BAD_UTF8",
    () => link.session.receive(new LineSplitter(100).push(bytes), link.now),
  );
  assertEquals(link.readAll(), ["good"]);
});

Deno.test("the first message after a boot whose ack was lost is delivered once", () => {
  const link = SessionRig.up();
  link.takes = false;
  link.hears("00first\n");
  assertEquals(link.lose(), []);
  link.takes = true;
  link.connect("00first\n");
  assertEquals(link.said(), ["00"]);
  assertEquals(link.readAll(), ["first"]);
});

Deno.test("a message whose ack was lost is delivered once, on the same connection or the next", () => {
  const link = SessionRig.up();
  link.hears("00one\n01two\n02three\n");
  link.hears("01two\n02three\n");
  link.lose();
  link.connect("02three\n03four\n");
  assertEquals(link.readAll(), ["one", "two", "three", "four"]);
  assertEquals(link.said(), ["02", "03"]);
});

Deno.test("a device boots, and its first message is lost: the next ones are delivered", () => {
  const link = SessionRig.up();
  for (let id = 0; id < 20; id++) link.hears(frame(id, `before ${id}`));
  assertEquals(link.readAll().length, 20);
  link.lose();
  link.connect("01after 1\n02after 2\n");
  assertEquals(link.readAll(), ["after 1", "after 2"]);
});

Deno.test("a message that comes again after two hundred newer ones is recognised", () => {
  const link = SessionRig.up();
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

Deno.test("a restarted server recognises a repeat, and has what was not read before", () => {
  const link = SessionRig.up();
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
  const link = SessionRig.up();
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
  const link = SessionRig.up({ inbox: 2 });
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

Deno.test("an inbox can also be full because of the length of its texts", () => {
  const link = SessionRig.up({ queueText: 10 });
  link.hears("00123456789\n01x\n02y\n");
  assertEquals(link.said(), ["00", "01"]);
  assertEquals(link.read(), "123456789");
  assertEquals(link.said(), ["02"]);
});

Deno.test("keepalives go both ways while the inbox is full", () => {
  const link = SessionRig.up({ inbox: 1 });
  link.hears("00a\n");
  link.passAlive(3 * TIMEOUT);
  assert(link.saidAll().length >= 12);
  assertEquals(link.session.wantsInput, true, "a full inbox alone is no reason not to read");
});

Deno.test("a device is not taken for silent while nothing is read from it", () => {
  const link = SessionRig.up({ inbox: 1 });
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
  const link = SessionRig.up({ inbox: 1 });
  link.hears("00a\n01b\n");
  assertEquals(link.session.wantsInput, false);
  const written = link.write("question");
  assertEquals(link.session.wantsInput, true);
  link.hears("02c\n00\n");
  assertEquals(written.acked, 1);
  assertEquals(link.session.wantsInput, false);
  assertEquals(link.readAll(), ["a", "b", "c"]);
});

Deno.test("what is read beyond a full inbox is bounded", () => {
  const link = SessionRig.up({ inbox: 1 });
  link.write("question");
  let read = 0;
  for (let id = 0; link.session.wantsInput; id = nextId(id)) {
    link.hears(frame(id, `message ${read++}`));
    assert(read < 1000);
  }
  assert(read > 200, `only ${read}`);
});

Deno.test("a message that is repeated while the inbox is full is accepted once", () => {
  const link = SessionRig.up({ inbox: 1 });
  link.write("question");
  link.hears("00a\n01b\n02c\n01b\n02c\n00a\n");
  link.said();
  assertEquals(link.readAll(), ["a", "b", "c"]);
  assertEquals(link.said(), ["01", "02", "00"]);
});

Deno.test("what was read beyond a full inbox belongs to its connection: it comes again", () => {
  const link = SessionRig.up({ inbox: 1 });
  link.hears("00a\n01b\n02c\n");
  link.lose();
  assertEquals(link.readAll(), ["a"]);
  link.connect("01b\n02c\n");
  assertEquals(link.readAll(), ["b", "c"]);
});

Deno.test("acks that the device does not take stop the reading", () => {
  const link = SessionRig.up({ inbox: 1_000_000 });
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

Deno.test("in dialect 1 a device has booted when its id 00 is new, and only then", () => {
  const record = new Records().create("1");
  let boots = 0;
  const reports = { ...NOBODY, booted: () => void boots++ };
  const session = new Session(record, TIMEOUT, defaultLimits, reports);
  const dialect = new Dialect1(record, session.settled, TIMEOUT, () => session.booted());
  session.connect(dialect, 100, false, 0);
  const hears = (...lines: string[]) => session.receive({ lines }, 0);
  hears("01a", "02b");
  assertEquals(boots, 0);
  hears("00c", "00c");
  assertEquals(boots, 1);
  hears("03d", "00e");
  assertEquals([boots, record.inbox], [2, ["a", "b", "c", "d", "e"]]);
});

Deno.test("a repeat is acknowledged while the inbox is full, and a new message is not", () => {
  const link = SessionRig.up({ inbox: 1 });
  link.hears("01a\n");
  assertEquals(link.said(), ["01"]);
  link.hears("01a\n02b\n");
  assertEquals(link.said(), ["01"]);
});
