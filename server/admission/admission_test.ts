import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  helloLine,
  isWelcome,
  parseWelcome,
  proveLine,
  refusal,
  type Said,
  type Welcome,
  welcomeProof,
} from "../../tests/support/greeting.ts";
import { Access, type AccessOptions } from "./access.ts";
import { Admission, type Admitted } from "./admission.ts";
import { PeerError } from "../protocol/errors.ts";
import { parseKey } from "../protocol/proof.ts";
import { defaultLimits, type Limits } from "../link/limits.ts";
import { Session } from "../link/session.ts";
import { Records } from "../../tests/support/records.ts";
import { type DeviceRecord, newState } from "../link/record.ts";

const KEY = "00112233445566778899aabbccddeeff".repeat(2);
const key = parseKey("1", KEY);
const encoder = new TextEncoder();

/** A server's door, without the server. */
class Door {
  readonly store = new Records();
  readonly access: Access;
  readonly limits: Limits;
  now = 1000;

  constructor(access: AccessOptions = { open: true }, limits: Partial<Limits> = {}) {
    this.access = new Access(access);
    this.limits = { ...defaultLimits, ...limits };
  }

  static withKey(options: AccessOptions = {}): Door {
    return new Door({ keys: [["1", KEY]], ...options });
  }

  record(id = "1"): DeviceRecord {
    const known = this.store.get(id);
    return known ?? this.store.create(id);
  }

  knock(hostname = "10.0.0.1"): Guest {
    const host = {
      access: this.access,
      limits: this.limits,
      record: (id: string) => {
        const known = this.store.get(id);
        if (!known && this.store.size >= this.limits.devices) {
          throw new PeerError("TOO_MANY_DEVICES", "no more");
        }
        return known;
      },
    };
    return new Guest(new Admission(host, hostname), this.store);
  }

  /** A session for the record, as the server has one. */
  session(id = "1"): Session {
    return new Session(this.record(id), 2000, this.limits);
  }
}

/** One connection that is not let in yet. */
class Guest {
  heard = "";
  admitted: Admitted | undefined;
  #hello = "";

  constructor(readonly admission: Admission, readonly store: Records) {}

  says(text: string | Uint8Array): void {
    let step = this.admission.receive(typeof text === "string" ? encoder.encode(text) : text);
    if (step.wants !== undefined) step = this.admission.provide(this.store.ask(step.wants));
    const { output, admitted } = step;
    this.heard += output;
    this.admitted = admitted;
  }

  /** Says hello, and returns the welcome. */
  greets(said: Partial<Said> = {}): Welcome {
    this.#hello = helloLine(said);
    this.says(`${this.#hello}\n`);
    return parseWelcome(this.heard);
  }

