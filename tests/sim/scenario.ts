/** One seed's scenario: the devices, the server's limits, the network, and the faults. */
import { type Limits } from "../../server/link/limits.ts";
import type { KeyedSuite } from "../../server/protocol/greeting.ts";
import type { CoreSize } from "../../bridge/host/core_size.ts";
import type { Conditions } from "../../bridge/testing/network.ts";
import { type FaultKind, FAULTS } from "./fault_kinds.ts";
import type { DeployPlan } from "./deploy_plan.ts";
import type { FleetPlan } from "./fleet_kinds.ts";
import type { MqttPlan } from "./mqtt_plan.ts";
import type { Random } from "../../bridge/testing/random.ts";

/** How an application behaves. */
export interface DeviceTalk {
  /** Messages to write. */
  messages: number;
  /** Longest pause before the next, in ms. */
  pause: number;
  /** Share of those without qos. */
  qosOff: number;
  /** Share of those that wait for the earlier ones. */
  waits: number;
  /** On the server: share of those with qos that have a deadline. */
  expiring: number;
  /** Longest time that it takes to process a message, in ms. */
  busy: number;
  /** Share of those that are lines of a device's log. Dialect 2. */
  logs: number;
  /** Share of the texts that have the maximum length. */
  long: number;
  /** Share of the messages seen that it answers. */
  answers: number;
  /** On the server: how often it fails, and how many failing promises it drops. */
  failures: number;
  dropped: number;
  /** How many of the dropped promises the server has reported. */
  told: number;
}

/**
 * An application on a chip has processed a message when it returns. One on a host asks for messages: with a memory, a
 * message is processed when the next one is asked for; without, when it is handed out.
 */
export type DeviceKind = "chip" | "host" | "host with memory";

export interface DevicePlan {
  id: string;
  dialect: 1 | 2;
  key: Uint8Array | undefined;
  /** Its suite with a key. */
  suite: KeyedSuite;
  /** What it says about itself in dialect 2; "": nothing. */
  metadata: string;
  size: CoreSize;
  talk: DeviceTalk;
  serverTalk: DeviceTalk;
  conditions: Conditions;
  clockAhead: number;
  /** Number of the first message that its core writes after a boot. */
  firstNumber: number;
  /** Number of the first message that the server writes to it. */
  firstServerNumber: number;
  kind: DeviceKind;
}

/** How an application reads; "ahead": it asks for the next message before it has processed the current one. */
export type Reading = "readline" | "ahead" | "for await" | "consume";

export interface Scenario {
  timeout: number;
  limits: Limits;
  /** What `limits.lineBytes` may become when the server is killed. */
  lines: readonly number[];
  devices: DevicePlan[];
  open: boolean;
  /** All devices have keys, and strangers try to use up the server. */
  siege: boolean;
  stock: string[];
  /** Longest turn of the server before its commit, in ms. */
  gather: number;
  /** Longest time that a commit takes, in ms; undefined: no time, as with SQLite in the same thread. */
  storeTime: number | undefined;
  /** Longest time that the store takes to find a device, in ms; undefined: as for a commit. */
  acquireTime: number | undefined;
  /** An application on the server commits all the time, one commit after the other. */
  churns: boolean;
  /** Real SQLite on a file runs beside the simulated disk. */
  onFile: boolean;
  /** How the server's application reads; drawn for each device and each run of the server. */
  reads: readonly Reading[];
  /** Share of its writes in a transaction, and share of its transactions that it lets fail. */
  transactions: number;
  failures: number;
  /** Longest time that a consuming transaction takes after its writes, in ms, while faults happen. */
  ponders?: number;
  /** Share of an application's runs in which it returns at once, while its loops go on. */
  returns: number;
  /** Share of refusals and failures after which it tries again at once. */
  stubborn: number;
  /** A message with which an application has failed `limits.attempts` times is given up. */
  deadLetters: boolean;
  /** Devices may come back with the other dialect after they died. */
  changesDialect: boolean;
  /** Devices and applications use channels only. */
  channels?: boolean;
  /** The server has a bridge to an MQTT broker. Only with channels. */
  mqtt?: MqttPlan;
  /** The server has a page that somebody watches. */
  page?: boolean;
  /** Several servers have one store: a `FleetWorld`. */
  fleet?: FleetPlan;
  /** There are deploys to devices. Not together with channels. */
  deploys?: DeployPlan;
  faults: FaultKind[];
  /** Mean time between two faults, and when they end, in ms. */
  faultPause: number;
  faultsEnd: number;
}

/** Longest texts that a server may take, in bytes. */
const LINES = [150, 200, 400];

