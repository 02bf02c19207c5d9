/**
 * The real server's process on a store on disk, killed at random instants while devices write to it through a failing
 * network: nothing may be lost, doubled or out of order.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/wait.ts";
import { Account, type Finding, numbered } from "./account.ts";
import { ChaosDevice } from "./device.ts";
import { ServerProcess, type ServerSettings } from "../support/server_process.ts";

/** Options of a run. */
export interface ChaosOptions {
  kills: number;
  devices: number;
  seed: number;
  durability: "full" | "normal";
  /** Timeout in ms, at both ends. */
  timeout: number;
  /** Called after each kill. */
  progress: (state: { kills: number; processed: number }) => void;
}

/** The results of a run. */
export interface ChaosResult {
  seconds: number;
  kills: number;
  /** Kills of a server that was not listening yet, for example while it opened its store. */
  early: number;
  resets: number;
  holes: number;
  halfOpen: number;
  /** Connections that devices made. */
  connects: number;
  /** Messages processed by the application, and answers that came back. */
  up: number;
  down: number;
  findings: Finding[];
  /** Events that no outage explains, and that are not findings. */
  complaints: string[];
}

/** Devices that share a cable; faults hit cables. */
const SHARE = 5;

/** Longest life of a server that listens, in ms; and of one that may not even get so far. */
const LIFE = 1500;
const EARLY_LIFE = 400;

/** One kill in this many is early. */
const EARLY = 8;

/** Longest pause between two faults of the network, in ms; and longest black hole, in timeouts. */
const CALM = 400;
const HOLE = 2;

/** Messages for each device that a server processes before it may be killed: on a slow machine it must get this far. */
const WORK = 4;

/** Time after the last fault within which everything must be settled, in ms, on a slow machine too. */
const DRAIN = 60_000;

/** Counts of the network's faults. */
export type Faults = Pick<ChaosResult, "resets" | "holes" | "halfOpen">;

/** The world: a folder for stored data, one server at a time, cables and devices. */
class Scene implements AsyncDisposable {
  readonly proxies: FaultProxy[] = [];
  readonly devices: ChaosDevice[] = [];
  readonly complaints: string[] = [];
  readonly settings: ServerSettings;
  server: ServerProcess;

  static async start(options: ChaosOptions): Promise<Scene> {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-chaos-" });
    const random = new Random(options.seed);
    const ids = Array.from({ length: options.devices }, (_, i) => `device ${i}`);
    // Every other device has a key.
    const keys = Object.fromEntries(
      ids.filter((_, i) => i % 2 === 0).map((id) => [id, random.bytes(32).toHex()]),
    );
    await Deno.writeTextFile(`${folder}/keys.json`, JSON.stringify(keys), { mode: 0o600 });
    const scene = new Scene(folder, options);
    const port = await scene.listening();
    for (let at = 0; at < ids.length; at += SHARE) {
      const proxy = await FaultProxy.start({ target: { port }, seed: random.bits() });
      scene.proxies.push(proxy);
      for (const id of ids.slice(at, at + SHARE)) {
        scene.devices.push(new ChaosDevice(id, proxy.port, options.timeout, keys[id]));
      }
    }
    return scene;
  }

  private constructor(readonly folder: string, { timeout, durability }: ChaosOptions) {
    this.settings = {
      store: `${folder}/holdfast.db`,
      keys: `${folder}/keys.json`,
      timeout,
      durability,
      // All devices come back at once after a kill: on a busy machine some wait too long, and try again.
      expects: ["TOO_MANY_CONNECTIONS"],
    };
    this.server = new ServerProcess(this.settings);
  }

  async listening(): Promise<number> {
    const port = await this.server.listening;
    if (port !== undefined) return port;
    throw new Error(`the server does not start: ${this.server.complaints.join("\n")}`);
  }

  async kill(): Promise<void> {
    await this.server.kill();
    this.complaints.push(...this.server.complaints);
  }

  /** Starts another server on the same store, to which the cables then lead. */
  async restart(): Promise<void> {
    this.server = new ServerProcess(this.settings);
    const port = await this.listening();
    for (const proxy of this.proxies) proxy.retarget(port);
  }

  /** Waits until the server has work, so that it is killed in the middle of it. */
  async work(): Promise<void> {
    const enough = this.processed + WORK * this.devices.length;
    await until(() => this.processed >= enough, { timeout: DRAIN, what: "work for the server" });
  }

