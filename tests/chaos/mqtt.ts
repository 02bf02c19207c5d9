/**
 * The real server with its bridge, or with a replacement, at a real mosquitto, while the server is killed, the broker
 * is stopped and started, and the devices' network fails: no event of a device and no setting sent over MQTT may be
 * lost, doubled or out of order.
 *
 * @module
 */
import { Channels, Client } from "../../bridge/host/mod.ts";
import type { LogEntry } from "../../server/mod.ts";
import { folder, type Process, start, startProgram } from "../support/main_process.ts";
import { type Arrived, Mosquitto, MqttPeer } from "../support/mosquitto.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/wait.ts";
import { Account, type Finding, numbered } from "./account.ts";
import { disturb, type Faults } from "./chaos.ts";

/** What connects the server and the broker: the bridge, or the npm package `mqtt` as `mqtt_package.ts` uses it. */
export type Between = "bridge" | "package";

/** Options of a run. */
export interface MqttChaosOptions {
  between: Between;
  /** mosquitto's path. */
  mosquitto: string;
  version: "3.1.1" | "5";
  /** Messages in each direction. */
  messages: number;
  devices: number;
  /** Kills of the server, with SIGKILL. */
  kills: number;
  /** Restarts of the broker. */
  restarts: number;
  /** How the broker is stopped: with SIGKILL it forgets. */
  signal: "SIGTERM" | "SIGKILL";
  seed: number;
  /** `max_inflight_messages` of mosquitto. */
  inflight: number;
  /** Called after each round. */
  progress: (state: MqttChaosState) => void;
}

/** Progress of a run. */
export interface MqttChaosState {
  kills: number;
  restarts: number;
  /** Messages that have arrived. */
  up: number;
  down: number;
}

/** The results of a run. */
export interface MqttChaosResult extends MqttChaosState {
  /** Messages that were sent. */
  sent: { up: number; down: number };
  seconds: number;
  faults: Faults;
  findings: Finding[];
  /** Events that are not findings, and should not happen. */
  complaints: string[];
}

/** The most settings under way to a device at once, each for another channel. */
const MOST_CHANNELS = 100;

/** Timeout between device and server, in ms. */
const TIMEOUT = 500;

/** Silence in ms after which nothing more will arrive, on a slow machine too. */
const DRAIN = 60_000;

const PACKAGE = new URL("./mqtt_package.ts", import.meta.url).pathname;

/** A server of either kind. */
function startServer(between: Between, args: string[]): Process {
  return between === "bridge" ? start(...args) : startProgram(PACKAGE, ...args);
}

/** The text of a message. It is never a number and never ends in a space, so no value conversion changes it. */
function text(of: string, n: number): string {
  return `${numbered(of, n)}x`;
}

/** The settings of one channel, one after the other: the next is made when a state shows that the last was taken. */
class Setting {
  made = 0;
  /** The last state that was published to the broker. */
  shown: string | undefined;
  readonly taken: Account;

  constructor(readonly device: string, readonly channel: string) {
    this.taken = new Account(`to ${device}/${channel}`, (n) => text(channel, n));
  }

  get isTaken(): boolean {
    return this.made === 0 || this.shown === text(this.channel, this.made - 1);
  }
}

/** A device: sends its events one after the other, and notes the settings that it gets. */
class ChannelDevice implements AsyncDisposable {
  readonly told: Account;
  readonly settings: Map<string, Setting>;
  written = 0;
  readonly #client: Client;
  readonly #channels: Channels;

  constructor(readonly id: string, port: number, channels: number) {
    this.told = new Account(`from ${id}`, (n) => text(id, n));
    const names = Array.from({ length: channels }, (_, n) => `c${n}`);
    this.settings = new Map(names.map((name) => [name, new Setting(id, name)]));
    this.#client = new Client({ id, port, timeout: TIMEOUT });
    const set = ({ taken }: Setting) => (value: unknown) => taken.receive(String(value));
    this.#channels = new Channels(this.#client, {
      app: "counter",
      version: "1",
      channels: Object.fromEntries(
        [...this.settings].map(([name, setting]) => [name, { set: set(setting) }]),
      ),
    });
  }

  tell(): void {
    this.#channels.event("count", text(this.id, this.written++)).catch(() => {}); // it was closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }
}

