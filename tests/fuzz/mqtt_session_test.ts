/**
 * A session with a malicious broker. Whatever it sends, the session throws only a `BrokerError` and keeps no more than it
 * may, and a publication is done only when the broker has said so.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Decoder, type Version } from "../../bridge/mqtt/codec.ts";
import { BrokerError } from "../../bridge/mqtt/errors.ts";
import { MqttSession } from "../../bridge/mqtt/mqtt_session.ts";
import type { InFlight, Task } from "../../bridge/mqtt/tasks.ts";
import { brokerNoise, frame, greeting } from "../support/mqtt_noise.ts";
import { type Random, randomTest } from "../support/random.ts";

const TOPICS = ["h/1/led/set", "h/1/x/set", "h//set", "x", "+/#", "\0", "é€😀/1/led/set"];
const WINDOW = 5;

/** The contents of the store: publications that are under way, and ids of messages. */
class Kept {
  readonly out = new Map<number, InFlight>();
  readonly taken = new Set<number>();
  #seq = 0;

  publication(): InFlight {
    const seq = ++this.#seq;
    const one = { seq, topic: "h/1/led", payload: String(seq), retain: false, isReleased: false };
    this.out.set(seq, one);
    return one;
  }

  /** Makes a task safe. */
  keep(task: Task): void {
    switch (task.does) {
      case "deliver":
        if (task.qos === 2) this.taken.add(task.packet);
        return;
      case "forget":
        return void this.taken.delete(task.packet);
      case "release":
        assert(this.out.has(task.seq) && !this.out.get(task.seq)!.isReleased, "released twice");
        this.out.get(task.seq)!.isReleased = true;
        return;
      case "complete":
        if (task.refused === undefined) assert(this.out.get(task.seq)?.isReleased, "not released");
        assert(this.out.delete(task.seq), "done twice");
        return;
      case "resume":
        if (task.isPresent) return;
        this.taken.clear();
        for (const one of this.out.values()) one.isReleased = false;
    }
  }
}

/** One process after another on one store, with one broker after another. */
class World {
  readonly kept = new Kept();
  session!: MqttSession;
  now = 0;
  #tasks: Task[] = []; // in a transaction

  constructor(readonly random: Random, readonly version: Version) {
    this.starts();
  }

  /** The process is killed, and another one starts. */
  starts(): void {
    this.#tasks = [];
    const inFlight = [...this.kept.out.values()].map((one) => ({ ...one }));
    this.session = new MqttSession({
      version: this.version,
      clientId: "holdfast1",
      keepalive: 30,
      status: "h/status",
      subscribe: ["h/+/+/set"],
      window: WINDOW,
      receiveMaximum: WINDOW,
    }, { inFlight, taken: [...this.kept.taken], filters: [] });
    this.session.start(this.now);
  }

  /** Does something with the session. @returns whether the connection is still there */
  tries(act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      assert(error instanceof BrokerError, `${error}`);
      this.#closes();
      return false;
    }
  }

  /** The connection is gone: the owner tells the session when no transaction is under way. */
  #closes(): void {
    this.#commits();
    this.session.closed(this.now);
  }

  #commits(): void {
    for (const task of this.#tasks.splice(0)) {
      this.kept.keep(task);
      this.session.safe(task, this.now);
    }
  }

  /** The owner's loop: one transaction after another. */
  works(): void {
    const { session, random, kept } = this;
    if (random.once(3)) {
      this.#commits();
      this.#tasks = session.tasks();
    }
    if (random.once(3) && this.#tasks.length === 0) {
      const some = Array.from({ length: random.int(0, session.free) }, () => kept.publication());
      session.publish(some.map((one) => ({ ...one })));
    }
    assert(session.output().length <= 1000);
  }

  /** One connection. */
  connects(): void {
    const { session, random, version } = this;
    this.now += 60_000;
    assert(session.wantsConnection(this.now), "it gives up");
    session.connecting(this.now);
    session.opened(this.now);
    const says = (bytes: Uint8Array) => this.tries(() => session.received(bytes, this.now));
    if (!random.once(10) && !says(greeting(random, version))) return;
    for (let i = random.int(1, 60); i > 0; i--) {
      this.works();
      this.now += random.int(0, 500);
      if (!this.tries(() => session.timeout(this.now))) return;
      const ids = [...this.kept.out.keys()];
      if (!says(brokerNoise(random, version, TOPICS, ids))) return;
    }
    this.#closes();
  }
}

randomTest("a session bears whatever a broker says, and forgets nothing", 600, (random) => {
  const world = new World(random, random.pick([4, 5] as const));
  for (let i = 0; i < 15; i++) {
    world.connects();
    world.works();
    if (random.once(3)) world.starts();
  }
  assert(world.kept.out.size <= WINDOW);
});

randomTest(
  "bytes give packets or a BrokerError, and the same in whatever pieces they arrive",
  2000,
  (random) => {
    const version = random.pick([4, 5] as const);
    const noise = Array.from({ length: 5 }, () => brokerNoise(random, version, TOPICS, [1, 2]));
    const bytes = Uint8Array.from(noise.flatMap((part) => [...part]));
    const read = (pieces: Iterable<Uint8Array>) => {
      const decoder = new Decoder(version);
      const found: string[] = [];
      try {
        for (const piece of pieces) {
          for (const { packet } of decoder.take(piece)) found.push(JSON.stringify(packet));
        }
      } catch (error) {
        assert(error instanceof BrokerError, `${error}`);
        found.push(error.code);
      }
      return found;
    };
    assertEquals(read([...random.cut(bytes, 7)]), read([bytes]));
  },
);

Deno.test("a packet that never ends is not kept, and one that is not a message is refused at once", () => {
  const claims = 0xfff_ffff; // 256 MB, the largest size in MQTT
  const piece = new Uint8Array(64 * 1024);
  for (const version of [4, 5] as const) {
    const decoder = new Decoder(version);
    const topic = version === 5 ? [0, 1, 120, 0] : [0, 1, 120];
    let packets = [...decoder.take(frame(0x30, Uint8Array.from(topic), claims))].length;
    const before = memory();
    let most = 0;
    for (let left = claims; left > piece.length; left -= piece.length) {
      packets += [...decoder.take(piece)].length;
      most = Math.max(most, memory() - before);
    }
    assertEquals(packets, 1); // cut
    // This includes garbage that has not been collected yet.
    assert(most < claims / 2, `${most} bytes are kept`);
    const other = frame(0x90, Uint8Array.of(0, 1), claims);
    assertThrows(() => [...new Decoder(version).take(other)], BrokerError);
  }
});

/** Memory in use, in bytes. */
function memory(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
