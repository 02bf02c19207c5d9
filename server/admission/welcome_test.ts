/** Welcomes: the positions they offer, and when they are stale. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Door, lively } from "../../tests/support/door.ts";
import type { Said, Welcome } from "../../tests/support/greeting.ts";
import { newState } from "../link/record.ts";
import { PeerError } from "../protocol/errors.ts";

// What a welcome says.

Deno.test("a welcome has the server's stream, what it has received, and its credit", () => {
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

for (
  const [what, said, expected] of [
    ["an unknown epoch of the device's stream: the stream is new", { txEpoch: 78, txFirst: 2 }, {
      rxEpoch: 78,
      rxNext: 2,
    }],
    ["a known stream goes on where it stopped", { txEpoch: 77, txFirst: 5 }, { rxNext: 7 }],
    ["a known stream whose messages are all acknowledged", { txEpoch: 77, txFirst: 7 }, {
      rxNext: 7,
    }],
    [
      "the device no longer has messages that our old store lacks: the stream continues with its first",
      {
        txEpoch: 77,
        txFirst: 9,
      },
      { rxNext: 9 },
    ],
    ["an unknown epoch of ours: the device has none of our stream", { rxEpoch: 98, rxNext: 5 }, {
      txFirst: 3,
    }],
    ["no epoch of ours: the device has none of our stream", { rxEpoch: 0, rxNext: 0 }, {
      txFirst: 3,
    }],
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

Deno.test("a position beyond what was ever sent: our store is old, so we start a new stream", () => {
  for (const rxNext of [7, 1000, 2 ** 31 + 2]) {
    const door = new Door();
    const record = lively(door);
    const guest = door.knock();
    const welcome = guest.greets({ rxEpoch: 99, rxNext });
    assert(welcome.txEpoch !== 99 && welcome.txEpoch !== 0);
    assertEquals(welcome.txFirst, 3);
    guest.says("\n");
    assertMatch(guest.admitted?.older ?? "", /never sent/);
    guest.admitted!.connect(door.session(), door.now);
    assertEquals(record.positions.txEpoch, welcome.txEpoch);
    assertEquals(record.outbox.map(({ text }) => text), ["three", "four", "five"]);
  }
});

for (
  const [what, said, connects, older] of [
    ["it only sends, and goes on", { txEpoch: 77, txFirst: 7 }, 1, undefined],
    [
      "it only sends, and still holds its last message, which we have",
      { txEpoch: 77, txFirst: 6 },
      1,
    ],
    [
      "it only sends, and has dropped a message that we do not have",
      { txEpoch: 77, txFirst: 8 },
      1,
      /were acknowledged to it/,
    ],
    [
      "the same, with a position far ahead",
      { txEpoch: 77, txFirst: 2 ** 31 },
      1,
      /were acknowledged to it/,
    ],
    [
      "it has restarted, and knows nothing of our stream",
      { txEpoch: 78, txFirst: 0 },
      1,
      undefined,
    ],
    [
      "it has restarted, and knows our stream",
      { txEpoch: 78, rxEpoch: 99, rxNext: 5 },
      1,
      undefined,
    ],
    ["it has taken all that was sent", { txEpoch: 77, txFirst: 7, rxEpoch: 99, rxNext: 6 }, 1],
    ["it has taken more than was sent", { rxEpoch: 99, rxNext: 7 }, 1, /never sent/],
    ["it knows a stream that we do not", { rxEpoch: 98, rxNext: 0 }, 1, /stream/],
    ["it has never been here, but at another server", { rxEpoch: 98, rxNext: 5 }, 0, undefined],
  ] as [string, Partial<Said>, number, RegExp?][]
) {
  Deno.test(`the device's positions show whether our store is old: ${what}`, () => {
    const door = new Door();
    lively(door).change({ connects });
    const guest = door.knock();
    guest.greets(said);
    guest.says("\n");
    if (older) assertMatch(guest.admitted?.older ?? "", older);
    else assertEquals(guest.admitted?.older, undefined);
  });
}

Deno.test("a stream that another server started when the store did not know the device is no sign of an old store", () => {
  const older = (connects: number) => {
    const door = new Door();
    door.isShared = true;
    lively(door).change({ connects });
    const guest = door.knock();
    const { txEpoch } = guest.greets({ rxEpoch: 98, rxNext: 0 });
    assert(txEpoch !== 99); // a new stream: a position in another one says nothing about this one
    guest.says("\n");
    return guest.admitted?.older;
  };
  assertEquals(older(1), undefined);
  assertMatch(older(2) ?? "", /stream/); // it knows this stream by now
});

Deno.test("an old store is noticed again, if the link ends before the welcome is answered", () => {
  const door = new Door();
  lively(door).change({ connects: 1 });
  const { txEpoch } = door.knock().greets({ rxEpoch: 99, rxNext: 7 }); // and the link ends
  const guest = door.knock();
  guest.greets({ rxEpoch: txEpoch, rxNext: 3 });
  guest.says("\n");
  assert(guest.admitted?.older);
});

Deno.test("an acknowledgement of messages never sent shows that the store was set back", () => {
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

Deno.test("positions wrap around after 2^32", () => {
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

// Whether the device is really there.

Deno.test("a hello alone does not prove a device: what follows the welcome does", () => {
  const guest = new Door().knock();
  guest.greets();
  assertEquals(guest.admitted, undefined);
  guest.says("\n");
  assertEquals([guest.admitted?.id, guest.admitted?.dialect], ["1", 2]);
  assertEquals(guest.admission.rest.length, 1);
});

Deno.test("a hello alone leaves nothing behind; what its welcome promised is stored when it is answered", () => {
  for (const [door, suite] of [[new Door(), "00"], [Door.withKey(), "02"]] as const) {
    const guest = door.knock();
    const { txEpoch, txFirst } = guest.greets({ suite });
    assertEquals([door.store.size, txFirst], [0, 0]);
    guest.says(suite === "02" ? guest.proof() : "\n");
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

Deno.test("of two that greet at the same time, the one that answers later has a stale welcome", () => {
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

Deno.test("a welcome is stale when the old connection has delivered messages that it said were missing", () => {
  const door = new Door();
  const record = lively(door);
  const guest = door.knock();
  const { rxNext } = guest.greets({ txEpoch: 77, txFirst: 7 });
  record.receive("old connection");
  record.change({ rxNext: rxNext + 1 });
  guest.says("\n");
  assertEquals(assertThrows(() => guest.admitted!.check(), PeerError).code, "STALE_GREETING");
});

Deno.test("a welcome is stale when the first message that it offers was acknowledged since", () => {
  const door = new Door();
  const record = lively(door);
  record.write("text", { overtakes: false, qos: true }, 0);
  const guest = door.knock();
  guest.greets({ txEpoch: 77, txFirst: 7 });
  record.settle();
  guest.says("\n");
  assertEquals(assertThrows(() => guest.admitted!.check(), PeerError).code, "STALE_GREETING");
});
