/**
 * Dialect 2 at one end: a peer that greets, proves its key, acknowledges and writes almost as it should. The only error
 * is a PeerError. A peer without the key never gets in. Messages that were acknowledged are there, messages that were not
 * are kept, other devices are not affected, and an honest peer is served afterwards.
 *
 * Long because it tests both ends: good lines are spoilt in the same way for both, and each checks the other.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Can, Core, coreModule, Event, UP } from "../../bridge/host/core.ts";
import { type CoreSize } from "../../bridge/host/core_size.ts";
import { Access } from "../../server/admission/access.ts";
import { Admission, type Admitted } from "../../server/admission/admission.ts";
import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import { formatWelcome, masked, PROOF, REFUSAL } from "../../server/protocol/greeting.ts";
import { defaultLimits } from "../../server/link/limits.ts";
import { newState } from "../../server/link/record.ts";
import { Session } from "../../server/link/session.ts";
import { Records } from "../support/records.ts";
import { LineSplitter } from "../../server/protocol/lines.ts";
import { maskOf } from "../../server/protocol/proof.ts";
import { bytesOf, fromLatin1, latin1 } from "../support/ends.ts";
import {
  helloLine,
  parseWelcome,
  proveLine,
  type Said,
  welcomeProof,
} from "../support/greeting.ts";
import { noise, oddText } from "../support/noise.ts";
import { type Random, randomTest } from "../support/random.ts";

const KEY = new Uint8Array(32).fill(0x5a);

const hex = (id: number) => (id & 255).toString(16).padStart(2, "0");

/** A number for a field of a greeting, allowed or not. */
function oddNumber(random: Random, ...near: number[]): number {
  const edges = [0, 1, 64, 65, 2 ** 31, 2 ** 32 - 1, random.bits()];
  const number = random.pick([...edges, ...near, ...near, ...near]) + random.pick([0, 0, 0, 1, -1]);
  return number >>> 0;
}

/** Spoils good bytes as a bad peer would. */
function spoil(random: Random, good: Uint8Array): Uint8Array {
  const bytes = [...good];
  const at = random.int(0, Math.max(0, bytes.length - 1));
  switch (random.int(0, 6)) {
    case 0:
      bytes[at] = random.bits() & 255;
      break;
    case 1: // usually another digit
      bytes[at] = random.pick([..."0123456789abcdefABC\t\x01\x02\x03\x04\n "]).charCodeAt(0);
      break;
    case 2:
      bytes.splice(at, random.int(1, 9));
      break;
    case 3:
      bytes.splice(at, 0, ...noise(random, 9));
      break;
    case 4:
      bytes.splice(at, 0, ...bytes.slice(at, at + random.int(1, 200)));
      break;
    case 5:
      return Uint8Array.of(...noise(random, 30), ...bytes);
    default:
      return noise(random, 150);
  }
  return Uint8Array.from(bytes);
}

/** What the test knows about one device: what it has written and received. */
interface Known {
  session: Session;
  /** Unacknowledged messages of the server. */
  toDevice: string[];
  /** Messages that the server's application has received. */
  got: string[];
}

/** A server with a device that has a key (A), one that has none (B), and one whose key nobody knows (C). */
class ServerUnderTest {
  readonly limits = { ...defaultLimits, lineBytes: 40, inbox: 3, outbox: 6, queueText: 200 };
  readonly store = new Records();
  readonly known = new Map<string, Known>();
  readonly access = new Access({
    keys: [["A", KEY], ["C", KEY.map((byte) => byte ^ 1)]],
    open: true,
  });
  now = 0;
  #count = 0;

  constructor(readonly random: Random) {
    for (const id of ["A", "B", "C"]) {
      const sent = random.pick([0, 2 ** 32 - 2, 2 ** 31 - 1, random.bits()]);
      this.store.create(id, newState(sent));
      for (let n = random.int(0, 3); n--;) this.write(id);
    }
  }

  meet(id: string): Known {
    let known = this.known.get(id);
    if (known) return known;
    const record = this.store.get(id) ?? this.store.create(id);
    known = { session: new Session(record, 2000, this.limits), toDevice: [], got: [] };
    this.known.set(id, known);
    return known;
  }

  write(id: string): void {
    const { session, toDevice } = this.meet(id);
    const text = `${id}${this.#count++}`;
    try {
      session.write(text, {}, { arrived: () => {}, failed: () => {} }, this.now);
      toDevice.push(text);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error; // the outbox is full, or the device takes shorter lines
    }
  }