  /** The line that proves who says it, unless it has another key than the server's. */
  proof(own = key): string {
    return proveLine(own, this.#hello, this.heard.trimEnd());
  }

  get greeting(): { hello: string; welcome: string } {
    return { hello: this.#hello, welcome: this.heard.trimEnd() };
  }

  /** Says something for which it is turned away; returns why, and what it is told. */
  turnedAway(text: string | Uint8Array): [code: string, told: string] {
    const error = assertThrows(() => this.says(text), PeerError);
    return [error.code, this.admission.farewell(error)];
  }
}

// What a hello must look like.

Deno.test("a hello of dialect 1 is its name, and is let in at once", () => {
  const guest = new Door().knock();
  guest.says("küche\n00behind it\n");
  assertEquals([guest.heard, guest.admitted?.id, guest.admitted?.dialect], ["", "küche", 1]);
  assertEquals(new TextDecoder().decode(guest.admission.rest), "00behind it\n");
});

for (
  const [what, hello, code] of [
    ["is empty", "\n", "BAD_HELLO"],
    ["has control characters", "a\x07b\n", "BAD_HELLO"],
    ["begins with a control character", "\x05\n", "BAD_HELLO"],
    ["is a welcome", "\x0200\n", "BAD_HELLO"],
    ["is a prove", `\x03${"0".repeat(32)}\n`, "BAD_HELLO"],
    ["is a refusal", "\x0402\n", "BAD_HELLO"],
    ["is not UTF-8", new Uint8Array([97, 0xff, 10]), "BAD_HELLO"],
    ["has a TAB, as if metadata came behind it", "kitchen\tversion=1\n", "BAD_HELLO"],
    ["is longer than 320 bytes", `${"x".repeat(321)}\n`, "HELLO_TOO_LONG"],
    ["is longer than 320 bytes and has no end", "x".repeat(321), "HELLO_TOO_LONG"],
  ] as const
) {
  Deno.test(`a first line of no dialect that ${what} is turned away without a word`, () => {
    assertEquals(new Door().knock().turnedAway(hello), [code, ""]);
  });
}

const good = helloLine();
const malformed: [what: string, hello: string][] = [
  ["is nothing but its first character", "\x01"],
  ["has a suite alone", "\x0100"],
  ["ends in a number", good.slice(0, 30)],
  ["ends in the nonce", good.slice(0, 70)],
  ["has capital digits", good.replace("abcdef", "ABCDEF")],
  ["has something else for a digit", good.replace("00abcdef", "00abcdeg")],
  ["has a space in a number", good.replace("00abcdef", " 0abcdef")],
  ["has a sign in a number", good.replace("00abcdef", "-0abcdef")],
  ["has a nonce that is not hexadecimal", helloLine({ nonce: "z".repeat(32) })],
  ["names suite 02", helloLine({ suite: "02" })],
  ["names suite ff", helloLine({ suite: "ff" })],
  ["names no suite", helloLine({ suite: "zz" })],
  ["names its stream 0", helloLine({ txEpoch: 0 })],
  ["has a window of 0", helloLine({ window: 0 })],
  ["has a window of 65", helloLine({ window: 65 })],
  ["has a window of 2^31", helloLine({ window: 2 ** 31 })],
  ["has a window of 2^32 - 1", helloLine({ window: 2 ** 32 - 1 })],
  ["has room for less than a line: bytes below line + 3", helloLine({ bytes: 514, line: 512 })],
  ["has room for no bytes", helloLine({ bytes: 0 })],
  ["takes lines without text", helloLine({ line: 0 })],
  ["has a line so long that line + 3 comes round", helloLine({ bytes: 2, line: 2 ** 32 - 1 })],
];

for (const [what, hello] of malformed) {
  Deno.test(`a malformed greeting that ${what} is BAD_GREETING, refusal 05`, () => {
    for (const door of [new Door(), Door.withKey()]) {
      const told = door.knock().turnedAway(`${hello}\n`);
      assertEquals(told, ["BAD_GREETING", refusal("05")]);
      assertEquals(door.store.size, 0);
    }
  });
}

for (const [what, id] of [["no name", ""], ["a name with control characters", "a\x1bb"]] as const) {
  Deno.test(`a hello of dialect 2 with ${what} is BAD_HELLO, refusal 05`, () => {
    const told = new Door().knock().turnedAway(`${helloLine({ id })}\n`);
    assertEquals(told, ["BAD_HELLO", refusal("05")]);
  });
}

Deno.test("a hello of dialect 2 that is not UTF-8 is BAD_HELLO, refusal 05", () => {
  const bytes = new Uint8Array([...encoder.encode(helloLine({ id: "" })), 0xc3, 10]);
  assertEquals(new Door().knock().turnedAway(bytes), ["BAD_HELLO", refusal("05")]);
});

Deno.test("a hello of dialect 2 over 320 bytes is HELLO_TOO_LONG, the longest one is not", () => {
  const longest = helloLine({ id: `${"x".repeat(164)}\ta=${"y".repeat(62)}` });
  assertEquals(longest.length, 320);
  assertEquals(new Door().knock().turnedAway(`${longest}x\n`)[0], "HELLO_TOO_LONG");
  const guest = new Door().knock();
  guest.says(`${longest}\n`);
  assert(isWelcome(guest.heard));
});

Deno.test("what a device says about itself stands behind a TAB, and is no part of its name", () => {
  for (const metadata of ["a=", "reset=power-on version=0.1.0 ort=küche", `a=${"é".repeat(31)}`]) {
    const guest = new Door().knock();
    guest.greets({ id: `kitchen\t${metadata}` });
    guest.says("\n");
    assertEquals([guest.admitted?.id, guest.admitted?.metadata], ["kitchen", metadata]);
  }
});

Deno.test("metadata are part of what is proved", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "01", id: "1\tversion=1" });
  const { hello, welcome } = guest.greeting;
  const forged = hello.replace("version=1", "version=2");
  assertEquals(guest.turnedAway(proveLine(key, forged, welcome))[0], "BAD_PROOF");

