/**
 * Random devices and random operators on a server with channels. Whatever they do, only named errors are thrown, the
 * server keeps no more than its limits allow, and no other device is held up. Each request has exactly one outcome. When
 * the device behaves again, its channels become what they should be.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  channels,
  HoldfastError,
  MemoryStore,
  type ServerEvent,
  share,
  type Value,
} from "../../server/mod.ts";
import type { DeviceDriver } from "../../server/runtime/device_driver.ts";
import { parseMarked } from "../../server/protocol/channel_lines.ts";
import { LineBoard } from "../support/line_board.ts";
import { ManualServer } from "../support/manual_server.ts";
import { oddText } from "../support/noise.ts";
import { type Random, randomTest } from "../support/random.ts";

const NAMES = ["temp", "led", "fan", "config", "text", "log", "time", "a/b", "x".repeat(32)];

/** Values, valid and invalid. */
function value(random: Random): string {
  return random.pick([
    "1",
    "20.0",
    "-0",
    '"1"',
    "null",
    '{"a":[1]}',
    "{",
    "on",
    "x".repeat(random.int(1, 1100)),
    oddText(random, 20).replace(/\n/g, " ") || "y",
  ]);
}

/** A line from a device that may or may not know the protocol. @param heard Lines from the server */
function line(random: Random, heard: readonly string[]): string {
  if (heard.length > 0 && random.once(2)) return reply(random, random.pick(heard));
  const name = random.pick(random.once(8) ? [`c${random.int(0, 400)}`] : NAMES);
  const tag = random.once(2) ? "" : `.${random.pick([0, 1, 2, 3, 5_000_000_000, 9_999_999_999])}`;
  const stamp = random.once(4) ? `@${random.bits()}` : "";
  return random.pick([
    `=${name}${stamp} ${value(random)}`,
    `!${name}${stamp} ${value(random)}`,
    `!${name}`,
    `?${name}.${random.int(0, 99)} ${value(random)}`,
    `:${name}${tag} ${value(random)}`,
    `~${name}${tag} ${random.pick(["busy", "unknown", "bad_value", "nonsense"])}`,
    `@${name} ${value(random)}`,
    value(random),
  ]);
}

/** An answer to a line from the server, or nearly one. */
function reply(random: Random, text: string): string {
  const marked = parseMarked(text);
  if (marked?.mark !== "set" && marked?.mark !== "ask") return `!log ${text}`;
  const tag = marked.tag === undefined ? "" : `.${marked.tag}`;
  const name = random.once(8) ? random.pick(NAMES) : marked.name;
  if (random.once(4)) return `~${name}${tag} busy it moves`;
  return `:${name}${tag} ${random.once(3) ? value(random) : marked.value ?? "1"}`;
}

/** An application that fails now and then. */
function app(random: Random) {
  const mayFail = () => {
    if (random.once(20)) throw new Error("an application fails");
  };
  const thermostat = channels({
    temp(value, { tx, thing }) {
      mayFail();
      tx.set(thing.id, "fan", Number(value) > 20 ? 1 : 0);
    },
    fan: {},
    led: { local: "loses" },
    config: { ask: (value) => (mayFail(), value) },
  });
  const rest = channels({ temp: mayFail, text: { event: mayFail } }, {
    others: { event: mayFail },
    line: mayFail,
  });
  return share({ thermostat, rest });
}

/** One server after another on one store, a random device, and a good one. */
class World {
  readonly store = new MemoryStore();
  readonly outcomes: Promise<Value | undefined>[] = [];
  scene!: ManualServer;
  board!: LineBoard;
  good!: LineBoard;
  readonly heard: string[] = [];
  isThere = false;

  constructor(readonly random: Random) {}

  async start(): Promise<void> {
    const { store, random } = this;
    const limits = { outbox: 300, inbox: 100 };
    this.scene = await ManualServer.start({
      app: app(random),
      store,
      limits,
      timeout: 3_600_000,
    });
    this.scene.server.events.subscribe((event) => this.#look(event));
    this.board ??= new LineBoard(this.scene, "bad");
    this.good ??= new LineBoard(this.scene, "good");
    for (const board of [this.board, this.good]) {
      board.scene = this.scene;
      await board.connect();
    }
    this.isThere = true;
  }

  #look(event: ServerEvent): void {
    if (event.event === "warning") {
      assert(event.code !== "LISTENER_FAILED", event.message);
      assert(/^[A-Z_]+$/.test(event.code), event.code);
    }
  }

