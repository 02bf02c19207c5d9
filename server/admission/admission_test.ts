/** Proofs and policy: which devices are let in. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Door, type Guest, KEY, key, lively } from "../../tests/support/door.ts";
import {
  helloLine,
  parseWelcome,
  proveLine,
  refusal,
  type Said,
  welcomeProof,
} from "../../tests/support/greeting.ts";
import { PeerError } from "../protocol/errors.ts";

// Proofs.

Deno.test("server and device prove that they have the same key; the proof covers both nonces", () => {
  const door = Door.withKey();
  const guest = door.knock();
  const { suite, proof } = guest.greets({ suite: "02" });
  const { hello, welcome } = guest.greeting;
  assertEquals([suite, proof], ["02", welcomeProof(key, hello, welcome)]);
  guest.says(guest.proof());
  assertEquals([guest.admitted?.id, guest.admitted?.dialect], ["1", 2]);
  guest.admitted!.connect(door.session(), door.now);
  assertEquals(door.record().positions.connects, 1);
});

Deno.test("a device that knows our stream may know it only from a welcome that it never answered: it may have forgotten messages", () => {
  const door = new Door();
  const record = door.record();
  record.mayHaveForgotten = false;
  const { txEpoch } = record.positions;
  door.knock().greets({ txEpoch: 77, rxEpoch: txEpoch, rxNext: 0 });
  assertEquals(record.mayHaveForgotten, false);
  door.knock().greets({ txEpoch: 77, rxEpoch: 0 }); // and is gone
  door.knock().greets({ txEpoch: 77, rxEpoch: txEpoch, rxNext: 0 });
  assertEquals(record.mayHaveForgotten, true);
});

Deno.test("a welcome shows positions only to a peer with the key, and is never the same twice", () => {
  const door = Door.withKey();
  const { positions } = lively(door);
  const told = new Set<string>();
  for (let n = 0; n < 20; n++) {
    const guest = door.knock();
    const right = guest.greets({ suite: "02", txEpoch: 77, txFirst: 7, rxEpoch: 99, rxNext: 5 });
    assertEquals([right.txEpoch, right.txFirst, right.rxEpoch, right.rxNext], [99, 5, 77, 7]);
    // What a stranger reads looks random.
    const read = parseWelcome(guest.heard);
    for (const word of [read.txEpoch, read.txFirst, read.rxEpoch, read.rxNext]) {
      assert(word > 1000, "fails by chance less than once in 10,000 runs");
      told.add(`${word}`);
    }
  }
  assertEquals([told.size, positions.txEpoch], [80, 99]);
});

Deno.test("bytes that arrive together with the proof are not lost, and do not delay it", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "02" });
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
    guest.greets({ suite: "02", rxEpoch: 99, rxNext: 6 });
    assertEquals(guest.turnedAway(prove(guest)), ["BAD_PROOF", refusal("02")]);
    assertEquals(JSON.stringify([record.positions, record.outbox]), before);
  });
}

Deno.test("a replayed hello and prove is BAD_PROOF, because the server's nonce has changed; in one piece it is BAD_LINE", () => {
  const door = Door.withKey();
  const guest = door.knock();
  guest.greets({ suite: "02" });
  const prove = guest.proof();
  guest.says(prove);
  assert(guest.admitted);
  const replay = door.knock("10.0.0.9");
  replay.says(`${guest.greeting.hello}\n`);
  assertEquals(replay.turnedAway(prove), ["BAD_PROOF", refusal("02")]);
  const inOne = door.knock("10.0.0.10");
  assertEquals(inOne.turnedAway(`${guest.greeting.hello}\n${prove}`), ["BAD_LINE", ""]);
  assertEquals(inOne.admitted, undefined);
});

Deno.test("a proof covers the whole greeting: a changed hello or welcome fails", () => {
  for (const said of [{ txFirst: 1 }, { window: 63 }, { nonce: "f".repeat(32) }]) {
    const door = Door.withKey();
    const guest = door.knock();
    guest.greets({ suite: "02", ...said });
    const told = proveLine(key, helloLine({ suite: "02" }), guest.greeting.welcome);
    assertEquals(guest.turnedAway(told)[0], "BAD_PROOF");
  }
  const guest = Door.withKey().knock();
  guest.greets({ suite: "02" });
  const { hello, welcome } = guest.greeting;
  const other = welcome.slice(0, 20) + (welcome[20] === "f" ? "0" : "f") + welcome.slice(21);
  assertEquals(guest.turnedAway(proveLine(key, hello, other))[0], "BAD_PROOF");
});

Deno.test("any number of keepalives may come before a proof, and they take no memory", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "02" });
  for (let n = 0; n < 100; n++) {
    guest.says("\n".repeat(1000));
    assertEquals(guest.admission.rest.length, 0);
  }
  guest.says(`\n${guest.proof()}`);
  assert(guest.admitted);
});

Deno.test("a proof that never ends is turned away", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "02" });
  guest.says("\x03");
  assertEquals(guest.turnedAway("0".repeat(320)), ["HELLO_TOO_LONG", ""]);
});

for (
  const [what, line] of [
    ["a second hello of dialect 2", `${helloLine({ suite: "02" })}\n`],
    ["a hello of dialect 1", "1\n"],
    ["a message", "00text\n"],
    ["a welcome", "\x0201\n"],
  ] as const
) {
  Deno.test(`${what} where a proof should be is BAD_LINE, and does not count as a wrong proof`, () => {
    const door = Door.withKey();
    const guest = door.knock();
    guest.greets({ suite: "02" });
    assertEquals(guest.turnedAway(line), ["BAD_LINE", ""]);
    door.knock().greets({ suite: "02" });
  });
}

/** A guest proves a wrong key. Returns whether it was refused, and when. */
function guesses(guest: Guest): [told: string, late: boolean] {
  guest.greets({ suite: "02" });
  const [code, told] = guest.turnedAway(guest.proof(new Uint8Array(32)));
  assertEquals(code, "BAD_PROOF");
  return [told, guest.admission.isLate];
}