  const honest = Door.withKey().knock();
  honest.greets({ suite: "01", id: "1\tversion=1" });
  honest.says(honest.proof());
  assertEquals([honest.admitted?.id, honest.admitted?.metadata], ["1", "version=1"]);
});

for (
  const [what, metadata] of [
    ["is empty", ""],
    ["has 65 bytes", `a=${"x".repeat(63)}`],
    ["has 64 characters, but 65 bytes", `a=${"x".repeat(61)}é`],
    ["has a second TAB", "a=1\tb=2"],
    ["has a NUL", "a=\0"],
    ["has a carriage return", "a=1\r"],
    ["has a DEL", "a=\x7f"],
    ["has no pair", "watchdog"],
    ["has a pair without its name", "=watchdog"],
    ["begins with a space", " a=1"],
    ["ends with a space", "a=1 "],
    ["has two spaces between pairs", "a=1  b=2"],
  ] as const
) {
  Deno.test(`a hello whose metadata ${what} is BAD_GREETING, refusal 05`, () => {
    const door = new Door();
    const told = door.knock().turnedAway(`${helloLine({ id: `kitchen\t${metadata}` })}\n`);
    assertEquals(told, ["BAD_GREETING", refusal("05")]);
    assertEquals(door.store.size, 0);
  });
}

Deno.test("a hello with metadata and no name is BAD_HELLO, refusal 05", () => {
  const told = new Door().knock().turnedAway(`${helloLine({ id: "\ta=1" })}\n`);
  assertEquals(told, ["BAD_HELLO", refusal("05")]);
});

Deno.test("a hello at its limits is welcome: windows of 1 and 64, bytes of line + 3, any position", () => {
  const max = 2 ** 32 - 1;
  const limits: Partial<Said>[] = [
    { window: 1 },
    { window: 64 },
    { bytes: 515, line: 512 },
    { bytes: 4, line: 1 },
    { bytes: max, line: max - 3 },
    { txEpoch: max, txFirst: max, rxEpoch: max, rxNext: max },
    { txEpoch: 1 },
    { nonce: "0".repeat(32) },
  ];
  for (const said of limits) {
    const welcome = new Door().knock().greets(said);
    assertEquals([welcome.suite, welcome.proof], ["00", ""]);
  }
});

Deno.test("a hello may come byte by byte, and a proof too", () => {
  const guest = Door.withKey().knock();
  const hello = helloLine({ suite: "01" });
  for (const byte of `${hello}\n`) guest.says(byte);
  const prove = proveLine(key, hello, guest.heard.trimEnd());
  for (const byte of prove) {
    assertEquals(guest.admitted, undefined);
    guest.says(byte);
  }
  assertEquals(guest.admitted?.id, "1");
});

// What it is told.

Deno.test("a welcome says who speaks, what was taken, and how much room there is", () => {
  const door = new Door({ open: true }, { lineBytes: 100 });
  const welcome = door.knock().greets({ txEpoch: 77, txFirst: 5 });
  const { txEpoch } = welcome;
  assert(txEpoch !== 0);
  assertMatch(welcome.nonce, /^[0-9a-f]{32}$/);
  assertEquals({ ...welcome, nonce: "" }, {
    suite: "00",
    txEpoch,
    txFirst: 0,
    rxEpoch: 77,
    rxNext: 5,
    window: 64,
    bytes: 412,
    line: 100,
    nonce: "",
    proof: "",
  });
});

Deno.test("no two welcomes have the same nonce", () => {
  const door = new Door();
  const nonces = Array.from({ length: 100 }, () => door.knock().greets().nonce);
  assertEquals(new Set(nonces).size, 100);
});

/** A record in the middle of its life: rx 7 taken of stream 77, tx 3, 4 and 5 wait for their acks. */
function lively(door: Door): DeviceRecord {
  const record = door.store.create("1", newState(3, { rxEpoch: 77, rxNext: 7, txEpoch: 99 }));
  for (const text of ["three", "four", "five"]) {
    record.write(text, { overtakes: false, qos: true }, 0);
  }
  record.release();
  door.store.commit();
  return record;
}

