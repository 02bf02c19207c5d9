/**
 * Random bytes, calls and times for the codecs and the state machines of both ends. Whatever a peer does, only a
 * PeerError is thrown, the core does not trap, neither end holds more than its limits allow, and no message
 * that was acknowledged is lost.
 *
 * Long because it tests both ends and their parts with the same noise.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Access } from "../../server/admission/access.ts";
import { Admission } from "../../server/admission/admission.ts";
import { Can, Core, coreModule, Event } from "../../bridge/host/core.ts";
import { chipSize, type CoreSize } from "../../bridge/host/core_size.ts";
import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import { defaultLimits } from "../../server/link/limits.ts";
import { Session } from "../../server/link/session.ts";
import { WITHDRAWN } from "../../server/link/record.ts";
import { Records } from "../support/records.ts";
import { LineSplitter } from "../../server/protocol/lines.ts";
import { bytesOf, latin1 } from "../support/ends.ts";
import { noise, oddText } from "../support/noise.ts";
import { type Random, randomTest } from "../support/random.ts";

const encoder = new TextEncoder();

interface Read {
  lines: string[];
  error: string | undefined;
}

/** The lines of a stream, found in a slow and obvious way. */
function linesOf(bytes: Uint8Array, maxBytes: number): Read {
  const lines: string[] = [];
  for (let start = 0;;) {
    const end = bytes.indexOf(10, start);
    const line = bytes.subarray(start, end < 0 ? undefined : end);
    if (line.length > maxBytes) return { lines, error: "LINE_TOO_LONG" };
    if (end < 0) return { lines, error: undefined };
    try {
      lines.push(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line));
    } catch {
      return { lines, error: "BAD_UTF8" };
    }
    start = end + 1;
  }
}

randomTest(
  "a stream gives the same lines and the same fault wherever it is cut",
  2000,
  (random) => {
    const maxBytes = random.int(2, 40);
    const stream = new Uint8Array(
      Array.from({ length: random.int(1, 8) }, () => [...noise(random, maxBytes)]).flat(),
    );
    const splitter = new LineSplitter(maxBytes);
    const read: Read = { lines: [], error: undefined };
    for (const piece of random.cut(stream, random.pick([1, 3, 20, 1000]))) {
      const { lines, error } = splitter.push(piece);
      read.lines.push(...lines);
      read.error = error?.code;
      if (error) break;
      assert(splitter.held <= maxBytes, `${splitter.held} bytes of a line are held`);
    }
    assertEquals(read, linesOf(stream, maxBytes));
  },
);

const nobody = { arrived: () => {}, failed: () => {} };

/** A session under random calls, and what must always be true of it. */
class SessionUnderTest {
  readonly limits = { ...defaultLimits, lineBytes: 20, inbox: 3, outbox: 4, queueText: 100 };
  readonly store = new Records();
  readonly record = this.store.create("1");
  session = new Session(this.record, 2000, this.limits);
  now = 0;
  /** Ids of the messages that came on this connection. */
  #heard = new Set<string>();
  #splitter = new LineSplitter(22);
  #written = new Set<string>();

  constructor(readonly random: Random) {}

