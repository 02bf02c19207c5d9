/** Dialect 1, messages to the device: order, repeats, ids, a full outbox. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { frame, SessionRig, TIMEOUT } from "../../tests/support/session_rig.ts";
import { LocalError } from "../protocol/errors.ts";
import { Dialect1 } from "./dialect1.ts";

Deno.test("a message is done when it is acknowledged, and its writer is told once", () => {
  const link = SessionRig.up();
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
  const link = SessionRig.up();
  const written = ["one", "two", "three"].map((text) => link.write(text));
  assertEquals(link.said(), ["00one"]);
  link.hears("00\n");
  assertEquals(link.said(), ["01two"]);
  link.hears("01\n");
  assertEquals(link.said(), ["02three"]);
  assertEquals(written.map(({ acked }) => acked), [1, 1, 0]);
});

Deno.test("a message that need not wait overtakes acks, but not the messages before it", () => {
  const link = SessionRig.booted();
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
  const link = SessionRig.up();
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
  const link = SessionRig.booted();
  const written = ["a", "b", "c"].map((text) => link.write(text, { wait: false }));
  link.hears("02\n");
  assertEquals(written.map(({ acked }) => acked), [0, 1, 0]);
  link.hears("03\n01\n");
  assertEquals(written.map(({ acked }) => acked), [1, 1, 1]);
});

Deno.test("an ack of something never sent means nothing", () => {
  const link = SessionRig.up();
  const sent = link.write("sent");
  const waits = link.write("waits");
  link.hears("01\n02\nff\n");
  assertEquals([sent.acked, waits.acked], [0, 0]);
  link.hears("00\n");
  assertEquals(link.said(), ["00sent", "01waits"]);
});

Deno.test("what is on its way without an ack is bounded, and an ack makes room", () => {
  const link = SessionRig.booted();
  for (let n = 0; n < 200; n++) link.write(`message ${n}`, { wait: false });
  const sent = link.said();
  // A stock device has a queue of 20, and acknowledges what does not fit into it.
  assert(sent.length > 1 && sent.length <= 20, `${sent.length} messages`);
  link.hears(`${sent[0]!.slice(0, 2)}\n${sent[1]!.slice(0, 2)}\n`);
  assertEquals(link.said().length, 2);
});

Deno.test("a message without an ack is sent again after the timeout, again and again", () => {
  const link = SessionRig.up();
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

Deno.test("a message is sent again a timeout after it was sent, however long ago the last ack was", () => {
  const link = SessionRig.booted();
  link.passAlive(TIMEOUT / 2);
  link.write("one");
  assertEquals(link.said(), ["01one"]);
  link.passAlive(TIMEOUT - 1);
  assertEquals(link.said(), []);
  link.passAlive(1);
  assertEquals(link.said(), ["01one"]);
});

Deno.test("a message without an ack is due one timeout after the last ack, and not with the next keepalive", () => {
  const link = SessionRig.booted();
  for (const text of ["a", "b"]) link.write(text, { wait: false });
  link.passAlive(100);
  link.hears("02\n");
  link.passAlive(TIMEOUT - 1);
  assertEquals(link.session.deadline(), link.now + 1);
});

Deno.test("a message behind one that is withdrawn need not wait: dialect 1", () => {
  const link = new SessionRig();
  const codes: string[] = [];
  const writer = { arrived: () => {}, failed: ({ code }: LocalError) => codes.push(code) };
  const { session } = link;
  session.write("too long for it", {}, writer, link.now);
  link.write("short");
  session.connect(new Dialect1(link.record, session.settled, TIMEOUT), 5, true, link.now);
  link.flush();
  session.receive({ lines: [""] }, link.now);
  link.flush();
  assertEquals([codes, link.said()], [["BAD_TEXT"], ["00short"]]);
});

Deno.test("a message behind one that expired on its way goes out after that one's ack: dialect 1", () => {
  const link = SessionRig.booted();
  const nobody = { arrived: () => {}, failed: () => {} };
  link.session.write("expires", { expires: 100 }, nobody, link.now);
  link.flush();
  link.now += 100;
  link.session.expire(link.now);
  link.write("behind");
  assertEquals(link.said(), ["01expires"]);
  link.hears("01\n");
  assertEquals(link.said(), ["02behind"]);
});

Deno.test("while acks come, slowly, nothing is sent again", () => {
  const link = SessionRig.booted();
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
  const link = SessionRig.booted();
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
  const link = SessionRig.up();
  const written = link.write("one");
  link.lose();
  link.connect("00\n");
  assertEquals(written.acked, 0);
  assertEquals(link.said(), ["00one"]);
});

Deno.test("what an old connection did not accept is not sent on the next one", () => {
  const link = SessionRig.up();
  link.takes = false;
  link.hears("00one\n");
  link.write("lost", { qos: false });
  link.lose();
  link.takes = true;
  link.connect("\n");
  assertEquals(link.said(), []);
});

Deno.test("what a stopped server had not delivered, the next one delivers under the same ids", () => {
  const link = SessionRig.up();
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

Deno.test("ids wrap around, and skip 00", () => {
  const link = SessionRig.up();
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
  const link = SessionRig.booted();
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
  const link = SessionRig.booted();
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
  const link = SessionRig.booted();
  let sent = 0;
  while (link.write("may be lost", { qos: false }).accepted) assert(++sent < 255);
  assert(sent > 10, `only ${sent}`);
  link.said();
  link.write("must arrive");
  assertEquals(link.said().map((line) => line.slice(2)), ["must arrive"]);
});

Deno.test("messages that wait for their turn do not hold up those without qos", () => {
  const link = SessionRig.booted();
  for (let n = 0; n < 300; n++) link.write(`message ${n}`);
  assertEquals(link.write("now", { qos: false }).accepted, true);
  assertEquals(link.said(), ["01message 0", "02now"]);
  link.hears("01\n02\n");
  assertEquals(link.said(), ["03message 1"]);
});

Deno.test("two messages on their way never have the same id, whatever goes out between them", () => {
  const link = SessionRig.booted();
  const open = new Set<string>();
  // Some are acknowledged late, and those without qos at once.
  for (let n = 0; n < 2000; n++) {
    if (n % 51 === 0) link.write(`kept ${n}`, { wait: false });
    else link.write(`may be lost ${n}`, { qos: false });
    for (const line of link.said()) {
      const id = line.slice(0, 2);
      assert(!open.has(id), `${line} has the id of a message that is still on its way`);
      if (line.includes("kept")) open.add(id);
      else link.hears(`${id}\n`);
    }
    if (n % 500 === 0) {
      for (const id of open) link.hears(`${id}\n`);
      open.clear();
    }
  }
});

Deno.test("ids do not wrap around to the oldest message without an ack, whatever overtakes it", () => {
  const link = SessionRig.booted();
  link.write("oldest");
  assertEquals(link.said(), ["01oldest"]);
  const overtaking = () => {
    for (let count = 0;; count++) {
      if (!link.write("x", { qos: false }).accepted) return count;
      const [line] = link.said();
      link.hears(`${line!.slice(0, 2)}\n`);
    }
  };
  assertEquals(overtaking(), 31, "02 to 20");
  link.hears("01\n");
  link.write("next");
  assertEquals(link.said(), ["21next"]);
  assertEquals(overtaking(), 31);
});

Deno.test("an outbox full of messages refuses the next one, and has room after an ack", () => {
  const link = SessionRig.up({ outbox: 3 });
  for (let n = 0; n < 3; n++) link.write(`${n}`);
  const error = assertThrows(() => link.write("too much"), LocalError, "3 messages wait");
  assertEquals(error.code, "OUTBOX_FULL");
  link.hears("00\n");
  link.write("now");
  for (const id of [1, 2, 3]) link.hears(frame(id));
  assertEquals(link.said(), ["000", "011", "022", "03now"]);
});

Deno.test("an outbox can also be full because of the length of its texts, even after a restart", () => {
  const link = SessionRig.up({ queueText: 10 });
  link.write("1234567890");
  assertThrows(() => link.write("x"), LocalError, "1 messages wait");
  link.lose();
  link.restart();
  assertThrows(() => link.write("x"), LocalError, "1 messages wait");
  link.connect("\n");
  link.hears("00\n");
  link.write("x");
});

Deno.test("while a message has waited for too long, further ones are refused, until the device takes it", () => {
  const link = SessionRig.booted({ outboxAge: 60_000 });
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
  assertStringIncludes(error.message, "more than 60.0 s (limit outboxAge)");
  assertStringIncludes(error.message, "away for 65.0 s");
  assertEquals(link.write("now or never", { qos: false }).accepted, false);

  link.connect("\n");
  assertThrows(
    () => link.write("too late"),
    LocalError,
    "is connected, but has not acknowledged it",
  );
  assertEquals(link.said(), ["01old"]);
  link.hears("01\n");
  const goesOn = link.write("goes on");
  for (const id of [2, 3, 4]) link.hears(frame(id));
  assertEquals(link.said(), ["02later", "03exactly as old as it may be", "04goes on"]);
  assertEquals([later.acked, goesOn.acked], [1, 1]);
});

Deno.test("how long a message has waited is known after a restart, too", () => {
  const link = SessionRig.booted({ outboxAge: 1000 });
  link.lose();
  link.write("old");
  link.now += 1001;
  link.restart();
  assertThrows(() => link.write("x"), LocalError, "not connected since the server started");
});

Deno.test("a withdrawn message never counts as too old, and without a limit no message does", () => {
  const limited = SessionRig.booted({ outboxAge: 1000 });
  limited.write("first", { wait: false });
  limited.write("overtakes", { wait: false });
  limited.hears("02\n"); // it stays in the outbox, withdrawn
  limited.now += 900;
  limited.hears("01\n");
  limited.lose();
  limited.now += 900;
  assert(limited.write("x").accepted);

  const unlimited = SessionRig.booted();
  unlimited.lose();
  unlimited.write("old");
  unlimited.now += 2 ** 40;
  assert(unlimited.write("x").accepted);
});

Deno.test("while a socket takes nothing, messages without qos are refused in the end", () => {
  const link = SessionRig.up();
  link.takes = false;
  let accepted = 0;
  while (link.write("x".repeat(1000), { qos: false }).accepted) assert(++accepted < 1000);
  assert(accepted > 10);
});

Deno.test("a text that no line can carry is refused, and nothing is sent", () => {
  const link = SessionRig.up({ lineBytes: 10 });
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
  const link = SessionRig.up({ inbox: 1 });
  const written = link.write("to the device");
  link.hears("00fills the inbox\n01to the server\n00\n");
  assertEquals(written.acked, 1);
  assertEquals(link.said(), ["00to the device", "00"]);
  assertEquals(link.readAll(), ["fills the inbox", "to the server"]);
  assertEquals(link.said(), ["01"]);
});
