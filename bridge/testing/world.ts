/** A simulated world of machines, and the test that drives it. */
import type { Cancel } from "./globals.ts";
import { Clock } from "./clock.ts";
import { Folder } from "./files.ts";
import { insteadOf } from "./globals.ts";
import { type Machine, type Program, SimMachine, type Surrounding } from "./machine.ts";
import type { Conditions } from "./network.ts";
import { PATH_FAULTS } from "./path_faults.ts";
import { Random } from "./random.ts";
import { sealed } from "./sealed.ts";
import { Violation } from "./violation.ts";

/** A network in a house: see `Conditions`. */
const HOME: Conditions = {
  latency: 2,
  jitter: 5,
  segment: Infinity,
  capacity: 64 * 1024,
  rate: Infinity,
};

/** Simulated ms after which a test has hung. */
const LIMIT = 3_600_000;

/** Longest fault of `trouble`, and longest pause before the next, in ms. */
const FAULT_MS = 6000;

const nextTurn = setImmediate;

/** Options of a world. */
export interface SimulationOptions {
  /** Everything random follows from it: a run with the same seed is the same run. Default 1. */
  seed?: number;
  /** Simulated ms after which the test fails, because it waits for something that does not come. Default 3,600,000. */
  limit?: number;
  /** Called with a line for each event, which begins with the time in ms. */
  log?: (line: string) => void;
}

/** Options of a machine. */
export interface MachineOptions {
  /** Its path to others. Default: 2 to 7 ms one way, and no limit to bytes per ms. */
  network?: Partial<Conditions>;
}

/** Options of `World.trouble`. */
export interface TroubleOptions {
  /** Machines whose program may be killed; each is restarted. Default: none. */
  kills?: readonly Machine<unknown>[];
}

/** Machines, a network between them, and a clock that stands still while code runs. */
export interface World {
  /** Simulated ms since the beginning. */
  readonly now: number;
  /** The world's random numbers, for the test's own use. */
  readonly random: Random;
  /** Adds a machine, which is off. Others connect to it by its name. @param name Not that of another one */
  machine<T>(name: string, program: Program<T>, options?: MachineOptions): Machine<T>;
  /** Lets this many ms pass. */
  pass(ms: number): Promise<void>;
  /**
   * Lets time pass until a condition is true, which is checked after every event.
   *
   * @param within In ms. Default: as long as the world lasts.
   * @throws {Error} it did not become true in that time
   */
  until(condition: () => boolean, within?: number): Promise<void>;
  /**
   * For this many ms, causes all kinds of faults: connections are cut and lost, packets vanish, the network is slow,
   * programs stop for a while, and those in `kills` are killed. When it returns, all of that is over, and all programs
   * run.
   */
  trouble(ms: number, options?: TroubleOptions): Promise<void>;
}

/**
 * Runs a test in a simulated world: programs of yours on machines of their own, joined by a network that can fail in
 * every way. Hours pass in a second, and everything random follows from the seed.
 *
 * Programs get the time, timers and random numbers of the world: from the platform that they are started with, and from
 * `setTimeout`, `setInterval`, `setImmediate`, `Date.now`, `performance.now`, `Math.random` and
 * `crypto.getRandomValues`. Real sockets and files are not simulated: the world does not wait for them, so avoid them.
 *
 * ```ts
 * import { Server } from "@holdfast/holdfast";
 * import { Client } from "@holdfast/holdfast/client";
 * import { simulate } from "@holdfast/holdfast/testing";
 *
 * await simulate({ seed: 7 }, async (world) => {
 *   const server = world.machine("server", ({ platform, store }) =>
 *     Server.listen({ open: true, store: store("kept.db") }, platform));
 *   const device = world.machine("kitchen", ({ platform }) =>
 *     new Client({ id: "kitchen", host: "server" }, platform));
 *   await server.start();
 *   const client = await device.start();
 *   device.disturb("black hole both ways", 10_000);
 *   const written = client.write("21.5");
 *   await world.pass(1000);
 *   server.kill();
 *   await server.start();
 *   await written; // after the black hole
 *   const kitchen = await server.running.device("kitchen");
 *   console.log(await kitchen.readline()); // 21.5
 * });
 * ```
 *
 * @param test Is given the world. All machines are switched off when it has returned.
 * @throws {Error} an error of the test, or one that nobody has caught, with the seed and the time
 */
