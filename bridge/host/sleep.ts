/** A board's sleep, like the firmware's: see `client-as/assembly/board.ts` and the firmware's `sleep.h`. */
import { LocalError } from "../../server/protocol/errors.ts";
import { FIRMWARE } from "../../server/protocol/lines.ts";
import type { Clock } from "../../server/transport/platform.ts";
import type { Core, TxStream } from "./core.ts";

/** Longest time to drain the link, in ms. */
export const DRAIN = 10_000;

/** Most messages that can wait in a sleeping board. */
export const SLEEPING_WINDOW = 32;

/** The state with which a board wakes from sleep. */
export interface Asleep {
  /** Duration in ms. */
  readonly ms: number;
  /** Its `millis` at the end of the sleep. */
  readonly clock: number;
  /** Whether the server has acknowledged the announcement. */
  readonly isTold: boolean;
  /** The device's stream, and where in it the waiting messages begin. */
  readonly stream: TxStream;
  /** Their texts; undefined for one that was withdrawn. */
  readonly waiting: readonly (Uint8Array | undefined)[];
}

/** What sleep needs from its board. */
interface SleepHost {
  readonly core: Core;
  readonly dialect: 1 | 2;
  /** Bytes of room for waiting messages, each with a newline. */
  readonly room: () => number;
  readonly clock: Pick<Clock, "now" | "after">;
  /** Longest time to drain the link, in ms. */
  readonly drain: number;
  /** The board's `millis`. */
  readonly millis: () => number;
  readonly isUp: () => boolean;
  /** Checks again whether it is time to sleep. */
  readonly pump: () => void;
  /** Called when it is time: ends the link. False: the board must stay awake. */
  readonly end: () => boolean;
  readonly asleep: (asleep: Asleep) => void;
}

/** The announcement of a sleep of this many ms; 0: takes an earlier one back. */
function sayingFor(ms: number): Uint8Array {
  return new TextEncoder().encode(`${FIRMWARE}s ${Math.ceil(ms / 1000)}`);
}

/** Longest sleep, in ms: the announcement in seconds has seven digits, and a chip's timer 31 bits. */
const LONGEST = 2_147_483_000;

/** The announcement of a client's sleep. @throws {LocalError} BAD_ARGUMENT */
export function sleepText(ms: number): Uint8Array {
  if (Number.isInteger(ms) && ms >= 1 && ms <= LONGEST) return sayingFor(ms);
  throw new LocalError("BAD_ARGUMENT", `a sleep must be 1 to ${LONGEST} ms, not ${ms}`);
}

export class Sleep {
  readonly #host: SleepHost;
  #ms = 0;
  #until = 0;
  #told = 0;
  #isKnown = false;
  /** The announcement on this link that must be taken back. */
  #untell = 0;
  #cancelLook: (() => void) | undefined;
  #ending = false;

  constructor(host: SleepHost) {
    this.#host = host;
  }

  /** Whether the application wants to sleep. */
  get isAsked(): boolean {
    return this.#ms > 0;
  }

  /** The application wants to sleep; 0: not any more. @returns whether it will */
  ask(ms: number): boolean {
    this.cancel();
    this.#untell = this.#told;
    this.#told = 0;
    const { dialect, clock, drain, pump } = this.#host;
    if (ms <= 0 || (dialect === 2 && this.#waiting() === undefined)) return false;
    this.#untell = 0;
    this.#ms = ms;
    this.#until = clock.now() + drain;
    this.#cancelLook = clock.after(drain, pump);
    return true;
  }

  cancel(): void {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    this.#ms = 0;
  }

  /** Called before each poll of the core. */
  exchange(): void {
    const { core, dialect, clock, isUp } = this.#host;
    if (this.#untell > 0 && (!isUp() || this.#untell !== core.connects || this.#tell(0))) {
      this.#untell = 0;
    }
    if (this.#ms === 0 || this.#ending) return;
    if (isUp() && this.#told !== core.connects && this.#tell(this.#ms)) {
      this.#told = core.connects;
    }
    const isEmpty = core.queued === core.done;
    const drained = isUp() && this.#told === core.connects && isEmpty;
    if (!drained && clock.now() < this.#until) return;
    if (!isEmpty && (dialect === 1 || this.#waiting() === undefined)) return;
    this.#isKnown = drained && dialect === 2;
    this.#ending = true;
    queueMicrotask(() => this.#end()); // not in the middle of the board's work
  }

  /** Announces a sleep without qos: on a later link it would be useless. */
  #tell(ms: number): boolean {
    const { core, dialect } = this.#host;
    return dialect === 1 || core.write(sayingFor(ms), false);
  }

  #end(): void {
    this.#ending = false;
    const { core, millis, end, asleep } = this.#host;
    if (this.#ms === 0 || !end()) return;
    const waiting = this.#waiting();
    const ms = this.#ms;
    if (waiting === undefined || ms === 0) return; // `onState` has changed the request
    this.cancel();
    const stream = { epoch: core.epoch, first: core.done };
    const clock = (millis() + ms) % 2 ** 32;
    asleep({ ms, clock, isTold: this.#isKnown, stream, waiting });
  }

  /** The waiting messages; undefined if they do not fit. */
  #waiting(): (Uint8Array | undefined)[] | undefined {
    const texts = this.#host.core.outbox;
    const bytes = texts?.reduce((sum, text) => sum + (text?.length ?? 1) + 1, 0) ?? Infinity;
    return bytes <= this.#host.room() ? texts : undefined;
  }
}
