/**
 * Several real servers on one real PostgreSQL, and devices that move between them, while servers and the database are
 * killed, stopped and cut off.
 *
 * @module
 */
import { Account, type Finding, numbered } from "../chaos/account.ts";
import { ChaosDevice } from "../chaos/device.ts";
import type { Postgres } from "../support/postgres.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { ServerProcess, type ServerSettings } from "../support/server_process.ts";
import { until } from "../support/wait.ts";
import { TABLE } from "./app.ts";

/** Options of a run. */
export interface FleetOptions {
  readonly servers: number;
  readonly devices: number;
  /** Faults of servers, of the database's backends, and of the network, one after the other. */
  readonly kills: number;
  /** How often among them the database is stopped, as in a crash, and started. */
  readonly crashes: number;
  readonly seed: number;
  /** Timeout in ms, at both ends. */
  readonly timeout: number;
  /** Called after each fault. */
  progress(state: { faults: number; kind: FaultKind; processed: number }): void;
}

/** The faults besides crashes of the database. */
const KILLS = [
  "kill", // SIGKILL of a server
  "stop", // a clean stop
  "freeze", // SIGSTOP, for longer than a lease or not
  "reset", // all connections to it
  "backends", // the database ends all of its connections
  "frozen backend", // SIGSTOP of one of the database's processes
  "killed backend", // SIGKILL: the database restarts all of them
] as const;

export type FaultKind = typeof KILLS[number] | "crash";

/** The results of a run. */
export interface FleetResult {
  readonly seconds: number;
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** Connections that devices made. */
  readonly connects: number;
  /** How often a device was moved to another server, besides the faults. */
  readonly moves: number;
  /** Messages processed, and answers that came back. */
  readonly up: number;
  readonly down: number;
  readonly findings: readonly Finding[];
  readonly complaints: readonly string[];
}

/** Time after the last fault within which everything must be settled, in ms, on a slow machine too. */
const DRAIN = 120_000;

/** Messages for each device that are processed before the next fault. */
const WORK = 2;

/** Longest time between two moves of devices, in ms. */
const STAY = 500;

/** A server, whose process and port change with each restart. */
interface Place {
  server: ServerProcess;
  port: number;
}

/** A device and its paths: it knows one address for each server, and which server an address leads to changes. */
interface Mover {
  readonly device: ChaosDevice;
  readonly ways: readonly FaultProxy[];
  /** The first path leads to this place, the second to the next one. */
  at: number;
}

class Scene implements AsyncDisposable {
  readonly places: Place[] = [];
  readonly movers: Mover[] = [];
  readonly complaints: string[] = [];
  readonly schema: string;
  readonly settings: ServerSettings;
  moves = 0;
  readonly #folder = Deno.makeTempDirSync({ prefix: "holdfast_fleet_" });

  private constructor(readonly database: Postgres, timeout: number) {
    this.schema = database.schema();
    database.sql(TABLE, this.schema);
    Deno.writeTextFileSync(`${this.#folder}/keys.json`, "{}", { mode: 0o600 });
    this.settings = {
      store: database.url(this.schema),
      keys: `${this.#folder}/keys.json`,
      timeout,
      durability: "full",
      app: new URL("./app.ts", import.meta.url).pathname,
      // Devices move, the database is away now and then, and connections to a paused server wait too long.
      expects: ["FENCED", "LEASE_FAILED", "STORE_FAILED", "TOO_MANY_CONNECTIONS", "store"],
    };
  }

  static async start(database: Postgres, options: FleetOptions): Promise<Scene> {
    const scene = new Scene(database, options.timeout);
    for (let i = 0; i < options.servers; i++) {
      const server = new ServerProcess(scene.settings);
      scene.places.push({ server, port: await scene.listening(server) });
    }
    for (let i = 0; i < options.devices; i++) {
      const ways = await Promise.all(scene.places.map((_, at) => {
        const { port } = scene.places[(i + at) % options.servers]!;
        return FaultProxy.start({ target: { port }, seed: options.seed + i });
      }));
      const hosts = ways.map(({ port }) => `127.0.0.1:${port}`);
      const device = new ChaosDevice(`device ${i}`, hosts, options.timeout);
      scene.movers.push({ device, ways, at: i });
    }
    return scene;
  }

  get devices(): ChaosDevice[] {
    return this.movers.map(({ device }) => device);
  }

