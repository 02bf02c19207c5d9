/** The deploys of a server's devices: who began one and waits, what is told of it, and what room images take. */
import { createHash } from "node:crypto";
import type { Events } from "../observe/events.ts";
import { LocalError } from "../protocol/errors.ts";
import {
  base64,
  DEPLOY_KINDS,
  isAppName,
  isAppVersion,
  type Offer,
  parseDeployWord,
  type RunningApp,
  shortHash,
} from "../protocol/firmware_lines.ts";
import { checkNumber } from "../link/limits.ts";
import { checkModule, LONGEST_MODULE, needsOf } from "../protocol/module.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { DeviceDeploys } from "../runtime/device_host.ts";
import {
  Deployment,
  deployOf,
  type DeployState,
  hasFallen,
  imageOf,
  isDecided,
  isOffered,
  type Line,
  runningOf,
} from "./deployment.ts";
import type { Deploy, DeployOptions, Rollout, RolloutOptions } from "./deploy.ts";
import { errorOf, nameOf, unsupported, wordsOf } from "./deploy_words.ts";
import { awaitEnd } from "./awaiting.ts";
import type { FirmwareHandler } from "./firmware.ts";
import { inOrder } from "./group.ts";
import { type Member, Rollouts } from "./rollouts.ts";

/** What deploys need of the server. */
export interface DeploysHost {
  readonly events: Events;
  /** A device that the server knows. */
  find(id: string): DeviceDriver | undefined;
  /** Its key, if it has one. */
  keyOf(id: string): Uint8Array | undefined;
}

/** All of a server. */
export class Deploys implements DeviceDeploys<DeviceDriver> {
  readonly #host: DeploysHost;
  readonly #all = new Map<DeviceDriver, DeviceDeploy>();
  readonly #rollouts: Rollouts;
  /** What takes the messages of devices' firmware that are about deploys. */
  readonly handlers: Readonly<Record<string, FirmwareHandler>>;