  /** Makes a call that may throw only a PeerError. Returns false if the connection had to end. */
  #peer(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.session.disconnect();
      return false;
    }
  }

  connect(): void {
    const { limits, record } = this;
    const host = {
      access: new Access({ open: true }),
      limits,
      now: () => this.now,
      record: () => record,
    };
    this.session.disconnect();
    new Admission(host, "").receive(bytesOf("1\n")).admitted!.connect(this.session, this.now);
    this.#splitter = new LineSplitter(22);
    this.#heard.clear();
  }

  receive(bytes: Uint8Array): boolean {
    const { session } = this;
    if (!session.connected || !session.wantsInput) return false;
    return this.#peer(() => {
      const lines = this.#splitter.push(bytes);
      for (const line of lines.lines) if (line.length > 2) this.#heard.add(line.slice(0, 2));
      session.receive(lines, this.now);
    });
  }

  tick(): boolean {
    return this.#peer(() => this.session.tick(this.now));
  }

  write(text: string, qos: boolean, wait: boolean): boolean {
    try {
      const accepted = this.session.write(text, { qos, wait }, nobody, this.now);
      if (accepted) this.#written.add(text.replace(/\n$/, ""));
      return accepted;
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      return false;
    }
  }

  /** Takes the bytes to send, and checks them. */
  transmit(): string[] {
    const lines = this.session.transmit(this.now).split("\n");
    assertEquals(lines.pop(), "");
    for (const line of lines) {
      if (line === "") continue;
      assert(/^[0-9a-f]{2}/.test(line), `this was sent: ${line}`);
      if (line.length === 2) {
        assert(this.#heard.has(line), `${line} was acknowledged, but never came`);
      } else assert(this.#written.has(line.slice(2)), `${line} was sent, but never written`);
    }
    return lines;
  }

  /** The application has processed a message. */
  shift(): string | undefined {
    this.store.commit();
    const text = this.session.peek();
    if (text !== undefined) this.session.shift();
    return text;
  }

  check(): void {
    const { record: { inbox, outbox }, limits, session } = this;
    assert(inbox.length <= limits.inbox, `${inbox.length} messages in the inbox`);
    assert(outbox.length <= limits.outbox, `${outbox.length} messages in the outbox`);
    const text = (texts: string[]) => texts.join("").length;
    assert(text(inbox) <= limits.queueText + limits.lineBytes);
    assert(text(outbox.map((message) => message.text)) <= limits.queueText + limits.lineBytes);
    if (!session.connected) assertEquals(session.deadline(), Infinity);
  }
}

randomTest("whatever a device sends, its session ends the connection or goes on", 300, (random) => {
  const test = new SessionUnderTest(random);
  const acts: (() => void)[] = [
    () => test.connect(),
    () => test.session.disconnect(),
    () => test.receive(noise(random, 30)),
    () => test.receive(noise(random, 30)),
    () => test.receive(noise(random, 30)),
    () => test.write(oddText(random, 20), !random.once(3), random.once(2)),
    () => test.tick(),
    () => test.transmit(),
    () => test.transmit(),
    () => test.shift(),
    () => test.now += random.pick([0, 1, 100, 500, 1999, 2000, 100_000]),
    () => test.session = new Session(test.record, 2000, test.limits),
  ];
  for (let i = 0; i < 200; i++) {
    random.pick(acts)();
    test.check();
  }

  // A connection on which both ends behave delivers what both still hold.
  test.connect();
  while (test.shift() !== undefined);
  assert(test.receive(encoder.encode("\n7efrom the device\n")));
  test.store.commit();
  assertEquals(test.session.peek(), "from the device");
  // A message that overtook others may have arrived already: only its place is left.
  const toSend = test.record.outbox.map(({ text }) => text).filter((text) => text !== WITHDRAWN);
  const sent: string[] = [];
  for (let turn = 0; turn < 20; turn++) {
    for (const line of test.transmit()) {
      if (line.length <= 2) continue;
      sent.push(line.slice(2));
      assert(test.receive(encoder.encode(`${line.slice(0, 2)}\n`)));
    }
  }
  assertEquals(sent, toSend);
  assertEquals(test.record.outbox.length, 0);
});

randomTest("what a server has acknowledged its application gets, in order", 300, (random) => {
  const test = new SessionUnderTest(random);
  const acknowledged: string[] = [];
  const got: string[] = [];
  let next = 0;
  const take = () => {
    const text = test.shift();
    if (text !== undefined) got.push(text);
  };
  for (let connection = 0; connection < 8; connection++) {
    test.connect();
    for (let i = 0; i < 30 && test.session.connected; i++) {
      const id = next === 0 ? 0 : (next - 1) % 255 + 1;
      const line = `${id.toString(16).padStart(2, "0")}text ${next}\n`;
      // One by one: each is sent until it is acknowledged, cut anywhere.
      for (const piece of random.cut(encoder.encode(line), random.int(1, 12))) test.receive(piece);
      if (test.transmit().includes(line.slice(0, 2))) acknowledged.push(`text ${next++}`);
      if (random.once(2)) take();
      if (random.once(10)) test.session = new Session(test.record, 2000, test.limits);
    }
    test.receive(random.bytes(100)); // most likely this ends it
    test.session.disconnect();
    test.session = new Session(test.record, 2000, test.limits);
  }
  while (test.session.peek() !== undefined) take();
  // The last one may be in the inbox while its ack is on its way.
  assertEquals(got.slice(0, acknowledged.length), acknowledged);
  assert(got.length <= acknowledged.length + 1);
});

/** A core under random calls, and what must always be true of it. */
class CoreUnderTest {
  readonly core: Core;
  readonly size: CoreSize;
  now: number;
  /** The text of each message that is written, by its place in the queue; undefined without qos. */
  readonly written: (string | undefined)[] = [];
  readonly taken: string[] = [];
  #memory: WebAssembly.Memory;
  /** Where the core's memory ends: see its memory map. */
  #end: number;
  #ready = false; // the last call was a poll with nothing to do
  #hello: string;
  #sent = ""; // on this connection
  #heard = ""; // on this connection
  #offeredTo = 0; // index after the last message offered, among those heard

  constructor(readonly random: Random) {
    const line = random.int(1, 30);
    this.size = random.once(8) ? chipSize : {
      line,
      outbox: line + 7 + random.int(0, 100),
      inbox: 2 * (line + 3) + random.int(0, 100),
      recent: random.int(1, 223),
      window: random.int(1, 64),
    };
    this.now = random.pick([0, -3000, 2 ** 31 - 3000, random.bits() | 0]);
    const id = "d".repeat(random.int(1, 20));
    this.#hello = `${id}\n`;
    const options = { ...this.size, id, timeout: 2000, dialect: 1 as const };
    this.core = new Core(coreModule(), {}, options, this.now);
    const { exports, piece } = this.core;
    this.#memory = exports.memory;
    const { recent, inbox, outbox } = this.size;
    this.#end = piece.byteOffset + this.#hello.length + 64 + 4 * recent + inbox + outbox;
    this.#behind().fill(0xa5);
  }

  /** The memory that does not belong to the core. */
  #behind(): Uint8Array {
    return new Uint8Array(this.#memory.buffer, this.#end);
  }

  pass(ms: number): void {
    this.now = this.now + ms | 0;
  }

  poll(can: number): number {
    const { core, size } = this;
    const event = core.poll(this.now, can);
    this.#ready = event === Event.none;
    if (event === Event.none) {
      assert(core.wait > 0 && core.wait <= 4000, `it would wait for ${core.wait} ms`);
      assert(core.roomToReceive >= 0 && core.roomToReceive <= size.inbox);
    } else if (event === Event.connect || event === Event.close) {
      this.#sent = this.#heard = "";
      this.#offeredTo = 0;
    } else if (event === Event.send) {
      this.#sent += latin1(core.piece);
      this.#checkSent();
    } else if (event === Event.message) {
      this.#checkOffer(latin1(core.piece));
    }
    return event;
  }

  /** Polls until there is nothing left to do, and takes some or all of the messages. */
  settle(can: number, takes = true): void {
    for (let i = 0;; i++) {
      assert(i < 2000, "it never comes to rest");
      const event = this.poll(can);
      if (event === Event.none) return;
      if (event !== Event.message) continue;
      if (!takes) return;
      this.taken.push(latin1(this.core.piece));
      this.core.take();
    }
  }

  #checkSent(): void {
    const sent = this.#sent;
    if (sent.length < this.#hello.length) assert(this.#hello.startsWith(sent), sent);
    else assert(sent.startsWith(this.#hello), `not the hello, but ${sent}`);
    assert(sent.endsWith("\n"));
    const lines = sent.slice(this.#hello.length).split("\n");
    const written = new Set(this.written.map((text) => text && latin1(bytesOf(text))));
    for (const line of lines.filter((line) => line.length > 2)) {
      assert(/^[0-9a-f]{2}/.test(line));
      assert(this.#heard.includes("\n"), `${line} was sent before anything was heard`);
      assert(written.has(line.slice(2)) || this.#off.has(line.slice(2)), `${line} was sent`);
    }
    for (const ack of lines.filter((line) => line.length === 2)) {
      assert(this.#messagesHeard().some((line) => line.startsWith(ack)), `ack of nothing: ${ack}`);
    }
  }

  #off = new Set<string>();

  #messagesHeard(): string[] {
    return this.#heard.split("\n").slice(0, -1).filter((line) => line.length > 2);
  }

  #checkOffer(text: string): void {
    const heard = this.#messagesHeard();
    // A message that was offered before and not taken is offered again.
    const from = Math.max(0, this.#offeredTo - 1);
    const at = heard.findIndex((line, index) => index >= from && line.slice(2) === text);
    assert(at >= 0, `offered, but never received: ${JSON.stringify(text)}`);
    this.#offeredTo = at + 1;
  }

  receive(bytes: Uint8Array): void {
    const n = this.#ready ? Math.min(bytes.length, this.core.roomToReceive) : 0;
    if (n === 0) return;
    if (this.core.state >= 2) this.#heard += latin1(bytes.subarray(0, n));
    this.core.receive(bytes.subarray(0, n), this.now);
    this.#ready = false;
  }

  write(text: string, qos: boolean): void {
    this.#ready = false;
    if (!this.core.write(encoder.encode(text), qos)) return;
    assert(text !== "" && !text.includes("\n"));
    this.written.push(qos ? text : undefined);
    if (!qos) this.#off.add(latin1(bytesOf(text)));
  }

  call(name: "opened" | "closed" | "take"): void {
    this.#ready = false;
    if (name === "take") this.core.take();
    else this.core[name](this.now);
    if (name === "closed" && this.core.state === 0) {
      this.#sent = this.#heard = "";
      this.#offeredTo = 0;
    }
  }

  check(): void {
    const { core, size } = this;
    assert(core.state >= -1 && core.state <= 3, `state ${core.state}`);
    const open = core.queued - core.done;
    assert(open >= 0 && open <= size.window, `${open} messages are not done`);
    assertEquals(core.queued, this.written.length);
  }

  checkMemory(): void {
    assert(
      this.#behind().every((byte) => byte === 0xa5),
      "something was written behind its memory",
    );
  }

  /** Everything sent on this connection after the hello. */
  get sentLines(): string[] {
    return this.#sent.slice(this.#hello.length).split("\n");
  }
}

randomTest("whatever a server sends and a host calls, the core goes on", 300, (random) => {
  const test = new CoreUnderTest(random);
  const { core, size } = test;
  const can = () => random.int(0, 3);
  const acts: (() => void)[] = [
    () => test.poll(can()),
    () => test.settle(can(), random.once(2)),
    () => test.settle(Can.send | Can.receive),
    () => test.settle(Can.send | Can.receive),
    () => test.call("opened"),
    () => test.call("opened"),
    () => random.once(4) && test.call("closed"),
    () => random.once(4) && test.call("take"),
    () => test.receive(encoder.encode("\n")),
    () => test.receive(noise(random, size.line)),
    () => test.receive(noise(random, size.line)),
    () => test.receive(noise(random, size.line)),
    () => test.write(oddText(random, size.line), !random.once(3)),
    () => test.write(oddText(random, size.line), true),
    () => test.pass(random.pick([0, 1, 50, 499, 500, 1999, 2000, random.int(0, 9000)])),
    () => {
      if (!random.once(20)) return;
      test.settle(3);
      test.pass(random.int(0, 2 ** 30)); // 12 days without a call
      test.settle(3);
    },
  ];
  for (let i = 0; i < 300; i++) {
    random.pick(acts)();
    test.check();
  }
  test.checkMemory();

  // A connection on which both ends behave carries what is left, and works both ways.
  test.call("closed");
  test.settle(3);
  for (let i = 0; core.state !== 1; i++) {
    assert(i < 3, "it does not connect again");
    test.pass(core.wait);
    test.settle(3);
  }
  const left = test.written.slice(core.done);
  test.call("opened");
  test.settle(3);
  test.receive(encoder.encode("\n"));
  test.settle(3);
  // Messages whose ack overtook that of an older one are not sent again.
  const expected = left.filter((text) => text !== undefined).map((text) => latin1(bytesOf(text)));
  let at = 0;
  for (let read = 0; core.done !== core.queued;) {
    const line = test.sentLines.filter((line) => line.length > 2)[read++];
    assert(line !== undefined, "messages are left, but none is sent");
    at = expected.indexOf(line.slice(2), at) + 1;
    assert(at > 0, `sent out of order or once more: ${line}`);
    test.receive(encoder.encode(`${line.slice(0, 2)}\n`));
    test.settle(3);
  }
  const before = test.taken.length;
  for (const piece of random.cut(encoder.encode("77!\n"), 3)) {
    test.receive(piece);
    test.settle(3);
  }
  // It is not a repeat, unless the noise had the same text with that id.
  assert(test.taken.length === before + 1 || test.taken.includes("!"));
  test.checkMemory();
});
