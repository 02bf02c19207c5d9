/**
 * A bridge on a server with a device, and a malicious broker. The bridge never stops the server, connects again after its
 * pauses, and loses nothing that the device has sent. When the broker behaves, everything becomes as it should be.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Decoder, encode, type Packet, type Version } from "../../bridge/mqtt/codec.ts";
import { MqttBridge } from "../../bridge/mqtt/mod.ts";
import { type ServerEvent, SqliteStore } from "../../server/mod.ts";
import { PeerError } from "../../server/protocol/errors.ts";
import type { ConnectOptions, Socket, SocketEvents } from "../../server/transport/platform.ts";
import { LineBoard } from "../support/line_board.ts";
import { folder } from "../support/main_process.ts";
import { ManualPlatform } from "../support/manual_platform.ts";
import { ManualServer } from "../support/manual_server.ts";
import { brokerNoise, greeting } from "../support/mqtt_noise.ts";
import { type Random, randomTest } from "../support/random.ts";

/** The shortest pause between connections, in ms. */
const FIRST_PAUSE = 1000;

/** Complaints that are allowed about a broker. */
const CODES = ["LOST", "MALFORMED", "REFUSED", "SILENT", "TOO_LARGE", "UNEXPECTED"];

/** Complaints that are allowed about its messages. */
const WARNINGS = [
  "BAD_RESPONSE_TOPIC",
  "BAD_VALUE",
  "BROKER_BEHIND",
  "BROKER_FORGOT",
  "EXPIRED",
  "NOT_PUBLISHED",
  "NOT_SUBSCRIBED",
  "RETAINED_DO",
  "RETAINED_REQUEST",
  "RETAINED_SET",
  "UNKNOWN_DEVICE",
  "UNKNOWN_TOPIC",
];

type Published = Extract<Packet, { cmd: "publish" }>;

/** The bridge's end of a connection. */
class BrokerSocket implements Socket {
  readonly address = "192.0.2.9:1883";
  readonly hostname = "192.0.2.9";
  taken = 0;
  isOpen = true;
  isConnected = false;
  #isPaused = false;
  #takes = true;
  readonly #decoder: Decoder;

  constructor(
    readonly broker: Broker,
    readonly events: SocketEvents & { opened(): void },
  ) {
    this.#decoder = new Decoder(broker.version);
  }

  start(): void {}

  opens(): void {
    this.isConnected = true;
    this.events.opened();
  }

  finish(): void {
    throw new Error("a bridge does not do that");
  }

