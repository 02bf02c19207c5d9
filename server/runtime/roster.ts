/** The devices in a server's memory: how they come and go. */
import type { Device } from "../device.ts";
import type { DeviceRecord } from "../link/record.ts";
import type { Cleared } from "../link/session.ts";
import { type LocalError, PeerError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import type { FencedError } from "../store/store.ts";
import { Callers } from "./callers.ts";
import type { DeviceDriver } from "./device_driver.ts";
import { type AlsoForgotten, forgetting, forgottenError } from "./forgetting.ts";
import { dismiss } from "./pace.ts";
import type { Places } from "./places.ts";
import { unknownDevice } from "./transactions.ts";
import type { Turn } from "./turn.ts";

/** What a `Roster` needs from the server. */
export interface RosterHost {
  readonly turn: Turn;
  readonly places: Places;
  /** Gets a device's record from the store. */
  acquire(id: string): Promise<Ledger>;
  /** Makes a device from its record in the store. */
  make(ledger: Ledger): DeviceDriver;
  /** A device has come into memory. */
  met(device: DeviceDriver): void;
  /** A device has left memory: greetings in its name must start again. */
  lost(device: DeviceDriver, why: LocalError): void;
  /** The store has forgotten a device. */
  forgotten(device: DeviceDriver, why: LocalError): void;
}

export class Roster {
  readonly callers: Callers;
  readonly #host: RosterHost;
  readonly #here = new Map<string, DeviceDriver>();
  readonly #arrivals = new Map<string, PromiseWithResolvers<Device>>();
  #closed: LocalError | undefined;

  constructor(host: RosterHost) {
    this.#host = host;
    this.callers = new Callers((id) => host.acquire(id), host.places.connections);
  }

  get(id: string): DeviceDriver | undefined {
    return this.#here.get(id);
  }

  /** @throws {LocalError} UNKNOWN_DEVICE */
  find(id: string): DeviceDriver {
    const device = this.#here.get(id);
    if (device) return device;
    throw unknownDevice(id);
  }

  /** The record of a device in memory; undefined: there is room to load it. @throws {PeerError} there is no room */
  record(id: string): DeviceRecord | undefined {
    const device = this.get(id);
    this.#host.places.check(id, device);
    return device?.session.record;
  }

  /** All devices in memory. */
  [Symbol.iterator](): IterableIterator<DeviceDriver> {
    return this.#here.values();
  }

  /** Waits for an unknown device to connect for the first time, here or to another server. */
  arrival(id: string): Promise<Device> {
    let arrival = this.#arrivals.get(id);
    if (!arrival) this.#arrivals.set(id, arrival = Promise.withResolvers());
    return arrival.promise;
  }

  /** A device has connected. */
  arrived(device: Device): void {
    this.#arrivals.get(device.id)?.resolve(device);
    this.#arrivals.delete(device.id);
  }

  /** Adds a device to memory. */
  meet(ledger: Ledger): DeviceDriver {
    const device = this.#host.make(ledger);
    this.#here.set(device.id, device);
    this.#host.places.add(device);
    this.#host.met(device);
    return device;
  }

  /** A device in memory; adds it if it has never connected. */
  know(id: string): Promise<DeviceDriver> {
    return new Promise((resolve, reject) => {
      const device = this.#here.get(id);
      if (device) return resolve(device);
      const told = () => {
        if (this.#closed) return reject(this.#closed);
        resolve(this.#here.get(id) ?? this.meet(this.callers.ledger(id)));
        release();
      };
      const release = this.callers.ask(id, told, reject);
    });
  }

  /** Makes the store forget a device. */
  forget(device: DeviceDriver, also?: AlsoForgotten): Promise<Cleared> {
    return new Promise((resolve, reject) => {
      const done = (dropped: Cleared) => {
        this.#drop(device, forgottenError(device.id, "the device was forgotten"));
        resolve(dropped);
      };
      this.#host.turn.transfer(forgetting(device, { done, failed: reject, also }));
    });
  }

  /** Forgets a device to make room for a new one. */
  forgetForRoom(device: DeviceDriver): void {
    const { places, turn } = this.#host;
    const why = forgottenError(
      device.id,
      "it was away for a long time, and others needed the room",
    );
    turn.transfer(forgetting(device, {
      check: () => {
        if (!places.mayForget(device)) throw why;
      },
      done: () => this.#drop(device, why),
      failed: () => places.keep(device),
    }));
  }

  /** Another server has a device now. If it comes back, its record is loaded again. */
  lose(error: FencedError): void {
    const device = this.#here.get(error.device)!;
    device.ledger.lost(); // whoever waits to change its record may do so still
    device.drop(new PeerError("LOST", error.message));
    this.#remove(device, error);
  }

  /** The store has forgotten a device. */
  #drop(device: DeviceDriver, why: LocalError): void {
    if (this.#here.get(device.id) !== device) return; // another caller was quicker
    device.cut(new PeerError("LOST", why.message));
    this.#remove(device, why);
    this.#host.forgotten(device, why);
  }

  /** Removes a device from memory, and ends its `Device` with the reason. */
  #remove(device: DeviceDriver, why: LocalError): void {
    const { id } = device;
    this.#here.delete(id);
    this.#host.places.remove(device);
    device.session.share.leave();
    device.close(why);
    this.#host.lost(device, why);
    this.callers.drop(id);
  }

  /** Rejects callers that wait for a device. */
  close(reason: LocalError): void {
    this.#closed = reason;
    for (const arrival of this.#arrivals.values()) dismiss(arrival, reason);
  }
}
