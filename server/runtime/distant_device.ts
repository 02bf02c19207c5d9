/** The `Device` for a device that another process of the fleet has. */
import type { Device, DeviceWriteOptions } from "../device.ts";
import type { DeployOptions } from "../firmware/deploy.ts";
import type { InRollout } from "../firmware/deploy_state.ts";
import { noMessages } from "../link/counts.ts";
import { DeviceRecord, newState, NOWHERE } from "../link/record.ts";
import type { Cleared } from "../link/session.ts";
import { errorOf, type Outcome } from "../link/outcome.ts";
import { LocalError } from "../protocol/errors.ts";
import { base64 } from "../protocol/firmware_lines.ts";
import type { Kept } from "../store/fleet.ts";
import type { DeviceView } from "../device_view.ts";
import type { DeviceDriver } from "./device_driver.ts";
import type { Asker, Deploying, Order } from "./orders.ts";
import type { Pace } from "./pace.ts";
import { caller, paceOf } from "./run.ts";

/** The view of a device that no server has published yet. */
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

/** What a `DistantDevice` needs from its process. */
export interface DistantHost {
  readonly pace: Pace;
  /** How long a process may be silent before others take its devices, in ms. */
  readonly lease: number;
  /** The device, if it has come to this process by now. */
  here(id: string): DeviceDriver | undefined;
  /** The name of a living process. */
  nameOf(process: number | undefined): string | undefined;
  /** Set when nothing is accepted: the error for callers. */
  refusal(): LocalError | undefined;
  /** @throws {LocalError} BAD_TEXT; BAD_ARGUMENT */
  check(order: Order): void;
  /** See `DistantReads`. */
  read(id: string): Promise<Kept | undefined>;
  /** See `PostOffice`. */
  ask(id: string, order: Order, asker: Asker): () => void;
  after(ms: number, run: () => void): () => void;
}

/** A caller that waits for the end of a deploy. */
interface Follower extends Pick<DeployOptions, "onProgress"> {
  /** When the deploy was started. */
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

  /** The view that its process, or its last one, has published. */
  get view(): DeviceView {
    const { server } = this;
    if (server !== undefined) return { ...this.#view, server };
    // No process has it, so it has no link.
    return { ...this.#view, connected: false, app: "none" };
  }

  get server(): string | undefined {
    return this.#here?.server ?? this.#host.nameOf(this.#process);
  }

  /** Whether it has come to this process by now. */
  get isHere(): boolean {
    return this.#here !== undefined;
  }

  /** A process has published it. @param token Its token: views with a smaller one are outdated */
  shows(process: number | undefined, token: number, view: DeviceView | undefined): void {
    if (token < this.#token) return;
    this.#token = token;
    this.#process = process;
    if (view) this.#view = withDeploy(view, this.#view.deploy);
    this.#progress();
    this.look();
  }

  /**
   * Reads its record from the store.
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

  /** Its process may have changed: tells callers that wait for its link. */
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

  /** The rollout that its last published deploy belongs to. */
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

  /** Its dead letters, from the store. @throws {LocalError} STORE_FAILED; CLOSED */
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
    // For a message that must not wait, not being sent is not an error.
    if (isOnce && NOT_SENT.has(error.code)) return false;
    throw error;
  }

  /**
   * Makes the device's process carry out an order.
   *
   * @param decides Whether the outcome is lost if that process ends: then it is UNDECIDED after some time.
   * @returns the outcome
   * @throws {LocalError} and nothing was accepted; @throws the reason of `signal`
   */
  async ask(order: Order, signal?: AbortSignal, decides = false): Promise<Outcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const forget = this.begin(order, { told: resolve, failed: reject });
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    const undecided = () =>
      reject(new LocalError("UNDECIDED", "no server has reported the outcome"));
    const cancel = decides ? this.#host.after(3 * this.#host.lease, undecided) : () => {};
    try {
      return await promise;
    } finally {
      cancel();
      forget();
      signal?.removeEventListener("abort", abort);
    }
  }

  /**
   * The same, with several outcomes. @returns a function that stops waiting @throws {LocalError} nothing was accepted
   */
  begin(order: Order, asker: Asker): () => void {
    const refusal = caller()?.over ?? this.#host.refusal();
    if (refusal) throw refusal;
    this.#host.check(order);
    return this.#host.ask(this.id, order, asker);
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
      if (!("view" in outcome)) return resolve(); // the device has kept it
      this.#takes(outcome);
      this.#followers.add(follower = { begun: this.#view.deploy!.begun, ...options, reject });
      this.#progress();
      if (!follows) resolve();
    };
    const order = {
      deploy: base64(wasm),
      options: { name, version, older, again },
      ...(follows && { follows }),
    };
    const forget = this.begin(order, { told, failed: reject });
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

  /** Calls `onProgress` of callers that follow a deploy, with the published view. */
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

  /**
   * Starts a deploy of a group to this device, through the server that has it. @throws {LocalError} as `Device.deploy`
   */
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

  /** @param order The order with the same effect, if it is not here. */
  async #act(act: (here: DeviceDriver) => Promise<void>, order: Order): Promise<void> {
    const here = this.#here;
    if (here) return await act(here);
    this.#takes(await paceOf(this.#host.pace).keep(this.#ask(order)));
  }

  /** Updates the view from an outcome, as the published view comes later. */
  #takes(outcome: Outcome): void {
    if ("view" in outcome) this.#view = outcome.view as DeviceView;
  }

  /** @throws {LocalError} the outcome, if it is an error */
  async #ask(order: Order): Promise<Outcome> {
    const outcome = await this.ask(order);
    const error = errorOf(outcome);
    if (error) throw error;
    return outcome;
  }

  async clear(): Promise<Cleared> {
    const here = this.#here;
    if (here) return await here.clear();
    return await paceOf(this.#host.pace).keep(this.#drop({ clear: true }));
  }

  /** As `Server.forget`. @throws {LocalError} FORGOTTEN: another caller was quicker */
  async forget(): Promise<Cleared> {
    return await paceOf(this.#host.pace).keep(this.#drop({ forget: true }));
  }

  async #drop(order: Order): Promise<Cleared> {
    const outcome = await this.#ask(order);
    if ("inbox" in outcome) return outcome;
    throw new LocalError("UNDECIDED", "the outcome was not reported");
  }

  /** Refuses calls that only the device's own server can carry out. */
  #only<T>(act: (here: DeviceDriver) => Promise<T>): Promise<T> {
    const here = this.#here;
    if (here) return act(here);
    const { pace } = this.#host;
    return paceOf(pace).refused().then(() => Promise.reject(elsewhere(this.id, this.server)));
  }

  /** Rejects callers that wait for its link. */
  close(reason: LocalError): void {
    this.#readiness?.promise.catch(() => {}); // maybe nobody waits any more
    this.#readiness?.reject(reason);
  }
}

/** A published view may be older than an answer: the deploy that started later counts. */
function withDeploy(view: DeviceView, known: DeviceView["deploy"]): DeviceView {
  if (!known || Date.parse(view.deploy?.begun ?? "") >= Date.parse(known.begun)) return view;
  return { ...view, deploy: known };
}

const NOT_SENT: ReadonlySet<string> = new Set(["NOT_SENT", "EXPIRED", "OUTBOX_FULL"]);

/** @param server Name of the server; undefined: none has the device at present */
export function elsewhere(id: string, server: string | undefined): LocalError {
  const where = server === undefined
    ? "no server has it at present: call this on the server where it connects"
    : `another server has it: call this on ${server}`;
  return new LocalError("ELSEWHERE", `${where} (device ${JSON.stringify(id)})`);
}
