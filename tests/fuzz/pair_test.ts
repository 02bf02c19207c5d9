/**
 * Both ends on a virtual network that delays, cuts and loses connections at random: every message
 * arrives exactly once and in order. Also on a network that garbles bytes, which TCP does not: the link
 * works again as soon as that ends.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { chipSize } from "../../bridge/host/core_size.ts";
import type { ClientEnd, ClientSettings } from "../support/client_end.ts";
import { Pair } from "../support/pair.ts";
import { type Random, randomTest } from "../support/random.ts";
import type { ServerEnd } from "../support/server_end.ts";

const KEY = "5a".repeat(32);

/** Dialect 2 with small buffers or a chip's, with or without a key, and with numbers that may soon wrap around. */
function second(random: Random): [client: Partial<ClientSettings>, server: object] {
  const size = random.once(2) ? chipSize : {
    line: 121,
    outbox: random.int(128, 300),
    inbox: random.int(344, 500),
    window: random.int(1, 64),
  };
  const key = random.once(2) ? KEY : "";
  const server = {
    key,
    line: 121,
    inbox: random.int(1, 10),
    outbox: 30,
    txNext: random.pick([
      0,
      2 ** 32 - random.int(1, 100),
      2 ** 31 - random.int(1, 100),
      random.bits(),
    ]),
  };
  return [{ ...size, key, dialect: 2 }, server];
}

/** What an application writes, and what happened to it. */
class Writer {
  readonly accepted: string[] = [];
  #count = 0;

  constructor(readonly end: ClientEnd | ServerEnd, readonly wait: boolean) {}

  write(): void {
    const text = `${this.#count}${".".repeat(this.#count * 7 % 20)}`;
    if (!this.end.write(text, { wait: this.wait })) return;
    this.accepted.push(text);
    this.#count++;
  }
}

randomTest("dialect 1: through any outages every message arrives once, in order", 60, (random) => {
  const pair = new Pair(random, random.once(2) ? chipSize : { line: 24, outbox: 120, inbox: 90 }, {
    inbox: random.int(1, 10),
    outbox: 30,
  });
  const wait = random.once(2);
  pair.begin();
  const up = new Writer(pair.client, wait);
  const down = new Writer(pair.server, wait);
  const calm = random.int(2, 50);
  for (let i = 0; i < 400; i++) {
    if (random.once(2)) up.write();
    if (random.once(2)) down.write();
    if (random.once(calm)) pair.fault();
    pair.step(random.pick([0, 1, 10, 100, 600]));
  }
  pair.heal();
  pair.checkPeace();
  assertEquals(pair.serverGot, up.accepted);
  assertEquals(pair.client.done, up.accepted.length + 1);
  // A full inbox drops messages for which it has no room, and takes later ones: without `wait`, the order may change.
  if (!wait) {
    pair.clientGot.sort();
    down.accepted.sort();
  }
  assertEquals(pair.clientGot, down.accepted);
  assert(up.accepted.length > 0 && down.accepted.length > 0);
});

randomTest(
  "dialect 1: the first message of each end after a boot arrives once, though its acks are lost",
  20,
  (random) => {
    const pair = new Pair(random, {}, {});
    const up = new Writer(pair.client, false);
    const down = new Writer(pair.server, false);
    for (let i = 0; i < 30; i++) {
      up.write();
      down.write();
      if (random.once(3)) pair.reset();
      pair.step(random.int(0, 30));
    }
    pair.heal();
    assertEquals(pair.serverGot, up.accepted);
    assertEquals(pair.clientGot, down.accepted);
  },
);

randomTest(
  "dialect 1: messages with the same text arrive as often as they were written",
  40,
  (random) => {
    const pair = new Pair(random, { line: 24, recent: random.pick([64, 223]) }, {});
    pair.begin();
    const texts = ["on", "off"];
    const written: string[][] = [[], []];
    const calm = random.int(10, 50);
    for (let i = 0; i < 800; i++) {
      [pair.client, pair.server].forEach((end, which) => {
        const text = random.pick(texts);
        if (random.once(2) && end.write(text, { wait: true })) written[which]!.push(text);
      });
      if (random.once(calm)) pair.fault();
      pair.step(random.pick([0, 1, 10, 100, 600]));
    }
    pair.heal();
    assertEquals([pair.serverGot, pair.clientGot], written);
  },
);

