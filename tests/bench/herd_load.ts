/**
 * The herd: thousands of devices in a process of their own, the same for every server. Takes one JSON object per line
 * on stdin ({@linkcode Order}), answers each with one on stdout, and exits when stdin is closed.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { type Counts, type Herd, HerdDevice, TIMEOUT } from "./herd_device.ts";
import { quantile } from "./report.ts";
import { Wheel } from "./wheel.ts";

/** Orders to the herd. */
export type Order =
  /** Lets all devices connect at once and stay connected, whatever happens. Answers with a {@linkcode State}. */
  | { do: "begin"; port: number; devices: number; welcomes: boolean }
  /** Answers with a {@linkcode State} when all links are up, or `ms` have passed. */
  | { do: "gather"; ms: number }
  /** Answers with a {@linkcode State} at once. */
  | { do: "look" }
  /** Lets `ms` pass on the devices' clock, which runs late where the load is held up. Answers with a {@linkcode State}. */
  | { do: "pass"; ms: number }
  /** The server is about to be killed: it may end connections. Answers with a {@linkcode State}. */
  | { do: "outlive" }
  /** Its successor listens, and must keep all connections from now on. Answers with a {@linkcode State}. */
  | { do: "expect" }
  /** Lets random devices write `rate` messages a second. Answers with a {@linkcode Written}. */
  | { do: "write"; rate: number; ms: number };

export interface State extends Counts {
  /** When all links were up, in ms since 1970; undefined: they are not. */
  allUpAt?: number;
  /** The longest time for which this process was held up while there were links, in ms, since it was last
   * asked. */
  heldUp: number;
  /** Messages acknowledged so far. */
  acked: number;
}

export interface Written extends State {
  /** Messages of this order. */
  written: number;
  /** Messages without an ack when the time was over. */
  missing: number;
  /** From a message's writing to its ack, in ms; undefined: no message was acknowledged. */
  p50?: number;
  p99?: number;
}

/** A tick that takes longer counts as this many ms for the devices' clock. */
const LONGEST_TICK = 50;

/** Devices that connect, or give up connecting, in one tick: this must not delay the others' keepalives. */
const STEPS = 200;

/** Interval at which devices check for silence, in ms. */
const LISTEN_MS = 100;

/** How long acks are waited for, in ms. */
const PATIENCE = 30_000;

let devices: HerdDevice[] = [];
let servers = 1;
let ticked = () => {};
let cameUp = () => {};
let allUpAt: number | undefined;
let heldUp = 0;
let acked = 0;
let delays: number[] = [];

const herd: Herd = {
  port: 0,
  server: 1,
  welcomes: true,
  clock: 0,
  counts: {
    up: 0,
    attempts: 0,
    noAnswer: 0,
    noGreeting: 0,
    closedEarly: 0,
    closed: 0,
    silent: 0,
  },
  came() {
    if (this.counts.up < devices.length) return;
    allUpAt = performance.timeOrigin + performance.now();
    cameUp();
  },
  acked(writtenAt) {
    acked++;
    delays.push(performance.now() - writtenAt);
  },
  fail(what) {
    console.log(JSON.stringify({ error: what }));
    Deno.exit(1);
  },
};

let listenedAt = 0;
const wheel = new Wheel<HerdDevice>(TIMEOUT / 4, (device) => device.keepAlive(), (ms) => {
  if (herd.counts.up > 0) heldUp = Math.max(heldUp, ms);
  herd.clock += Math.min(ms, LONGEST_TICK);
  step();
  if (herd.clock - listenedAt >= LISTEN_MS) {
    listenedAt = herd.clock;
    for (const device of devices) device.listen();
  }
  ticked();
});

let stepped = 0; // the next device to check

function step(): void {
  if (herd.counts.up === devices.length) return;
  let steps = 0;
  for (let i = 0; i < devices.length && steps < STEPS; i++) {
    if (devices[stepped]!.step()) steps++;
    stepped = (stepped + 1) % devices.length;
  }
}

function state(): State {
  const now = { ...herd.counts, heldUp, acked };
  heldUp = 0;
  return herd.counts.up < devices.length || allUpAt === undefined ? now : { ...now, allUpAt };
}

async function gather(ms: number): Promise<State> {
  if (herd.counts.up < devices.length || allUpAt === undefined) {
    const { promise, resolve } = Promise.withResolvers<void>();
    cameUp = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }
  return state();
}

/** Lets time pass on the devices' clock, which may lag behind the machine's. */
async function pass(ms: number): Promise<State> {
  const end = herd.clock + ms;
  const { promise, resolve } = Promise.withResolvers<void>();
  ticked = () => void (herd.clock >= end && resolve());
  await promise;
  ticked = () => {};
  return state();
}

async function write(rate: number, ms: number): Promise<Written> {
  delays = [];
  let written = 0;
  const start = performance.now();
  const { promise, resolve } = Promise.withResolvers<void>();
  ticked = () => {
    const passed = performance.now() - start;
    const due = Math.floor(rate * Math.min(passed, ms) / 1000);
    // A device with too many messages on their way is skipped: the next one writes instead.
    while (written < due && devices[Math.floor(Math.random() * devices.length)]!.write()) written++;
    if (passed >= ms && (delays.length >= written || passed >= ms + PATIENCE)) resolve();
  };
  await promise;
  ticked = () => {};
  return {
    ...state(),
    written,
    missing: written - delays.length,
    ...(delays.length > 0 && { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) }),
  };
}

async function obey(order: Order): Promise<State> {
  switch (order.do) {
    case "begin":
      herd.port = order.port;
      herd.welcomes = order.welcomes;
      devices = Array.from({ length: order.devices }, (_, i) => new HerdDevice(herd, `herd-${i}`));
      for (const device of devices) wheel.add(device);
      return state();
    case "gather":
      return await gather(order.ms);
    case "look":
      return state();
    case "pass":
      return await pass(order.ms);
    case "outlive":
      herd.server = 0;
      allUpAt = undefined;
      return state();
    case "expect":
      herd.server = ++servers;
      for (const device of devices) device.expect();
      return state();
    case "write":
      return await write(order.rate, order.ms);
  }
}

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) console.log(JSON.stringify(await obey(JSON.parse(line))));
Deno.exit();