Deno.test("wrong proofs are refused late, at most four at a time per address; further ones are not answered", () => {
  const door = Door.withKey();
  const guests = Array.from({ length: 6 }, () => door.knock());
  const told = guests.map(guesses);
  for (const n of [0, 1, 2, 3]) assertEquals(told[n], [refusal("02"), true]);
  for (const n of [4, 5]) assertEquals(told[n], ["", false]);
  assertEquals(guesses(door.knock("10.0.0.2")), [refusal("02"), true]);
  for (const guest of guests) guest.admission.end();
  assertEquals(guesses(door.knock()), [refusal("02"), true]);
});

Deno.test("a right proof is admitted at once, whatever others at its address tried; so is a device without a key", () => {
  const door = Door.withKey({ open: true });
  for (let n = 0; n < 100; n++) guesses(door.knock());
  const guest = door.knock();
  guest.greets({ suite: "02" });
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
    ["proves a key that the server does not have", Door.withKey(), { suite: "02", id: "2" }, "04"],
    ["proves a key to a server without any", new Door(), { suite: "02" }, "04"],
    ["is named as stock and speaks dialect 2", Door.withKey({ stock: ["2"] }), { id: "2" }, "01"],
  ] as [string, Door, Partial<Said>, string][]
) {
  Deno.test(`a device that ${what} is NOT_ADMITTED, refusal ${code}`, () => {
    const told = door.knock().turnedAway(`${helloLine(said)}\n`);
    assertEquals(told, ["NOT_ADMITTED", refusal(code)]);
    assertEquals(door.store.size, 0, "and is not remembered");
  });
}

Deno.test("a device beyond the limit is TOO_MANY_DEVICES, refusal 06", () => {
  const door = new Door({ open: true }, { devices: 1 });
  door.record("1");
  const told = door.knock().turnedAway(`${helloLine({ id: "2" })}\n`);
  assertEquals(told, ["TOO_MANY_DEVICES", refusal("06")]);
  door.knock().greets({ id: "1" });
});

Deno.test("in dialect 1 a device with a key is refused; without one it is admitted as stock, or by an open server", () => {
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
  Deno.test(`a key that is ${what} between welcome and proof admits nobody`, () => {
    const door = Door.withKey();
    const guest = door.knock();
    guest.greets({ suite: "02" });
    door.access.setKeys(keys);
    guest.says(guest.proof());
    assertThrows(() => guest.admitted!.check(), PeerError);
    assertThrows(() => guest.admitted!.connect(door.session(), door.now), PeerError);
    assertEquals(door.record().positions.connects, 0);
  });
}

Deno.test("a key that is added between welcome and answer admits nobody who has not proved it", () => {
  const door = new Door();
  const guest = door.knock();
  guest.greets();
  door.access.setKeys([["1", KEY]]);
  guest.says("\n");
  assertThrows(() => guest.admitted!.check(), PeerError);
});

Deno.test("a peer that leaves without a wrong proof does not free a place among the delayed refusals", () => {
  const door = Door.withKey();
  const wrong = () => {
    const guest = door.knock();
    guest.greets({ suite: "02" });
    const [, told] = guest.turnedAway(guest.proof(new Uint8Array(32)));
    return told;
  };
  const late = refusal("02");
  assertEquals([wrong(), wrong(), wrong(), wrong(), wrong()], [late, late, late, late, ""]);
  const other = door.knock();
  other.greets({ suite: "02" });
  other.admission.end();
  assertEquals(wrong(), "");
});
