/**
 * The deploys of one device: who waits for one, what is reported, what may be started, and the memory its image takes.
 */
import { createHash } from "node:crypto";
import type { Events } from "../observe/events.ts";
import { LocalError } from "../protocol/errors.ts";
import {
  base64,
  isAppName,
  isAppVersion,
  type Offer,
  shortHash,
} from "../protocol/firmware_lines.ts";
import { checkModule, LONGEST_MODULE, needsOf } from "../protocol/module.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import { tellEnd } from "./awaiting.ts";
import type { Deploy, DeployOptions } from "./deploy.ts";
import { errorOf, unsupported, wordsOf } from "./deploy_words.ts";
import { type DeployState, hasFallen, isDecided, isOffered } from "./deploy_state.ts";
import { Deployment, imageOf, type Line } from "./deployment.ts";
import type { Member, Rollouts } from "./rollouts.ts";

/** What a `DeviceDeploy` needs from the server. */
export interface DeviceDeployHost {
  readonly events: Events;
  /** A device's key, if it has one. */
  keyOf(id: string): Uint8Array | undefined;
}

/** A caller that waits for the end of a deploy. */
interface Waiter {
  /** When the deploy was started; unique for a device. */
  readonly begun: number;
  readonly until: "accepted" | "kept";
  readonly onProgress: ((deploy: Deploy) => void) | undefined;
  resolve(): void;
  reject(error: unknown): void;
}

/** The deploys of one device. */
export class DeviceDeploy implements Line, Member {
  readonly deployment: Deployment;
  readonly #device: DeviceDriver;
  readonly #host: DeviceDeployHost;
  readonly #rollouts: Rollouts;
  readonly #waiters = new Set<Waiter>();
  #image: string | undefined; // the image that is counted
  #told: DeployState | undefined;
  #quarters = 0; // quarters of it that were reported
  #looked: DeployState | undefined; // the state that its group has seen
  #isElsewhere = false; // whether another server has taken the device

  constructor(device: DeviceDriver, host: DeviceDeployHost, rollouts: Rollouts) {
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

  get safe(): DeployState | undefined {
    return this.#told;
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
    if (isDecided(state)) tellEnd(this.record, errorOf(this.id, viewOf(state, arrived)));
    this.#device.turn.whenSafe(() => this.#tell(state, arrived));
    const { phase, rollout } = this.#looked ?? {};
    if (state.phase === phase && state.rollout?.id === rollout?.id) return;
    this.#looked = state;
    this.#rollouts.look(this);
  }

  /** An image counts like messages that wait for the device. */
  #count(): void {
    const { share } = this.#device.session;
    const image = imageOf(this.record);
    if (image === this.#image) return;
    if (this.#image !== undefined) share.remove(this.#image);
    if (image !== undefined) share.add(image);
    this.#image = image;
  }

  /** Reports a state that is safe. */
  #tell(state: DeployState, arrived: number): void {
    if (this.#isElsewhere) return; // it never became safe
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
    this.#rollouts.safe(this);
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

  /** Starts a deploy, unless it is under way. @returns whether it was started @throws {LocalError} as `check` */
  start(offer: Offer, wasm: Uint8Array): boolean {
    this.check(offer);
    const { state } = this.deployment;
    const isUnderWay = state && !isDecided(state) && state.phase !== "queued";
    // The same deploy requested twice is one deploy.
    if (isUnderWay && isOffered(state, offer)) return false;
    this.deployment.begin(offer, base64(wasm));
    return true;
  }

  /** @throws {LocalError} it cannot be deployed now */
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

  /**
   * Makes a change to this device, and to `others`, and waits until all of it is safe.
   *
   * @throws {LocalError} what `change` throws; CLOSED, FORGOTTEN, FENCED: one of them has left memory. If `change` was
   * called by then, it is safe for the others, or will be
   */
  async safely(change: () => void, others: readonly DeviceDeploy[] = []): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { turn } = this.#device;
    const all = [this, ...others];
    const checkAll = () => {
      for (const it of all) if (it.#device.closed) throw it.#device.closed;
    };
    checkAll();
    for (const it of all) it.#ending.add(reject);
    turn.enter(() => {
      try {
        checkAll();
        change();
        turn.whenSafe(resolve);
      } catch (error) {
        reject(error);
      }
    });
    try {
      await promise;
    } finally {
      for (const it of all) it.#ending.delete(reject);
    }
  }

  readonly #ending = new Set<(why: LocalError) => void>();

  close(why: LocalError): void {
    this.#isElsewhere = why.code === "FENCED";
    for (const { reject } of this.#waiters) reject(why);
    for (const reject of this.#ending) reject(why);
  }
}

/** The offer of a .wasm. @throws {LocalError} BAD_ARGUMENT */
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

export function viewOf(state: DeployState, arrived: number): Deploy {
  const { name, version, hash, phase, size, begun, since, rollout, reason, detail } = state;
  return {
    ...{ name, version, hash: shortHash(hash), phase, size, arrived },
    ...{ begun: new Date(begun), since: new Date(since) },
    ...(rollout && { rollout: rollout.id, step: rollout.step }),
    ...(reason !== undefined && { reason }),
    ...(detail !== undefined && { detail }),
  };
}