export async function simulate(
  options: SimulationOptions,
  test: (world: World) => Promise<void>,
): Promise<void> {
  const { seed = 1 } = options;
  const random = new Random(seed);
  const world = new SimWorld(random, options);
  try {
    await sealed(random, insteadOf(world), () => world.play(test));
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed}, after ${Math.floor(world.now)} ms: ${what}`, { cause });
  } finally {
    world.close();
  }
}

class SimWorld implements World, Surrounding {
  readonly clock = new Clock();
  readonly folder = new Folder();
  readonly #machines: SimMachine<unknown>[] = [];
  readonly #conditions = new Set<() => void>();
  readonly #limit: number;
  readonly #log: ((line: string) => void) | undefined;
  #failure: { error: unknown } | undefined;

  constructor(readonly random: Random, { limit = LIMIT, log }: SimulationOptions) {
    this.#limit = limit;
    this.#log = log;
  }

  get now(): number {
    return this.clock.now;
  }

  log(line: string): void {
    this.#log?.(`${String(Math.floor(this.now)).padStart(8)} ${line}`);
  }

  entered(): void {}

  failed(error: unknown): void {
    this.#failure ??= { error };
  }

  find(place: string): SimMachine<unknown> | undefined {
    return this.#machines.find(({ name, address }) => place === name || place === address);
  }

  machine<T>(name: string, program: Program<T>, { network }: MachineOptions = {}): Machine<T> {
    if (this.find(name)) throw new Error(`there is a machine ${name} already: choose another name`);
    const address = `10.0.${this.#machines.length >> 8}.${this.#machines.length & 255}`;
    const machine = new SimMachine(this, name, address, program, { ...HOME, ...network });
    this.#machines.push(machine);
    return machine;
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve));
  }

  until(condition: () => boolean, within = Infinity): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = this.after(within, () => {
        this.#conditions.delete(look);
        reject(new Error(`what the test waits for has not become true in ${within} ms`));
      });
      const look = () => {
        try {
          if (!condition()) return;
          resolve();
        } catch (error) {
          reject(error);
        }
        this.#conditions.delete(look);
        late();
      };
      this.#conditions.add(look);
      look();
    });
  }

  /** Calls something when this many ms have passed. @returns a function that cancels this */
  after(ms: number, run: () => void): Cancel {
    let isWanted = true;
    if (ms < Infinity) this.clock.after(ms, () => isWanted && run());
    return () => isWanted = false;
  }

  async trouble(ms: number, { kills = [] }: TroubleOptions = {}): Promise<void> {
    const { random } = this;
    const end = this.now + ms;
    const restarts: Promise<unknown>[] = [];
    let quietAt = end;
    while (this.now < end) {
      await this.pass(random.below(FAULT_MS));
      const time = random.skewed(1, FAULT_MS);
      quietAt = Math.max(quietAt, this.now + time);
      const connecting = this.#machines.filter(({ connects }) => connects > 0);
      const kind = random.pick([...PATH_FAULTS, "freeze", "kill", "kill"] as const);
      if (kind === "freeze") random.pick(this.#machines).freeze(time);
      else if (kind !== "kill") {
        if (connecting.length > 0) random.pick(connecting).disturb(kind, time);
      } else if (kills.length > 0) {
        const killed = random.pick(kills);
        if (!killed.isOn) continue;
        killed.kill();
        restarts.push(this.pass(time).then(() => killed.isOn || killed.start()));
      }
    }
    await this.pass(quietAt - this.now);
    await Promise.all(restarts);
  }

  /** Runs a test to its end: starts the next event when everything that follows from the last one is done. */
  async play(test: (world: World) => Promise<void>): Promise<void> {
    Violation.first = undefined;
    let isOver = false;
    const played = test(this).finally(() => isOver = true);
    played.catch(() => {}); // it is awaited later
    for (;;) {
      await new Promise((resolve) => nextTurn(resolve));
      for (const look of [...this.#conditions]) look();
      if (isOver) break;
      if (Violation.first) throw Violation.first;
      if (this.#failure) throw this.#failure.error;
      if (!this.clock.step(this.#limit)) {
        throw new Error(`the test still waits for something after ${this.#limit} ms`);
      }
    }
    await played;
  }

  close(): void {
    for (const machine of this.#machines) machine.kill();
    this.folder[Symbol.dispose]();
  }
}
