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

/** How much of it. */
export interface FleetOptions {
  readonly servers: number;
  readonly devices: number;
  /** Things that go wrong, one after the other. */
  readonly faults: number;
  readonly seed: number;
  /** In ms, at both ends. */
  readonly timeout: number;
  /** Told after each fault. */
  progress(state: { faults: number; processed: number }): void;
}

/** What goes wrong. */
const KINDS = ["kill", "stop", "freeze", "reset", "backends", "frozen backend", "crash"] as const;

export type FaultKind = typeof KINDS[number];

/** What came of it. */
export interface FleetResult {
  readonly seconds: number;
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** Connections that devices made. */
  readonly connects: number;
  /** Messages processed, and answers that came back. */
  readonly up: number;
  readonly down: number;
  readonly findings: readonly Finding[];
  readonly complaints: readonly string[];
}

/** In ms: all must be settled so long after the last fault, on a slow machine too. */
const DRAIN = 120_000;

/** Messages for each device that are processed before the next fault. */
const WORK = 2;

/** A server's place: its process may be another one each time, its address stays. */
interface Place {
  readonly proxy: FaultProxy;
  server: ServerProcess;
}

class Scene implements AsyncDisposable {
  readonly places: Place[] = [];
  readonly devices: ChaosDevice[] = [];
  readonly complaints: string[] = [];
  readonly schema: string;
  readonly settings: ServerSettings;
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
      // Devices move, and the database is away now and then.
      expects: ["FENCED", "STORE_FAILED", "store"],
    };
  }

  static async start(database: Postgres, options: FleetOptions): Promise<Scene> {
    const scene = new Scene(database, options.timeout);
    for (let i = 0; i < options.servers; i++) {
      const server = new ServerProcess(scene.settings);
      const port = await scene.listening(server);
      const proxy = await FaultProxy.start({ target: { port }, seed: options.seed + i });
      scene.places.push({ proxy, server });
    }
    for (let i = 0; i < options.devices; i++) {
      // Each knows all of them, and begins with another one.
      const hosts = scene.places.map((_, at) => {
        return `127.0.0.1:${scene.places[(i + at) % options.servers]!.proxy.port}`;
      });
      scene.devices.push(new ChaosDevice(`device ${i}`, hosts, options.timeout));
    }
    return scene;
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

  /** Another process in the place of one that has ended. */
  async replace(place: Place): Promise<void> {
    this.complaints.push(...place.server.complaints);
    place.server = new ServerProcess(this.settings);
    place.proxy.retarget(await this.listening(place.server));
  }

  backends(): number[] {
    const sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast'";
    return this.database.sql(sql).split("\n").filter(Boolean).map(Number);
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
      case "freeze": // for longer than a lease, or not
        return await place.server.freeze(random.int(500, 8000));
      case "reset":
        return place.proxy.reset();
      case "backends":
        return void this.database.sql(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast'",
        );
      case "frozen backend": {
        const [pid] = this.backends();
        if (pid === undefined) return;
        signal(pid, "SIGSTOP");
        await pause(random.int(500, 3000));
        return signal(pid, "SIGCONT");
      }
      case "crash":
        await this.database.stop("immediate");
        return await this.database.start();
    }
  }

  /** Lets all that is on its way arrive. What has not arrived then is a finding. */
  async drain(): Promise<void> {
    for (const device of this.devices) await device.stop();
    const settled = () => this.devices.every((device) => device.settled);
    await until(settled, { timeout: DRAIN }).catch(() => {});
  }

  /** Stops everything, and compares what was written with what was noted and answered. */
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
      if (open > 0) this.complaints.push(`${device.id}: ${open} writes were never decided`);
    }
    return { up, down, findings };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const device of this.devices) await device.close();
    for (const { server, proxy } of this.places) {
      await server[Symbol.asyncDispose]();
      await proxy.close();
    }
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

/** Runs it to its end. */
export async function fleet(database: Postgres, options: FleetOptions): Promise<FleetResult> {
  const started = performance.now();
  const random = new Random(options.seed);
  const faults = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  await using scene = await Scene.start(database, options);
  for (let n = 0; n < options.faults; n++) {
    await scene.work();
    await pause(random.int(0, 500));
    const kind = n < KINDS.length ? KINDS[n]! : random.pick(KINDS);
    faults[kind]++;
    await scene.fault(kind, random);
    options.progress({ faults: n + 1, processed: scene.processed });
  }
  await scene.drain();
  const account = await scene.audit();
  return {
    seconds: (performance.now() - started) / 1000,
    faults,
    connects: scene.devices.reduce((sum, { connects }) => sum + connects, 0),
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