  /** All that must not change unless the device itself acts. */
  snapshot(id: string): string {
    const { inbox, outbox, positions } = this.store.get(id)!;
    return JSON.stringify({ inbox, outbox, positions });
  }

  open(): Admission {
    const { access, limits, store } = this;
    return new Admission(
      { access, limits, record: (id) => store.get(id) },
      "10.9.9.9",
    );
  }
}

/** One connection to the server. */
class Peer {
  readonly #admission: Admission;
  readonly #splitter: LineSplitter;
  #known: Known | undefined;
  #heard = ""; // after the greeting
  #first = 0; // number of the device's first message
  #acknowledged = 0; // how many of the device's messages on this connection
  #gotBefore = 0;
  /** The lines from the server, without keepalives. */
  readonly said: string[] = [];
  admitted: Admitted | undefined;
  ended = false;

  constructor(readonly server: ServerUnderTest) {
    this.#admission = server.open();
    this.#splitter = new LineSplitter(server.limits.lineBytes + 2);
  }

  say(bytes: Uint8Array): void {
    const { random } = this.server;
    for (const piece of random.cut(bytes, random.pick([1, 20, 1000]))) {
      if (!this.ended) this.#peer(() => this.#hear(piece));
    }
  }

  /** It may throw only a PeerError. */
  #peer(call: () => void): void {
    try {
      call();
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (!this.#known) this.#checkFarewell(error);
      this.end();
    }
  }

