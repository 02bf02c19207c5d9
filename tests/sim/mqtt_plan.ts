/** Worlds in which the server has a bridge to an MQTT broker: which seeds have them, and what is drawn for them. */
import type { FaultKind } from "./fault_kinds.ts";
import type { Random } from "../../bridge/testing/random.ts";

/** One seed in this many is such a world. It is one of channels as well. */
const SHARE = 12;
const PLACE = 3;

/** The prefix of the bridge's topics; and that of the devices' own topics, which is a channel as well. */
export const PREFIX = "holdfast";
export const OWN = "mqtt";

/** Topics of a device's own: a retained one, and one for its will and welcome. */
export const KEPT = "kept";
export const LIFE = "life";

/** A topic to which all devices may listen. */
export const NEWS = "news";

/** A topic for one device. */
export function inboxOf(id: string): string {
  return `${OWN}/${id}/in`;
}

/** The channel for commands to a device. */
export const DOOR = "door";

/** The faults of a broker and of the path to it; `broker_faults.ts` causes them. */
export const BROKER_FAULTS = [
  "broker stops",
  "broker crashes",
  "broker crashes amid packets",
  "broker forgets, and greets amid a report",
  "broker stalls",
  "broker refuses",
  "broker loses connections",
  "broker unreachable",
  "broker far away",
  "connection lost amid packets",
  "server killed amid packets",
  "server killed amid an answer",
  "server killed when it misses a device",
] as const;

/** Faults for several servers with a bridge: they hit the one with the connection as it is sent something. */
export const FLEET_BROKER_FAULTS = [
  "server stands as it is sent something",
  "the store is slow as the lease is renewed",
] as const;

export type FleetBrokerFault = typeof FLEET_BROKER_FAULTS[number];

export type BrokerFault = typeof BROKER_FAULTS[number] | FleetBrokerFault;

/** Longest time that the broker is away or silent, in ms: longer than the bridge waits for an answer. */
export const LONGEST_AWAY = 15_000;

/** More rows than any world has. */
export const ROOM_FOR_ALL = 10_000;

/** Length of a world that must see keepalives, in ms. */
const LONG = 70_000;

/** Share of these worlds in which devices sleep for too long as often as two other faults happen. */
const SLEEPY = 0.2;

/** The path to the broker: see `Conditions` of a scenario. */
interface Way {
  latency: number;
  jitter: number;
  segment: number;
  capacity: number;
  rate: number;
}

/** The scenario to which a broker is added. */
interface World {
  readonly timeout: number;
  /** Longest times of the server's turn and of a commit, in ms. */
  readonly gather?: number;
  readonly storeTime?: number | undefined;
  faultsEnd: number;
  faultPause: number;
  faults: FaultKind[];
  mqtt?: MqttPlan;
}

export interface MqttPlan {
  /** The version of MQTT; 4 is 3.1.1. */
  version: 4 | 5;
  /** The bridge's options. */
  mostRows: number;
  offlineAfter: number;
  deadline: number;
  /** When the broker delivers a message of QoS 2 to its subscribers: when it arrives, or when it is released. */
  routesAt: "publish" | "pubrel";
  /** Messages of the bridge that it takes at once. In 3.1.1 it cannot tell the bridge. */
  takes: number;
  /** Messages that it has under way to the bridge at once. */
  sends: number;
  /** The keepalive that it demands instead of the bridge's, in s. */
  keepalive: number | undefined;
  conditions: Way;
  /** Messages that people publish, and the longest pause between them, in ms. */
  messages: number;
  pause: number;
  faults: readonly BrokerFault[];
  /** Mean time between two faults, in ms. */
  faultPause: number;
  /** Devices publish to topics of their own, and listen to some. */
  hasOwnTopics: boolean;
  /** With several servers, when the one with the connection counts as dead, in ms; undefined: there is only one. */
  lease: number | undefined;
  /** Devices have descriptions, and are announced to Home Assistant. */
  isDescribed: boolean;
}

/** Whether a seed's server has a bridge to a broker. */
export function hasBroker(seed: number): boolean {
  return seed % SHARE === PLACE;
}

/** Gives a scenario of channels a broker. */
export function addBroker(scenario: World, random: Random): void {
  const version = random.pick([4, 5] as const);
  const isLong = random.chance(0.1);
  if (isLong) scenario.faultsEnd = LONG;
  if (isLong) scenario.faultPause *= 5;
  if (random.chance(SLEEPY)) scenario.faults.push("device oversleeps", "device oversleeps");
  const { timeout, faultsEnd } = scenario;
  const faults = BROKER_FAULTS.filter(() => random.chance(0.4));
  scenario.mqtt = {
    version,
    mostRows: random.pick([1, 3, ROOM_FOR_ALL, ROOM_FOR_ALL]),
    offlineAfter: random.pick([0, timeout, 30_000]),
    deadline: random.pick([timeout, 10_000]),
    routesAt: random.pick(["publish", "pubrel"]),
    takes: version === 4 ? 20 : random.pick([1, 2, 5, 65_535]),
    sends: random.pick([1, 3, 20]),
    keepalive: version === 5 && isLong ? random.pick([undefined, 5]) : undefined,
    conditions: {
      latency: random.skewed(0, 100),
      jitter: random.skewed(0, 50),
      segment: random.pick([Infinity, Infinity, Infinity, 30, 3]),
      capacity: random.pick([200, 4000, 64_000]),
      rate: Infinity,
    },
    messages: random.skewed(1, 30),
    pause: Math.floor(timeout * random.pick([0.01, 0.2, 1])),
    faults,
    faultPause: Math.floor(faultsEnd / random.pick([3, 6, 12])),
    isDescribed: random.chance(0.5),
    hasOwnTopics: true,
    lease: undefined,
  };
}

/** The same for a fleet in which each server has a bridge. There are no topics of devices' own. */
export function addFleetBroker(scenario: World, random: Random): void {
  const { gather = 0, storeTime = 0 } = scenario;
  addBroker(scenario, random);
  const { faults } = scenario.mqtt!;
  Object.assign(scenario.mqtt!, {
    faults: [...faults, ...FLEET_BROKER_FAULTS.filter(() => random.chance(0.5))],
    mostRows: ROOM_FOR_ALL, // each server counts separately
    isDescribed: false,
    hasOwnTopics: false,
    // Renewing it takes several transactions, one after the other.
    lease: random.pick([1, 2, 8]) * (500 + 10 * (gather + storeTime)),
  });
}
