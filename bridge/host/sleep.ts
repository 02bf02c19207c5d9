/** A board's sleep, as the firmware does it: see `client-as/assembly/board.ts` and the firmware's `sleep.h`. */
import { LocalError } from "../../server/protocol/errors.ts";
import { FIRMWARE } from "../../server/protocol/lines.ts";
import type { Clock } from "../../server/transport/platform.ts";
import type { Core, TxStream } from "./core.ts";

/** How long the link has to be drained, in ms. */
export const DRAIN = 10_000;

/** Messages that can wait in a board which sleeps. */
export const SLEEPING_WINDOW = 32;

/** What a board goes on with after its sleep. */
export interface Asleep {
  /** For how long, in ms. */
  readonly ms: number;
  /** What its `millis` say when the sleep is over. */
  readonly clock: number;
  /** Whether the server has acknowledged that it sleeps. */
  readonly isTold: boolean;
  /** Where the messages that wait begin. */
  readonly stream: TxStream;
  /** Their texts; of one that was withdrawn, undefined. */
  readonly waiting: readonly (Uint8Array | undefined)[];
}

/** What sleep needs of its board. */
interface SleepHost {
  readonly core: Core;
  readonly dialect: 1 | 2;
  /** Bytes that what waits has, with a newline behind each text. */
  readonly room: () => number;
  readonly clock: Pick<Clock, "now" | "after">;
  /** How long the link has to be drained, in ms. */
  readonly drain: number;
  /** Its `millis`. */
  readonly millis: () => number;
  readonly isUp: () => boolean;
  /** To look again whether it is time. */
  readonly pump: () => void;
  /** It is time: ends the link first. False: it must stay awake. */
  readonly end: () => boolean;
  readonly asleep: (asleep: Asleep) => void;
}

/** How a server is told for how long, in ms; 0: it does not sleep. */
function sayingFor(ms: number): Uint8Array {
  return new TextEncoder().encode(`${FIRMWARE}s ${Math.ceil(ms / 1000)}`);
}

/** Longest sleep, in ms: what a server is told in seconds has seven digits, and a chip's timer 31 bits. */
const LONGEST = 2_147_483_000;

/** The same, for a client. @throws {LocalError} BAD_ARGUMENT */
export function sleepText(ms: number): Uint8Array {
  if (Number.isInteger(ms) && ms >= 1 && ms <= LONGEST) return sayingFor(ms);
  throw new LocalError("BAD_ARGUMENT", `a sleep has 1 to ${LONGEST} ms, not ${ms}`);
}

export class Sleep {
  readonly #host: SleepHost;
  #ms = 0;
  #until = 0;
  #told = 0;
  #isKnown = false;
  /** The server was told so on this link, and it is not so any more. */
  #untell = 0;
  #cancelLook: (() => void) | undefined;
  #ending = false;

  constructor(host: SleepHost) {
    this.#host = host;
  }

  /** Whether it is to sleep. */
  get isAsked(): boolean {
    return this.#ms > 0;
  }

  /** The application wants to sleep; 0: no more. @returns whether it will */
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

  /** Before each poll of the core. */
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
    queueMicrotask(() => this.#end()); // not amid what its board is doing
  }

  /** Of no use later, so without qos. */
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
    if (waiting === undefined || ms === 0) return; // `onState` has said something else
    this.cancel();
    const stream = { epoch: core.epoch, first: core.done };
    const clock = (millis() + ms) % 2 ** 32;
    asleep({ ms, clock, isTold: this.#isKnown, stream, waiting });
  }

  /** What waits; undefined if it does not fit. */
  #waiting(): (Uint8Array | undefined)[] | undefined {
    const texts = this.#host.core.outbox;
    const bytes = texts?.reduce((sum, text) => sum + (text?.length ?? 1) + 1, 0) ?? Infinity;
    return bytes <= this.#host.room() ? texts : undefined;
  }
}
