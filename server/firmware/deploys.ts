/** The deploys of a server's devices, one by one and in groups. */
import { LocalError } from "../protocol/errors.ts";
import {
  base64,
  DEPLOY_KINDS,
  type Offer,
  parseDeployWord,
  type RunningApp,
} from "../protocol/firmware_lines.ts";
import { checkNumber } from "../link/limits.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { DeviceDeploys } from "../runtime/device_host.ts";
import { DistantDevice } from "../runtime/distant_device.ts";
import { awaitEnd } from "./awaiting.ts";
import type { Deploy, DeployOptions, Rollout, RolloutOptions } from "./deploy.ts";
import { nameOf } from "./deploy_words.ts";
import { type InRollout, isDecided } from "./deploy_state.ts";
import { deployOf, imageOf, runningOf } from "./deployment.ts";
import { DeviceDeploy, type DeviceDeployHost, offerOf, viewOf } from "./device_deploy.ts";
import type { FirmwareHandler } from "./firmware.ts";
import { inOrder } from "./group.ts";
import { type DeployElsewhere, Rollouts } from "./rollouts.ts";

/** What deploys need from the server. */
export interface DeploysHost extends DeviceDeployHost {
  /** A device that the server knows. */
  find(id: string): DeviceDriver | undefined;
  /** A device that another server has. */
  distant(id: string): DistantDevice | undefined;
  /** Deploys in groups to devices that other servers have. */
  elsewhere(): Iterable<DeployElsewhere>;
  /** Calls `look` soon, when records may be changed. */
  soon(look: () => void): void;
  /** Now, in ms since 1970. */
  date(): number;
}

/** All deploys of a server. */
export class Deploys implements DeviceDeploys<DeviceDriver> {
  readonly #host: DeploysHost;
  readonly #all = new Map<DeviceDriver, DeviceDeploy>();
  readonly #rollouts: Rollouts;
  #looksSoon = false;
  /** Handlers for messages of devices' firmware about deploys. */
  readonly handlers: Readonly<Record<string, FirmwareHandler>>;

  constructor(host: DeploysHost) {
    this.#host = host;
    this.#rollouts = new Rollouts(host.elsewhere, (code, message) => {
      host.events.emit({ event: "rollout", code, message });
    }, () => this.#lookAtRollouts());
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

  /** A device has come into memory. */
  met(device: DeviceDriver): void {
    if (deployOf(device.session.record)) this.#of(device);
    else this.#rollouts.outdated(device.id); // it may have been forgotten since it was here
  }

  /** A device has connected. Called when records may be changed. */
  connected(device: DeviceDriver): void {
    const { metadata, session } = device;
    // Most devices never say what they run, and cost nothing.
    if (!session.takesFirmware && !runningOf(session.record) && !this.#all.has(device)) return;
    const its = this.#of(device);
    if (its.deployment.greeted(metadata)) this.#tellOther(device);
    this.#rollouts.look(its);
  }

  #tellOther(device: DeviceDriver): void {
    const { id: name, session: { record } } = device;
    const [runs, kept] = [runningOf(record), deployOf(record)!];
    const message =
      `it runs ${nameOf(runs)}, but the last deploy in the store is ${nameOf(kept)}: ` +
      "it was flashed since, or the store is an old copy; to change it, deploy again";
    this.#host.events.emit({ event: "warning", device: name, code: "OTHER_APPLICATION", message });
  }

  /** A device has left memory or was closed: callers that wait are told. */
  lost(device: DeviceDriver, why: LocalError): void {
    const its = this.#all.get(device);
    if (!its) return;
    its.close(why);
    this.#all.delete(device);
    this.#rollouts.lost(its, why);
  }

  /** Whether its deploy is undecided: then it must not be forgotten to make room. */
  concern({ session: { record } }: DeviceDriver): boolean {
    return imageOf(record) !== undefined;
  }

  /** The application that a device said it runs; undefined: it never said so, or does not any more. */
  running({ session: { record } }: DeviceDriver): RunningApp | undefined {
    return runningOf(record);
  }

  /** The last deploy to a device; undefined: there was none. */
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

  /** The same; called when records may be changed. */
  giveUpNow(device: DeviceDriver): void {
    this.#of(device).deployment.giveUp();
  }

  /**
   * Starts a deploy for another server; called when records may be changed.
   *
   * @param from Where to report its end; undefined: nobody waits for it.
   * @param rollout The rollout that it belongs to.
   * @throws {LocalError} BAD_ARGUMENT; UNSUPPORTED; DEPLOY_REFUSED; OUTBOX_FULL
   */
  order(
    device: DeviceDriver,
    wasm: Uint8Array,
    options: DeployOptions,
    { from, rollout }: { from?: string | undefined; rollout?: InRollout | undefined },
  ): void {
    const its = this.#of(device);
    const offer = offerOf(wasm, options);
    if (rollout) {
      its.check(offer);
      its.deployment.begin(offer, base64(wasm), rollout);
    } else its.start(offer, wasm);
    if (from !== undefined) awaitEnd(its.record, from);
  }

