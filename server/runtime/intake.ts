/**
 * How many greetings may begin together: as many as leave the links that are there their time.
 *
 * A greeting costs as much as hundreds of keepalives. If all who come at once were greeted at once, links would be lost
 * meanwhile, and their devices would come, too: a rush that feeds itself. So some begin, and the next ones when every
 * socket was looked at once after that. How long this takes is how late the server is. As a sender of TCP does with its
 * window (slow start, then halved when it is too much), it takes more together as long as it is on time, and fewer when
 * it is late: none at all, in the end.
 */
import type { Clock } from "../transport/platform.ts";

/** Greetings that begin together at first. */
const FIRST = 64;

/** And at most. */
const MOST = 1024;

/** In timeouts: if so few come within this time, nothing need be measured. */
const CALM = 1 / 40;

/** In timeouts: on time, and so late that nobody else may come in. Devices wait for 3/8 to be greeted. */
const ON_TIME = 1 / 16;
const LATE = 1 / 4;

export class Intake {
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #sockets: () => number;
  readonly #more: () => void;
  #window = FIRST;
  #begun = 0; // of this window
  #cancel: (() => void) | undefined;
  #isLooking = false;
  #isClosed = false;

  /**
   * @param timeout Of links, in ms.
   * @param sockets How many there are.
   * @param more Called when others may begin.
   */
  constructor(clock: Clock, timeout: number, sockets: () => number, more: () => void) {
    this.#clock = clock;
    this.#timeout = timeout;
    this.#sockets = sockets;
    this.#more = more;
  }

  /** Whether one may begin now. If not, `more` will be called. */
  take(): boolean {
    if (this.#isClosed) return false;
    if (this.#begun < this.#window) {
      if (this.#begun++ === 0) this.#cancel = this.#clock.after(this.#timeout * CALM, this.#next);
      return true;
    }
    this.#look();
    return false;
  }

  /** Nobody else may begin, and `more` is not called any longer. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#cancel?.();
    const since = this.#clock.now();
    this.#clock.caughtUp(this.#sockets(), () => {
      this.#isLooking = false;
      if (this.#isClosed) return;
      this.#adapt(this.#clock.now() - since);
      this.#next();
    });
  }

  /** @param late How long the sockets waited to be looked at, in ms. */
  #adapt(late: number): void {
    if (late <= this.#timeout * ON_TIME) {
      this.#window = Math.min(MOST, Math.max(1, 2 * this.#window));
    } else if (late > this.#timeout * LATE) this.#window = 0;
    else if (late > this.#timeout * LATE / 2) this.#window = Math.ceil(this.#window / 2);
    else if (this.#window === 0) this.#window = 1;
  }

  readonly #next = (): void => {
    this.#begun = 0;
    this.#cancel = undefined;
    this.#more();
  };
}