/** The world: a folder for stored data, a broker, a peer at it, one server at a time, and devices. */
class Scene {
  readonly devices = new Map<string, ChannelDevice>();
  readonly faults: Faults = { resets: 0, holes: 0, halfOpen: 0 };
  readonly state: MqttChaosState = { kills: 0, restarts: 0, up: 0, down: 0 };
  readonly complaints: string[] = [];
  readonly #proxies: FaultProxy[] = [];
  readonly #options: MqttChaosOptions;
  readonly #args: string[];
  readonly #ready: Setting[] = [];
  /** Messages that may have been sent so far, in each direction. */
  #due = 0;
  #made = 0;
  #told = 0;

  static async start(options: MqttChaosOptions, stack: AsyncDisposableStack): Promise<Scene> {
    const { mosquitto, inflight, version, devices, messages, seed, between } = options;
    const { path } = stack.use(folder());
    const own = ["allow_anonymous true", `max_inflight_messages ${inflight}`];
    const broker = stack.use(await Mosquitto.start(mosquitto, own));
    const peer = stack.use(new MqttPeer(broker.port, ["holdfast/+/event/+", "holdfast/+/+"]));
    await peer.ready();
    const args = ["--open", "--store", `${path}/server.db`, "--durability", "normal"]
      .concat("--timeout", String(TIMEOUT), "--mqtt-version", version)
      .concat("--mqtt", `mqtt://127.0.0.1:${broker.port}`);
    const scene = new Scene(options, broker, peer, startServer(between, args), args);
    stack.defer(() => scene.server[Symbol.asyncDispose]());
    const port = await scene.server.port();
    const channels = Math.ceil(Math.min(MOST_CHANNELS, messages / devices));
    for (let n = 0; n < devices; n++) {
      const proxy = stack.use(await FaultProxy.start({ target: { port }, seed: seed + n }));
      scene.#proxies.push(proxy);
      const device = stack.use(new ChannelDevice(`device${n}`, proxy.port, channels));
      scene.devices.set(device.id, device);
    }
    for (const id of scene.devices.keys()) {
      await peer.shows(`holdfast/${id}/availability`, "online");
    }
    scene.#begin();
    return scene;
  }

  private constructor(
    options: MqttChaosOptions,
    readonly broker: Mosquitto,
    readonly peer: MqttPeer,
    public server: Process,
    args: string[],
  ) {
    this.#options = options;
    this.#args = args;
  }

