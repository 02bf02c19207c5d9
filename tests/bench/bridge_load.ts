/**
 * Messages to a broker, over several ways, and one subscriber to all of them: QoS 2 both times. Devices and subscriber
 * are one process, so one clock measures the time of a message. Takes one JSON object per line on stdin ({@linkcode
 * WayOrder}), answers each with one on stdout, and exits when stdin is closed.
 *
 * A message that comes twice, or never, ends it without figures.
 *
 * @module
 */
import mqtt from "mqtt";
import { TextLineStream } from "@std/streams";
import { Channels, Client } from "../../bridge/host/mod.ts";
import type { Run } from "./load.ts";
import { isSo, measureFor, sleep } from "./measured.ts";
import { fail, Publisher, Subscriber } from "./mqtt_connection.ts";

/** Its orders. */
export type WayOrder =
  /** Connects: devices to `server`, or else a publisher to the broker itself. */
  | { do: "open"; broker: number; way: "plain" | "package" | "devices"; server?: number }
  /**
   * Keeps this many messages on their way for a while; answers with a {@linkcode Run} of the times until they arrive.
   */
  | { do: "run"; window: number; warmUpMs: number; ms: number }
  /** Closes the way when everything has arrived; answers with the number of messages. */
  | { do: "close" };

const DEVICES = 10;

const TEXT_BYTES = 32;

/** Sends a text on its way. */
interface Sender {
  publish(text: string): void;
  close(): Promise<void> | void;
}

/** A publisher with the minimum of MQTT. */
async function openPlain(port: number): Promise<Sender> {
  const publisher = await Publisher.open(port, "plain");
  return {
    publish: (text) => void publisher.publish("plain/1/event/load", text),
    close: () => publisher.close(),
  };
}

/** The npm package, with a session that the broker keeps, and its own state in memory. */
async function openPackage(port: number): Promise<Sender> {
  const url = `mqtt://127.0.0.1:${port}`;
  const client = await mqtt.connectAsync(url, { clientId: "package", clean: false });
  return {
    publish: (text) => void client.publishAsync("package/1/event/load", text, QOS_2).catch(fail),
    close: () => client.endAsync(),
  };
}

const QOS_2 = { qos: 2 } as const;

/** Devices at our server, in turn. */
async function openDevices(port: number): Promise<Sender> {
  const clients = Array.from({ length: DEVICES }, (_, i) => new Client({ id: `${i}`, port }));
  const all = clients.map((client) =>
    new Channels(client, { app: "load", version: "1", channels: {} })
  );
  await Promise.all(clients.map((client) => client.ready()));
  let next = 0;
  return {
    publish: (text) => void all[next++ % DEVICES]!.event("load", text).catch(fail),
    close: async () => void await Promise.all(clients.map((client) => client.close())),
  };
}

const decoder = new TextDecoder();

let sender: Sender;
let subscriber: Subscriber;
let sent = 0;
let window = 0;
const onTheirWay = new Map<string, number>(); // with the time of sending
const times: number[] = [];

function publish(): void {
  const text = `message ${sent++}`.padEnd(TEXT_BYTES, ".");
  onTheirWay.set(text, performance.now());
  sender.publish(text);
}

function arrived(text: string): void {
  const since = onTheirWay.get(text);
  if (since === undefined) fail(new Error(`${text} came twice`));
  onTheirWay.delete(text);
  times.push((performance.now() - since) * 1000);
  if (onTheirWay.size < window) publish();
}

async function open({ broker, way, server }: Extract<WayOrder, { do: "open" }>): Promise<unknown> {
  subscriber = await Subscriber.open(broker, "+/+/event/load", (payload) => {
    arrived(decoder.decode(payload));
  });
  sent = 0;
  if (way === "plain") sender = await openPlain(broker);
  else if (way === "package") sender = await openPackage(broker);
  else sender = await openDevices(server!);
  return {};
}

async function run(order: Extract<WayOrder, { do: "run" }>): Promise<Run> {
  window = order.window;
  while (onTheirWay.size < window) publish();
  await sleep(order.warmUpMs);
  times.length = 0;
  const start = performance.now();
  await measureFor(order.ms, () => times.length > 0);
  const rate = times.length / (performance.now() - start) * 1000;
  window = 0;
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? NaN;
  return { rate, p50: at(0.5), p99: at(0.99) };
}

async function close(): Promise<{ sent: number }> {
  if (!await isSo(() => onTheirWay.size === 0)) {
    throw new Error(`${onTheirWay.size} of ${sent} messages are lost`);
  }
  await sender.close();
  subscriber.close();
  return { sent };
}

function obey(order: WayOrder): Promise<unknown> {
  if (order.do === "open") return open(order);
  return order.do === "run" ? run(order) : close();
}

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) {
  console.log(JSON.stringify(await obey(JSON.parse(line)).catch(fail)));
}
Deno.exit();