randomTest(
  "dialect 1: messages without qos arrive once or never, and do not affect the others",
  40,
  (random) => {
    const pair = new Pair(random, { line: 24, recent: 64 }, {});
    pair.begin();
    const ends = [pair.client, pair.server];
    const written: string[][] = [[], []];
    const calm = random.int(10, 50);
    for (let i = 0; i < 400; i++) {
      ends.forEach((end, which) => {
        const text = `qos ${i}`;
        if (random.once(3) && end.write(text, { wait: true })) written[which]!.push(text);
        for (let n = 0; random.once(2) && n < 5; n++) end.write(`off ${i}.${n}`, { qos: false });
      });
      if (random.once(calm)) pair.fault();
      pair.step(random.pick([0, 1, 10, 100, 600]));
    }
    pair.heal();
    [pair.serverGot, pair.clientGot].forEach((got, which) => {
      assertEquals(new Set(got).size, got.length, "something came twice");
      assertEquals(got.filter((text) => text.startsWith("qos")), written[which]);
    });
  },
);

randomTest(
  "dialect 1: a flood of messages without qos does not make others arrive twice",
  20,
  (random) => {
    const pair = new Pair(random, chipSize, {});
    pair.begin();
    const ends = [pair.client, pair.server];
    const written: string[][] = [[], []];
    for (let i = 0; i < 60; i++) {
      ends.forEach((end, which) => {
        if (end.write(`qos ${i}`, { wait: true })) written[which]!.push(`qos ${i}`);
        for (let n = 0; n < 30; n++) end.write(`off ${i}.${n}`, { qos: false });
      });
      if (random.once(5)) pair.reset();
      pair.step(random.pick([0, 10, 100]));
    }
    pair.heal();
    [pair.serverGot, pair.clientGot].forEach((got, which) => {
      assertEquals(got.filter((text) => text.startsWith("qos")), written[which]);
      assertEquals(new Set(got).size, got.length, "something came twice");
    });
  },
);

randomTest(
  "dialect 1: a lost flood without qos does not swallow later messages with the same text",
  20,
  (random) => {
    const pair = new Pair(random, chipSize, {});
    const [end, got] = random.pick([[pair.client, pair.serverGot], [pair.server, pair.clientGot]]);
    const off = (count: number) => {
      for (let n = 0; n < count; n++) end.write("on", { qos: false });
    };
    pair.begin();
    for (let round = 0; round < 10; round++) {
      off(random.int(0, 80));
      for (let i = 0; i < 100; i++) pair.step(1);
      pair.blackHole = true;
      off(random.int(0, 254));
      pair.reset(3);
      pair.blackHole = false;
      for (let i = 0; i < 50; i++) pair.step(10);
      got.length = 0;
      const done = end.done;
      assert(end.write("on"));
      for (let i = 0; end.done === done; i++) {
        assert(i < 1000, "it is never acknowledged");
        pair.step(10);
      }
      assertEquals(got, ["on"], "acknowledged, but not delivered");
    }
  },
);

randomTest(
  "dialect 1: when garbled bytes end, the link works, and neither end has crashed",
  40,
  (random) => {
    const pair = new Pair(random, { line: 24, outbox: 120, inbox: 90 }, { line: 24 });
    pair.noise = true;
    for (let i = 0; i < 400; i++) {
      if (random.once(2)) pair.client.write(`c${i}`);
      if (random.once(2)) pair.server.write(`s${i}`);
      if (random.once(30)) pair.fault();
      pair.step(random.pick([0, 1, 10, 100, 600]));
    }
    pair.heal();
    // Forged messages may have used an id and its text: the last messages have other texts.
    assert(pair.client.write("last words up") && pair.server.write("last words down"));
    pair.heal();
    assertEquals(pair.serverGot.at(-1), "last words up");
    assertEquals(pair.clientGot.at(-1), "last words down");
  },
);

randomTest("dialect 2: through any outages every message arrives once, in order", 150, (random) => {
  const pair = new Pair(random, ...second(random));
  const up = new Writer(pair.client, random.once(2));
  const down = new Writer(pair.server, random.once(2));
  const calm = random.int(2, 50);
  for (let i = 0; i < 400; i++) {
    if (random.once(2)) up.write();
    if (random.once(2)) down.write();
    if (random.once(calm)) pair.fault();
    pair.step(random.pick([0, 1, 10, 100, 600]));
  }
  pair.heal();
  pair.checkPeace();
  assertEquals(pair.serverGot, up.accepted);
  assertEquals(pair.clientGot, down.accepted);
  assertEquals(pair.client.done, up.accepted.length);
  assert(up.accepted.length > 0 && down.accepted.length > 0);
});

