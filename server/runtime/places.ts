import type { Access } from "../admission/access.ts";
import type { Limits } from "../link/limits.ts";
import { PeerError } from "../protocol/errors.ts";
import type { Clock } from "../transport/platform.ts";
import type { DeviceDriver } from "./device_driver.ts";

/** Files left to the store, to what an application opens, and to Deno. */
const SPARE_FILES = 32;

/**
 * Connections that wait in the system to be accepted, the oldest first. When thousands of boards come at once the others
 * try again, which costs nothing here. A server that is busy accepts 600 a second, so in a longer queue they would have
 * given up when it is their turn, all of them, after the server has worked for them.
 */
const BACKLOG = 256;

/**
 * Who finds room. A device with neither key nor a name as stock is open: anybody may say its name, and any number of
 * names. So open devices have a share, and all others always find a place:
 * - of the connections, one is set aside for each of the others; of the rest, half is for open devices, and half for
 *   greetings, which make room for one another;
 * - `limits.devices` counts open devices only. One that was away for long, and for which nothing waits, makes room for
 *   a new one.
 */
export class Places {
  /** Most connections at one time. */
  readonly connections: number;
  readonly #access: Access;
  readonly #limits: Limits;
  readonly #clock: Clock;
  /** Open devices that are connected; longest first. */
  #here = new Set<DeviceDriver>();
  /** Open devices that are not, and since when, on the process's clock; longest first. */
  #away = new Map<DeviceDriver, number>();
  /** Of these, those that are about to be forgotten. */
  #leaving = new Set<DeviceDriver>();

  /** @param files How many the system lets this process open; Infinity if that is unknown. */
  constructor(access: Access, limits: Limits, clock: Clock, files = Infinity) {
    this.#access = access;
    this.#limits = limits;
    this.#clock = clock;
    this.connections = Math.max(1, Math.min(limits.connections, files - SPARE_FILES));
  }

  /** Connections that may wait in the system. */
  get backlog(): number {
    return Math.min(this.connections, BACKLOG);
  }

  /** What keeps devices out that should have a place, and what to do about it; one message each. */
  shortages(): string[] {
    const { connections } = this;
    const { named } = this.#access;
    const wanted = this.#limits.connections;
    const found: string[] = [];
    if (connections < wanted) {
      found.push(
        `the system lets this process open files for only ${connections} connections instead of ${wanted} ` +
          `(limit connections). Raise its hard limit (ulimit -n, LimitNOFILE= of a systemd unit) by ` +
          `${wanted - connections}, or lower --limit connections`,
      );
    }
    if (named > connections) {
      found.push(
        `there are ${named} devices with a key or named as stock, and ${connections} connections are the most: ` +
          "some will find no place: raise --limit connections",
      );
    }
    return found;
  }

  /** Whether there are devices that open ones must leave room for. */
  get hasNamed(): boolean {
    return this.#access.named > 0;
  }

  /** Of the connections, those for open devices. */
  get #share(): number {
    const { named } = this.#access;
    if (named === 0) return this.connections;
    return Math.max(0, Math.floor((this.connections - named) / 2));
  }

  /**
   * Looks whether a device may connect.
   *
   * @param device If it is here.
   * @throws {PeerError} TOO_MANY_DEVICES, TOO_MANY_CONNECTIONS
   */
  check(id: string, device: DeviceDriver | undefined): void {
    if (this.#access.names(id) || (device && this.#here.has(device))) return;
    if (this.#here.size >= this.#share) {
      const message =
        `devices without a key may have ${this.#share} connections, and have them (limit connections)`;
      throw new PeerError("TOO_MANY_CONNECTIONS", message);
    }
    if (!this.#needsRoom(device) || this.#oldest) return;
    const message =
      `there are ${this.#limits.devices} devices without a key, the most allowed (limit devices)`;
    throw new PeerError("TOO_MANY_DEVICES", message);
  }

  #needsRoom(device: DeviceDriver | undefined): boolean {
    if (device && !this.#leaving.has(device)) return false;
    return this.#here.size + this.#away.size - this.#leaving.size >= this.#limits.devices;
  }

  /** The open device to forget first; undefined if none may be forgotten. */
  get #oldest(): DeviceDriver | undefined {
    const before = this.#clock.now() - this.#limits.forgetAfter;
    for (const [device, since] of this.#away) {
      if (since > before) return undefined;
      if (device.isIdle && !this.#leaving.has(device)) return device;
    }
    return undefined;
  }

  /**
   * A device for which there is room is about to connect.
   *
   * @param device If it is here.
   * @returns the device to forget for it
   */
  makeRoom(id: string, device: DeviceDriver | undefined): DeviceDriver | undefined {
    if (this.#access.names(id)) return undefined;
    const oldest = this.#needsRoom(device) ? this.#oldest : undefined;
    if (oldest) this.#leaving.add(oldest);
    if (device) this.#leaving.delete(device);
    return oldest;
  }

  /** Whether a device is still to be forgotten, which `makeRoom` has named. */
  mayForget(device: DeviceDriver): boolean {
    return this.#leaving.has(device) && device.isIdle;
  }

  /** It was not forgotten. */
  keep(device: DeviceDriver): void {
    this.#leaving.delete(device);
  }

  /** A device is here. */
  add(device: DeviceDriver): void {
    if (!device.session.share.isOpen) return;
    if (device.connected) this.#here.add(device);
    else this.#away.set(device, this.#clock.now());
  }

  /** A device is here no longer. */
  remove(device: DeviceDriver): void {
    this.#here.delete(device);
    this.#away.delete(device);
    this.#leaving.delete(device);
  }

  /** A device has connected, or its connection has ended. */
  moved(device: DeviceDriver): void {
    this.#here.delete(device);
    this.#away.delete(device);
    this.add(device);
  }

  /**
   * Other devices have keys now.
   *
   * @returns open ones whose connections are beyond their share
   */
  regroup(devices: Iterable<DeviceDriver>): DeviceDriver[] {
    for (const device of devices) {
      const isOpen = !this.#access.names(device.id);
      if (isOpen === device.session.share.isOpen) continue;
      device.session.share.isOpen = isOpen;
      this.remove(device);
      this.add(device);
    }
    return [...this.#here].slice(0, Math.max(0, this.#here.size - this.#share));
  }
}
