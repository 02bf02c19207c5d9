/** One simulated machine: its program, which can be killed and restarted, its files, and its path to others. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { ConnectOptions, Platform, SocketEvents } from "../../server/transport/platform.ts";
import type { ClientMemory } from "../host/memory.ts";
import type { Store } from "../../server/mod.ts";
import type { Clock } from "./clock.ts";
import { copyDatabase, type Folder, removeDatabase } from "./files.ts";
import { MachineMemory, MachineStore } from "./machine_store.ts";
import { Circuit, type Conditions, type End, type Host, Path } from "./network.ts";
import { type PathFault, strikePath } from "./path_faults.ts";
import { SimPlatform, type Wiring } from "./platform.ts";
import { Process, type Surroundings } from "./process.ts";
import { SimSocket } from "./socket.ts";
import { Violation } from "./violation.ts";

/** What a program gets from the machine that it is started on. */
export interface Started {
  /** For `Server.listen` and `new Client`, as their last argument: clock and network. */
  readonly platform: Platform;
  /** Opens a store in a file of this machine. After a kill it still has all that was committed. */
  store(file: string): Store;
  /** Opens a client's memory in a file of this machine, likewise. @param id The client's */
  memory(file: string, id: string): ClientMemory;
}

/** A program: starts what runs on a machine. It is called for each start. */
export type Program<T> = (machine: Started) => T | Promise<T>;

/** A machine of a simulated world. */
export interface Machine<T> {
  /** The name to which others connect, and which the log shows. */
  readonly name: string;
  /** Whether its program runs: `start` has resolved, and nothing has killed it since. */
  readonly isOn: boolean;
  /** What the program returned at its last start. @throws {Error} it has not been started, or was killed */
  readonly running: T;
  /**
   * Starts the program. Only the files are left from earlier starts.
   *
   * @throws {Error} it runs already; it was killed before the program had returned
   */
  start(): Promise<T>;
  /** Ends the program at this instant, as SIGKILL does: its timers and promises do not run. */
  kill(): void;
  /** Stops the program for `ms`, as swapping or a long computation does. Then it does everything late. */
  freeze(ms: number): void;
  /**
   * Applies a fault to the connections that this machine makes.
   *
   * @param ms How long it lasts, if it does: connections are cut at once.
   */
  disturb(fault: PathFault, ms?: number): void;
}

/** What a machine needs from its world. */
export interface Surrounding extends Surroundings {
  readonly clock: Clock;
  readonly folder: Folder;
  log(line: string): void;
  /** The machine with this name or address. */
  find(place: string): Host & { readonly address: string; readonly port: number } | undefined;
}

/** The process whose code runs now. */
export const running = new AsyncLocalStorage<Process>();

/** A process that is known wherever its code runs, after promises too. */
class KnownProcess extends Process {
  override enter(run: () => void): void {
    running.run(this, () => super.enter(run));
  }

  override soon(run: () => void): void {
    running.run(this, () => super.soon(run));
  }
}

/** Refuses all connections. */
const NOTHING_THERE: Host = { listens: false, accept() {} };

export class SimMachine<T> implements Machine<T>, Wiring, Host {
  readonly clockAhead: number;
  readonly dateAhead = 0;
  readonly gather = 0;
  /** How many connections it has tried to make. */
  connects = 0;
  readonly #world: Surrounding;
  readonly #process: KnownProcess;
  readonly #path: Path;
  readonly #program: Program<T>;
  /** Where its files are at present: a kill leaves a copy of them. */
  readonly #files = new Map<string, string>();
  #opened: (MachineStore | MachineMemory)[] = [];
  #platform: SimPlatform | undefined;
  #result: { value: T } | undefined;
  #giveUp: (() => void) | undefined;
  #ports = 0;

  constructor(
    world: Surrounding,
    readonly name: string,
    readonly address: string,
    program: Program<T>,
    conditions: Conditions,
  ) {
    this.#world = world;
    this.#program = program;
    this.#process = new KnownProcess(world);
    this.#path = new Path(world.clock, world.random, conditions, address, name);
    this.clockAhead = world.random.below(1_000_000);
  }

  get isOn(): boolean {
    return this.#result !== undefined;
  }

  get running(): T {
    if (!this.#result) throw new Error(`${this.name} is not running: await start() first`);
    return this.#result.value;
  }

  get listens(): boolean {
    return this.#platform?.listens ?? false;
  }

  get port(): number {
    return this.#platform?.port ?? 0;
  }

  async start(): Promise<T> {
    if (this.#platform) throw new Error(`${this.name} runs already: kill it first`);
    this.#world.log(`${this.name} starts`);
    const platform = this.#platform = new SimPlatform(this.#process, this);
    const started: Started = {
      platform,
      store: (file) => this.#open(new MachineStore(this.#pathOf(file), platform, this.#process)),
      memory: (file, id) => this.#open(new MachineMemory(this.#pathOf(file), id, this.#process)),
    };
    const value = await new Promise<T>((resolve, reject) => {
      this.#giveUp = () => reject(new Error(`${this.name} was killed while it started`));
      this.#process.enter(() => {
        new Promise<T>((done) => done(this.#program(started))).then(resolve, reject);
      });
    });
    this.#result = { value };
    return value;
  }

  #open<Opened extends MachineStore | MachineMemory>(opened: Opened): Opened {
    this.#opened.push(opened);
    return opened;
  }

  #pathOf(file: string): string {
    let path = this.#files.get(file);
    if (path === undefined) this.#files.set(file, path = this.#world.folder.next());
    return path;
  }

  kill(): void {
    if (!this.#platform) return;
    this.#world.log(`${this.name} is killed`);
    this.#process.end();
    // Closes its sockets as the system does when a process ends, or not, as when the power is cut.
    this.#platform.die(this.#world.random.chance(0.7));
    this.#platform = this.#result = undefined;
    this.#giveUp?.();
    const kept = [...this.#files].map(([file, path]) => {
      const copy = this.#world.folder.next();
      copyDatabase(path, copy);
      return [file, path, copy] as const;
    });
    this.close();
    for (const [file, path, copy] of kept) {
      removeDatabase(path);
      this.#files.set(file, copy);
    }
  }

  freeze(ms: number): void {
    this.#world.log(`${this.name} stops for ${ms} ms`);
    this.#process.freeze(this.#world.clock.now + ms);
  }

  disturb(fault: PathFault, ms = 0): void {
    this.#world.log(`${this.name}: ${fault}, ${ms} ms`);
    strikePath(this.#path, fault, ms);
  }

  resolve(hostname: string): readonly string[] | undefined {
    const found = this.#world.find(hostname);
    return found && [found.address];
  }

  connect(
    _platform: SimPlatform,
    { hostname, addresses, port }: ConnectOptions,
    events: SocketEvents & { opened(): void },
  ): SimSocket {
    this.connects++;
    const to = this.#world.find(addresses?.[0] ?? hostname);
    this.#world.log(`${this.name} connects to ${hostname}:${port}`);
    const circuit = new Circuit(this.#path, to?.port === port ? to : NOTHING_THERE);
    return new SimSocket(this.#process, circuit.client, `${hostname}:${port}`, events);
  }

  accept(end: End): void {
    if (!this.#platform) throw new Violation(`${this.name} is off, and a connection is made to it`);
    this.#platform.accept(end, `${end.path.hostname}:${1024 + ++this.#ports}`);
  }

  /** Closes its files. */
  close(): void {
    // SQLite's are closed at once; promises of a dead program do not matter any more.
    for (const opened of this.#opened) Promise.resolve(opened.close()).catch(() => {});
    this.#opened = [];
  }
}