randomTest(
  "dialect 2: many thousand messages arrive once, in order, while numbers wrap around",
  5,
  (random) => {
    const [client, server] = second(random);
    const pair = new Pair(random, { ...client, ...chipSize }, { ...server, inbox: 10 });
    const up = new Writer(pair.client, false);
    const down = new Writer(pair.server, false);
    const isShort = () => Math.min(up.accepted.length, down.accepted.length) <= 1000;
    // Small ends on a slow network take fewer in 3000 steps.
    for (let i = 0; i < 3000 || (i < 30_000 && isShort()); i++) {
      for (let n = random.int(0, 6); n > 0; n--) {
        up.write();
        down.write();
      }
      if (random.once(200)) pair.reset();
      pair.step(random.pick([0, 1, 5]));
    }
    pair.heal();
    pair.checkPeace();
    assert(!isShort());
    assertEquals(pair.serverGot, up.accepted);
    assertEquals(pair.clientGot, down.accepted);
  },
);

randomTest(
  "dialect 2: messages without qos arrive once or never, in order among the others",
  60,
  (random) => {
    const pair = new Pair(random, ...second(random));
    const ends = [pair.client, pair.server];
    const written: string[][] = [[], []];
    const all: string[][] = [[], []];
    const calm = random.int(5, 50);
    for (let i = 0; i < 400; i++) {
      ends.forEach((end, which) => {
        const text = `qos ${i}`;
        if (random.once(3) && end.write(text)) {
          written[which]!.push(text);
          all[which]!.push(text);
        }
        for (let n = 0; random.once(2) && n < 5; n++) {
          if (end.write(`€ff ${i}.${n}`, { qos: false })) all[which]!.push(`€ff ${i}.${n}`);
        }
      });
      if (random.once(calm)) pair.fault();
      pair.step(random.pick([0, 1, 10, 100, 600]));
    }
    pair.heal();
    pair.checkPeace();
    [pair.serverGot, pair.clientGot].forEach((got, which) => {
      assertEquals(got.filter((text) => text.startsWith("qos")), written[which]);
      const places = got.map((text) => all[which]!.indexOf(text));
      assertEquals(places, places.toSorted((a, b) => a - b), "out of order");
      assertEquals(new Set(places).size, places.length, "something came twice");
      assert(!places.includes(-1), "something came that was not written");
    });
  },
);

randomTest(
  "dialect 2: a device that is reset goes on where it was, and loses only messages that were not confirmed",
  60,
  (random) => {
    const pair = new Pair(random, ...second(random));
    const down = new Writer(pair.server, false);
    const boots: { written: number; done: number }[] = [{ written: 0, done: 0 }];
    const calm = random.int(5, 50);
    for (let i = 0; i < 400; i++) {
      const boot = boots.at(-1)!;
      if (random.once(2) && pair.client.write(`${boots.length}.${boot.written}`)) boot.written++;
      if (random.once(2)) down.write();
      if (random.once(calm)) pair.fault();
      boot.done = pair.client.done;
      if (random.once(60)) {
        pair.resetClient();
        boots.push({ written: 0, done: 0 });
      }
      pair.step(random.pick([0, 1, 10, 100, 600]));
      boots.at(-1)!.done = pair.client.done;
    }
    pair.heal();
    pair.checkPeace();
    boots.at(-1)!.done = pair.client.done;
    assertEquals(pair.clientGot, down.accepted);
    const expected = boots.flatMap(({ written, done }, boot) => {
      const got = pair.serverGot.filter((text) => text.startsWith(`${boot + 1}.`)).length;
      assert(got >= done && got <= written, `of ${written}, ${done} were done, and ${got} came`);
      return Array.from({ length: got }, (_, n) => `${boot + 1}.${n}`);
    });
    assertEquals(pair.serverGot, expected);
    assertEquals(boots.at(-1)!.done, boots.at(-1)!.written);
  },
);

randomTest(
  "dialect 2: when garbled bytes end, the link works, and neither end has crashed",
  80,
  (random) => {
    const pair = new Pair(random, ...second(random));
    pair.noise = true;
    for (let i = 0; i < 400; i++) {
      if (random.once(2)) pair.client.write(`c${i}`);
      if (random.once(2)) pair.server.write(`s${i}`);
      if (random.once(30)) pair.fault();
      pair.step(random.pick([0, 1, 10, 100, 600]));
    }
    pair.reset(3); // a garbled greeting may have said that the other end takes almost nothing
    pair.heal();
    pair.heal();
    assert(pair.client.write("last words up") && pair.server.write("last words down"));
    pair.heal();
    assertEquals(pair.serverGot.at(-1), "last words up");
    assertEquals(pair.clientGot.at(-1), "last words down");
  },
);
