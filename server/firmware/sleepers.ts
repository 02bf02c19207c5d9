/** Devices that sleep: until its time, and a margin, nobody misses one; from then on it is an outage, and said to be one. */
import { MOST_SLEEP, napOf, setNap } from "../link/nap.ts";
import type { DeviceRecord } from "../link/record.ts";
import type { Events } from "../observe/events.ts";
import type { Clock } from "../transport/platform.ts";
import type { FirmwareHandler } from "./firmware.ts";

/** One that may sleep. */
interface Sleeper {
  readonly id: string;
  readonly connected: boolean;
  readonly session: { readonly record: DeviceRecord };
  /** The record has changed. */
  readonly touch: () => void;
}

/** What is needed of the server. */
interface SleepersHost {
  readonly events: Events;
  readonly clock: Clock;
  /** Calls it when records may be changed. */
  enter(change: () => void): void;
  find(id: string): Sleeper | undefined;
}

export class Sleepers {
  readonly #host: SleepersHost;
  /** Ends the wait for one that sleeps. */
  readonly #waits = new Map<string, () => void>();
  #isClosed = false;

  constructor(host: SleepersHost) {
    this.#host = host;
  }

  /** A device says for how long. */
  readonly told: FirmwareHandler = (id, [words = "", ...more]) => {
    const device = this.#host.find(id);
    const isNumber = more.length === 0 && /^\d{1,7}$/.test(words) && Number(words) <= MOST_SLEEP;
    if (!isNumber || !device) return false;
    setNap(device.session.record, Number(words), this.#host.clock.date());
    return true;
  };

  /** The server knows a device. */
  met(device: Sleeper): void {
    if (napOf(device.session.record)) this.#await(device.id);
  }

  /** A device is here no longer. */
  lost(id: string): void {
    this.#waits.get(id)?.();
    this.#waits.delete(id);
  }

  /** A device has connected. The record may be changed. */
  connected({ id, session: { record } }: Sleeper): void {
    this.lost(id);
    setNap(record, 0, 0);
  }

  /** A device's connection has ended. @returns whether it sleeps: then that is what is said of it */
  ended({ id, session: { record } }: Sleeper, address: string): boolean {
    const nap = napOf(record);
    if (this.#isClosed || !nap || nap.missed <= this.#host.clock.date()) return false;
    const until = new Date(nap.until);
    const message = `it sleeps until ${until.toISOString()}`;
    this.#host.events.emit({ event: "asleep", device: id, address, until, message });
    this.#await(id);
    return true;
  }

  /** Until it is missed. */
  #await(id: string): void {
    this.lost(id);
    const { clock, enter, find } = this.#host;
    const nap = napOf(find(id)!.session.record)!;
    // Looked at again at the latest in a minute: the date may be set.
    const wait = Math.min(Math.max(0, nap.missed - clock.date()), 60_000);
    this.#waits.set(id, clock.after(wait, () => enter(() => this.#look(id))));
  }

  #look(id: string): void {
    if (this.#isClosed || !this.#waits.has(id)) return;
    const device = this.#host.find(id)!;
    const nap = napOf(device.session.record);
    if (!nap) return;
    if (nap.missed > this.#host.clock.date()) return this.#await(id);
    this.#waits.delete(id);
    setNap(device.session.record, 0, 0);
    device.touch();
    const message = `it is not back from its sleep, which was to end ${new Date(nap.until).toISOString()}`;
    this.#host.events.emit({ event: "overdue", device: id, message });
  }

  close(): void {
    this.#isClosed = true;
    for (const id of [...this.#waits.keys()]) this.lost(id);
  }
}