for (
  const [what, said, expected] of [
    ["an unknown epoch of the device's stream: the stream is new", { txEpoch: 78, txFirst: 2 }, {
      rxEpoch: 78,
      rxNext: 2,
    }],
    ["a known stream goes on where it stopped", { txEpoch: 77, txFirst: 5 }, { rxNext: 7 }],
    ["a known stream of which nothing is held", { txEpoch: 77, txFirst: 7 }, { rxNext: 7 }],
    ["the device holds less than was taken: an old store goes on with what there is", {
      txEpoch: 77,
      txFirst: 9,
    }, { rxNext: 9 }],
    ["an unknown epoch of ours: nothing is there", { rxEpoch: 98, rxNext: 5 }, { txFirst: 3 }],
    ["no epoch of ours: nothing is there", { rxEpoch: 0, rxNext: 0 }, { txFirst: 3 }],
    ["a position in our stream: what is before it has arrived", { rxEpoch: 99, rxNext: 4 }, {
      txFirst: 4,
    }],
    ["the device has all of our stream", { rxEpoch: 99, rxNext: 6 }, { txFirst: 6 }],
    ["the device has forgotten what it acknowledged", { rxEpoch: 99, rxNext: 1 }, { txFirst: 3 }],
  ] as [string, Partial<Said>, Partial<Welcome>][]
) {
  Deno.test(`positions: ${what}`, () => {
    const door = new Door();
    const record = lively(door);
    const before = JSON.stringify(record.positions);
    const welcome = door.knock().greets(said);
    const common = { txEpoch: 99, txFirst: 3, rxEpoch: said.txEpoch ?? 0xabcdef };
    const { txEpoch, txFirst, rxEpoch, rxNext } = welcome;
    assertEquals({ txEpoch, txFirst, rxEpoch, rxNext }, { rxNext: 0, ...common, ...expected });
    assertEquals(JSON.stringify(record.positions), before, "a hello alone changes nothing");
    assertEquals(record.outbox.length, 3);
  });
}

Deno.test("a position beyond what was ever sent: our store is old, and our stream is new", () => {
  for (const rxNext of [7, 1000, 2 ** 31 + 2]) {
    const door = new Door();
    const record = lively(door);
    const guest = door.knock();
    const welcome = guest.greets({ rxEpoch: 99, rxNext });
    assert(welcome.txEpoch !== 99 && welcome.txEpoch !== 0);
    assertEquals(welcome.txFirst, 3);
    guest.says("\n");
    assertEquals(guest.admitted?.ahead, true);
    guest.admitted!.connect(door.session(), door.now);
    assertEquals(record.positions.txEpoch, welcome.txEpoch);
    assertEquals(record.outbox.map(({ text }) => text), ["three", "four", "five"]);
  }
});

Deno.test("what was written but never sent cannot be there: our store is old, and had others in its place", () => {
  const door = new Door();
  const record = lively(door);
  record.write("six", { overtakes: false, qos: true }, 0);
  const guest = door.knock();
  const welcome = guest.greets({ rxEpoch: 99, rxNext: 7 });
  assert(welcome.txEpoch !== 99 && welcome.txEpoch !== 0);
  guest.says("\n");
  guest.admitted!.connect(door.session(), door.now);
  assertEquals(record.outbox.map(({ text }) => text), ["three", "four", "five", "six"]);
});

Deno.test("positions come round after 2^32", () => {
  const door = new Door();
  const positions = { rxEpoch: 77, rxNext: 1, txEpoch: 99 };
  const record = door.store.create("1", newState(2 ** 32 - 1, positions));
  for (const text of ["a", "b", "c"]) record.write(text, { overtakes: false, qos: true }, 0);
  record.release();
  const guest = door.knock();
  const said = { txEpoch: 77, txFirst: 2 ** 32 - 2, rxEpoch: 99, rxNext: 1 };
  const { rxNext, txFirst } = guest.greets(said);
  assertEquals([rxNext, txFirst], [1, 1]);
  guest.says("\n");
  guest.admitted!.connect(door.session(), door.now);
  assertEquals(record.outbox.map(({ text }) => text), ["c"]);
});

