/** A device that another process of the fleet has, as programs of this one see it. */
import type { Device, DeviceWriteOptions } from "../device.ts";
import type { DeployOptions } from "../firmware/deploy.ts";
import type { InRollout } from "../firmware/deployment.ts";
import { noMessages } from "../link/counts.ts";
import { DeviceRecord, newState, NOWHERE } from "../link/record.ts";
import type { Cleared } from "../link/session.ts";
import { errorOf, type Outcome } from "../link/outcome.ts";
import { LocalError } from "../protocol/errors.ts";
import { base64 } from "../protocol/firmware_lines.ts";
import type { Kept } from "../store/fleet.ts";
import type { DeviceView } from "../device_view.ts";
import type { DeviceDriver } from "./device_driver.ts";
import type { Asker, Deploying, Errand } from "./errands.ts";
import type { Pace } from "./pace.ts";
import { caller, paceOf } from "./run.ts";

/** What is known of a device that no server has shown yet. */
const NOTHING: Omit<DeviceView, "id"> = {
  connected: false,
  since: new Date(0).toISOString(),
  connects: 0,
  metadata: "",
  inbox: 0,
  outbox: 0,
  app: "none",
  deadLetters: 0,
  counts: noMessages(),
};

/** What it needs of its process. */
export interface DistantHost {
  readonly pace: Pace;
  /** How long a process may be away until others take its devices, in ms. */
  readonly lease: number;
  /** The device, if it is here by now. */
  here(id: string): DeviceDriver | undefined;
  /** The name of a process that is alive. */
  nameOf(process: number | undefined): string | undefined;
  /** Why nothing is accepted. */
  refusal(): LocalError | undefined;
  /** @throws {LocalError} BAD_TEXT; BAD_ARGUMENT */
  check(errand: Errand): void;
  /** See `DistantReads`. */
  read(id: string): Promise<Kept | undefined>;
  /** See `PostOffice`. */
  ask(id: string, errand: Errand, asker: Asker): () => void;
  after(ms: number, run: () => void): () => void;
}

/** Somebody who waits for what becomes of a deploy. */
interface Follower extends Pick<DeployOptions, "onProgress"> {
  /** When that was begun. */
  readonly begun: string;
  reject(error: unknown): void;
}

export class DistantDevice implements Device {
  readonly #host: DistantHost;
  #view: DeviceView;
  #process: number | undefined;
  #token = 0;
  #readiness: PromiseWithResolvers<void> | undefined;
  readonly #followers = new Set<Follower>();

  constructor(readonly id: string, host: DistantHost) {
    this.#host = host;
    this.#view = { id, ...NOTHING };
  }

