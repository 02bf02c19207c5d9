/**
 * Both ends on one virtual network that delays, cuts and loses connections at random, in virtual time:
 * every message arrives exactly once and in order. And on one that also garbles bytes, which TCP does
 * not: nothing breaks for longer than that lasts.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { chipSize, coreModule } from "../bridge/host/core.ts";
import {
  ClientEnd,
  clientSettings,
  fromLatin1,
  ServerEnd,
  serverSettings,
} from "./support/ends.ts";
import { type Random, randomTest } from "./support/random.ts";

/** What is on its way on one connection, a character for each byte. */
interface Link {
  toServer: string;
  toClient: string;
  /** Whether the server has read the hello. */
  greeted: boolean;
}

class Pair {
  readonly client: ClientEnd;
  readonly server: ServerEnd;
  readonly clientGot: string[] = [];
  readonly serverGot: string[] = [];
  now = 0;
  #asked = false; // the client wants a connection
  #link: Link | undefined; // as the client sees it
  #served: Link | undefined; // as the server sees it
  /** The network carries nothing. */
  blackHole = false;
  /** Bytes are garbled. */
  noise = false;

  constructor(
    readonly random: Random,
    client: Partial<typeof clientSettings>,
    server: Partial<typeof serverSettings>,
  ) {
    const seed = random.bits();
    this.client = new ClientEnd(coreModule(), { ...clientSettings, seed, ...client });
    this.server = new ServerEnd({ ...serverSettings, ...server });
  }

  /** Time goes on, and the network carries some of what is on its way. */
  step(ms: number): void {
    this.now += ms;
    this.client.pass(this.now);
    this.#collect();
    this.server.pass(this.now);
    this.#collect();
    if (this.blackHole) return;
    if (this.#asked) {
      this.#asked = false;
      this.#link = { toServer: "", toClient: "", greeted: false };
      this.client.input("opened");
      this.#collect();
    }
    this.#carryUp();
    this.#carryDown();
  }

