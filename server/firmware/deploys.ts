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
import { checkModule, LONGEST_MODULE } from "../protocol/module.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { DeviceDeploys } from "../runtime/device_host.ts";
import {
  Deployment,
  deployOf,
  type DeployState,
  hasFallen,
  imageOf,
  isDecided,
  type Line,
  runningOf,
} from "./deployment.ts";
import type { Deploy, DeployOptions } from "./deploy.ts";
import type { FirmwareHandler } from "./firmware.ts";

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
  /** What takes the messages of devices' firmware that are about deploys. */
  readonly handlers: Readonly<Record<string, FirmwareHandler>>;

  constructor(host: DeploysHost) {
    this.#host = host;
    this.handlers = Object.fromEntries(DEPLOY_KINDS.map((kind) => [kind, (id, words) => {
      const word = parseDeployWord(kind, words);
      const device = host.find(id);
      return word !== undefined && (!device || this.#of(device).deployment.told(word));
    }]));
  }

  #of(device: DeviceDriver): DeviceDeploy {
    let its = this.#all.get(device);
    if (!its) this.#all.set(device, its = new DeviceDeploy(device, this.#host));
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
    if (this.#of(device).deployment.greeted(metadata)) this.#tellOther(device);
  }

  #tellOther(device: DeviceDriver): void {
    const { id: name, session: { record } } = device;
    const [runs, kept] = [runningOf(record), deployOf(record)!];
    const message = `it runs ${nameOf(runs)}, and ${nameOf(kept)} was deployed last: ` +
      "was it flashed since? It stays so until something is deployed again";
    this.#host.events.emit({ event: "warning", device: name, code: "OTHER_APPLICATION", message });
  }

  /** It is here no longer, or nothing more comes of it: whoever waits is told. */
  lost(device: DeviceDriver, why: LocalError): void {
    this.#all.get(device)?.close(why);
    this.#all.delete(device);
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
    return this.#of(device).giveUp();
  }
}

/** Somebody who waits for what becomes of a deploy. */
interface Waiter {
  readonly hash: string;
  readonly until: "accepted" | "kept";
  readonly onProgress: ((deploy: Deploy) => void) | undefined;
  resolve(): void;
  reject(error: unknown): void;
}

/** Those of one device. */
class DeviceDeploy implements Line {
  readonly deployment: Deployment;
  readonly #device: DeviceDriver;
  readonly #host: DeploysHost;
  readonly #waiters = new Set<Waiter>();
  #image: string | undefined; // that is counted
  #told: DeployState | undefined;
  #quarters = 0; // of it that were told of

