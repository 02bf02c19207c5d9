/**
 * The views of their devices that the processes of a fleet publish to each other, for people: each publishes its
 * changes once a second, at most MOST at a time. So the cost for each device is the same, however many there are, and a
 * process is at most two seconds behind another while no more than that changes.
 */
import type { LocalError } from "../protocol/errors.ts";
import type { Fleet, Shown, Sight } from "../store/fleet.ts";
import type { Clock } from "../transport/platform.ts";
import type { DeviceView } from "../device_view.ts";
import type { DeviceDriver } from "./device_driver.ts";
import { DistantDevice, type DistantHost } from "./distant_device.ts";

/** Interval between two exchanges, in ms. */
const PACE = 1000;

/** Most devices that are published at a time: those that have waited longest. */
const MOST = 500;

/** What an `Overview` needs from the server. */
export interface OverviewHost {
  readonly fleet: Fleet;
  readonly clock: Clock;
  /** Calls `run` when all changes so far are safe. @returns a function that cancels it */
  whenSafe(run: () => void): (() => void) | undefined;
  /** The name of this process for others. */
  name(): string;
  here(id: string): DeviceDriver | undefined;
  /** The view of a device for others. */
  view(device: DeviceDriver): DeviceView;
  /**
   * Another process's view of a device has changed. @param isNews Whether its server changed, or its link began or
   * ended
   */
  seen(device: DistantDevice, isNews: boolean): void;
  /** Another process has forgotten a device. */
  forgotten(id: string): void;
  readonly distant: Omit<DistantHost, "nameOf" | "here" | "after" | "lease">;
}

export class Overview {
  readonly #host: OverviewHost;
  readonly #distant = new Map<string, DistantDevice>();
  #servers: ReadonlyMap<number, string> = new Map();
  /** Devices whose view has changed, and the tokens of those that were forgotten. */
  readonly #changed = new Set<string>();
  readonly #gone = new Map<string, number>();
  readonly #distantHost: DistantHost;
  #looking: Promise<void> = Promise.resolve();
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(host: OverviewHost) {
    this.#host = host;
    this.#distantHost = {
      ...host.distant,
      lease: host.fleet.lease,
      here: (id) => host.here(id),
      nameOf: (process) => process === undefined ? undefined : this.#servers.get(process),
      after: (ms, run) => host.clock.after(ms, run),
    };
  }

  /**
   * Starts the exchanges. Not awaited: otherwise events would come before anybody can listen. Each begins when all
   * changes are safe: nobody may see what the end of this process would undo.
   */
  start(): void {
    this.#cancel = this.#host.whenSafe(() => void this.#lookAndPlan());
  }

  /** A device of another process that was published. */
  get(id: string): DistantDevice | undefined {
    return this.#host.here(id) ? undefined : this.#distant.get(id);
  }

  /** All published devices of other processes. */
  *[Symbol.iterator](): IterableIterator<DistantDevice> {
    for (const device of this.#distant.values()) if (!this.#host.here(device.id)) yield device;
  }

  /** The view of a device of this process has changed. */
  changed(id: string): void {
    if (this.#host.here(id)) this.#changed.add(id);
  }

  /** A device of this process was forgotten. */
  forgets({ id, ledger: { token } }: DeviceDriver): void {
    this.#changed.delete(id);
    this.#gone.set(id, token);
    this.#remove(id);
  }

  /** Another process has taken a device of this one. Which one is known once it publishes the device. */
  loses(device: DeviceDriver): void {
    this.#changed.delete(device.id);
    this.#of(device.id).shows(undefined, device.ledger.token, this.#host.view(device));
  }

  #of(id: string): DistantDevice {
    let device = this.#distant.get(id);
    if (!device) this.#distant.set(id, device = new DistantDevice(id, this.#distantHost));
    return device;
  }

  #remove(id: string): void {
    this.#distant.delete(id);
  }

  #plan(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#host.clock.after(PACE, () => this.start());
  }

  #lookAndPlan(): Promise<void> {
    const sights = this.#take();
    // The beats report a failing store.
    return this.#looking = this.#look(sights).catch(() => {}).then(() => this.#plan());
  }

  async #look(sights: readonly Sight[]): Promise<void> {
    const { fleet, name } = this.#host;
    let around;
    try {
      around = await fleet.exchange(name(), sights);
    } catch (error) {
      for (const { device, token, text } of sights) {
        if (text === undefined) this.#gone.set(device, token);
        else this.changed(device);
      }
      throw error;
    }
    if (this.#isClosed) return;
    const before = this.#servers;
    this.#servers = around.servers;
    if (around.isAll) this.#keepOnly(around.shown);
    for (const shown of around.shown) this.#see(shown);
    if (isSame(before, around.servers)) return;
    for (const device of this) this.#tell(device, true);
  }

  /** The views to publish now. */
  #take(): Sight[] {
    const sights: Sight[] = [];
    for (const [device, token] of this.#gone) {
      if (sights.length >= MOST) return sights;
      this.#gone.delete(device);
      sights.push({ device, token, text: undefined });
    }
    const taken = new Set(sights.map(({ device }) => device));
    for (const id of this.#changed) {
      if (sights.length >= MOST) break;
      if (taken.has(id)) continue; // its end comes first
      const device = this.#host.here(id);
      if (device && !device.ledger.isKnown) continue; // later, when it is safe
      this.#changed.delete(id);
      if (!device) continue;
      const text = JSON.stringify(this.#host.view(device));
      sights.push({ device: id, token: device.ledger.token, text });
    }
    return sights;
  }

  /** A device that no process publishes any more was forgotten. */
  #keepOnly(all: readonly Shown[]): void {
    const ids = new Set(all.map(({ device }) => device));
    for (const id of this.#distant.keys()) if (!ids.has(id)) this.#forget(id);
  }

  #see({ device: id, process, token, text }: Shown): void {
    if (text === undefined && process !== undefined) return this.#forget(id);
    const device = this.#of(id);
    const { connected, server } = device;
    device.shows(process, token, text === undefined ? undefined : JSON.parse(text));
    this.#tell(device, connected !== device.connected || server !== device.server);
  }

  #forget(id: string): void {
    if (!this.#distant.has(id)) return;
    this.#remove(id);
    if (!this.#host.here(id)) this.#host.forgotten(id);
  }

  #tell(device: DistantDevice, isNews: boolean): void {
    device.look();
    if (!this.#host.here(device.id)) this.#host.seen(device, isNews);
  }

  /** Stops the exchanges. @param reason The error for callers that wait for a device */
  stop(reason: LocalError | undefined): void {
    this.#isClosed = true;
    this.#cancel?.();
    if (reason) { for (const device of this.#distant.values()) device.close(reason); }
  }

  /** Waits until the exchange under way has ended. */
  async close(): Promise<void> {
    this.stop(undefined);
    await this.#looking;
  }
}

function isSame(a: ReadonlyMap<number, string>, b: ReadonlyMap<number, string>): boolean {
  return a.size === b.size && [...a].every(([process, name]) => b.get(process) === name);
}
