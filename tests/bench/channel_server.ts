/**
 * A server with channels under load. The first word of a device's id says what the application does with it. Takes one
 * JSON object per line on stdin ({@linkcode ChannelOrder}), and answers each with one on stdout.
 *
 *     deno run -A tests/bench/channel_server.ts [--store FILE] [--durability full|normal]
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { parseArgs } from "node:util";
import { channels, type Device, Server, type Thing } from "../../server/mod.ts";

/** Its orders. */
export type ChannelOrder =
  /** Lets these devices answer for a while, with `window` lines, settings or requests under way to each: {@linkcode
   * Answered}. */
  | { do: "lines" | "settings" | "requests"; ids: string[]; window: number; ms: number }
  /** Sets ten channels of an absent device this many times: {@linkcode SetIn}. */
  | { do: "outage"; id: string; settings: number };

/** The result of lines, settings or requests that were answered. */
export interface Answered {
  /** Per second. */
  rate: number;
  /** From the call until the answer is there, in µs. */
  p50: number;
  p99: number;
}

/** The time until all settings were safe. */
export interface SetIn {
  ms: number;
}

const { values } = parseArgs({
  options: {
    store: { type: "string", default: ":memory:" },
    durability: { type: "string", default: "full" },
  },
});

/** Callbacks that wait for a device's line, or for a channel of it to be met, by device and line or channel. */
const waiting = new Map<string, () => void>();

const held = channels({});
const kept = channels({ temp: {} });
let handled = 0;
const handling = channels({ temp: (value) => void (handled += Number(value)) });

/** Takes each line, and does the same work as an application of channels. */
async function consume(device: Device): Promise<void> {
  for (;;) await device.consume(() => {});
}

async function lines(device: Device): Promise<void> {
  for await (const line of device) {
    waiting.get(`${device.id} ${line}`)?.();
  }
}

const server = await Server.listen({
  port: 0,
  hostname: "127.0.0.1",
  open: true,
  store: values.store,
  durability: values.durability as "full" | "normal",
  app: (device, server) => {
    const [kind] = device.id.split(" ");
    if (kind === "reports") return kept(device, server);
    if (kind === "handled") return handling(device, server);
    if (kind === "consumed") return consume(device);
    if (kind === "things") return held(device, server);
    return lines(device);
  },
});
server.events.subscribe((event) => {
  if (event.event === "met") waiting.get(`${event.device} ${event.channel}`)?.();
});

/** Writes a line, and waits for the same from the device. */
async function echo(device: Device, text: string): Promise<void> {
  const answered = answerOf(`${device.id} ${text}`);
  await Promise.all([device.write(text), answered]);
}

/** Sets a channel, and waits until the device has answered that it is so. */
async function set(thing: Thing, channel: string, value: number): Promise<void> {
  const answered = answerOf(`${thing.id} ${channel}`);
  await Promise.all([thing.set(channel, value), answered]);
}

function answerOf(key: string): Promise<void> {
  return new Promise((resolve) => {
    waiting.set(key, () => {
      waiting.delete(key);
      resolve();
    });
  });
}

async function drive(
  { do: what, ids, window, ms }: Extract<ChannelOrder, { ids: string[] }>,
): Promise<Answered> {
  const times: number[] = [];
  const ends = await Promise.all(
    ids.map((id) => Promise.all([server.device(id), server.thing(id)])),
  );
  const begun = performance.now();
  const one = async ([device, thing]: [Device, Thing], slot: number) => {
    for (let i = 0; i === 0 || performance.now() < begun + ms; i++) {
      const asked = performance.now();
      if (what === "lines") await echo(device, `message ${slot} ${i}`);
      else if (what === "settings") await set(thing, `channel${slot}`, counter++);
      else await thing.request("adc", i);
      times.push(performance.now() - asked);
    }
  };
  await Promise.all(
    ends.flatMap((end) => Array.from({ length: window }, (_, slot) => one(end, slot))),
  );
  const seconds = (performance.now() - begun) / 1000;
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)]! * 1000;
  return { rate: times.length / seconds, p50: at(0.5), p99: at(0.99) };
}

/** No two settings are the same: unchanged values are not sent. */
let counter = 0;

async function outage(id: string, settings: number): Promise<SetIn> {
  const thing = await server.thing(id);
  while (thing.connected) await new Promise((resolve) => setTimeout(resolve, 10));
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: settings }, (_, i) => thing.set(`channel${i % 10}`, i)),
  );
  return { ms: performance.now() - begun };
}

console.log(JSON.stringify({ port: server.port }));
const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of input) {
  const order: ChannelOrder = JSON.parse(line);
  const answer = await (order.do === "outage" ? outage(order.id, order.settings) : drive(order));
  console.log(JSON.stringify(answer));
}
Deno.exit();
