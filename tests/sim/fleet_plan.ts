/** Worlds of a fleet: two or three servers on one modelled database, and hosts that know all of their addresses. */
import { FLEET_FAULTS, type FleetFault, ORDERS, STRIKES } from "./fleet_kinds.ts";
import { speakOfChannels } from "./channel_plan.ts";
import { addFleetBroker } from "./mqtt_plan.ts";
import type { Random } from "../../bridge/testing/random.ts";
import { drawScenario, type Scenario } from "./scenario.ts";

/** The faults of other worlds that also happen here. */
const SHARED = [
  "cut",
  "half-open, the server is told",
  "half-open, nobody is told",
  "black hole to the server",
  "black hole to the device",
  "black hole both ways",
  "slow network",
  "device boots, memory kept",
  "device boots, memory lost",
  "device killed in a commit",
  "device's application busy",
  "server's application busy",
] as const;

/** Share of the worlds with one aimed fault and hardly any others. */
const STRUCK = 0.2;

export function drawFleetScenario(random: Random): Scenario {
  let scenario;
  do scenario = drawScenario(random); while (!isFit(scenario));
  for (const plan of scenario.devices) {
    plan.kind = random.pick(["host", "host with memory", "host with memory"]);
    plan.talk.logs = 0; // only chips have them
    for (const talk of [plan.talk, plan.serverTalk]) {
      talk.messages += 10;
      talk.pause = Math.min(talk.pause, Math.floor(scenario.timeout / 4));
    }
  }
  // Otherwise other faults would hide their effects.
  const strike = random.chance(STRUCK) ? random.pick(STRIKES) : undefined;
  Object.assign(scenario.limits, { connections: 2000, totalText: 1024 * 1024 });
  return {
    ...scenario,
    churns: false,
    onFile: false,
    acquireTime: undefined,
    lines: [],
    faults: ["cut", ...SHARED.filter(() => strike === undefined && random.chance(0.4))],
    faultsEnd: random.between(4, 14) * scenario.timeout,
    fleet: {
      servers: random.pick([2, 2, 3]),
      lease: random.pick([1000, 3000, 10_000]),
      faults: strike ? [strike] : [
        ...FLEET_FAULTS.filter(() => random.chance(0.5)),
        ...random.chance(0.4) ? STRIKES : [],
      ],
    },
  };
}

/** Faults that move the connection to a broker, and leave servers that do not know yet what they have lost. */
const OF_BRIDGES: readonly FleetFault[] = [
  "a device moves",
  "a server is closed",
  "a server is paused",
  "a server is paused, and its clock stands",
  "a server is cut off from the store",
  "the store is slow",
];

/** One seed of a fleet in this many is a world of channels. */
const SHARE = 3;

/** Whether the devices of a fleet's seed use channels. */
export function fleetSpeaksChannels(seed: number): boolean {
  return seed % SHARE === 0;
}

/** Whether each server of a fleet's seed has a bridge to one broker, beside channels. */
export function fleetHasBridges(seed: number): boolean {
  return seed % (2 * SHARE) === SHARE;
}

/** In one world without channels in this many an operator gives orders at any server. */
const ORDERED = 4;

/** Whether an operator has devices cleared and forgotten in a fleet's seed. */
export function fleetHasOrders(seed: number): boolean {
  return !fleetSpeaksChannels(seed) && Math.floor(seed / SHARE) % ORDERED === 0;
}

/** Adds these orders: one kind of them, beside few other faults. */
export function addFleetOrders(scenario: Scenario, random: Random): void {
  const { faults } = scenario.fleet!;
  const order = random.pick(ORDERS);
  faults.splice(0, faults.length, order, order, ...faults.slice(0, 4));
}

/** Makes the scenario of a fleet one of channels. */
export function addFleetChannels(scenario: Scenario, random: Random, hasBridges: boolean): void {
  speakOfChannels(scenario, random);
  for (const { serverTalk } of scenario.devices) {
    serverTalk.pause = Math.min(serverTalk.pause, Math.floor(scenario.timeout / 4));
  }
  if (!hasBridges) return;
  scenario.faultsEnd = Math.max(scenario.faultsEnd, 1000 * random.between(8, 20));
  scenario.fleet!.faults.push(...OF_BRIDGES);
  addFleetBroker(scenario, random);
}

function isFit({ devices, siege, changesDialect, faultsEnd, timeout }: Scenario): boolean {
  return !siege && !changesDialect && devices.every(({ dialect }) => dialect === 2) &&
    faultsEnd <= 10 * timeout;
}