  write(data: Uint8Array | string): boolean {
    assert(this.isOpen && typeof data !== "string");
    this.taken += data.length;
    for (const { packet } of this.#decoder.take(data)) this.broker.hears(packet);
    if (!this.broker.isGood && this.broker.random.once(20)) this.#takes = false;
    return this.#takes;
  }

  /** Whether it reads. */
  get reads(): boolean {
    return this.isOpen && !this.#isPaused;
  }

  gives(bytes: Uint8Array): void {
    const copy = bytes.slice();
    if (this.isOpen) this.events.data(copy);
    copy.fill(0xff); // the bytes were valid only until now
  }

  drains(): void {
    if (this.#takes) return;
    this.#takes = true;
    if (this.isOpen) this.events.drained();
  }

  fails(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.events.ended(new PeerError("LOST", "reset"));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  close(): void {
    this.isOpen = false;
  }
}

const TOPICS = [
  "holdfast/1/led/set",
  "holdfast/1/LED/set",
  "holdfast//x/set",
  "holdfast/1/request/adc",
  "holdfast/1/do/door",
  "home/1/in",
  "home/1/other",
  "homeassistant/status",
  "\0",
  "a/+",
];

/** The first line of the device. */
const BOOT = '@plug 1 {"channels":{"led":{"kind":"switch"}}}';
const CONFIG = "homeassistant/device/holdfast__1/config";

/** The network to the broker, and the broker. */
class Broker extends ManualPlatform {
  socket: BrokerSocket | undefined;
  /** Whether it keeps to MQTT. */
  isGood = false;
  readonly events = new Set<string>();
  readonly states = new Map<string, string>();
  readonly connectedAt: number[] = [];
  #heard: Packet[] = [];

  constructor(readonly random: Random, readonly version: Version) {
    super();
  }

  override connect(_?: ConnectOptions, events?: SocketEvents & { opened(): void }): Socket {
    this.connectedAt.push(this.now());
    this.#heard = [];
    return this.socket = new BrokerSocket(this, events!);
  }

  hears(packet: Packet): void {
    this.#heard.push(packet);
    if (packet.cmd === "publish") this.#published(packet);
  }

  #published({ topic, payload, retain }: Published): void {
    if (retain) this.states.set(topic, String(payload));
    else this.events.add(String(payload));
  }

  get ids(): number[] {
    return this.#heard.flatMap(({ messageId }) => messageId === undefined ? [] : [messageId]);
  }

  says(packet: Packet): void {
    this.socket!.gives(encode(packet, this.version));
  }

  /** Answers all packets that it has received. */
  answers(): void {
    for (const { cmd, messageId = 0, ...more } of this.#heard.splice(0)) {
      if (cmd === "connect") {
        const code = this.version === 5 ? { reasonCode: 0 } : { returnCode: 0 };
        this.says({ cmd: "connack", sessionPresent: false, ...code } as Packet);
      } else if (cmd === "subscribe") {
        const { subscriptions } = more as Extract<Packet, { cmd: "subscribe" }>;
        this.says({ cmd: "suback", messageId, granted: subscriptions.map(() => 2) });
      } else if (cmd === "unsubscribe") {
        const { unsubscriptions } = more as Extract<Packet, { cmd: "unsubscribe" }>;
        this.says({ cmd: "unsuback", messageId, granted: unsubscriptions.map(() => 0) });
      } else if (cmd === "publish" && (more as Published).qos === 2) {
        this.says({ cmd: "pubrec", messageId });
      } else if (cmd === "pubrel") this.says({ cmd: "pubcomp", messageId });
      else if (cmd === "pubrec") this.says({ cmd: "pubrel", messageId });
      else if (cmd === "pingreq") this.says({ cmd: "pingresp" });
    }
  }

  /** Does one thing: what it should if it is good, else anything. */
  acts(): void {
    const { random, version, socket, isGood } = this;
    if (!socket?.isOpen) return;
    if (!socket.isConnected) {
      if (isGood || !random.once(4)) return socket.opens();
      return random.once(2) ? socket.fails() : undefined;
    }
    socket.drains();
    if (!socket.reads) return;
    if (isGood || random.once(4)) return this.answers();
    if (random.once(30)) return socket.fails();
    if (random.once(4)) return socket.gives(greeting(random, version));
    socket.gives(brokerNoise(random, version, TOPICS, this.ids));
  }

  override listen(): never {
    throw new Error("a broker's network has no server");
  }
}

/** A server, a bridge, a device and a broker. */
class World {
  readonly warned: string[] = [];
  /** Messages for the device, without requests. */
  readonly told: string[] = [];
  said = 0;
  scene!: ManualServer;
  board!: LineBoard;
  bridge!: MqttBridge;

  constructor(readonly broker: Broker, readonly store: SqliteStore) {}

  async start(): Promise<void> {
    const { broker, store } = this;
    const { version } = broker;
    const more = { ownTopics: ["home/{id}/#"], homeAssistant: true, mostRequests: 3 };
    this.bridge = new MqttBridge({ hostname: "broker", version, mostRows: 5, ...more }, broker);
    const { observe } = this.bridge;
    this.scene = await ManualServer.start({ store, observe, timeout: 3_600_000 });
    this.scene.server.events.subscribe((event) => this.#look(event));
    await this.#runs(this.bridge.start(this.scene.server));
    this.board = new LineBoard(this.scene);
    await this.board.connect();
    await this.board.says(BOOT, `=mqtt/will home/1/gone yes`);
  }

  #look(event: ServerEvent): void {
    if (event.event === "broker") assert(!event.code || CODES.includes(event.code), event.code);
    if (event.event === "app_failed") throw new Error(event.message);
    if (event.event !== "warning") return;
    assert(WARNINGS.includes(event.code), `${event.code}: ${event.message}`);
    this.warned.push(event.code);
  }

  async passes(ms: number): Promise<void> {
    await this.scene.platform.advance(1);
    await this.broker.advance(ms);
    await this.scene.platform.advance(1);
    await this.board.settle();
    for (const text of this.board.news()) {
      if (!text.startsWith("?adc.")) this.told.push(text);
      else await this.board.says(text.replace(/^\?(\S+).*/, ":$1 512"));
    }
  }

  async says(): Promise<void> {
    const { random } = this.broker;
    const topics = random.pick([
      "[]",
      '["home/1/in"]',
      '["home/1/in","home/1/other"]',
      '["home/+"]',
    ]);
    await this.board.says(
      `!button ${++this.said}`,
      `=temp ${this.said}`,
      `!mqtt home/1/out own ${this.said}`,
      `=mqtt ${topics}`,
    );
  }

  /** Lets the server work until something is done. */
  async #runs(work: Promise<void>): Promise<void> {
    let isDone = false;
    const done = work.finally(() => isDone = true);
    while (!isDone) await this.scene.platform.turn();
    await done;
  }

  /** How many rows are left in the bridge's tables. */
  async left(): Promise<number> {
    let n = 0;
    await this.#runs(this.scene.server.transaction(async (tx) => {
      for (const table of ["mqtt_out", "mqtt_requests"]) {
        n += Number((await tx.get(`SELECT count(*) AS n FROM ${table}`))!.n);
      }
    }));
    return n;
  }

  /** Messages of the device that the broker has never received. */
  get missing(): number[] {
    const all = Array.from({ length: this.said }, (_, i) => i + 1);
    const { events } = this.broker;
    return all.filter((n) => !events.has(String(n)) || !events.has(`own ${n}`));
  }
}