// Whether it is really there.

Deno.test("a hello alone is nobody: what comes behind the welcome shows that it is the device", () => {
  const guest = new Door().knock();
  guest.greets();
  assertEquals(guest.admitted, undefined);
  guest.says("\n");
  assertEquals([guest.admitted?.id, guest.admitted?.dialect], ["1", 2]);
  assertEquals(guest.admission.rest.length, 1);
});

Deno.test("a hello alone leaves nothing behind, and what its welcome promised is kept when it is answered", () => {
  for (const [door, suite] of [[new Door(), "00"], [Door.withKey(), "01"]] as const) {
    const guest = door.knock();
    const { txEpoch, txFirst } = guest.greets({ suite });
    assertEquals([door.store.size, txFirst], [0, 0]);
    guest.says(suite === "01" ? guest.proof() : "\n");
    assertEquals(door.store.size, 0);
    guest.admitted!.check();
    guest.admitted!.connect(door.session(), door.now);
    const { positions } = door.record();
    assertEquals([positions.txEpoch, positions.rxEpoch, positions.connects], [
      txEpoch,
      0xabcdef,
      1,
    ]);
  }
});

Deno.test("two greet at the same time, and the one that answers later finds its welcome stale", () => {
  const door = new Door();
  const [first, second] = [door.knock(), door.knock()];
  for (const guest of [first, second]) {
    guest.greets();
    guest.says("\n");
  }
  first.admitted!.check();
  const session = door.session();
  first.admitted!.connect(session, door.now);
  for (const late of [second.admitted!.check, () => second.admitted!.connect(session, door.now)]) {
    assertEquals(assertThrows(late, PeerError).code, "STALE_GREETING");
  }
});

Deno.test("what the old connection brought after the welcome is known when the device repeats it", () => {
  const door = new Door();
  const record = lively(door);
  const guest = door.knock();
  const { rxNext } = guest.greets({ txEpoch: 77, txFirst: 7 });
  record.receive("old connection");
  record.change({ rxNext: rxNext + 1 });
  guest.says("\n");
  const session = door.session();
  guest.admitted!.connect(session, door.now);
  const inbox = [...record.inbox];
  const [repeat, next] = [rxNext, rxNext + 1].map((id) => id.toString(16).padStart(2, "0"));
  session.receive({ lines: [`${repeat}old connection`, `${next}new connection`] }, door.now);
  assertEquals(record.inbox, [...inbox, "new connection"]);
  assertEquals(record.positions.rxNext, rxNext + 2);
  assert(session.transmit(door.now).startsWith(`${next}\n`));
});

Deno.test("a welcome is stale when what it offers first has been acknowledged since", () => {
  const door = new Door();
  const record = lively(door);
  record.write("text", { overtakes: false, qos: true }, 0);
  const guest = door.knock();
  guest.greets({ txEpoch: 77, txFirst: 7 });
  record.settle();
  guest.says("\n");
  assertEquals(assertThrows(() => guest.admitted!.check(), PeerError).code, "STALE_GREETING");
});

// Proofs.

Deno.test("server and device prove that they have the same key, and both nonces are in it", () => {
  const door = Door.withKey();
  const guest = door.knock();
  const { suite, proof } = guest.greets({ suite: "01" });
  const { hello, welcome } = guest.greeting;
  assertEquals([suite, proof], ["01", welcomeProof(key, hello, welcome)]);
  guest.says(guest.proof());
  assertEquals([guest.admitted?.id, guest.admitted?.dialect], ["1", 2]);
  guest.admitted!.connect(door.session(), door.now);
  assertEquals(door.record().positions.connects, 1);
});

Deno.test("what comes together with the proof is not lost, and nothing before it is awaited", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "01" });
  guest.says(`${guest.proof()}\n00first\n`);
  assertEquals(new TextDecoder().decode(guest.admission.rest), "\n00first\n");
});