  /** What its process, or its last one, shows of it. */
  get view(): DeviceView {
    const { server } = this;
    if (server !== undefined) return { ...this.#view, server };
    // Nobody has it: so it has no link.
    return { ...this.#view, connected: false, app: "none" };
  }

  get server(): string | undefined {
    return this.#here?.server ?? this.#host.nameOf(this.#process);
  }

  /** Whether it is this process's by now. */
  get isHere(): boolean {
    return this.#here !== undefined;
  }

  /** A process shows it. @param token With which it has it: who has had it before shows nothing any more */
  shows(process: number | undefined, token: number, view: DeviceView | undefined): void {
    if (token < this.#token) return;
    this.#token = token;
    this.#process = process;
    if (view) this.#view = withDeploy(view, this.#view.deploy);
    this.#progress();
    this.look();
  }

  /**
   * What the store has of it.
   *
   * @returns undefined: the store does not know it
   * @throws {LocalError} STORE_FAILED; CLOSED
   */
  async read(): Promise<DeviceRecord | undefined> {
    const refusal = this.#host.refusal();
    if (refusal) throw refusal;
    const kept = await this.#host.read(this.id);
    return kept && new DeviceRecord(this.id, NOWHERE, { ...newState(), ...kept });
  }

  /** Another process may have it, or none: tells those who wait for its link. */
  look(): void {
    if (!this.connected) return;
    this.#readiness?.resolve();
    this.#readiness = undefined;
  }

  get #here(): DeviceDriver | undefined {
    return this.#host.here(this.id);
  }

  get connected(): boolean {
    return (this.#here ?? this.view).connected;
  }

  get since(): Date {
    return this.#here?.since ?? new Date(this.#view.since);
  }

  get asleepUntil(): Date | undefined {
    const here = this.#here;
    if (here) return here.asleepUntil;
    const { asleepUntil } = this.#view;
    return asleepUntil === undefined ? undefined : new Date(asleepUntil);
  }

  get connects(): number {
    return (this.#here ?? this.#view).connects;
  }

  get metadata(): string {
    return (this.#here ?? this.#view).metadata;
  }

  get inbox(): number {
    return (this.#here ?? this.#view).inbox;
  }

  get outbox(): number {
    return (this.#here ?? this.#view).outbox;
  }

  get counts(): Device["counts"] {
    return (this.#here ?? this.#view).counts;
  }

  get roundTrip(): number | undefined {
    return (this.#here ?? this.view).roundTrip;
  }

  get app(): Device["app"] {
    return (this.#here ?? this.view).app;
  }

  get runs(): Device["runs"] {
    return (this.#here ?? this.#view).runs;
  }

  /** The group with which it is given an application, as it is shown. */
  get rollout(): number | undefined {
    return this.#view.deploy?.rollout;
  }

  get deployment(): Device["deployment"] {
    const here = this.#here;
    if (here) return here.deployment;
    const { deploy } = this.#view;
    return deploy && { ...deploy, begun: new Date(deploy.begun), since: new Date(deploy.since) };
  }

  get deadLetters(): Device["deadLetters"] {
    return this.#here?.deadLetters ?? [];
  }

  /** Its dead letters, as the store has them. @throws {LocalError} STORE_FAILED; CLOSED */
  async letters(): Promise<Device["deadLetters"]> {
    if (this.#here) return this.deadLetters;
    if (this.#view.deadLetters === 0) return [];
    return (await this.read())?.state.deadLetters ?? [];
  }

  async write(text: string, options: DeviceWriteOptions = {}): Promise<boolean> {
    const here = this.#here;
    if (here) return await here.write(text, options);
    return await paceOf(this.#host.pace).keep(this.#write(text, options));
  }

  async #write(text: string, { signal, ...options }: DeviceWriteOptions): Promise<boolean> {
    signal?.throwIfAborted();
    const isOnce = options.qos === false;
    const outcome = await this.ask({ write: text, options }, signal, isOnce);
    const error = errorOf(outcome);
    if (!error) return true;
    // Where nothing waits, a message that is not sent is no error.
    if (isOnce && NOT_SENT.has(error.code)) return false;
    throw error;
  }

  /**
   * Has something done where the device is.
   *
   * @param decides Nothing tells of it if the process that does it ends: that is UNDECIDED after some time.
   * @returns what has come of it
   * @throws {LocalError} and nothing was accepted; @throws what `signal` says
   */
  async ask(errand: Errand, signal?: AbortSignal, decides = false): Promise<Outcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const forget = this.begin(errand, { told: resolve, failed: reject });
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    const undecided = () =>
      reject(new LocalError("UNDECIDED", "no server has said what became of it"));
    const cancel = decides ? this.#host.after(3 * this.#host.lease, undecided) : () => {};
    try {
      return await promise;
    } finally {
      cancel();
      forget();
      signal?.removeEventListener("abort", abort);
    }
  }

  /** The same, with more than one outcome. @returns forgets who asks @throws {LocalError} nothing was accepted */
  begin(errand: Errand, asker: Asker): () => void {
    const refusal = caller()?.over ?? this.#host.refusal();
    if (refusal) throw refusal;
    this.#host.check(errand);
    return this.#host.ask(this.id, errand, asker);
  }

  ready(): Promise<void> {
    const here = this.#here;
    if (here) return here.ready();
    const reason = caller()?.over ?? this.#host.refusal();
    if (reason) return paceOf(this.#host.pace).refused().then(() => Promise.reject(reason));
    if (this.connected) return paceOf(this.#host.pace).done() ?? Promise.resolve();
    return (this.#readiness ??= Promise.withResolvers()).promise;
  }

  watch(listener: Parameters<Device["watch"]>[0]): () => void {
    return this.#here?.watch(listener) ?? (() => {});
  }

  readline(): Promise<string> {
    return this.#only((here) => here.readline());
  }

  consume(use: Parameters<Device["consume"]>[0]): Promise<void> {
    return this.#only((here) => here.consume(use));
  }

  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return { next: () => this.#only((here) => here[Symbol.asyncIterator]().next()) };
  }

  async deploy(wasm: Uint8Array, options: DeployOptions): Promise<void> {
    const here = this.#here;
    if (here) return await here.deploy(wasm, options);
    await paceOf(this.#host.pace).keep(this.#deploy(wasm, options));
  }

  async #deploy(wasm: Uint8Array, options: DeployOptions): Promise<void> {
    const { name, version, older = false, again = false, until = "kept", signal } = options;
    signal?.throwIfAborted();
    const follows = until === "kept";
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let follower: Follower | undefined;
    const told = (outcome: Outcome) => {
      const error = errorOf(outcome);
      if (error) return reject(error);
      if (!("view" in outcome)) return resolve(); // the device has it for good
      this.#takes(outcome);
      this.#followers.add(follower = { begun: this.#view.deploy!.begun, ...options, reject });
      this.#progress();
      if (!follows) resolve();
    };
    const errand = {
      deploy: base64(wasm),
      options: { name, version, older, again },
      ...(follows && { follows }),
    };
    const forget = this.begin(errand, { told, failed: reject });
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    try {
      await promise;
    } finally {
      forget();
      if (follower) this.#followers.delete(follower);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Tells those who follow a deploy how far it is, as it is shown. */
  #progress(): void {
    const { deployment, view: { deploy } } = this;
    for (const { begun, onProgress, reject } of [...this.#followers]) {
      if (!deployment || deploy?.begun !== begun) continue;
      try {
        onProgress?.(deployment);
      } catch (error) {
        reject(error);
      }
    }
  }

  /** Is given an application with a group, by the server that has it. @throws {LocalError} as `Device.deploy` */
  async join(wasm: Uint8Array, options: Deploying["options"], rollout: InRollout): Promise<void> {
    this.#takes(await this.#ask({ deploy: base64(wasm), options, rollout }));
  }

  giveUp(): Promise<void> {
    return this.#act((here) => here.giveUp(), { giveUp: true });
  }

  revive(number: number): Promise<void> {
    return this.#act((here) => here.revive(number), { revive: number });
  }

  discard(number: number): Promise<void> {
    return this.#act((here) => here.discard(number), { discard: number });
  }

  /** @param errand What has the same outcome, if it is not here. */
  async #act(act: (here: DeviceDriver) => Promise<void>, errand: Errand): Promise<void> {
    const here = this.#here;
    if (here) return await act(here);
    this.#takes(await paceOf(this.#host.pace).keep(this.#ask(errand)));
  }

  /** What it is by now is shown later. */
  #takes(outcome: Outcome): void {
    if ("view" in outcome) this.#view = outcome.view as DeviceView;
  }

  /** @throws {LocalError} what has come of it */
  async #ask(errand: Errand): Promise<Outcome> {
    const outcome = await this.ask(errand);
    const error = errorOf(outcome);
    if (error) throw error;
    return outcome;
  }

  async clear(): Promise<Cleared> {
    const here = this.#here;
    if (here) return await here.clear();
    return await paceOf(this.#host.pace).keep(this.#drop({ clear: true }));
  }

  /** As `Server.forget`. @throws {LocalError} FORGOTTEN: somebody else was quicker */
  async forget(): Promise<Cleared> {
    return await paceOf(this.#host.pace).keep(this.#drop({ forget: true }));
  }

  async #drop(errand: Errand): Promise<Cleared> {
    const outcome = await this.#ask(errand);
    if ("inbox" in outcome) return outcome;
    throw new LocalError("UNDECIDED", "it was not said what became of it");
  }

  /** Refuses what only the device's own server can do. */
  #only<T>(act: (here: DeviceDriver) => Promise<T>): Promise<T> {
    const here = this.#here;
    if (here) return act(here);
    const { pace } = this.#host;
    return paceOf(pace).refused().then(() => Promise.reject(elsewhere(this.id, this.server)));
  }

  /** Nothing more comes of it. */
  close(reason: LocalError): void {
    this.#readiness?.promise.catch(() => {}); // perhaps nobody waits any more
    this.#readiness?.reject(reason);
  }
}

/** What is shown may be older than what was answered: no deploy is begun before one that is known. */
function withDeploy(view: DeviceView, known: DeviceView["deploy"]): DeviceView {
  if (!known || Date.parse(view.deploy?.begun ?? "") >= Date.parse(known.begun)) return view;
  return { ...view, deploy: known };
}

const NOT_SENT: ReadonlySet<string> = new Set(["NOT_SENT", "EXPIRED", "OUTBOX_FULL"]);

/** @param server Its name; undefined: no server has the device at present */
export function elsewhere(id: string, server: string | undefined): LocalError {
  const where = server === undefined
    ? "no server has it at present: it is done where it connects"
    : `another server has it: this is done at ${server}`;
  return new LocalError("ELSEWHERE", `${where} (device ${JSON.stringify(id)})`);
}
