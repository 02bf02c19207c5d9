/**
 * The same load as `load.ts`, for an MQTT broker: each connection publishes with QoS 2, and one more
 * subscribes to all of it, also with QoS 2. A message counts when it has reached the subscriber. Only the needed part
 * of MQTT 3.1.1.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import type { Closed, Command, Opened, Run } from "./load.ts";
import { isSo, measureFor, sleep } from "./measured.ts";
import { fail, Publisher, Subscriber } from "./mqtt_connection.ts";

const TEXT_BYTES = 32;

const TOPIC = "load";

/** Connections whose round trips are sampled. */
const SAMPLED = 10;

/** A publisher with this many messages in flight. */
class Load {
  acked = 0;
  #publisher!: Publisher;
  #window = 0;
  #inFlight = 0;
  #idle = () => {};
  #text = 0;
  #probe = 0;
  #probed = -1;

  private constructor(readonly samples: number[] | undefined) {}

  static async open(port: number, id: string, samples?: number[]): Promise<Load> {
    const load = new Load(samples);
    load.#publisher = await Publisher.open(port, `pub-${id}`, (id) => load.#done(id));
    return load;
  }

  #done(id: number): void {
    this.acked++;
    this.#inFlight--;
    if (id === this.#probed) {
      this.samples!.push(performance.now() - this.#probe);
      this.#probed = -1;
    }
    if (this.#window > 0) this.#publish();
    else if (this.#inFlight === 0) this.#idle();
  }

  #publish(): void {
    const text = `message ${this.#text++}`.padEnd(TEXT_BYTES, ".");
    const id = this.#publisher.publish(TOPIC, text);
    this.#inFlight++;
    if (this.samples && this.#probed < 0) {
      this.#probed = id;
      this.#probe = performance.now();
    }
  }

  start(window: number): void {
    this.#window = window;
    for (let i = 0; i < window; i++) this.#publish();
  }

  /** Stops sending, and waits for the missing acks. */
  async stop(): Promise<void> {
    this.#window = 0;
    if (this.#inFlight > 0) await new Promise<void>((resolve) => this.#idle = resolve);
  }

  close(): void {
    this.#publisher.close();
  }
}

let loads: Load[] = [];
let subscriber: Subscriber;
let delivered = 0;
const samples: number[] = [];

async function open(port: number, ids: string[]): Promise<Opened> {
  const start = performance.now();
  delivered = 0;
  subscriber = await Subscriber.open(port, TOPIC, () => delivered++);
  await Promise.all(ids.map(async (id, i) => {
    loads.push(await Load.open(port, id, i < SAMPLED ? samples : undefined));
  }));
  return { ms: performance.now() - start };
}

async function run(window: number, warmUpMs: number, ms: number): Promise<Run> {
  for (const load of loads) load.start(window);
  await sleep(warmUpMs);
  samples.length = 0;
  const from = delivered;
  const start = performance.now();
  await measureFor(ms, () => delivered > from && samples.length > 0);
  const rate = (delivered - from) / (performance.now() - start) * 1000;
  const sorted = samples.map((sample) => sample * 1000).sort((a, b) => a - b);
  await Promise.all(loads.map((load) => load.stop()));
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { rate, p50: at(0.5), p99: at(0.99) };
}

async function close(): Promise<Closed> {
  const acked = loads.reduce((sum, { acked }) => sum + acked, 0);
  // The broker tells the publisher first.
  await isSo(() => delivered >= acked);
  if (delivered !== acked) {
    throw new Error(`${acked} messages were acknowledged, but ${delivered} delivered`);
  }
  for (const connection of [...loads, subscriber]) connection.close();
  loads = [];
  return { acked };
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