for (
  const [what, prove] of [
    ["made with another key", (guest: Guest) => guest.proof(new Uint8Array(32))],
    ["with one digit wrong", (guest: Guest) => {
      const right = guest.proof();
      return right.slice(0, -2) + (right.at(-2) === "0" ? "1" : "0") + "\n";
    }],
    ["that is not UTF-8", () => new Uint8Array([3, 0xc3, 0xff, 10])],
    ["in capital letters", (guest: Guest) => guest.proof().toUpperCase().replace("\n", "A\n")],
    ["that is the server's own", (guest: Guest) => `\x03${parseWelcome(guest.heard).proof}\n`],
    ["that is empty", () => "\x03\n"],
    ["cut short", (guest: Guest) => `${guest.proof().slice(0, -2)}\n`],
    ["with more behind it", (guest: Guest) => `${guest.proof().trimEnd()}0\n`],
  ] as const
) {
  Deno.test(`a wrong proof, ${what}, is BAD_PROOF, refusal 02, and changes nothing`, () => {
    const door = Door.withKey();
    const record = lively(door);
    const before = JSON.stringify([record.positions, record.outbox]);
    const guest = door.knock();
    guest.greets({ suite: "01", rxEpoch: 99, rxNext: 6 });
    assertEquals(guest.turnedAway(prove(guest)), ["BAD_PROOF", refusal("02")]);
    assertEquals(JSON.stringify([record.positions, record.outbox]), before);
  });
}

Deno.test("a replayed hello and prove is BAD_PROOF: the server's nonce is another one", () => {
  const door = Door.withKey();
  const guest = door.knock();
  guest.greets({ suite: "01" });
  const prove = guest.proof();
  guest.says(prove);
  assert(guest.admitted);
  const replay = door.knock("10.0.0.9");
  replay.says(`${guest.greeting.hello}\n`);
  assertEquals(replay.turnedAway(prove), ["BAD_PROOF", refusal("02")]);
  const inOne = door.knock("10.0.0.10");
  inOne.says(`${guest.greeting.hello}\n${prove}`);
  assertEquals(inOne.admitted, undefined);
  assertEquals(inOne.turnedAway("\n"), ["BAD_PROOF", refusal("02")]);
});

Deno.test("a proof is of all that was said: a changed hello or welcome does not pass", () => {
  for (const said of [{ txFirst: 1 }, { window: 63 }, { nonce: "f".repeat(32) }]) {
    const door = Door.withKey();
    const guest = door.knock();
    guest.greets({ suite: "01", ...said });
    const told = proveLine(key, helloLine({ suite: "01" }), guest.greeting.welcome);
    assertEquals(guest.turnedAway(told)[0], "BAD_PROOF");
  }
  const guest = Door.withKey().knock();
  guest.greets({ suite: "01" });
  const { hello, welcome } = guest.greeting;
  const other = welcome.slice(0, 20) + (welcome[20] === "f" ? "0" : "f") + welcome.slice(21);
  assertEquals(guest.turnedAway(proveLine(key, hello, other))[0], "BAD_PROOF");
});

Deno.test("keepalives may come before a proof, any number of them, and take no room", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "01" });
  for (let n = 0; n < 100; n++) {
    guest.says("\n".repeat(1000));
    assertEquals(guest.admission.rest.length, 0);
  }
  guest.says(`\n${guest.proof()}`);
  assert(guest.admitted);
});

Deno.test("a proof that never ends is turned away", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "01" });
  guest.says("\x03");
  assertEquals(guest.turnedAway("0".repeat(320)), ["HELLO_TOO_LONG", ""]);
});

for (
  const [what, line] of [
    ["a second hello of dialect 2", `${helloLine({ suite: "01" })}\n`],
    ["a hello of dialect 1", "1\n"],
    ["a message", "00text\n"],
    ["a welcome", "\x0201\n"],
  ] as const
) {
  Deno.test(`${what} where a proof should be is BAD_LINE, and no wrong proof`, () => {
    const door = Door.withKey();
    const guest = door.knock();
    guest.greets({ suite: "01" });
    assertEquals(guest.turnedAway(line), ["BAD_LINE", ""]);
    door.knock().greets({ suite: "01" });
  });
}

/** A guest with the wrong key says so. Returns whether it is told, and when. */
function guesses(guest: Guest): [told: string, late: boolean] {
  guest.greets({ suite: "01" });
  const [code, told] = guest.turnedAway(guest.proof(new Uint8Array(32)));
  assertEquals(code, "BAD_PROOF");
  return [told, guest.admission.isLate];
}