/** Shortest `line` of a core in dialect 2, in bytes, because of the greeting. */
const LEAST_LINE = 121;
const LEAST_EPHEMERAL_LINE = 153;
const LEAST_INBOX = 350;

export function drawScenario(random: Random): Scenario {
  const timeout = random.pick([400, 1000, 2000]);
  const long = random.chance(0.01);
  const lineBytes = random.pick(LINES);
  const siege = random.chance(0.06);
  const hostile = !siege && random.chance(0.06); // all devices seal their links, and an attacker is on the path
  const changesDialect = !siege && !hostile && random.chance(0.05);
  const count = long ? 1 : random.pick([1, 1, 1, 2, 3]);
  const devices: DevicePlan[] = [];
  for (let i = 0; i < count; i++) {
    devices.push(
      drawDevice(random, {
        timeout,
        long,
        lineBytes,
        changesDialect,
        siege,
        hostile,
        id: names[i]!,
      }),
    );
  }
  const faults = hostile ? drawHostile(random) : drawFaults(random);
  const churns = random.chance(0.1);
  if (faults.includes(OLD_COPY) || OPERATOR.includes(faults[0]!)) {
    devices.forEach((plan) => talksOn(plan, timeout, random));
  }
  return {
    timeout,
    limits: {
      helloBytes: 256,
      lineBytes,
      inbox: random.pick([1, 2, 5, 1000, 1000]),
      ...random.pick([
        { outbox: 1, outboxAge: Infinity },
        { outbox: 3, outboxAge: Infinity },
        { outbox: 1000, outboxAge: Infinity },
        { outbox: 1000, outboxAge: timeout },
      ]),
      queueText: random.pick([1, 300, 1024 * 1024]),
      attempts: 3,
      deadLetters: 2,
      totalText: siege ? 4000 : random.pick([1, 500, 1024 * 1024, 1024 * 1024]),
      connections: siege ? random.pick([12, 16]) : random.pick([2000, 2000, 8]),
      devices: siege ? random.pick([4, 40]) : 1000, // including strangers
      forgetAfter: timeout,
    },
    // In dialect 1 a device cannot be told.
    lines: devices.every(({ dialect }) => dialect === 2) && !changesDialect ? LINES : [],
    devices,
    open: true,
    siege,
    stock: [],
    gather: random.pick([0, 0, 5, Math.floor(timeout / 20)]),
    storeTime: churns
      ? Math.floor(timeout / 20)
      : random.pick([undefined, 0, 5, Math.floor(timeout / 20)]),
    acquireTime: random.chance(0.1) ? timeout : undefined,
    churns,
    onFile: random.chance(0.05),
    reads: random.pick<readonly Reading[]>([
      ["readline"],
      ["ahead"],
      ["for await"],
      ["consume"],
      ["consume"],
      ["readline", "consume"],
    ]),
    transactions: random.pick([0, 0.2, 0.6]),
    failures: random.pick([0, 0.1, 0.5]),
    returns: random.pick([0, 0.3]),
    stubborn: random.pick([0, 0.5]),
    deadLetters: random.chance(0.3),
    changesDialect,
    faults,
    faultPause: Math.floor(timeout * random.pick([0.3, 1, 1, 3])),
    faultsEnd: random.between(2, long ? 20 : 10) * timeout,
  };
}

const names = ["A", "B", "C"];

/** It weakens the promises, and hides most other faults, so it has worlds of its own. */
const OLD_COPY = "old copy of the store";

/** Likewise: nobody misses what they drop. */
const OPERATOR: FaultKind[] = ["operator clears a device", "operator forgets a device"];

/** Shares of the seeds in which these happen beside others. */
const RARE: ReadonlyMap<FaultKind, number> = new Map([
  ["store lost", 0.03],
  [OLD_COPY, 0],
  [OPERATOR[0]!, 0.05],
  [OPERATOR[1]!, 0.05],
]);

/** A hostile path, and two other faults. */
function drawHostile(random: Random): FaultKind[] {
  return ["hostile path", "hostile path", random.pick(FAULTS), random.pick(FAULTS)];
}

/** Each kind is in half of the seeds: what one fault hides, another seed shows. */
function drawFaults(random: Random): FaultKind[] {
  if (random.chance(0.03)) return [];
  if (random.chance(0.07)) return [OLD_COPY, OLD_COPY, random.pick(FAULTS), random.pick(FAULTS)];
  if (random.chance(0.07)) {
    const kind = random.pick(OPERATOR);
    return [kind, kind, random.pick(FAULTS), random.pick(FAULTS)];
  }
  const kinds = FAULTS.filter((kind) => random.chance(RARE.get(kind) ?? 0.5));
  return kinds.length > 0 ? kinds : ["cut"];
}

