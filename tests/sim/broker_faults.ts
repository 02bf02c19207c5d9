/** Faults of the model of a broker, and of the path to it. */
import {
  type BrokerFault,
  type FleetBrokerFault,
  LONGEST_AWAY,
  type MqttPlan,
} from "./mqtt_plan.ts";
import { DOWN, type Path, UP } from "../../bridge/testing/network.ts";
import type { BrokerWorld } from "./people.ts";
import type { Process } from "../../bridge/testing/process.ts";

/** How long the broker waits for a device's report, in ms. */
const LONGEST_WAIT = 3000;

/** Share of the worlds at whose end the broker forgets everything once more. */
const LAST_ACTS = 0.5;

/** The broker that has the faults. */
interface Broker {
  readonly world: BrokerWorld;
  readonly plan: MqttPlan;
  readonly process: Process;
  readonly path: Path;
  /** Saves its state to its disk. */
  save(): void;
  /** Loses what is not on its disk. */
  forget(way: "nothing" | "all" | "what is new"): void;
  /** Ends, and comes back. */
  stop(time: number): void;
  /** Refuses all connections until then. */
  refuses(until: number): void;
}

export class BrokerFaults {
  readonly #broker: Broker;
  /** The fault that happens soon after the next packet. */
  #atPacket: (() => void) | undefined;
  /** The fault that hits the server of a fleet to which the next publication goes. */
  #atSending: FleetBrokerFault | undefined;
  /** When a device's next answer to a request is safe, the server dies soon after that commit or the next one. */
  #killsAtAnswer = false;
  #commitsToGo = 0;
  /** The server dies soon after it has missed a device that sleeps for too long. */
  #killsAtMiss = false;
  /** The next connection is greeted when a device has reported something. */
  #waitsForReport = false;
  #greeting: (() => void) | undefined;
  #wasLast = false;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  start(): void {
    const { faults } = this.#broker.plan;
    this.#killsAtAnswer = faults.includes("server killed amid an answer");
    if (faults.length > 0) this.#planNext();
  }

  #planNext(): void {
    const broker = this.#broker;
    const { world: { clock, random, scenario: { faultsEnd } }, plan: { faults, faultPause } } =
      broker;
    const pause = random.below(2 * faultPause) + 1;
    if (random.chance(0.3)) broker.save();
    if (clock.now + pause >= faultsEnd) return;
    clock.after(pause, () => {
      this.#cause(random.pick(faults));
      this.#planNext();
    });
  }

  #cause(kind: BrokerFault): void {
    const broker = this.#broker;
    const { path, process, world, world: { clock, random } } = broker;
    const time = random.skewed(1, LONGEST_AWAY);
    const until = (undo: () => void) => clock.after(time, undo);
    world.log?.(`FAULT ${kind}, ${time} ms`);
    world.count(kind);
    switch (kind) {
      case "broker stops":
        return broker.stop(time);
      case "broker crashes":
        broker.forget(random.pick(["nothing", "all", "all", "what is new"]));
        return broker.stop(time);
      case "broker crashes amid packets":
        this.#atPacket = () => {
          broker.forget("all");
          broker.stop(time);
        };
        return;
      case "broker stalls":
        return process.freeze(clock.now + time);
      case "broker refuses":
        broker.refuses(clock.now + time);
        return path.connections.at(-1)?.sever(true, true);
      case "broker loses connections":
        return path.connections.at(-1)?.sever(random.chance(0.7), random.chance(0.7));
      case "broker unreachable": {
        const ways = random.pick([[UP], [DOWN], [UP, DOWN]] as const);
        for (const way of ways) path.unplug(way);
        return until(() => ways.forEach((way) => path.plug(way)));
      }
      case "connection lost amid packets":
        this.#atPacket = () => path.connections.at(-1)?.sever(true, true);
        return;
      case "server killed amid packets":
        this.#atPacket = () => world.killServer();
        return;
      case "server stands as it is sent something":
      case "the store is slow as the lease is renewed":
        this.#atSending = kind;
        return;
      case "server killed amid an answer":
        this.#killsAtAnswer = true;
        return;
      case "server killed when it misses a device":
        this.#killsAtMiss = true;
        return;
      case "broker forgets, and greets amid a report":
        return this.#forgetAll();
      case "broker far away":
        path.slowness += Math.ceil(time / 10);
        return until(() => path.slowness -= Math.ceil(time / 10));
    }
  }

  /** A packet is on its way, and its consequences will follow. */
  packet(): void {
    const strike = this.#atPacket;
    this.#atPacket = undefined;
    const { path, world: { clock, random } } = this.#broker;
    if (strike) clock.after(random.below(2 * path.delay() + 20), strike);
  }

  /** A publication is on its way to the bridge. */
  sends(): void {
    const kind = this.#atSending;
    this.#atSending = undefined;
    if (kind) this.#broker.world.strikeBridge(kind);
  }

  /** A device's answer to a published request is safe; its publication is not safe yet. */
  answered(): void {
    if (!this.#killsAtAnswer) return;
    this.#killsAtAnswer = false;
    this.#commitsToGo = this.#broker.world.random.pick([1, 2, 2]);
  }

  /** A commit is done. */
  committed(): void {
    if (this.#commitsToGo === 0 || --this.#commitsToGo > 0) return;
    const { world } = this.#broker;
    world.clock.after(world.random.below(this.#commit + 3), () => world.killServer());
  }

  /** The server has missed a device. */
  missed(): void {
    if (!this.#killsAtMiss) return;
    this.#killsAtMiss = false;
    const { world, path } = this.#broker;
    world.clock.after(
      world.random.below(2 * (this.#commit + path.delay()) + 5),
      () => world.killServer(),
    );
  }

  /** Longest time until something is safe, in ms. */
  get #commit(): number {
    const { gather, storeTime = 0 } = this.#broker.world.scenario;
    return gather + storeTime;
  }

  /** The broker and the bridge restart, and all devices are announced while the state of one of them changes. */
  #forgetAll(): void {
    this.#waitsForReport = true;
    this.#broker.forget("all");
    this.#broker.stop(1);
  }

  /** A connection is to be greeted. */
  greet(greeting: () => void): void {
    const { process, world } = this.#broker;
    if (!this.#waitsForReport || !world.turnKnob()) return greeting();
    this.#waitsForReport = false;
    const greets = this.#greeting = () => {
      if (this.#greeting !== greets) return;
      this.#greeting = undefined;
      greeting();
    };
    process.after(LONGEST_WAIT, greets);
  }

  /** A device's message is safe. */
  received(): void {
    const { process, world } = this.#broker;
    if (this.#greeting) process.after(world.random.below(2 * this.#commit + 3), this.#greeting);
  }

  /** At the end the broker forgets everything once more, and everything is announced for the last time. @returns
   * whether it does */
  lastAct(): boolean {
    const { world, world: { random } } = this.#broker;
    const isOver = this.#wasLast || !random.chance(LAST_ACTS);
    this.#wasLast = true;
    if (isOver) return false;
    world.log?.("the broker starts again at last");
    this.#forgetAll();
    return true;
  }
}