  constructor(device: DeviceDriver, host: DeploysHost) {
    this.#device = device;
    this.#host = host;
    this.deployment = new Deployment(this);
    this.#told = this.deployment.state;
    this.#count();
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
    if (state) this.#device.turn.whenSafe(() => this.#tell(state, arrived));
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
    const { phase, hash, size } = deploy;
    if (phase !== this.#told?.phase || state.begun !== this.#told.begun) {
      const code = phase.toUpperCase();
      this.#host.events.emit({ event: "deploy", device, code, message: wordsOf(deploy) });
      this.#quarters = 0;
    } else {
      const quarters = Math.floor(4 * arrived / size);
      if (quarters > this.#quarters) {
        this.#host.events.emit({ event: "deploying", device, arrived, size });
      }
      this.#quarters = quarters;
    }
    this.#told = state;
    for (const waiter of [...this.#waiters]) {
      if (waiter.hash !== hash) continue;
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
    const { again = false, until = "kept", signal, onProgress } = options;
    const offer = offerOf(wasm, options);
    const image = base64(wasm);
    signal?.throwIfAborted();
    const waiting = Promise.withResolvers<void>();
    const { resolve, reject } = waiting;
    const waiter = { hash: shortHash(offer.hash), until, onProgress, resolve, reject };
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    const forget = this.#device.turn.enter(() => {
      try {
        this.#check(offer);
        this.#waiters.add(waiter);
        const { state } = this.deployment;
        // Whoever says the same twice wants it once.
        if (state && !isDecided(state) && state.hash === offer.hash && !again) this.changed();
        else this.deployment.begin(offer, image);
      } catch (error) {
        reject(error);
      }
    });
    try {
      await waiting.promise;
    } finally {
      forget?.();
      this.#waiters.delete(waiter);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** @throws {LocalError} it cannot be deployed at once */
  #check(offer: Offer): void {
    const { closed, turn, connected, session: { share }, id } = this.#device;
    if (closed) throw closed;
    if (turn.failure) throw turn.failure;
    if (connected && !this.takesFirmware) throw unsupported(id);
    const { state } = this.deployment;
    if (state && hasFallen(state, offer.hash) && !offer.again) {
      const message = `${JSON.stringify(id)} has gone back from the same bytes before: ` +
        "they are not tried again unless you say so";
      throw new LocalError("DEPLOY_REFUSED", message);
    }
    if (!share.hasRoom) throw new LocalError("OUTBOX_FULL", share.whyFull);
  }

  async giveUp(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { closed, turn } = this.#device;
    if (closed) throw closed;
    this.#ending.add(reject);
    turn.enter(() => {
      this.deployment.giveUp();
      turn.whenSafe(resolve);
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
function offerOf(wasm: Uint8Array, options: DeployOptions): Offer {
  const { name, version, older = false, again = false } = options;
  if (!isAppName(name)) {
    const message = "an application's name has 1 to 32 letters, digits, _, - and .";
    throw new LocalError("BAD_ARGUMENT", `${message}, not ${JSON.stringify(name)}`);
  }
  if (!isAppVersion(version)) {
    throw new LocalError("BAD_ARGUMENT", `a version is 0 to 4294967295, not ${version}`);
  }
  const { size } = checkModule(new Uint8Array(wasm), LONGEST_MODULE);
  const hash = createHash("sha256").update(wasm).digest("base64url");
  return { name, version, hash, size, older, again };
}

function viewOf(state: DeployState, arrived: number): Deploy {
  const { name, version, hash, phase, size, begun, since, reason, detail } = state;
  return {
    ...{ name, version, hash: shortHash(hash), phase, size, arrived },
    ...{ begun: new Date(begun), since: new Date(since) },
    ...(reason !== undefined && { reason }),
    ...(detail !== undefined && { detail }),
  };
}

/** As it is said in a hello. */
export function nameOf(app: Pick<RunningApp, "name" | "version" | "hash"> | undefined): string {
  if (!app) return "an application whose name makes no sense";
  return `${app.name}/${app.version}/${shortHash(app.hash)}`;
}

/** Why a device does not take an application, for people. */
const REASONS: Readonly<Record<string, string>> = {
  older: "it is older than the one that runs",
  failed: "the same bytes fell back before",
  size: "it does not fit",
  mac: "the device has another key",
  hash: "what has arrived is something else",
  module: "it is no application for this firmware",
  import: "it needs something that this firmware has not",
  flash: "the flash cannot be written",
  gap: "pieces came out of place again and again",
  offer: "the device lost its place again and again",
  trap: "it trapped",
  hang: "it hung",
  crash: "it crashed the firmware",
  heap: "it took too much memory",
  link: "its link did not come up in time",
  refused: "its own check said no",
  load: "it could not be compiled",
  unknown: "the device could not say why",
};

function wordsOf(deploy: Deploy): string {
  const { phase, reason, detail, size } = deploy;
  const what = `${nameOf(deploy)}, ${size} bytes`;
  if (reason === undefined) return phase === "unsupported" ? `${what}: ${NO_DEPLOYS}` : what;
  return `${what}: ${REASONS[reason] ?? reason}${detail === undefined ? "" : ` (${detail})`}`;
}

const NO_DEPLOYS = "it takes no applications over the link: its hello has no app=";

function unsupported(id: string): LocalError {
  return new LocalError("UNSUPPORTED", `${JSON.stringify(id)}: ${NO_DEPLOYS}`);
}

/** What whoever waits is told; undefined: the device has it. */
function errorOf(id: string, deploy: Deploy): LocalError | undefined {
  const about = `${JSON.stringify(id)}: ${wordsOf(deploy)}`;
  switch (deploy.phase) {
    case "kept":
      return undefined;
    case "unsupported":
      return unsupported(id);
    case "refused":
      return new LocalError("DEPLOY_REFUSED", about);
    case "fell_back":
      return new LocalError("FELL_BACK", about);
    default:
      return new LocalError("GIVEN_UP", `${about}: it was given up`);
  }
}