  /** In turn over the devices, so that all of them are busy. */
  #begin(): void {
    const settings = [...this.devices.values()].map((device) => [...device.settings.values()]);
    for (let n = 0; n < settings[0]!.length; n++) {
      for (const ofDevice of settings) this.#ready.push(ofDevice[n]!);
    }
    this.peer.onArrival = (one) => this.#arrived(one);
  }

  #arrived({ topic, payload }: Arrived): void {
    const [, id, first, second] = topic.split("/");
    const device = this.devices.get(id!);
    if (!device) return; // the bridge's own status
    if (first === "event") {
      device.told.receive(payload);
      this.state.up++;
      return;
    }
    const setting = second === undefined ? device.settings.get(first!) : undefined;
    if (!setting || setting.made === 0) return;
    const wasTaken = setting.isTaken;
    setting.shown = payload;
    if (wasTaken || !setting.isTaken) return; // states may come again
    this.state.down++;
    this.#ready.push(setting);
    this.#fill();
  }

  /** Allows this many messages in each direction. */
  allow(due: number): void {
    this.#due = due;
    const devices = [...this.devices.values()];
    for (; this.#told < due; this.#told++) devices[this.#told % devices.length]!.tell();
    this.#fill();
  }

  #fill(): void {
    while (this.#made < this.#due) {
      const setting = this.#ready.shift();
      if (!setting) return;
      this.#made++;
      const { device, channel } = setting;
      this.peer.publish(`holdfast/${device}/${channel}/set`, text(channel, setting.made++));
    }
  }

  /**
   * Waits until this many messages of devices have arrived, so that a fault hits in the middle of them.
   *
   * @returns whether they have; false: nothing arrives any more
   */
  async arrived(up: number): Promise<boolean> {
    for (let seen = -1; this.state.up > seen;) {
      seen = this.state.up;
      const moves = () => this.state.up >= up || this.state.up > seen;
      await until(moves, { timeout: DRAIN }).catch(() => {});
      if (this.state.up >= up) return true;
    }
    return false;
  }

  /** Kills the server, restarts the broker, or both, in either order or at once. */
  async strike(kills: boolean, restarts: boolean, random: Random): Promise<void> {
    const stop = async () => {
      if (restarts) await this.broker.stop(this.#options.signal);
    };
    const kill = async () => {
      if (!kills) return;
      this.server.kill("SIGKILL");
      await this.server.ended;
      this.#listen(this.server);
    };
    const open = async () => {
      if (restarts) await this.broker.start();
    };
    const serve = async () => {
      if (!kills) return;
      this.server = startServer(this.#options.between, this.#args);
      const port = await this.server.port();
      for (const proxy of this.#proxies) proxy.retarget(port);
    };
    for (const pair of [[stop, kill], [open, serve]]) {
      if (random.once(2)) pair.reverse();
      if (random.once(2)) await Promise.all(pair.map((act) => act()));
      else for (const act of pair) await act();
    }
    this.state.kills += Number(kills);
    this.state.restarts += Number(restarts);
  }

  /** Collects a server's complaints. */
  #listen({ log }: Process): void {
    // UNSAID: the links have failed so often that the log left out some entries.
    const isBad = ({ event, code }: LogEntry) =>
      (event === "warning" && code !== "UNSAID") || event === "app_failed";
    this.complaints.push(...log.filter(isBad).map((entry) => JSON.stringify(entry)));
  }

  /** Breaks the devices' network again and again until the signal. */
  async disturb(random: Random, signal: AbortSignal): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => {
      return disturb(proxy, new Random(random.bits()), TIMEOUT, this.faults, signal);
    }));
  }

  /** Waits for all messages on their way. Messages that are still missing then are findings. */
  async drain(): Promise<void> {
    const { messages } = this.#options;
    const isAll = () => {
      if (this.state.down < messages) return false;
      return [...this.devices.values()].every(({ told, written }) => told.received === written);
    };
    for (let seen = -1; !isAll();) {
      const now = this.state.up + this.state.down;
      if (now === seen) break;
      seen = now;
      await until(() => isAll() || this.state.up + this.state.down > seen, { timeout: DRAIN })
        .catch(() => {});
    }
    await this.peer.settled().catch((error) => this.complaints.push(String(error)));
  }

  get sent(): { up: number; down: number } {
    return { up: this.#told, down: this.#made };
  }

  /** Compares sent with arrived messages. */
  audit(): Finding[] {
    this.#listen(this.server);
    const findings: Finding[] = [];
    for (const { told, written, settings } of this.devices.values()) {
      told.close(written);
      findings.push(...told.findings);
      for (const setting of settings.values()) {
        setting.taken.close(setting.made);
        findings.push(...setting.taken.findings);
        if (setting.isTaken || setting.taken.received < setting.made) continue;
        const about = `${setting.taken.what}: the broker shows ${setting.shown}`;
        findings.push({ kind: "lost", about });
      }
    }
    return findings;
  }
}

/** Runs the test to its end. */
export async function mqttChaos(options: MqttChaosOptions): Promise<MqttChaosResult> {
  const started = performance.now();
  const { messages, kills, restarts, seed, progress } = options;
  const random = new Random(seed ^ 0x5eed);
  await using stack = new AsyncDisposableStack();
  const scene = await Scene.start(options, stack);
  const stop = new AbortController();
  const network = scene.disturb(random, stop.signal);
  try {
    const rounds = Math.max(kills, restarts, 1);
    const isKilled = shuffled(rounds, kills, random);
    const isRestarted = shuffled(rounds, restarts, random);
    for (let round = 0; round < rounds; round++) {
      const [from, to] = [round, round + 1].map((n) => Math.floor(messages * n / rounds));
      scene.allow(to!);
      if (!await scene.arrived(random.int(from!, to! - 1))) break;
      await scene.strike(isKilled[round]!, isRestarted[round]!, random);
      progress(scene.state);
    }
  } finally {
    stop.abort();
    await network;
  }
  await scene.drain();
  const findings = scene.audit();
  const { faults, complaints, state } = scene;
  return {
    ...state,
    sent: scene.sent,
    seconds: (performance.now() - started) / 1000,
    faults,
    findings,
    complaints,
  };
}

/** This many rounds, of which some are chosen at random. */
function shuffled(rounds: number, chosen: number, random: Random): boolean[] {
  const all = Array.from({ length: rounds }, (_, n) => n < chosen);
  for (let n = rounds - 1; n > 0; n--) {
    const other = random.int(0, n);
    [all[n], all[other]] = [all[other]!, all[n]!];
  }
  return all;
}