  /** Points its paths to the current ports of the servers. */
  #direct({ ways, at }: Mover): void {
    for (const [i, way] of ways.entries()) {
      way.retarget(this.places[(i + at) % this.places.length]!.port);
    }
  }

  /** Moves one device after the other, until the signal. */
  async moveAround(random: Random, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(random.int(0, STAY));
      const mover = random.pick(this.movers);
      mover.at++;
      this.#direct(mover);
      for (const way of mover.ways) way.reset();
      this.moves++;
    }
  }

  async listening(server: ServerProcess): Promise<number> {
    const port = await server.listening;
    if (port !== undefined) return port;
    throw new Error(`the server does not start: ${server.complaints.join("\n")}`);
  }

  get processed(): number {
    return this.devices.reduce((sum, { answers }) => sum + answers.arrived, 0);
  }

  async work(): Promise<void> {
    const enough = this.processed + WORK * this.devices.length;
    await until(() => this.processed >= enough, { timeout: DRAIN, what: "work for the fleet" });
  }

  /** Starts another process in place of one that has ended. */
  async replace(place: Place): Promise<void> {
    this.complaints.push(...place.server.complaints);
    place.server = new ServerProcess(this.settings);
    place.port = await this.listening(place.server);
    for (const mover of this.movers) this.#direct(mover);
  }

  /** One of the database's processes that serve connections. */
  #backend(random: Random): Promise<number> {
    const sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast'";
    return until(() => {
      const all = this.database.sql(sql).split("\n").filter(Boolean).map(Number);
      return all.length > 0 && random.pick(all);
    }, { what: "a server at the database" });
  }

  /** Ends all connections to a server. */
  #reset(place: Place): void {
    for (const { ways, at } of this.movers) {
      for (const [i, way] of ways.entries()) {
        if (this.places[(i + at) % this.places.length] === place) way.reset();
      }
    }
  }

  async fault(kind: FaultKind, random: Random): Promise<void> {
    const place = random.pick(this.places);
    switch (kind) {
      case "kill":
        await place.server.kill();
        await pause(random.int(0, 1000));
        return await this.replace(place);
      case "stop":
        await place.server.stop();
        return await this.replace(place);
      case "freeze":
        return await place.server.freeze(random.int(500, 8000));
      case "reset":
        return this.#reset(place);
      case "backends":
        return void this.database.sql(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast'",
        );
      case "frozen backend": {
        const pid = await this.#backend(random);
        signal(pid, "SIGSTOP");
        await pause(random.int(500, 3000));
        return signal(pid, "SIGCONT");
      }
      case "killed backend":
        return await this.database.killBackend(await this.#backend(random));
      case "crash":
        await this.database.stop("immediate");
        return await this.database.start();
    }
  }

  /** Lets everything arrive. Messages that are still missing then are findings. */
  async drain(): Promise<void> {
    for (const device of this.devices) await device.stop();
    const settled = () => this.devices.every((device) => device.settled);
    await until(settled, { timeout: DRAIN }).catch(() => {});
  }

  /** Stops everything, and compares written messages with rows and answers. */
  async audit(): Promise<Pick<FleetResult, "up" | "down" | "findings">> {
    for (const { server } of this.places) {
      await server.stop();
      this.complaints.push(...server.complaints);
    }
    for (const device of this.devices) await device.close();
    const noted = new Map(
      this.devices.map(({ id }) => [id, new Account(`from ${id}`, (n) => numbered(id, n))]),
    );
    const rows = this.database.sql("SELECT device, line FROM processed ORDER BY at", this.schema);
    for (const row of rows.split("\n").filter(Boolean)) {
      const [device = "", line = ""] = row.split("|");
      noted.get(device)!.receive(line);
    }
    const left = this.database.sql("SELECT count(*) FROM holdfast_inbox", this.schema);
    if (left !== "0") this.complaints.push(`holdfast_inbox: ${left} messages left`);
    let [up, down] = [0, 0];
    const findings: Finding[] = [];
    for (const device of this.devices) {
      for (const account of [noted.get(device.id)!, device.answers]) {
        account.close(device.written);
        findings.push(...account.findings);
      }
      up += noted.get(device.id)!.received;
      down += device.answers.received;
      this.complaints.push(...device.complaints);
      const open = device.written - device.acknowledged;
      if (open > 0) this.complaints.push(`${device.id}: ${open} writes have no outcome`);
    }
    return { up, down, findings };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const device of this.devices) await device.close();
    for (const { server } of this.places) await server[Symbol.asyncDispose]();
    for (const { ways } of this.movers) for (const way of ways) await way.close();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

/** The faults, in order: each kind at least once, if there are enough. */
function faultsOf({ kills, crashes }: FleetOptions, random: Random): FaultKind[] {
  const faults: FaultKind[] = Array.from({ length: kills }, (_, n) => {
    return n < KILLS.length ? KILLS[n]! : random.pick(KILLS);
  });
  for (let n = 0; n < crashes; n++) faults.splice(random.int(0, faults.length), 0, "crash");
  return faults;
}

/** Runs the test to its end. */
export async function fleet(database: Postgres, options: FleetOptions): Promise<FleetResult> {
  const started = performance.now();
  const random = new Random(options.seed);
  const kinds = [...KILLS, "crash"] as const;
  const counts = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  await using scene = await Scene.start(database, options);
  const stop = new AbortController();
  const moving = scene.moveAround(new Random(options.seed ^ 0x5eed), stop.signal);
  try {
    for (const [n, kind] of faultsOf(options, random).entries()) {
      await scene.work();
      await pause(random.int(0, 500));
      counts[kind]++;
      await scene.fault(kind, random);
      options.progress({ faults: n + 1, kind, processed: scene.processed });
    }
  } finally {
    stop.abort();
    await moving;
  }
  await scene.drain();
  const account = await scene.audit();
  return {
    seconds: (performance.now() - started) / 1000,
    faults: counts,
    connects: scene.devices.reduce((sum, { connects }) => sum + connects, 0),
    moves: scene.moves,
    ...account,
    complaints: scene.complaints,
  };
}

function signal(pid: number, what: Deno.Signal): void {
  try {
    Deno.kill(pid, what);
  } catch {
    // It has ended.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