interface DeviceFrame {
  timeout: number;
  long: boolean;
  lineBytes: number;
  changesDialect: boolean;
  siege: boolean;
  hostile: boolean;
  id: string;
}

function drawDevice(random: Random, frame: DeviceFrame): DevicePlan {
  const { timeout, long, lineBytes, changesDialect, siege, hostile, id } = frame;
  const dialect = siege || hostile || random.chance(0.7) ? 2 : 1;
  const mayBeFirst = dialect === 1 || changesDialect;
  const line = random.between(dialect === 2 || changesDialect ? LEAST_LINE : 4, 2 * lineBytes);
  const inbox = Math.max(2 * (line + 3), LEAST_INBOX);
  const size = {
    line,
    outbox: (line + 7) * random.pick([1, 1, 2, 10]) + random.below(20),
    inbox: inbox + random.pick([0, random.below(line), inbox]),
    recent: mayBeFirst ? 223 : 1,
    window: random.pick([1, 2, 8, 64, 64]),
  };
  const talk = drawTalk(random, timeout, long);
  const serverTalk = drawTalk(random, timeout, long);
  const isKeyed = siege || hostile || (random.chance(0.3) && !mayBeFirst);
  const key = isKeyed ? drawKey(random) : undefined;
  return {
    id,
    dialect,
    key,
    suite: drawSuite(random, line, hostile ? key : undefined),
    metadata: random.pick(["", `device=${id} reset=watchdog`]),
    size,
    talk,
    serverTalk,
    conditions: drawConditions(random, timeout, size, lineBytes),
    clockAhead: random.pick([0, 2 ** 31 - timeout, 2 ** 32 - timeout, random.word()]),
    firstNumber: random.pick([0, 0, 2 ** 32 - 3, 2 ** 31 - 3, random.word()]),
    firstServerNumber: random.pick([0, 2 ** 32 - 3, 2 ** 31 - 3, random.word()]),
    kind: random.pick(["chip", "chip", "host", "host with memory", "host with memory"]),
  };
}

/** @param hostile The key of a device in a hostile world, where all links are sealed. */
function drawSuite(random: Random, line: number, hostile: Uint8Array | undefined): KeyedSuite {
  const suites = [2, 3, 3, 4] as const;
  const suite = hostile ? suites[2 + hostile[0]! % 2]! : random.pick(suites);
  return suite === 4 && line < LEAST_EPHEMERAL_LINE ? 3 : suite;
}

/** Makes both ends write for a long time, and the server's application read; or only one of them. */
function talksOn({ talk, serverTalk }: DevicePlan, timeout: number, random: Random): void {
  talk.messages += 20;
  serverTalk.messages += 20;
  talk.pause = serverTalk.pause = timeout / 4;
  serverTalk.busy = timeout / 4;
  const silent = random.pick([undefined, talk, serverTalk]);
  if (silent) silent.messages = silent.answers = 0;
}

export function drawKey(random: Random): Uint8Array {
  return Uint8Array.from({ length: 32 }, () => random.word());
}

function drawTalk(random: Random, timeout: number, long: boolean): DeviceTalk {
  return {
    messages: long ? random.pick([3, 600]) : random.skewed(0, 15),
    pause: long ? 2 : random.skewed(0, timeout),
    qosOff: random.pick([0, 0, 0.3, 0.7]),
    waits: random.pick([1, 0, 0.5]),
    expiring: random.pick([0, 0, 0.3, 0.8]),
    busy: long ? random.pick([0, 2]) : random.pick([0, 0, 0, 10, timeout / 4]),
    logs: random.pick([0, 0, 0.2, 0.6]),
    long: random.pick([0, 0.2, 0.8]),
    answers: !long && random.chance(0.3) ? 20 : 0,
    failures: random.pick([0, 0, 1, 3]),
    dropped: random.pick([0, 0, 3]),
    told: 0,
  };
}

/** Draws a path on which everything in flight arrives within a quarter of the timeout. */
function drawConditions(
  random: Random,
  timeout: number,
  { outbox, inbox }: CoreSize,
  lineBytes: number,
): Conditions {
  const latency = random.skewed(0, timeout / 16);
  const jitter = random.skewed(0, timeout / 16);
  const inFlight = Math.max(outbox + inbox, 16 * lineBytes);
  const roundTrip = 2 * (latency + jitter) + 1;
  return {
    latency,
    jitter,
    segment: random.pick([Infinity, Infinity, Infinity, Infinity, 100, 30, 3]),
    capacity: Math.max(random.pick([64, 500, 4000]), Math.ceil(4 * inFlight * roundTrip / timeout)),
    rate: random.pick([Infinity, Math.ceil(8 * inFlight / timeout)]),
  };
}