  #checkFarewell(error: PeerError): void {
    const farewell = this.#admission.farewell(error);
    const [mark, code] = [farewell.slice(0, 1), farewell.slice(1)];
    assert(farewell === "" || (mark === REFUSAL && /^[0-9a-f]{2}\n$/.test(code)), farewell);
  }

  end(): void {
    if (!this.ended) this.#admission.end();
    this.ended = true;
    this.#known?.session.disconnect();
    this.#known = undefined;
  }

  #hear(piece: Uint8Array): void {
    if (this.#known) return this.#take(piece);
    let step = this.#admission.receive(piece);
    if (step.wants !== undefined) {
      step = this.#admission.provide(this.server.store.ask(step.wants));
    }
    const { output, admitted } = step;
    if (output !== "") this.said.push(output.trimEnd());
    if (!admitted) return;
    admitted.check();
    this.admitted = admitted;
    const { server } = this;
    const known = this.#known = server.meet(admitted.id);
    const { record } = known.session;
    known.session.disconnect();
    admitted.connect(known.session, server.now);
    if (admitted.dialect === 2) {
      const welcome = parseWelcome(this.said[0]!, KEY);
      this.#first = welcome.rxNext;
      // A device need not get messages that it claims to have.
      known.toDevice = known.toDevice.slice(-record.outbox.length || known.toDevice.length);
    }
    this.#gotBefore = known.got.length + record.inbox.length;
    const rest = this.#admission.rest;
    if (rest.length > 0) this.#take(rest);
  }

  #take(bytes: Uint8Array): void {
    const { session } = this.#known!;
    if (!session.wantsInput) return;
    this.#heard += latin1(bytes);
    session.receive(this.#splitter.push(bytes), this.server.now);
    this.settle();
  }

  /** The end of the server's turn. */
  settle(): void {
    const known = this.#known;
    if (!known) return;
    this.server.store.commit();
    const lines = known.session.transmit(this.server.now).split("\n").filter((line) => line !== "");
    this.said.push(...lines);
    for (const line of lines) {
      if (line.length > 2) {
        assert(known.toDevice.includes(line.slice(2)) || line.slice(2) === "\0", `sent: ${line}`);
      } else if (this.admitted!.dialect === 2) this.#checkAck(line, known);
    }
  }

  /** All messages up to the acknowledged one have arrived, in order. */
  #checkAck(line: string, { session, got }: Known): void {
    const number = parseInt(line, 16) + 1 - this.#first - this.#acknowledged & 255;
    assert(number > 0 && number <= 64, `${line} acknowledges ${number} messages at once`);
    this.#acknowledged += number;
    const messages = this.#heard.split("\n").slice(0, -1).filter((it) => it.length > 2);
    assert(messages.length >= this.#acknowledged, `${line} acknowledges a message that never came`);
    const due = messages.slice(0, this.#acknowledged).map((it) => it.slice(2));
    const isShown = (text: string) => text.charCodeAt(0) > 2; // else it is withdrawn, or for the log or the firmware
    const has = [...got, ...session.record.inbox].slice(this.#gotBefore);
    const texts = has.map((text) => latin1(bytesOf(text)));
    assertEquals(texts.slice(0, due.filter(isShown).length), due.filter(isShown));
  }

  /** The application has processed a message. */
  process(): void {
    const known = this.#known;
    if (!known) return;
    this.server.store.commit();
    const text = known.session.peek();
    if (text === undefined) return;
    known.got.push(text);
    known.session.shift();
    this.settle();
  }

  /** Messages that were sent and of whose acks the test does not know; and the device's next number. */
  get next(): number {
    return this.#first + this.#heard.split("\n").slice(0, -1).filter((it) => it.length > 2).length;
  }

  check(): void {
    for (const { session: { record: { inbox, outbox } } } of this.server.known.values()) {
      assert(
        inbox.length <= this.server.limits.inbox && outbox.length <= this.server.limits.outbox,
      );
    }
  }
}

/** A hello whose fields are right, nearly right or arbitrary. */
function drawHello(random: Random, server: ServerUnderTest, id: string): string {
  const { positions } = server.meet(id).session.record;
  const is = (): boolean => random.once(3);
  const said: Partial<Said> = {
    id,
    suite: id === "A" ? "02" : "00",
    txEpoch: is() ? oddNumber(random, positions.rxEpoch) : 1 + random.int(0, 3),
    txFirst: is() ? oddNumber(random, positions.rxNext) : positions.rxNext,
    rxEpoch: is() ? oddNumber(random, positions.txEpoch) : 0,
    rxNext: oddNumber(random, positions.txNext),
    window: random.once(8) ? oddNumber(random) : random.int(1, 64),
    bytes: random.once(8) ? oddNumber(random) : 200,
    line: random.once(8) ? oddNumber(random) : 100,
    nonce: hex(random.bits()).repeat(16),
  };
  return helloLine(said);
}

randomTest("dialect 2: a malicious device harms only its own link", 60, (random) => {
  const server = new ServerUnderTest(random);
  let overheard: Uint8Array[] = [];
  for (let attack = 0; attack < 12; attack++) {
    const id = random.pick(["A", "B"]);
    const before = { A: server.snapshot("A"), C: server.snapshot("C") };
    const connection = new Peer(server);
    if (random.once(8) && overheard.length > 0) {
      for (const bytes of overheard) connection.say(bytes); // replayed: it was right at that time
      assert(connection.admitted?.id !== "A", "a replay is admitted");
    } else {
      const hello = drawHello(random, server, id);
      const good = bytesOf(`${hello}\n`);
      const spoilt = random.once(2) ? spoil(random, good) : good;
      connection.say(spoilt);
      const welcome = connection.said[0] ?? "";
      const isGreeted = welcome.startsWith("\x02") && !connection.ended;
      const prove = id === "A" && isGreeted
        ? bytesOf(proveLine(KEY, hello, welcome))
        : bytesOf("\n");
      const answer = random.once(2) ? spoil(random, prove) : prove;
      connection.say(answer);
      if (connection.admitted?.id === "A") {
        const [all, right] = [[spoilt, answer], [good, prove]].map((it) => it.map(latin1).join(""));
        assert(
          all!.replace(new RegExp(`\n+${PROOF}`), `\n${PROOF}`).startsWith(right!),
          "admitted without a right proof",
        );
        overheard = [spoilt, answer];
      }
    }
    assert(!["C"].includes(connection.admitted?.id ?? ""), "C is admitted");
    for (let i = 0; i < 25; i++) {
      const ack = connection.said.findLast((line) => line.length > 2)?.slice(0, 2) ?? "00";
      const message = bytesOf(
        `${hex(connection.next)}${oddText(random, 30).replaceAll("\n", "")}!\n`,
      );
      random.pick<() => void>([
        () => connection.say(message),
        () => connection.say(message),
        () => connection.say(bytesOf(`${ack}\n`)),
        () => random.once(4) && connection.say(spoil(random, message)),
        () => random.once(4) && connection.say(spoil(random, bytesOf(`${ack}\n`))),
        () => random.once(8) && connection.say(noise(random, 50)),
        () => server.write(id),
        () => connection.settle(),
        () => connection.process(),
        () => server.now += random.pick([0, 1, 400]),
      ])();
      connection.check();
    }
    connection.end();
    if (connection.admitted?.id !== "A") {
      // The server's own application may have written to it meanwhile.
      const { positions } = server.store.get("A")!;
      const { positions: then } = JSON.parse(before.A);
      assertEquals({ ...positions, txNext: 0 }, { ...then, txNext: 0 });
    }
    assertEquals(server.snapshot("C"), before.C);
  }

  for (const id of ["A", "B"]) serveHonestly(server, id);
});

/** An honest device gets all messages that are held for it, and its own arrive. */
function serveHonestly(server: ServerUnderTest, id: string): void {
  const known = server.meet(id);
  const { record } = known.session;
  const held = record.outbox.map(({ text }) => text);
  const connection = new Peer(server);
  const hello = helloLine({ id, suite: id === "A" ? "02" : "00", txEpoch: 0xfeed });
  connection.say(bytesOf(`${hello}\n`));
  const welcome = connection.said[0]!;
  connection.say(bytesOf(id === "A" ? proveLine(KEY, hello, welcome) : "\n"));
  assertEquals(connection.admitted?.id, id);
  while (record.inbox.length > 0) connection.process();
  connection.say(bytesOf(`${hex(connection.next)}honest\n`));
  connection.process();
  assertEquals(known.got.at(-1), "honest");
  const sent = connection.said.slice(1).filter((line) => line.length > 2);
  assertEquals(sent.map((line) => line.slice(2)), held);
  if (sent.length > 0) connection.say(bytesOf(`${sent.at(-1)!.slice(0, 2)}\n`));
  assertEquals([record.outbox.length, connection.ended], [0, false]);
  connection.end();
}

/** A core of dialect 2, and a malicious server. */
class CoreUnderTest {
  readonly core: Core;
  readonly size: CoreSize = { line: 121, outbox: 300, inbox: 400, recent: 1, window: 16 };
  now: number;
  readonly written: string[] = [];
  readonly taken: string[] = [];
  /** What the core has sent on this connection. */
  sent = "";
  /** Shortest line limit in a welcome that was accepted. */
  leastLine = Infinity;
  /** What the core was sent on this connection. */
  heard = "";
  /** Number after that of the last message that it was sent on this connection. */
  next = 0;
  #end: number;

  constructor(readonly random: Random, readonly key: Uint8Array | undefined) {
    this.now = random.pick([0, -3000, 2 ** 31 - 3000, random.bits() | 0]);
    const position = random.once(2)
      ? { epoch: 9, next: random.pick([0, 5, 2 ** 32 - 1]) }
      : undefined;
    const dialect = { dialect: 2 as const, key, suite: 2 as const };
    const options = { ...this.size, id: "A", timeout: 2000, ...dialect, position };
    this.core = new Core(coreModule(), {}, options, this.now);
    const { piece } = this.core;
    const { recent, inbox, outbox } = this.size;
    this.#end = piece.byteOffset + "A\n".length + 64 + 4 * recent + inbox + outbox;
    this.#behind().fill(0xa5);
  }

  #behind(): Uint8Array {
    return new Uint8Array(this.core.exports.memory.buffer, this.#end);
  }

  /** Polls until there is nothing left to do. */
  settle(): void {
    const { core } = this;
    for (let i = 0;; i++) {
      assert(i < 2000, "it never comes to rest");
      switch (core.poll(this.now, Can.send | Can.receive)) {
        case Event.none:
          assert(core.wait > 0 && core.wait <= 8000, `it would wait for ${core.wait} ms`);
          return;
        case Event.send:
          this.sent += latin1(core.piece);
          break;
        case Event.message:
          this.taken.push(latin1(core.piece));
          core.take();
          break;
        default:
          this.sent = "";
      }
    }
  }

  hear(bytes: Uint8Array): void {
    const { core, random } = this;
    for (let rest = bytes; rest.length > 0;) {
      const n = Math.min(rest.length, core.roomToReceive, random.pick([1, 20, 1000]));
      if (n === 0 || core.state < 2) return;
      this.heard += latin1(rest.subarray(0, n));
      core.receive(rest.subarray(0, n), this.now);
      rest = rest.subarray(n);
      this.settle();
    }
  }

  write(): void {
    const text = `${this.written.length}${".".repeat(this.random.int(0, 30))}`;
    if (this.core.write(bytesOf(text), true)) this.written.push(text);
    this.settle();
  }

  /** The core connects and greets. Returns its hello. */
  connect(): string {
    const { core } = this;
    this.settle();
    for (let i = 0; core.state !== 1; i++) {
      assert(i < 9, "it does not connect again");
      this.now = this.now + core.wait | 0;
      this.settle();
    }
    core.opened(this.now);
    this.heard = "";
    this.settle();
    assert(this.sent.startsWith("\x01") && this.sent.endsWith("A\n"), this.sent);
    return this.sent.trimEnd();
  }

  lose(): void {
    this.core.closed(this.now);
    this.settle();
  }

  check(): void {
    const { core, size } = this;
    assert(core.state >= 0 && core.state <= 3, `state ${core.state}`);
    const open = core.queued - core.done | 0;
    assert(open >= 0 && open <= size.window, `${open} messages are not done`);
  }

  checkMemory(): void {
    assert(this.#behind().every((byte) => byte === 0xa5), "written behind its memory");
  }
}

/** An honest answer to a hello, with other numbers in it if given. */
function welcomeFor(hello: string, key: Uint8Array | undefined, random?: Random): string {
  const word = (n: number) => parseInt(hello.slice(3 + n * 8, 11 + n * 8), 16);
  const odd = (right: number) => random?.once(6) ? oddNumber(random, right) : right;
  const greeting = {
    txEpoch: odd(word(2) || 9),
    txFirst: odd(word(3)),
    rxEpoch: odd(word(0)),
    rxNext: odd(word(1)),
    window: odd(64),
    bytes: odd(1000),
    line: odd(200),
  };
  const nonce = "6".repeat(32);
  const said = key ? masked(greeting, maskOf(key, nonce)) : greeting;
  const line = formatWelcome(key ? 2 : 0, said, nonce);
  return key ? line + welcomeProof(key, hello, line) : line;
}

for (const key of [undefined, KEY]) {
  const name = key ? "has a key" : "has no key";
  randomTest(`dialect 2: whatever a server says, a core that ${name} goes on`, 60, (random) => {
    const test = new CoreUnderTest(random, key);
    const { core } = test;
    for (let attack = 0; attack < 10; attack++) {
      const hello = test.connect();
      const { position, done } = core;
      const good = fromLatin1(`${welcomeFor(hello, key, random)}\n`);
      const spoilt = random.once(2) ? spoil(random, good) : good;
      test.next = parseWelcome(latin1(good), key).txFirst;
      const checkProven = () => {
        if (!key) {
          test.leastLine = 0; // that server may have given any limit
          return;
        }
        if (test.heard.replace(/^\n+/, "").startsWith(latin1(good))) {
          const line = parseInt(latin1(good).slice(51, 59), 16);
          test.leastLine = Math.min(test.leastLine, line);
          return;
        }
        assert(core.state !== UP, "a server without the key is believed");
        assertEquals([core.position, core.done], [position, done]);
      };
      test.hear(spoilt);
      checkProven();
      for (let i = 0; i < 25; i++) {
        const message = bytesOf(`${hex(test.next)}${oddText(random, 30).replaceAll("\n", "")}!\n`);
        const ack = bytesOf(`${hex(core.done + random.int(0, 2))}\n`);
        random.pick<() => void>([
          () => (test.next++, test.hear(message)),
          () => (test.next++, test.hear(message)),
          () => test.hear(ack),
          () => random.once(4) && test.hear(spoil(random, message)),
          () => random.once(4) && test.hear(spoil(random, ack)),
          () => random.once(8) && test.hear(noise(random, 60)),
          () => test.write(),
          () => {
            test.now = test.now + random.pick([0, 1, 400]) | 0;
            test.settle();
          },
        ])();
        test.check();
        checkProven();
      }
      if (core.state >= 2) test.lose();
    }

    // An honest server gets all messages that are left, in order, and its own arrive.
    const hello = test.connect();
    test.hear(bytesOf(`${welcomeFor(hello, key)}\n`));
    assertEquals(core.state, UP);
    const left = test.written.slice(core.done - core.queued || test.written.length);
    const sent: string[] = [];
    for (let i = 0; core.done !== core.queued; i++) {
      assert(i < 100, "it is not done");
      const lines = test.sent.split("\n").filter((it) => /^[0-9a-f]{2}./.test(it)).slice(
        sent.length,
      );
      assert(lines.length > 0, "messages are left, but none is sent");
      sent.push(...lines.map((line) => line.slice(2)));
      test.hear(bytesOf(`${lines.at(-1)!.slice(0, 2)}\n`));
    }
    // For a server that took shorter lines it has withdrawn messages that were too long.
    assertEquals(sent.length, left.length);
    for (const [i, text] of left.entries()) {
      if (sent[i] !== "\0" || text.length <= test.leastLine) assertEquals(sent[i], text);
    }
    const { next } = core.position;
    test.hear(bytesOf(`${hex(next)}honest\n`));
    assertEquals(test.taken.at(-1), "honest");
    test.checkMemory();
  });
}
