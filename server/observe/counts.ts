import type { MessageCounts } from "../link/counts.ts";
import type { Clock } from "../transport/platform.ts";
import type { Events } from "./events.ts";

/** Between two events that tell a device's counts, in ms. */
const INTERVAL = 1000;

/** Whose messages are counted. */
export interface Counted {
  readonly id: string;
  readonly counts: Readonly<MessageCounts>;
}

/** Tells how many messages there were, once a second for each device that had any. */
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

  /** A device is here no longer. */
  remove(device: Counted): void {
    this.#moved.delete(device);
  }

  /** Nothing more is told. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }
}
