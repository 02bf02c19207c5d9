/**
 * Limits how many greetings start together, so that existing links get enough time.
 *
 * A greeting costs as much as hundreds of keepalives. If all devices of a rush were greeted at once, links would be
 * lost meanwhile, and their devices would join the rush. So some start, and the next ones when every socket was read
 * once after that. The time this takes shows how late the server is. Like a TCP sender with its window (slow start,
 * then halved on congestion), it starts more together while it is on time, and fewer when it is late, down to none.
 */
import type { Clock } from "../transport/platform.ts";

/** Greetings that start together at first. */
const FIRST = 64;

/** Most greetings that start together. */
const MOST = 1024;

/** In timeouts: if the first window is not used up within this time, nothing need be measured. */
const CALM = 1 / 40;

/** In timeouts: on time, and so late that no greeting may start. Devices wait 3/8 of a timeout for their greeting. */
const ON_TIME = 1 / 16;
const LATE = 1 / 4;

export class Intake {
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #sockets: () => number;
  readonly #more: () => void;
  #window = FIRST;
  #begun = 0; // greetings started in this window
  #cancel: (() => void) | undefined;
  #isLooking = false;
  #isClosed = false;

  /**
   * @param timeout Timeout of links, in ms.
   * @param sockets Number of sockets.
   * @param more Called when more may start.
   */
  constructor(clock: Clock, timeout: number, sockets: () => number, more: () => void) {
    this.#clock = clock;
    this.#timeout = timeout;
    this.#sockets = sockets;
    this.#more = more;
  }

  /** Whether a greeting may start now. If not, `more` will be called. */
  take(): boolean {
    if (this.#isClosed) return false;
    if (this.#begun < this.#window) {
      if (this.#begun++ === 0) this.#cancel = this.#clock.after(this.#timeout * CALM, this.#next);
      return true;
    }
    this.#look();
    return false;
  }

  /** No more greetings may start, and `more` is not called any more. */
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

  /** @param late How long the sockets waited to be read, in ms. */
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