Deno.test("a wrong proof is refused late, four at a time from one address, and others not at all", () => {
  const door = Door.withKey();
  const guests = Array.from({ length: 6 }, () => door.knock());
  const told = guests.map(guesses);
  for (const n of [0, 1, 2, 3]) assertEquals(told[n], [refusal("02"), true]);
  for (const n of [4, 5]) assertEquals(told[n], ["", false]);
  assertEquals(guesses(door.knock("10.0.0.2")), [refusal("02"), true]);
  for (const guest of guests) guest.admission.end();
  assertEquals(guesses(door.knock()), [refusal("02"), true]);
});

Deno.test("whatever others at its address have tried, a right proof gets in at once, and so does who needs none", () => {
  const door = Door.withKey({ open: true });
  for (let n = 0; n < 100; n++) guesses(door.knock());
  const guest = door.knock();
  guest.greets({ suite: "01" });
  guest.says(guest.proof());
  assertEquals(guest.admitted?.id, "1");
  const other = door.knock();
  other.greets({ id: "2" });
  other.says("\n");
  assertEquals(other.admitted?.id, "2");
  const stock = door.knock();
  stock.says("3\n");
  assertEquals(stock.admitted?.id, "3");
});

// Policy.

for (
  const [what, door, said, code] of [
    ["has no key, and the server is not open", Door.withKey(), { id: "2" }, "01"],
    ["has a key and does not prove it", Door.withKey(), { suite: "00" }, "03"],
    ["has a key and does not prove it to an open server", Door.withKey({ open: true }), {}, "03"],
    ["proves a key that the server has not", Door.withKey(), { suite: "01", id: "2" }, "04"],
    ["proves a key to a server without any", new Door(), { suite: "01" }, "04"],
    ["is named as stock and speaks dialect 2", Door.withKey({ stock: ["2"] }), { id: "2" }, "01"],
  ] as [string, Door, Partial<Said>, string][]
) {
  Deno.test(`a device that ${what} is NOT_ADMITTED, refusal ${code}`, () => {
    const told = door.knock().turnedAway(`${helloLine(said)}\n`);
    assertEquals(told, ["NOT_ADMITTED", refusal(code)]);
    assertEquals(door.store.size, 0, "and is not remembered");
  });
}

Deno.test("a device too many is TOO_MANY_DEVICES, refusal 06", () => {
  const door = new Door({ open: true }, { devices: 1 });
  door.record("1");
  const told = door.knock().turnedAway(`${helloLine({ id: "2" })}\n`);
  assertEquals(told, ["TOO_MANY_DEVICES", refusal("06")]);
  door.knock().greets({ id: "1" });
});

Deno.test("in dialect 1 a device with a key is refused, a named one or an open door is not", () => {
  const refused: [Door, string][] = [
    [Door.withKey(), "1\n"],
    [Door.withKey({ open: true, stock: ["1"] }), "1\n"],
    [Door.withKey({ stock: ["2"] }), "3\n"],
  ];
  for (const [door, hello] of refused) {
    assertEquals(door.knock().turnedAway(hello), ["NOT_ADMITTED", ""]);
  }
  for (const door of [Door.withKey({ stock: ["2", "3"] }), Door.withKey({ open: true })]) {
    const guest = door.knock();
    guest.says("3\n");
    assertEquals(guest.admitted?.id, "3");
  }
});

for (
  const [what, keys] of [["changed", [["1", "f".repeat(64)]]], ["removed", [["2", KEY]]]] as [
    string,
    [string, string][],
  ][]
) {
  Deno.test(`a key that is ${what} between welcome and proof lets nobody in`, () => {
    const door = Door.withKey();
    const guest = door.knock();
    guest.greets({ suite: "01" });
    door.access.setKeys(keys);
    guest.says(guest.proof());
    assertThrows(() => guest.admitted!.check(), PeerError);
    assertThrows(() => guest.admitted!.connect(door.session(), door.now), PeerError);
    assertEquals(door.record().positions.connects, 0);
  });
}

Deno.test("a key that is added between welcome and answer lets nobody in who has not proved it", () => {
  const door = new Door();
  const guest = door.knock();
  guest.greets();
  door.access.setKeys([["1", KEY]]);
  guest.says("\n");
  assertThrows(() => guest.admitted!.check(), PeerError);
});
