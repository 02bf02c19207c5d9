/**
 * Devices that sleep. A device is not missed until its announced time plus a margin; after that it counts as an outage,
 * and is reported.
 */
import { MOST_SLEEP, napOf, setNap } from "../link/nap.ts";
import type { DeviceRecord } from "../link/record.ts";
import type { Events } from "../observe/events.ts";
import type { Clock } from "../transport/platform.ts";
import type { FirmwareHandler } from "./firmware.ts";

/** A device that may sleep. */
interface Sleeper {
  readonly id: string;
  readonly connected: boolean;
  readonly session: { readonly record: DeviceRecord };
  /** Marks the record as changed. */
  readonly touch: () => void;
}

/** The part of the server's turn that is needed here. */
interface Turn {
  /** Calls a function when records may be changed. */
  enter(look: () => void): unknown;
  /** Calls a function when all changes so far are safe. @returns a function that cancels this; undefined: it was already called */
  whenSafe(run: () => void): (() => void) | undefined;
}

export class Sleepers {
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #turn: Turn;
  readonly #find: (id: string) => Sleeper | undefined;
  /** By device, a function that ends the wait for it. */
  readonly #waits = new Map<string, () => void>();

  /** @param find A device that the server knows. */
  constructor(
    events: Events,
    clock: Clock,
    turn: Turn,
    find: (id: string) => Sleeper | undefined,
  ) {
    this.#events = events;
    this.#clock = clock;
    this.#turn = turn;
    this.#find = find;
    events.subscribe(({ event }) => event === "closed" && this.#close());
  }

  /** A device says how long it will sleep. */
  readonly told: FirmwareHandler = (id, [words = "", ...more]) => {
    const device = this.#find(id);
    const isNumber = more.length === 0 && /^\d{1,7}$/.test(words) && Number(words) <= MOST_SLEEP;
    if (!isNumber || !device) return false;
    setNap(device.session.record, Number(words), this.#clock.date());
    return true;
  };

  /** Waits for devices that sleep since before this server started. */
  start(devices: Iterable<Sleeper>): void {
    for (const { id, session } of devices) if (napOf(session.record)) this.#await(id);
  }

  /** A device has connected; none of its messages was handled yet. Called when records may be changed. */
  connected({ id, session: { record } }: Sleeper): void {
    this.#forget(id);
    setNap(record, 0, 0);
  }

  /** A device's connection has ended. @returns whether it sleeps: then the end is reported as sleep */
  ended({ id, session: { record } }: Sleeper, address: string): boolean {
    const nap = napOf(record);
    if (!nap || nap.missed <= this.#clock.date()) {
      setNap(record, 0, 0); // it has not gone to sleep
      return false;
    }
    const until = new Date(nap.until);
    const message = `it sleeps until ${until.toISOString()}`;
    this.#events.emit({ event: "asleep", device: id, address, until, message });
    this.#await(id);
    return true;
  }

  /** Waits until the device is missed. */
  #await(id: string): void {
    this.#forget(id);
    const nap = napOf(this.#find(id)!.session.record)!;
    // Checks at least once a minute, because the date may be set.
    const wait = Math.min(Math.max(0, nap.missed - this.#clock.date()), 60_000);
    this.#waits.set(id, this.#clock.after(wait, () => this.#turn.enter(() => this.#look(id))));
  }

  #look(id: string): void {
    if (!this.#waits.has(id)) return; // it has connected meanwhile
    const device = this.#find(id);
    const nap = device && napOf(device.session.record);
    if (!nap) return this.#forget(id);
    if (nap.missed > this.#clock.date()) return this.#await(id);
    this.#waits.delete(id);
    setNap(device.session.record, 0, 0);
    device.touch();
    const message = `it has not come back from its sleep, which should have ended ${
      new Date(nap.until).toISOString()
    }`;
    // Reported only when safe: otherwise a server that is killed would report it again after its restart.
    const forget = this.#turn.whenSafe(() => {
      this.#waits.delete(id);
      if (this.#find(id) === device) this.#events.emit({ event: "overdue", device: id, message });
    });
    if (forget) this.#waits.set(id, forget);
  }

  #forget(id: string): void {
    this.#waits.get(id)?.();
    this.#waits.delete(id);
  }

  #close(): void {
    for (const id of [...this.#waits.keys()]) this.#forget(id);
  }
}
