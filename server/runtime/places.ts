import type { Access } from "../admission/access.ts";
import type { Limits } from "../link/limits.ts";
import { PeerError } from "../protocol/errors.ts";
import type { Clock } from "../transport/platform.ts";
import type { DeviceDriver } from "./device_driver.ts";

/** Files reserved for the store, applications, and Deno. */
const SPARE_FILES = 32;

/**
 * Most connections that wait in the system to be accepted, the oldest first. When thousands of boards come at once the
 * others try again, which costs nothing here. A busy server accepts 600 a second, so in a longer queue boards would
 * have given up by their turn, and the server's work for them would be wasted.
 */
const BACKLOG = 256;

/**
 * Decides who finds room. A device that neither has a key nor is listed as stock is open: anybody may claim its id,
 * and any number of ids. So open devices have a share, and all others always find a place:
 * - of the connections, one is reserved for each of the others; of the rest, half is for open devices, and half for
 *   greetings, which make room for one another;
 * - `limits.devices` counts open devices only. One that has been away long enough, and has no queued messages, makes
 *   room for a new one.
 */
export class Places {
  /** Most connections at one time. */
  readonly connections: number;
  readonly #access: Access;
  readonly #limits: Limits;
  readonly #clock: Clock;
  /** Connected open devices; the longest connected first. */
  #here = new Set<DeviceDriver>();
  /** Open devices that are away, and since when, on the process's clock; the longest away first. */
  #away = new Map<DeviceDriver, number>();
  /** Those of them that are about to be forgotten. */
  #leaving = new Set<DeviceDriver>();

  /** @param files How many files the system lets this process open; Infinity if unknown. */
  constructor(access: Access, limits: Limits, clock: Clock, files = Infinity) {
    this.#access = access;
    this.#limits = limits;
    this.#clock = clock;
    this.connections = Math.max(1, Math.min(limits.connections, files - SPARE_FILES));
  }

  /** Most connections that may wait in the system. */
  get backlog(): number {
    return Math.min(this.connections, BACKLOG);
  }

  /** What keeps devices without their place, and what to do about it; one message each. */
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
        `there are ${named} devices with a key or listed as stock, but at most ${connections} connections: ` +
          "some will be refused: raise --limit connections",
      );
    }
    return found;
  }

  /** Whether there are devices for which open ones must leave room. */
  get hasNamed(): boolean {
    return this.#access.named > 0;
  }

  /** Most connections for open devices. */
  get #share(): number {
    const { named } = this.#access;
    if (named === 0) return this.connections;
    return Math.max(0, Math.floor((this.connections - named) / 2));
  }

  /**
   * Checks that a device may connect.
   *
   * @param device The device, if it is in memory.
   * @throws {PeerError} TOO_MANY_DEVICES, TOO_MANY_CONNECTIONS
   */
  check(id: string, device: DeviceDriver | undefined): void {
    if (this.#access.names(id) || (device && this.#here.has(device))) return;
    if (this.#here.size >= this.#share) {
      const message =
        `devices without a key already have ${this.#share} connections, the most allowed (limit connections)`;
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
   * @param device The device, if it is in memory.
   * @returns the device to forget for it
   */
  makeRoom(id: string, device: DeviceDriver | undefined): DeviceDriver | undefined {
    if (this.#access.names(id)) return undefined;
    const oldest = this.#needsRoom(device) ? this.#oldest : undefined;
    if (oldest) this.#leaving.add(oldest);
    if (device) this.#leaving.delete(device);
    return oldest;
  }

  /** Whether a device that `makeRoom` has returned should still be forgotten. */
  mayForget(device: DeviceDriver): boolean {
    return this.#leaving.has(device) && device.isIdle;
  }

  /** The device was not forgotten. */
  keep(device: DeviceDriver): void {
    this.#leaving.delete(device);
  }

  /** A device has come into memory. */
  add(device: DeviceDriver): void {
    if (!device.session.share.isOpen) return;
    if (device.connected) this.#here.add(device);
    else this.#away.set(device, this.#clock.now());
  }

  /** A device has left memory. */
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
   * The keys were replaced.
   *
   * @returns open devices whose connections exceed their share
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