  async step(): Promise<void> {
    const { random, scene, board } = this;
    const { server } = scene;
    const thing = await server.thing("bad");
    const name = random.pick(NAMES);
    switch (random.int(0, 12)) {
      case 0:
        return this.#named(thing.set(name, random.pick([1, "on", null, undefined, 1n])));
      case 1:
        return this.#named(thing.request(name, 1, { deadline: random.int(1, 20_000) }));
      case 2:
        return this.#named(server.connect(`bad/${name}`, `good/${random.pick(NAMES)}`));
      case 3:
        return this.#named(server.disconnect(`bad/${name}`, `good/${random.pick(NAMES)}`));
      case 4:
        return await scene.platform.advance(random.int(1, 3000));
      case 5:
        if (!this.isThere) await board.connect();
        else if (random.once(3)) await board.leave();
        else return;
        this.isThere = !this.isThere;
        return;
      case 6:
        board.takes = random.once(3) ? !board.takes : true;
        return await board.settle();
      case 7:
        if (random.once(10)) await this.#restart();
        return;
      default:
        this.heard.push(...board.news());
        this.heard.splice(0, this.heard.length - 50);
        if (this.isThere) await board.says(line(random, this.heard));
    }
  }

  async #restart(): Promise<void> {
    const { server, platform } = this.scene;
    await server.close();
    await platform.advance(60_000); // a device that is refused again and again is told so after a pause
    await this.start();
  }

  /** The call eventually succeeds, or fails with a named error. */
  #named(what: Promise<Value | undefined | void>): void {
    const outcome = what.catch((error) => {
      assert(error instanceof HoldfastError, String(error));
    });
    this.outcomes.push(outcome as Promise<Value | undefined>);
  }

  async check(): Promise<void> {
    const device = await this.scene.server.device("bad") as DeviceDriver;
    const { memos } = device.session.record;
    assert([...memos.keys()].filter((key) => key.startsWith("=")).length <= 256);
    for (const [key, text] of memos) assert(text.length < 20_000, `${key}: ${text.length}`);
    assert(device.inbox <= 100 && device.outbox <= 300, `${device.inbox} and ${device.outbox}`);
    this.good.news();
    await this.good.says("?time.1");
    const news = this.good.news();
    assert(
      news.some((line) => line.startsWith(":time.1 ")),
      `${news}\n${this.scene.log.slice(-12).join("\n")}`,
    );
  }

  /** From now on the device behaves, and its channels become what they should be. */
  async settle(): Promise<void> {
    const { board, scene } = this;
    if (this.isThere) await board.leave();
    board.takes = true;
    await board.connect();
    board.news();
    await board.says("@good 1");
    for (let quiet = 0; quiet < 30;) {
      const lines = board.news();
      for (const text of lines) {
        const marked = parseMarked(text);
        if (marked?.mark !== "set" && marked?.mark !== "ask") continue;
        await board.says(`:${marked.name}.${marked.tag} ${marked.value ?? 1}`);
      }
      await scene.platform.advance(1000);
      await board.settle();
      quiet = lines.length === 0 ? quiet + 1 : 0;
    }
    const device = await scene.server.device("bad");
    assertEquals([device.inbox, device.outbox], [0, 0]);
    const thing = await scene.server.thing("bad");
    const unmet = thing.channels.filter((name) => thing.desired(name)?.isMet === false);
    assertEquals(unmet, []);
    await Promise.all(this.outcomes);
  }
}

randomTest(
  "random devices and operators: named errors, bounded memory, and in the end all settings are met",
  60,
  async (random) => {
    const world = new World(random);
    await world.start();
    await using _ = { [Symbol.asyncDispose]: () => world.scene[Symbol.asyncDispose]() };
    const steps = random.int(20, 250);
    for (let i = 0; i < steps; i++) {
      await world.step();
      if (i % 20 === 0) await world.check();
    }
    await world.settle();
  },
);
