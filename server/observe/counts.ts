import type { MessageCounts } from "../link/counts.ts";
import type { Clock } from "../transport/platform.ts";
import type { Events } from "./events.ts";

/** Interval between two events with a device's counts, in ms. */
const INTERVAL = 1000;

/** A device whose messages are counted. */
export interface Counted {
  readonly id: string;
  readonly counts: Readonly<MessageCounts>;
}

/** Reports the message counts of each device that had messages, at most once a second. */
export class CountsTeller {
  readonly #events: Events;
  readonly #clock: Clock;
  #moved = new Set<Counted>();
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(events: Events, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
  }

  /** Messages of a device were counted. */
  moved(device: Counted): void {
    this.#moved.add(device);
    if (!this.#cancel && !this.#stopped) this.#cancel = this.#clock.after(INTERVAL, this.#tell);
  }

  readonly #tell = (): void => {
    this.#cancel = undefined;
    for (const { id, counts } of this.#moved) {
      this.#events.emit({ event: "messages", device: id, ...counts });
    }
    this.#moved.clear();
  };

  /** A device has left memory. */
  remove(device: Counted): void {
    this.#moved.delete(device);
  }

  /** Stops reporting. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }
}
