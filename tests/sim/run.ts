/** Runs one seed. */
import { PeerError } from "../../server/protocol/errors.ts";
import { caller } from "../../server/runtime/run.ts";
import { addChannels, speaksChannels } from "./channel_plan.ts";
import { hookCores } from "./cores.ts";
import { addDeploys, deploysThere } from "./deploy_plan.ts";
import {
  addFleetChannels,
  addFleetOrders,
  drawFleetScenario,
  fleetHasBridges,
  fleetHasOrders,
  fleetSpeaksChannels,
} from "./fleet_plan.ts";
import { FleetWorld } from "./fleet_world.ts";
import { addBroker, hasBroker } from "./mqtt_plan.ts";
import { addPage, hasPage } from "./page_plan.ts";
import { addMoment, momentOf } from "./moments.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { Random } from "../../bridge/testing/random.ts";
import { drawScenario, type Scenario } from "./scenario.ts";
import { type Instead, sealed } from "../../bridge/testing/sealed.ts";
import { forgetDraws, noteDraw } from "./thief.ts";
import { World } from "./world.ts";

export interface Outcome {
  /** What went wrong, if anything did. */
  violation: string | undefined;
  /** Simulated ms. */
  time: number;
  devices: number;
  /** Whether the devices use channels. */
  channels: boolean;
  /** Whether the server has a bridge to a broker. */
  mqtt: boolean;
  /** Messages seen by applications. */
  messages: number;
  faults: ReadonlyMap<string, number>;
}

/** Options for running a world. */
export interface Props {
  /** Called with a line for each event. */
  log?: ((line: string) => void) | undefined;
  /** Called before it starts. */
  prepare?: (world: World) => void;
}

/** Runs one seed of the worlds of a fleet, which have seeds of their own. */
export function playFleetSeed(seed: number, props: Props = {}): Promise<Outcome> {
  const random = new Random(seed);
  const scenario = drawFleetScenario(random);
  if (fleetHasOrders(seed)) addFleetOrders(scenario, random);
  if (fleetSpeaksChannels(seed)) addFleetChannels(scenario, random, fleetHasBridges(seed));
  props.log?.(describe(scenario));
  return playWorld(random, scenario, props);
}

export function playSeed(seed: number, props: Props = {}): Promise<Outcome> {
  const random = new Random(seed);
  const scenario = drawScenario(random);
  if (speaksChannels(seed) || hasBroker(seed)) addChannels(scenario, random);
  if (hasBroker(seed) && scenario.channels) addBroker(scenario, random);
  if (hasPage(seed)) addPage(scenario);
  if (deploysThere(seed)) addDeploys(scenario, random);
  const moment = momentOf(seed);
  if (moment && !scenario.channels && !scenario.deploys) addMoment(scenario, moment);
  props.log?.(describe(scenario));
  return playWorld(random, scenario, props);
}

/** Code of the product must get time and random numbers from the platform. */
const FORBIDDEN: Instead = Object.fromEntries(
  ["setTimeout", "setInterval", "setImmediate", "now", "date", "random"].map(
    (name) => [name, () => {
      throw new Violation(`${name} is called in a simulated world`);
    }],
  ),
);

/** Runs a scenario to its end, or to a violation: anything thrown counts as one. */
export function playWorld(random: Random, scenario: Scenario, props: Props): Promise<Outcome> {
  const randomUUID = () => `${random.word()}-${random.word()}`;
  const instead = { ...FORBIDDEN, randomUUID };
  const run = () => {
    forgetDraws();
    return play(random, scenario, props);
  };
  return sealed(random, instead, run, noteDraw);
}

async function play(random: Random, scenario: Scenario, props: Props): Promise<Outcome> {
  const { log, prepare } = props;
  const depth = Error.stackTraceLimit;
  if (!log) Error.stackTraceLimit = 0; // errors are normal here; a replay has their stacks
  Violation.first = undefined;
  const stamp = log && ((line: string) => log(`${String(world.clock.now).padStart(7)} ${line}`));
  const Kind = scenario.fleet ? FleetWorld : World;
  using world: World = new Kind(random, scenario, stamp);
  using cores = hookCores(world);
  const unhandled = (event: PromiseRejectionEvent) => {
    if (caller()) return; // an application has dropped it: that must become an event
    event.preventDefault();
    world.failed(event.reason);
  };
  addEventListener("unhandledrejection", unhandled);
  let violation: string | undefined;
  try {
    prepare?.(world);
    await world.run();
    cores.check();
  } catch (error) {
    violation = describeError(error);
  } finally {
    removeEventListener("unhandledrejection", unhandled);
    Error.stackTraceLimit = depth;
  }
  const { clock, messages, faults } = world;
  return {
    violation,
    time: clock.now,
    devices: scenario.devices.length,
    channels: scenario.channels ?? false,
    mqtt: scenario.mqtt !== undefined,
    messages,
    faults,
  };
}

function describeError(error: unknown): string {
  if (error instanceof Violation) return error.message;
  if (error instanceof PeerError) return `${error.code} escaped: ${error.stack}`;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

function describe(scenario: Scenario): string {
  return JSON.stringify(
    scenario,
    (_, value) =>
      value instanceof Uint8Array
        ? `${value.length} bytes`
        : value === Infinity
        ? "Infinity"
        : value,
    1,
  );
}