  /** Another server's view of a device has changed: perhaps a deploy of a group has failed there. */
  seen({ id, server, rollout }: DistantDevice): void {
    if (server !== undefined) this.#rollouts.outdated(id);
    if (rollout !== undefined) this.#lookAtRollouts();
  }

  /** Another server has forgotten a device. */
  forgottenElsewhere(id: string): void {
    this.#rollouts.outdated(id);
  }

  /** Groups may go on: they are looked at once for all changes that were read, or became safe, together. */
  #lookAtRollouts(): void {
    if (this.#looksSoon) return;
    this.#looksSoon = true;
    this.#host.soon(() => {
      this.#looksSoon = false;
      this.#rollouts.seen();
    });
  }

  /** As `Server.rollouts`. */
  get rollouts(): Rollout[] {
    return this.#rollouts.all;
  }

  /** As `Server.rollOut`. @param devices At least one; other servers deploy to the devices that they have. */
  async rollOut(
    devices: readonly (DeviceDriver | DistantDevice)[],
    wasm: Uint8Array,
    options: RolloutOptions,
  ): Promise<Rollout> {
    const { step = 1 } = options;
    checkNumber("step", step, 1, 1000);
    const offer = offerOf(wasm, options);
    const own: DeviceDriver[] = [];
    const distant: DistantDevice[] = [];
    for (const device of new Set(devices)) {
      if (device instanceof DistantDevice) distant.push(device);
      else own.push(device);
    }
    if (distant.length === 0) return await this.#rollOut(own, wasm, offer, { step });
    // The same deploy requested twice is one deploy. The views of other servers do not show the terms.
    const isPlain = !offer.older && !offer.again;
    const known = isPlain && this.#rollouts.offered(devices.map(({ id }) => id), offer);
    if (known) return known;
    const id = this.#rollouts.newId(this.#host.date());
    try {
      if (own.length > 0) await this.#rollOut(own, wasm, offer, { step, id });
      const { name, version, older, again } = offer;
      const orders = distant.map((device) =>
        device.join(wasm, { name, version, older, again }, { id, step })
      );
      for (const it of await Promise.allSettled(orders)) {
        if (it.status === "rejected") throw it.reason;
      }
    } catch (error) {
      if (this.#rollouts.find(id)) await this.giveUpRollout(id);
      throw error;
    }
    return this.#rollouts.find(id)!;
  }

  async #rollOut(
    devices: readonly DeviceDriver[],
    wasm: Uint8Array,
    offer: Offer,
    { step, id }: { step: number; id?: number },
  ): Promise<Rollout> {
    const image = base64(wasm);
    const byId = new Map(devices.map((device) => [device.id, this.#of(device)]));
    const members = inOrder(byId.keys()).map((id) => byId.get(id)!);
    let rollout: Rollout | undefined;
    let begun: number | undefined;
    const begin = () => {
      // The same deploy requested twice is one deploy.
      if (id === undefined) rollout = this.#rollouts.underWay(members, offer);
      if (rollout) return;
      const { failure } = devices[0]!.turn;
      if (failure) throw failure;
      for (const member of members) member.check(offer); // all of them, before one is started
      begun = id ?? this.#rollouts.newId(members[0]!.date);
      for (const member of members) member.deployment.begin(offer, image, { id: begun, step });
      rollout = this.#rollouts.find(begun); // read now: when it is safe, the devices may have another one
    };
    try {
      await members[0]!.safely(begin, members.slice(1));
    } catch (error) {
      // Another server has taken one of the devices just now.
      if (begun !== undefined && this.#rollouts.find(begun)) await this.giveUpRollout(begun);
      throw error;
    }
    return rollout!;
  }

  /** As `Server.giveUpRollout`. @throws {LocalError} BAD_ARGUMENT: there is no such group */
  async giveUpRollout(id: number): Promise<void> {
    if (!this.#rollouts.find(id)) {
      throw new LocalError("BAD_ARGUMENT", `there is no rollout ${id}`);
    }
    const [first, ...rest] = this.#rollouts.undecided(id) as DeviceDeploy[];
    const own = first?.safely(() => {
      // Those that wait come first, so that none of them is started meanwhile.
      const left = this.#rollouts.undecided(id);
      const queued = left.filter(({ deployment }) => deployment.state!.phase === "queued");
      for (const { deployment } of [...queued, ...left]) deployment.giveUp();
    }, rest);
    const distant = [...this.#rollouts.elsewhere(id)].filter(({ deploy }) => !isDecided(deploy));
    const inTurn = distant.toSorted((a, b) =>
      Number(b.deploy.phase === "queued") - Number(a.deploy.phase === "queued")
    );
    await Promise.all([own, ...inTurn.map(({ id }) => this.#host.distant(id)!.giveUp())]);
  }
}
