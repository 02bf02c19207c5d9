/**
 * The same load as `load.ts`, for an MQTT broker: each connection publishes with QoS 2, and one more
 * subscribes to all of it, also with QoS 2. A message counts when it has come to the subscriber. MQTT
 * 3.1.1, as far as this takes.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import type { Closed, Command, Opened, Run } from "./load.ts";
import {
  encoder,
  fail,
  MqttConnection,
  packet,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  string,
  SUBACK,
  SUBSCRIBE,
} from "./mqtt_connection.ts";

const TEXT_BYTES = 32;

const TOPIC = "load";

/** Connections whose round trips are sampled. */
const SAMPLED = 10;

class Publisher extends MqttConnection {
  acked = 0;
  #window = 0;
  #free: number[] = [];
  #next = 1;
  #inFlight = 0;
  #idle = () => {};
  #text = 0;
  #probe = 0;
  #probed = -1;

  private constructor(conn: Deno.TcpConn, readonly samples: number[] | undefined) {
    super(conn);
  }

  static async open(port: number, id: string, samples?: number[]): Promise<Publisher> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const publisher = new Publisher(conn, samples);
    await publisher.greet(`pub-${id}`);
    publisher.got = (first, [high = 0, low = 0]) => publisher.#answer(first, high << 8 | low);
    return publisher;
  }

  #answer(first: number, id: number): void {
    if (first === PUBREC) return this.send(packet(PUBREL, id >> 8, id & 255));
    if (first !== PUBCOMP) throw new Error(`packet ${first} came to a publisher`);
    this.acked++;
    this.#inFlight--;
    if (id === this.#probed) {
      this.samples!.push(performance.now() - this.#probe);
      this.#probed = -1;
    }
    this.#free.push(id);
    if (this.#window > 0) this.#publish();
    else if (this.#inFlight === 0) this.#idle();
  }

  #publish(): void {
    const id = this.#free.shift() ?? this.#next++;
    const text = encoder.encode(`message ${this.#text++}`.padEnd(TEXT_BYTES, "."));
    this.send(packet(PUBLISH, ...string(TOPIC), id >> 8, id & 255, ...text));
    this.#inFlight++;
    if (this.samples && this.#probed < 0) {
      this.#probed = id;
      this.#probe = performance.now();
    }
  }

  start(window: number): void {
    this.#window = window;
    for (let i = 0; i < window; i++) this.#publish();
    this.flush();
  }

  /** Sends no more, and waits for the acks that are due. */
  async stop(): Promise<void> {
    this.#window = 0;
    if (this.#inFlight > 0) await new Promise<void>((resolve) => this.#idle = resolve);
  }
}

class Subscriber extends MqttConnection {
  delivered = 0;

  static async open(port: number): Promise<Subscriber> {
    const subscriber = new Subscriber(await Deno.connect({ hostname: "127.0.0.1", port }));
    await subscriber.greet("subscriber");
    subscriber.send(packet(SUBSCRIBE, 0, 1, ...string(TOPIC), 2));
    await subscriber.expect(SUBACK);
    subscriber.got = (first, body) => subscriber.#take(first, body);
    return subscriber;
  }

  #take(first: number, body: Uint8Array): void {
    if (first === PUBLISH) {
      const at = 2 + (body[0]! << 8 | body[1]!); // behind the topic
      this.delivered++;
      this.send(packet(PUBREC, body[at]!, body[at + 1]!));
    } else if (first === PUBREL) this.send(packet(PUBCOMP, body[0]!, body[1]!));
    else throw new Error(`packet ${first} came to a subscriber`);
  }
}

let publishers: Publisher[] = [];
let subscriber: Subscriber;
const samples: number[] = [];

async function open(port: number, ids: string[]): Promise<Opened> {
  const start = performance.now();
  subscriber = await Subscriber.open(port);
  await Promise.all(ids.map(async (id, i) => {
    publishers.push(await Publisher.open(port, id, i < SAMPLED ? samples : undefined));
  }));
  return { ms: performance.now() - start };
}

async function run(window: number, warmUpMs: number, ms: number): Promise<Run> {
  for (const publisher of publishers) publisher.start(window);
  await sleep(warmUpMs);
  samples.length = 0;
  const from = subscriber.delivered;
  const start = performance.now();
  await sleep(ms);
  const rate = (subscriber.delivered - from) / (performance.now() - start) * 1000;
  const sorted = samples.map((sample) => sample * 1000).sort((a, b) => a - b);
  await Promise.all(publishers.map((publisher) => publisher.stop()));
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { rate, p50: at(0.5), p99: at(0.99) };
}

async function close(): Promise<Closed> {
  const acked = publishers.reduce((sum, { acked }) => sum + acked, 0);
  // The broker tells the publisher first.
  for (let waited = 0; subscriber.delivered < acked && waited < 2000; waited += 10) await sleep(10);
  if (subscriber.delivered !== acked) {
    throw new Error(`${acked} messages were acknowledged, but ${subscriber.delivered} delivered`);
  }
  for (const connection of [...publishers, subscriber]) connection.close();
  publishers = [];
  return { acked };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function obey(command: Command): Promise<Opened | Run | Closed> {
  switch (command.do) {
    case "open":
      return open(command.port, command.ids);
    case "run":
      return run(command.window, command.warmUpMs, command.ms);
    case "close":
      return close();
  }
}

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) {
  console.log(JSON.stringify(await obey(JSON.parse(line)).catch(fail)));
}
Deno.exit();