  constructor(host: DeploysHost) {
    this.#host = host;
    this.#rollouts = new Rollouts((code, message) => {
      host.events.emit({ event: "rollout", code, message });
    });
    this.handlers = Object.fromEntries(DEPLOY_KINDS.map((kind) => [kind, (id, words) => {
      const word = parseDeployWord(kind, words);
      const device = host.find(id);
      return word !== undefined && (!device || this.#of(device).deployment.told(word));
    }]));
  }

  #of(device: DeviceDriver): DeviceDeploy {
    let its = this.#all.get(device);
    if (its) return its;
    this.#all.set(device, its = new DeviceDeploy(device, this.#host, this.#rollouts));
    this.#rollouts.look(its);
    return its;
  }

  /** A device is here. */
  met(device: DeviceDriver): void {
    if (deployOf(device.session.record)) this.#of(device);
  }

  /** It has connected. The record may be changed. */
  connected(device: DeviceDriver): void {
    const { metadata, session } = device;
    // Most devices never say what they run, and pay nothing.
    if (!session.takesFirmware && !runningOf(session.record) && !this.#all.has(device)) return;
    const its = this.#of(device);
    if (its.deployment.greeted(metadata)) this.#tellOther(device);
    this.#rollouts.look(its);
  }

  #tellOther(device: DeviceDriver): void {
    const { id: name, session: { record } } = device;
    const [runs, kept] = [runningOf(record), deployOf(record)!];
    const message = `it runs ${nameOf(runs)}, and ${nameOf(kept)} was deployed last: ` +
      "it was probably flashed since; it stays so until you deploy again";
    this.#host.events.emit({ event: "warning", device: name, code: "OTHER_APPLICATION", message });
  }

  /** It is here no longer, or nothing more comes of it: whoever waits is told. */
  lost(device: DeviceDriver, why: LocalError): void {
    const its = this.#all.get(device);
    if (!its) return;
    its.close(why);
    this.#all.delete(device);
    this.#rollouts.lost(its, why);
  }

  /** Whether a deploy to it is not decided: it is not to be forgotten to make room. */
  concern({ session: { record } }: DeviceDriver): boolean {
    return imageOf(record) !== undefined;
  }

  /** What a device said last that it runs; undefined: it never did, or does not any more. */
  running({ session: { record } }: DeviceDriver): RunningApp | undefined {
    return runningOf(record);
  }

  /** How the last deploy to a device is; undefined: there was none. */
  view(device: DeviceDriver): Deploy | undefined {
    const { state, arrived = 0 } = this.#all.get(device)?.deployment ?? {};
    return state && viewOf(state, arrived);
  }

  /** As `Device.deploy`. */
  deploy(device: DeviceDriver, wasm: Uint8Array, options: DeployOptions): Promise<void> {
    return this.#of(device).begin(wasm, options);
  }

  /** As `Device.giveUp`. */
  giveUp(device: DeviceDriver): Promise<void> {
    return this.#of(device).safely(() => this.giveUpNow(device));
  }

  /** The same, while nothing is being committed. */
  giveUpNow(device: DeviceDriver): void {
    this.#of(device).deployment.giveUp();
  }

  /**
   * Begins a deploy for another server, while nothing is being committed.
   *
   * @param from Where its end is told; undefined: nobody waits for it.
   * @throws {LocalError} BAD_ARGUMENT; UNSUPPORTED; DEPLOY_REFUSED; OUTBOX_FULL
   */
  order(
    device: DeviceDriver,
    wasm: Uint8Array,
    options: DeployOptions,
    from: string | undefined,
  ): void {
    const its = this.#of(device);
    its.start(offerOf(wasm, options), wasm);
    if (from !== undefined) awaitEnd(its.record, from);
  }

  /** As `Server.rollouts`. */
  get rollouts(): Rollout[] {
    return this.#rollouts.all;
  }

  /** As `Server.rollOut`. @param devices Of a server, which has one at least. */
  async rollOut(
    devices: readonly DeviceDriver[],
    wasm: Uint8Array,
    { step = 1, ...options }: RolloutOptions,
  ): Promise<Rollout> {
    checkNumber("step", step, 1, 1000);
    const offer = offerOf(wasm, options);
    const image = base64(wasm);
    const byId = new Map(devices.map((device) => [device.id, this.#of(device)]));
    const members = inOrder(byId.keys()).map((id) => byId.get(id)!);
    let rollout: Rollout | undefined;
    await members[0]!.safely(() => {
      // The same deploy asked for twice is one deploy.
      rollout = this.#rollouts.underWay(members, offer);
      if (rollout) return;
      const { failure } = devices[0]!.turn;
      if (failure) throw failure;
      for (const member of members) member.check(offer); // all of them, before one is begun
      const id = this.#rollouts.newId(members[0]!.date);
      for (const member of members) member.deployment.begin(offer, image, { id, step });
      rollout = this.#rollouts.find(id); // by the time when it is safe it may be another one's
    });
    return rollout!;
  }

  /** As `Server.giveUpRollout`. @throws {LocalError} BAD_ARGUMENT: there is no such group */
  async giveUpRollout(id: number): Promise<void> {
    if (!this.#rollouts.find(id)) {
      throw new LocalError("BAD_ARGUMENT", `there is no group ${id} that is given an application`);
    }
    const [first] = this.#rollouts.undecided(id) as DeviceDeploy[];
    await first?.safely(() => {
      // Those that wait first: when one is over, the next would be begun.
      const left = this.#rollouts.undecided(id);
      const queued = left.filter(({ deployment }) => deployment.state!.phase === "queued");
      for (const { deployment } of [...queued, ...left]) deployment.giveUp();
    });
  }
}

/** Somebody who waits for what becomes of a deploy. */
interface Waiter {
  /** When that was begun: no two of a device at once. */
  readonly begun: number;
  readonly until: "accepted" | "kept";
  readonly onProgress: ((deploy: Deploy) => void) | undefined;
  resolve(): void;
  reject(error: unknown): void;
}

/** Those of one device. */
class DeviceDeploy implements Line, Member {
  readonly deployment: Deployment;
  readonly #device: DeviceDriver;
  readonly #host: DeploysHost;
  readonly #rollouts: Rollouts;
  readonly #waiters = new Set<Waiter>();
  #image: string | undefined; // that is counted
  #told: DeployState | undefined;
  #quarters = 0; // of it that were told of
  #looked: DeployState | undefined; // by its group

  constructor(device: DeviceDriver, host: DeploysHost, rollouts: Rollouts) {
    this.#device = device;
    this.#host = host;
    this.#rollouts = rollouts;
    this.deployment = new Deployment(this);
    this.#told = this.#looked = this.deployment.state;
    this.#count();
  }

  get id(): string {
    return this.#device.id;
  }

  get record() {
    return this.#device.session.record;
  }

  get takesFirmware(): boolean {
    return this.#device.session.takesFirmware;
  }

  get lineBytes(): number {
    return this.#device.session.lineBytes;
  }

  get key(): Uint8Array | undefined {
    return this.#host.keyOf(this.#device.id);
  }

  get date(): number {
    return Math.round(this.#device.clock.date());
  }

  tell(text: string, arrived: () => void): void {
    const { session, clock, touch } = this.#device;
    session.tell(text, arrived, clock.now());
    touch();
  }

  changed(): void {
    const { deployment: { state, arrived } } = this;
    this.#count();
    this.#device.touch();
    if (!state) return;
    this.#device.turn.whenSafe(() => this.#tell(state, arrived));
    const { phase, rollout } = this.#looked ?? {};
    if (state.phase === phase && state.rollout?.id === rollout?.id) return;
    this.#looked = state;
    this.#rollouts.look(this);
  }

  /** An image counts as what waits for the device does. */
  #count(): void {
    const { share } = this.#device.session;
    const image = imageOf(this.record);
    if (image === this.#image) return;
    if (this.#image !== undefined) share.remove(this.#image);
    if (image !== undefined) share.add(image);
    this.#image = image;
  }

  /** It is safe. */
  #tell(state: DeployState, arrived: number): void {
    const { id: device } = this.#device;
    const deploy = viewOf(state, arrived);
    const { phase, size } = deploy;
    if (phase !== this.#told?.phase || state.begun !== this.#told.begun) {
      const code = phase.toUpperCase();
      this.#host.events.emit({ event: "deploy", device, code, message: wordsOf(deploy) });
      this.#quarters = 0;
      if (isDecided(state)) this.#rollouts.decided(this);
    } else {
      const quarters = Math.floor(4 * arrived / size);
      if (quarters > this.#quarters) {
        this.#host.events.emit({ event: "deploying", device, arrived, size });
      }
      this.#quarters = quarters;
    }
    this.#told = state;
    for (const waiter of [...this.#waiters]) {
      if (waiter.begun !== state.begun) continue;
      this.#progress(waiter, deploy);
      if (isDecided(state)) this.#decided(waiter, deploy);
      else if (waiter.until === "accepted") waiter.resolve();
    }
  }

  #progress({ onProgress, reject }: Waiter, deploy: Deploy): void {
    try {
      onProgress?.(deploy);
    } catch (error) {
      reject(error);
    }
  }

  #decided({ resolve, reject }: Waiter, deploy: Deploy): void {
    const error = errorOf(this.#device.id, deploy);
    if (error) reject(error);
    else resolve();
  }

  async begin(wasm: Uint8Array, options: DeployOptions): Promise<void> {
    const { until = "kept", signal, onProgress } = options;
    const offer = offerOf(wasm, options);
    signal?.throwIfAborted();
    const waiting = Promise.withResolvers<void>();
    const { resolve, reject } = waiting;
    let waiter: Waiter | undefined;
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    const { turn } = this.#device;
    const forget = turn.enter(() => {
      try {
        if (turn.failure) throw turn.failure;
        const isNew = this.start(offer, wasm);
        const { begun } = this.deployment.state!;
        this.#waiters.add(waiter = { begun, until, onProgress, resolve, reject });
        if (!isNew) this.changed();
      } catch (error) {
        reject(error);
      }
    });
    try {
      await waiting.promise;
    } finally {
      forget?.();
      if (waiter) this.#waiters.delete(waiter);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Begins it, unless it is under way. @returns whether it was begun @throws {LocalError} as `check` */
  start(offer: Offer, wasm: Uint8Array): boolean {
    this.check(offer);
    const { state } = this.deployment;
    const isUnderWay = state && !isDecided(state) && state.phase !== "queued";
    // The same deploy asked for twice is one deploy.
    if (isUnderWay && isOffered(state, offer)) return false;
    this.deployment.begin(offer, base64(wasm));
    return true;
  }

  /** @throws {LocalError} it cannot be deployed at once */
  check(offer: Offer): void {
    const { closed, connected, session: { share }, id } = this.#device;
    if (closed) throw closed;
    if (connected && !this.takesFirmware) throw unsupported(id);
    const { state } = this.deployment;
    if (state && hasFallen(state, offer.hash) && !offer.again) {
      const message = `${JSON.stringify(id)} has already fallen back from these bytes: ` +
        "use `again` to try them once more";
      throw new LocalError("DEPLOY_REFUSED", message);
    }
    if (!share.hasRoom) throw new LocalError("OUTBOX_FULL", share.whyFull);
  }

  /** Changes something, and waits until that is safe. @throws {LocalError} what `change` throws; CLOSED, FORGOTTEN */
  async safely(change: () => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { closed, turn } = this.#device;
    if (closed) throw closed;
    this.#ending.add(reject);
    turn.enter(() => {
      try {
        change();
        turn.whenSafe(resolve);
      } catch (error) {
        reject(error);
      }
    });
    try {
      await promise;
    } finally {
      this.#ending.delete(reject);
    }
  }

  readonly #ending = new Set<(why: LocalError) => void>();

  close(why: LocalError): void {
    for (const { reject } of this.#waiters) reject(why);
    for (const reject of this.#ending) reject(why);
  }
}

/** What is offered. @throws {LocalError} BAD_ARGUMENT */
export function offerOf(wasm: Uint8Array, options: DeployOptions): Offer {
  const { name, version, older = false, again = false } = options;
  if (!isAppName(name)) {
    const message = "an application's name must have 1 to 32 letters, digits, _, - and .";
    throw new LocalError("BAD_ARGUMENT", `${message}, not ${JSON.stringify(name)}`);
  }
  if (!isAppVersion(version)) {
    throw new LocalError("BAD_ARGUMENT", `a version is 0 to 4294967295, not ${version}`);
  }
  const { size, imports } = checkModule(new Uint8Array(wasm), LONGEST_MODULE);
  const hash = createHash("sha256").update(wasm).digest("base64url");
  return { name, version, hash, size, older, again, needs: needsOf(imports) };
}

function viewOf(state: DeployState, arrived: number): Deploy {
  const { name, version, hash, phase, size, begun, since, rollout, reason, detail } = state;
  return {
    ...{ name, version, hash: shortHash(hash), phase, size, arrived },
    ...{ begun: new Date(begun), since: new Date(since) },
    ...(rollout && { rollout: rollout.id }),
    ...(reason !== undefined && { reason }),
    ...(detail !== undefined && { detail }),
  };
}