  #some(waiting: string): number {
    return this.random.once(3) ? waiting.length : this.random.int(0, waiting.length);
  }

  #carryUp(): void {
    const link = this.#link;
    if (!link) return;
    let piece = link.toServer.slice(0, this.#some(link.toServer));
    if (!link.greeted) {
      const end = piece.indexOf("\n") + 1;
      if (end === 0) return; // the hello is on its way
      link.greeted = true;
      this.#served = link;
      this.server.input("hello");
      this.#collect();
      link.toServer = link.toServer.slice(end);
      piece = piece.slice(end);
    }
    link.toServer = link.toServer.slice(piece.length);
    if (piece !== "" && this.#served === link) this.server.receive(this.#bytes(piece));
    this.#collect();
  }

  #carryDown(): void {
    const link = this.#link;
    if (!link) return;
    const piece = link.toClient.slice(0, this.#some(link.toClient));
    link.toClient = link.toClient.slice(piece.length);
    if (piece !== "") this.client.receive(this.#bytes(piece));
    this.#collect();
  }

  #bytes(piece: string): Uint8Array {
    const bytes = fromLatin1(piece);
    if (this.noise && this.random.once(3)) {
      bytes[this.random.int(0, bytes.length - 1)] = this.random.pick([
        10,
        48,
        102,
        this.random.bits(),
      ]);
    }
    return bytes;
  }

  /** Puts on their way what the ends have sent. */
  #collect(): void {
    const fromClient = this.client.take();
    this.clientGot.push(...fromClient.messages);
    for (const event of fromClient.events) {
      if (event === "connect") this.#asked = true;
      else if (this.#link) this.#leave(this.#link, "server");
      if (event !== "connect") this.#link = undefined;
    }
    if (this.#link) this.#link.toServer += fromClient.out;
    const fromServer = this.server.take();
    this.serverGot.push(...fromServer.messages);
    if (this.#served) this.#served.toClient += fromServer.out;
    if (fromServer.events.length > 0 && this.#served) {
      const link = this.#served;
      this.#served = undefined;
      this.#leave(link, "client");
    }
  }

  /** One end has closed its side; the other is told, or it is not, as the network likes. */
  #leave(link: Link, told: "client" | "server"): void {
    if (this.blackHole || this.random.once(3)) return;
    if (told === "server" && this.#served === link) {
      this.#served = undefined;
      this.server.input("lost");
    } else if (told === "client" && this.#link === link) {
      this.#link = undefined;
      this.client.input("lost");
    }
  }

  /** The connection is reset: the client is told (1), the server (2), or both (3). */
  reset(sides = this.random.int(1, 3)): void {
    const link = this.#link;
    if (link && sides & 1) {
      this.#link = undefined;
      this.client.input("lost");
    }
    if (this.#served && sides & 2) {
      this.#served = undefined;
      this.server.input("lost");
    }
    this.#collect();
  }

  /** The server is killed and started again on its store. */
  restartServer(): void {
    const link = this.#served;
    this.#served = undefined;
    this.server.input("restart");
    this.#collect();
    if (link) this.#leave(link, "client");
  }

  /** One fault, or the end of some. */
  fault(): void {
    const { random, client, server } = this;
    random.pick([
      () => this.reset(),
      () => this.reset(),
      () => this.restartServer(),
      () => this.blackHole = !this.blackHole,
      () => this.blackHole = false,
      () => client.input("hold"),
      () => client.input("take"),
      () => server.input("hold"),
      () => server.input("take"),
      () => client.input("block"),
      () => client.input("unblock"),
    ])();
    this.#collect();
  }

  /** Lets each end's first message through: those behind it are told from a boot's by their ids alone. */
  begin(): void {
    this.client.write("first up");
    this.server.write("first down");
    while (this.client.done + this.server.done < 2) this.step(10);
    this.clientGot.length = this.serverGot.length = 0;
  }

  /** All faults end, and there is time for everything. */
  heal(): void {
    this.blackHole = this.noise = false;
    for (const end of [this.client, this.server]) end.input("take");
    this.client.input("unblock");
    for (let i = 0; i < 3000; i++) this.step(10);
  }
}

/** What an application writes, and what became of it. */
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

randomTest("through any outages every message arrives once, in order", 60, (random) => {
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
  assertEquals(pair.serverGot, up.accepted);
  assertEquals(pair.client.done, up.accepted.length + 1);
  // A full inbox drops what it has no room for, and takes what comes behind: without `wait`, it may reorder.
  if (!wait) {
    pair.clientGot.sort();
    down.accepted.sort();
  }
  assertEquals(pair.clientGot, down.accepted);
  assert(up.accepted.length > 0 && down.accepted.length > 0);
});

randomTest(
  "what both send first after their boot arrives once, though its acks are lost",
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

randomTest("messages that all say the same arrive as often as they were written", 40, (random) => {
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
});

randomTest(
  "messages without qos arrive once or never, and the others are not harmed",
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

randomTest("a flood of messages without qos does not make others come twice", 20, (random) => {
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
});

randomTest(
  "a lost flood without qos does not swallow what says the same behind it",
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

randomTest("when garbled bytes end, the link works, and nobody has crashed", 40, (random) => {
  const pair = new Pair(random, { line: 24, outbox: 120, inbox: 90 }, { line: 24 });
  pair.noise = true;
  for (let i = 0; i < 400; i++) {
    if (random.once(2)) pair.client.write(`c${i}`);
    if (random.once(2)) pair.server.write(`s${i}`);
    if (random.once(30)) pair.fault();
    pair.step(random.pick([0, 1, 10, 100, 600]));
  }
  pair.heal();
  // Forged messages may have taken an id and its text: the last words are unlike them.
  assert(pair.client.write("last words up") && pair.server.write("last words down"));
  pair.heal();
  assertEquals(pair.serverGot.at(-1), "last words up");
  assertEquals(pair.clientGot.at(-1), "last words down");
});
