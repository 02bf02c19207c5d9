/**
 * Two real servers on one real PostgreSQL, each with the bridge to a real mosquitto, while the one that has the
 * connection is killed, paused or stopped: no event of a device and no setting sent over MQTT may be lost, doubled or
 * out of order.
 *
 * @module
 */
import { Channels, Client } from "../../bridge/host/mod.ts";
import { Account, type Finding, numbered } from "../chaos/account.ts";
import type { LogEntry } from "../../server/mod.ts";
import { type Process, start } from "../support/main_process.ts";
import { type Arrived, Mosquitto, MqttPeer } from "../support/mosquitto.ts";
import type { Postgres } from "../support/postgres.ts";
import { FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";

/** Faults for the server that has the connection. */
export type MqttFault = "kill" | "pause" | "stop";

/** Options of a run. */
export interface MqttFleetOptions {
  /** mosquitto's path. */
  readonly mosquitto: string;
  readonly devices: number;
  /** One after the other. */
  readonly faults: readonly MqttFault[];
}

/** The results of a run. */
export interface MqttFleetResult {
  /** Events that devices have sent, and settings that they have taken. */
  readonly up: number;
  readonly down: number;
  /** Time from each fault until another server has the connection, in ms. */
  readonly moves: readonly number[];
  readonly findings: readonly Finding[];
  readonly complaints: readonly string[];
}

/** Timeout between device and server, in ms. */
const TIMEOUT = 1000;

/** If nothing arrives for this many ms, nothing ever will, on a slow machine too. */
const DRAIN = 60_000;

/** A pause longer than the bridge's lease, in ms. */
const PAUSE = 9000;

/** Events of each device, and settings, between two faults. */
const WORK = 20;

/** Warnings that moves and kills may cause. */
const HARMLESS = ["UNSAID", "FENCED", "LEASE_FAILED"];

/**
 * The failure of an application whose statement has waited for 5 s (`statementTimeout`), for a disk or for a lock: on a
 * busy machine that happens. It gets its message again.
 */
const TOOK_LONG = "statement timeout";

/** The text of a message. It is never a number and never ends in a space, so no value conversion changes it. */
function text(of: string, n: number): string {
  return `${numbered(of, n)}x`;
}

/** A device: sends numbered events, and notes the settings of one channel; the next is made when the device reports the
 * last. */
class Teller {
  readonly told: Account;
  readonly taken: Account;
  written = 0;
  made = 0;
  shown: string | undefined;
  readonly #client: Client;
  readonly #channels: Channels;

  constructor(readonly id: string, host: readonly string[]) {
    this.told = new Account(`from ${id}`, (n) => text(id, n));
    this.taken = new Account(`to ${id}`, (n) => text("c", n));
    this.#client = new Client({ id, host, timeout: TIMEOUT });
    this.#channels = new Channels(this.#client, {
      app: "teller",
      version: "1",
      channels: { c: { set: (value: unknown) => this.taken.receive(String(value)) } },
    });
  }

  tell(): void {
    this.#channels.event("count", text(this.id, this.written++)).catch(() => {}); // it was closed
  }

  get isSet(): boolean {
    return this.made === 0 || this.shown === text("c", this.made - 1);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

/** A server's place: its process changes with each restart, its address stays. */
interface Place {
  readonly proxy: FaultProxy;
  process: Process;
}

class Scene {
  readonly places: Place[] = [];
  readonly tellers = new Map<string, Teller>();
  readonly complaints: string[] = [];
  readonly moves: number[] = [];
  readonly #peer: MqttPeer;
  readonly #args: string[];
  #settings = 0; // for each device

  private constructor(peer: MqttPeer, args: string[]) {
    this.#peer = peer;
    this.#args = args;
    peer.onArrival = (one) => this.#arrived(one);
  }

  static async start(
    database: Postgres,
    { mosquitto, devices }: MqttFleetOptions,
    stack: AsyncDisposableStack,
  ): Promise<Scene> {
    const broker = stack.use(await Mosquitto.start(mosquitto));
    const peer = stack.use(new MqttPeer(broker.port, ["holdfast/+/event/+", "holdfast/+/+"]));
    await peer.ready();
    const store = database.url(database.schema());
    const args = ["--open", "--store", store, "--timeout", `${TIMEOUT}`]
      .concat("--mqtt", `mqtt://127.0.0.1:${broker.port}`);
    const scene = new Scene(peer, args);
    stack.defer(async () => {
      for (const { process } of scene.places) await process[Symbol.asyncDispose]();
    });
    for (let n = 0; n < 2; n++) {
      const process = start(...args);
      const proxy = stack.use(await FaultProxy.start({ target: { port: 1 } }));
      scene.places.push({ process, proxy });
      proxy.retarget(await process.port());
    }
    for (let n = 0; n < devices; n++) {
      // Half of them start with one address, half with the other.
      const at = scene.places.map((_, i) => `127.0.0.1:${scene.places[(i + n) % 2]!.proxy.port}`);
      const teller = new Teller(`device${n}`, at);
      stack.defer(() => teller.close());
      scene.tellers.set(teller.id, teller);
    }
    // Before that, no server knows them.
    for (const id of scene.tellers.keys()) {
      await peer.shows(`holdfast/${id}/availability`, "online");
    }
    return scene;
  }

  #arrived({ topic, payload }: Arrived): void {
    const [, id, channel] = topic.split("/");
    const teller = this.tellers.get(id!)!;
    if (channel === "event") return teller.told.receive(payload);
    if (channel !== "c") return;
    teller.shown = payload;
    this.#set(teller);
  }

  #set(teller: Teller): void {
    if (teller.made >= this.#settings || !teller.isSet) return;
    this.#peer.publish(`holdfast/${teller.id}/c/set`, text("c", teller.made++));
  }

  /** Makes each device send an event, and sends it a setting. */
  begin(): void {
    this.#settings += WORK;
    for (const teller of this.tellers.values()) {
      for (let n = 0; n < WORK; n++) teller.tell();
      this.#set(teller);
    }
  }

  get isDone(): boolean {
    return [...this.tellers.values()].every(({ told, written, made, isSet }) =>
      told.arrived >= written && made >= this.#settings && isSet
    );
  }

  get #arrivals(): number {
    return [...this.tellers.values()].reduce((sum, { told, made }) => sum + told.arrived + made, 0);
  }

  /** Waits until some of that is done. */
  async some(): Promise<void> {
    const enough = this.#arrivals + this.tellers.size;
    await until(() => this.#arrivals >= enough || this.isDone, { timeout: DRAIN });
  }

  /** The server that has the connection. One that stands still has not said yet that it has lost it. */
  async leader(): Promise<Place> {
    const has = ({ process }: Place) =>
      process.log.findLast(isOfBroker)?.code === undefined &&
      process.log.some(isOfBroker);
    const leader = () => {
      const [first, ...others] = this.places.filter(has);
      return others.length === 0 ? first : undefined;
    };
    return await until(leader, { timeout: DRAIN, what: "one server that has the connection" });
  }

  async strike(fault: MqttFault): Promise<void> {
    const place = await this.leader();
    const other = this.places.find((it) => it !== place)!;
    const before = other.process.log.filter(isOfBroker).length;
    const struck = performance.now();
    const { process } = place;
    process.kill(fault === "kill" ? "SIGKILL" : fault === "pause" ? "SIGSTOP" : "SIGTERM");
    const continued = fault === "pause" && new Promise<void>((resolve) =>
      setTimeout(() => {
        process.kill("SIGCONT");
        resolve();
      }, PAUSE)
    );
    const isThere = () => {
      const told = other.process.log.filter(isOfBroker);
      return told.length > before && told.at(-1)!.code === undefined;
    };
    await until(isThere, { timeout: DRAIN, what: () => `another one: ${other.process.stderr}` });
    this.moves.push(performance.now() - struck);
    await continued;
    if (fault === "pause") return;
    await process.ended;
    this.#listen(process);
    place.process = start(...this.#args);
    place.proxy.retarget(await place.process.port());
  }

  #listen({ log }: Process): void {
    const isBad = ({ event, code, message }: LogEntry) =>
      (event === "warning" && !HARMLESS.includes(code!)) ||
      (event === "app_failed" && !message!.includes(TOOK_LONG));
    this.complaints.push(...log.filter(isBad).map((entry) => JSON.stringify(entry)));
  }

  audit(): Omit<MqttFleetResult, "moves"> {
    for (const { process } of this.places) this.#listen(process);
    const findings: Finding[] = [];
    let [up, down] = [0, 0];
    for (const { told, taken, written, made } of this.tellers.values()) {
      told.close(written);
      taken.close(made);
      findings.push(...told.findings, ...taken.findings);
      up += told.received;
      down += taken.received;
    }
    return { up, down, findings, complaints: this.complaints };
  }
}

function isOfBroker({ event }: LogEntry): boolean {
  return event === "broker";
}

/** Runs the test to its end. */
export async function mqttFleet(
  database: Postgres,
  options: MqttFleetOptions,
): Promise<MqttFleetResult> {
  await using stack = new AsyncDisposableStack();
  const scene = await Scene.start(database, options, stack);
  for (const fault of options.faults) {
    scene.begin();
    await scene.some();
    await scene.strike(fault);
  }
  scene.begin();
  await until(() => scene.isDone, { timeout: DRAIN }).catch(() => {});
  return { moves: scene.moves, ...scene.audit() };
}