  get processed(): number {
    return this.devices.reduce((sum, { answers }) => sum + answers.arrived, 0);
  }

  /** Waits for all messages on their way. Messages that are still missing then are findings. */
  async drain(): Promise<void> {
    for (const device of this.devices) await device.stop();
    const settled = () => this.devices.every((device) => device.settled);
    await until(settled, { timeout: DRAIN }).catch(() => {});
  }

  /** Stops everything, and compares what was written with what arrived. */
  async audit(): Promise<{ up: number; down: number; findings: Finding[] }> {
    await this.server.stop();
    for (const device of this.devices) await device.close();
    this.complaints.push(...this.server.complaints);
    const processed = new Map(
      this.devices.map(({ id }) => [id, new Account(`from ${id}`, (n) => numbered(id, n))]),
    );
    const db = new DatabaseSync(this.settings.store, { readOnly: true });
    try {
      const rows = db.prepare("SELECT device, line FROM processed ORDER BY position");
      for (const { device, line } of rows.iterate()) {
        processed.get(String(device))!.receive(String(line));
      }
      // The outbox may hold answers whose acks were on their way; the accounts say whether they arrived.
      const { left } = db.prepare("SELECT count(*) AS left FROM holdfast_inbox").get()!;
      if (left !== 0) this.complaints.push(`holdfast_inbox: ${left} messages left`);
    } finally {
      db.close();
    }
    let [up, down] = [0, 0];
    const findings: Finding[] = [];
    for (const device of this.devices) {
      const accounts = [processed.get(device.id)!, device.answers];
      for (const account of accounts) {
        account.close(device.written);
        findings.push(...account.findings);
      }
      up += accounts[0]!.received;
      down += accounts[1]!.received;
      this.complaints.push(...device.complaints);
      if (device.acknowledged === device.written) continue;
      const open = device.written - device.acknowledged;
      this.complaints.push(`${device.id}: ${open} writes have no outcome`);
    }
    return { up, down, findings };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const device of this.devices) await device.close();
    for (const proxy of this.proxies) await proxy.close();
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Runs the test to its end. */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const started = performance.now();
  const random = new Random(options.seed ^ 0x5eed);
  await using scene = await Scene.start(options);
  const stop = new AbortController();
  const faults: Faults = { resets: 0, holes: 0, halfOpen: 0 };
  const network = scene.proxies.map((proxy) => {
    return disturb(proxy, new Random(random.bits()), options.timeout, faults, stop.signal);
  });
  let early = 0;
  try {
    for (let kills = 0; kills < options.kills; kills++) {
      await scene.work();
      await pause(random.int(0, LIFE));
      await scene.kill();
      if (random.once(EARLY)) {
        early++;
        kills++;
        const server = scene.server = new ServerProcess(scene.settings);
        await pause(random.int(0, EARLY_LIFE));
        await server.kill();
        scene.complaints.push(...server.complaints);
      }
      await scene.restart();
      options.progress({ kills: kills + 1, processed: scene.processed });
    }
  } finally {
    stop.abort();
    await Promise.all(network);
  }
  await scene.drain();
  const account = await scene.audit();
  return {
    seconds: (performance.now() - started) / 1000,
    kills: options.kills,
    early,
    ...faults,
    connects: scene.devices.reduce((sum, { connects }) => sum + connects, 0),
    ...account,
    complaints: scene.complaints,
  };
}

/** Causes one fault of a cable after the other until the signal, and repairs it at the end. */
export async function disturb(
  proxy: FaultProxy,
  random: Random,
  timeout: number,
  faults: Faults,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await pause(random.int(0, CALM), signal);
    proxy.split(random.once(3) ? random.int(1, 64) : undefined);
    proxy.delay(random.once(4) ? random.int(1, 20) : 0);
    switch (random.int(0, 3)) {
      case 0:
        faults.resets++;
        proxy.reset();
        break;
      case 1:
        faults.halfOpen++;
        proxy.halfOpen();
        break;
      case 2:
        faults.holes++;
        proxy.blackhole(random.pick(["up", "down", "both"]));
        await pause(random.int(0, timeout * HOLE), signal);
        proxy.restore({ drop: random.once(2) });
        break;
      case 3: // no fault for a while
        await pause(random.int(0, timeout * HOLE), signal);
    }
  }
  proxy.split(undefined);
  proxy.delay(0);
}

/** Resolves after `ms`, or at once when the signal comes. */
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