const NAME = "whatever a broker does, nothing of a device is lost, and the server goes on";

randomTest(NAME, 15, async (random) => {
  using dir = folder();
  const store = new SqliteStore(`${dir.path}/server.db`, { durability: "normal" });
  const broker = new Broker(random, random.pick([4, 5] as const));
  const world = new World(broker, store);
  await world.start();
  for (let i = 0; i < 150; i++) {
    if (random.once(6)) await world.says();
    broker.acts();
    await world.passes(random.pick([1, 10, 100, 1000, 20_000]));
  }
  checkPauses(broker.connectedAt);

  broker.isGood = true; // a new broker
  broker.socket?.fails();
  await world.says();
  await world.board.says('=mqtt ["home/1/in"]');
  for (let i = 0; i < 500 && !await isDone(world); i++) {
    broker.acts();
    await world.passes(broker.socket?.isOpen ? 10 : 5000);
  }
  // Messages that are too large for the broker, or that it refused, were given up. The log says so as often as its limit
  // allows.
  const { givenUp } = world.bridge.state;
  assert(world.missing.length <= givenUp, `${world.missing} are missing, ${givenUp} given up`);
  assert(givenUp === 0 || world.warned.includes("NOT_PUBLISHED"));
  assertEquals([await world.left(), broker.states.get("holdfast/1/temp")], [0, String(world.said)]);

  assertEquals(Object.keys(JSON.parse(broker.states.get(CONFIG)!).cmps), ["switch__led"]);
  const { server } = world.scene;
  world.told.splice(0);
  for (const [i, message] of LAST.entries()) {
    const head = { messageId: 9 + i, qos: 2, dup: false, retain: false } as const;
    broker.says({ cmd: "publish", ...head, ...message });
    await world.passes(1);
    broker.answers();
  }
  const thing = await server.thing("1");
  assertEquals(thing.desired("led")?.value, 1);
  assertEquals(world.told.filter((text) => text.startsWith("!")), ["!door 7", "!mqtt home/1/in 8"]);
  for (let i = 0; i < 10; i++) await world.passes(1);
  assert(broker.events.has("512"), "the request has no answer");
  world.bridge.close();
  await world.scene[Symbol.asyncDispose]();
  await store.close();
});

/** The broker's messages to a bridge when nothing is in its way any more. */
const LAST = [
  { topic: "holdfast/1/led/set", payload: "1" },
  { topic: "holdfast/1/do/door", payload: "7" },
  { topic: "home/1/in", payload: "8" },
  { topic: "holdfast/1/request/adc", payload: "9" },
];

async function isDone(world: World): Promise<boolean> {
  const { states, socket } = world.broker;
  return socket?.isOpen === true && states.get("holdfast/1/temp") === String(world.said) &&
    await world.left() === 0;
}

/** The bridge never connects again at once. */
function checkPauses(times: readonly number[]): void {
  for (const [i, time] of times.slice(1).entries()) {
    const pause = time - times[i]!;
    assert(pause >= FIRST_PAUSE, `connected again after ${pause} ms`);
  }
}
