import { addDeadLetter } from "../link/dead_letters.ts";
import type { Session } from "../link/session.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Clock } from "../transport/platform.ts";
import { dismiss, type Pace } from "./pace.ts";
import { caller, type Reading, type Run } from "./run.ts";
import type { Turn } from "./turn.ts";

/**
 * Pause before a message is offered again to `consume`, in ms: none after the first failure, then ten times as long
 * each time.
 */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 10_000;

/** Longest pause if the failure is not about the message. */
const LONGEST_WAIT = 1000;

/** Errors that pass by themselves, and are not caused by the message. */
const PASSING: ReadonlySet<string> = new Set(["CLOSED", "FENCED", "OUTBOX_FULL", "STORE_FAILED"]);

/** A caller that waits for a message. */
interface Reader extends PromiseWithResolvers<string> {
  readonly run: Run | undefined;
  /** Set for `consume`, where asking for the next message does not mark this one as processed. */
  readonly consumption: Consumption | undefined;
}

/** A message that `consume` is processing. */
interface Consumption {
  readonly run: Run | undefined;
  /** Whether its result is being committed: then no other reader may have it. */
  isCommitting: boolean;
}

/** Failures with the oldest message. */
interface Trouble {
  failures: number;
  /** How many failures may be the message's fault. */
  attempts: number;
  /** Whether it is not offered to `consume` at present. */
  rests: boolean;
  cancel(): void;
}

/** What readers need from their device. */
export interface ReadersOwner {
  readonly session: Session;
  readonly turn: Turn;
  readonly clock: Clock;
  /** Set when the device is no longer served: the error for callers. */
  readonly closed: LocalError | undefined;
  /** The pace of the present caller. */
  readonly pace: Pace;
  /** Failures with one message after which it becomes a dead letter; Infinity: never. */
  readonly attempts: number;
  readonly touch: () => void;
  /** Like `touch`, if nobody waits for the result. */
  readonly touchAtEnd: () => void;
  /** Whether messages may be handed out, because no other process can have the device by now. */
  readonly isHeld: boolean;
  /** Called before messages are handed out: runs what waited for the end of `consume`. */
  beforeDelivery(): void;
  /** The oldest message has become a dead letter, or cannot because there are too many. */
  gaveUp(text: string, error: unknown, isDeadLetter: boolean): void;
}

/** Hands one device's messages to its readers: in order, each to one reader at a time. */
export class Readers implements Reading {
  readonly #owner: ReadersOwner;
  #waiting: Reader[] = [];
  #handedOut = false; // by `readline`: it is processed when a reader asks for the next one
  #handedTo: Run | undefined;
  #readBy: Run | undefined; // the last run that got it
  #consumption: Consumption | undefined;
  #trouble: Trouble | undefined;

  constructor(owner: ReadersOwner) {
    this.#owner = owner;
  }

  /** The next message, when there is one. The previous one counts as processed. */
  take(consumption?: Consumption): Promise<string> {
    const { turn, closed } = this.#owner;
    const run = caller();
    const reason = closed ?? run?.over;
    if (reason) return this.#owner.pace.refused().then(() => Promise.reject(reason));
    if (run !== this.#readBy) run?.readings.add(this);
    this.#readBy = run;
    if (!turn.busy && this.#waiting.length === 0) {
      const text = this.#next(run, consumption);
      if (text !== undefined) return Promise.resolve(text);
    }
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const reader = { promise, resolve, reject, run, consumption };
    if (this.#waiting.length === 0) this.#waiting = [reader]; // an array for one element, not for 17
    else this.#waiting.push(reader);
    if (turn.busy) turn.enter(this.deliver);
    return reader.promise;
  }

  /** Processes the next message in a transaction. @param transact Runs the transaction. */
  async consume(
    use: (line: string, tx: Transaction) => Promise<void> | void,
    transact: (use: (tx: Transaction) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const consumption: Consumption = { run: caller(), isCommitting: false };
    const line = await this.take(consumption);
    try {
      await transact(async (tx) => {
        await use(line, tx);
        consumption.isCommitting = true;
      });
      this.#end(consumption);
    } catch (error) {
      this.#end(consumption, error);
      await this.#owner.pace.refused();
      throw error;
    }
  }

  #end(consumption: Consumption, ...failures: [unknown?]): void {
    if (this.#consumption === consumption) {
      this.#consumption = undefined;
      if (failures.length > 0) this.#failed(failures[0]);
      else this.#calm();
    }
    this.#owner.turn.enter(this.deliver);
  }

  /** Hands messages to the readers that wait. */
  readonly deliver = (): void => {
    this.#owner.beforeDelivery();
    while (this.#waiting.length > 0) {
      const { run, consumption } = this.#waiting[0]!;
      const text = this.#next(run, consumption);
      if (text === undefined) return;
      this.#waiting.shift()!.resolve(text);
    }
  };

  /** Takes the next message, if there is one; the previous one counts as processed. */
  #next(run: Run | undefined, consumption: Consumption | undefined): string | undefined {
    if (this.#consumption || (consumption && this.#trouble?.rests)) return undefined;
    const { session, touch, touchAtEnd, isHeld } = this.#owner;
    if (!isHeld) return undefined;
    const wasHandedOut = this.#handedOut;
    if (wasHandedOut) {
      this.#calm();
      session.shift();
    }
    const text = session.peek();
    this.#handedOut = text !== undefined && !consumption;
    this.#handedTo = this.#handedOut ? run : undefined;
    this.#consumption = text === undefined ? undefined : consumption;
    // While there is a next one, everything processed in this turn of the event loop shares a commit.
    if (wasHandedOut) text === undefined ? touch() : touchAtEnd();
    return text;
  }

  leave(run: Run, error: unknown): void {
    const leaving = this.#waiting.filter((reader) => reader.run === run);
    this.#waiting = this.#waiting.filter((reader) => reader.run !== run);
    for (const reader of leaving) dismiss(reader, run.over!);
    const consumption = this.#consumption;
    if (consumption?.run === run && !consumption.isCommitting) this.#consumption = undefined;
    if (this.#handedOut && this.#handedTo === run) {
      this.#handedOut = false;
      this.#handedTo = undefined;
      this.#failed(error);
    }
    this.#owner.turn.enter(this.deliver);
  }

  /** An application has failed with the oldest message. */
  #failed(error: unknown): void {
    const { clock, turn, closed } = this.#owner;
    if (closed) return;
    const passes = error instanceof LocalError && PASSING.has(error.code);
    const trouble = this.#trouble ??= { failures: 0, attempts: 0, rests: false, cancel() {} };
    const pause = FIRST_PAUSE * 10 ** (trouble.failures++ - 1);
    trouble.cancel();
    trouble.rests = trouble.failures > 1;
    if (trouble.rests) {
      trouble.cancel = clock.after(Math.min(pause, passes ? LONGEST_WAIT : LONGEST_PAUSE), () => {
        trouble.rests = false;
        turn.enter(this.deliver);
      });
    }
    if (passes) return;
    trouble.attempts++;
    turn.enter(() => this.#addDeadLetter(trouble, error));
  }

  /** The oldest message becomes a dead letter if it has failed often enough and no reader has it now. */
  #addDeadLetter(trouble: Trouble, error: unknown): void {
    const { session, clock, closed, attempts, touch } = this.#owner;
    const isFree = this.#trouble === trouble && !this.#handedOut && !this.#consumption;
    const text = session.peek();
    if (!isFree || closed || trouble.attempts < attempts || text === undefined) return;
    const isDeadLetter = addDeadLetter(session, String(error), clock.date());
    if (isDeadLetter) {
      this.#calm();
      touch();
    }
    if (isDeadLetter || trouble.attempts === attempts) {
      this.#owner.gaveUp(text, error, isDeadLetter);
    }
  }

  /** The oldest message has changed: forgets its failures. */
  #calm(): void {
    this.#trouble?.cancel();
    this.#trouble = undefined;
  }

  /** Whether `consume` is processing the oldest message. */
  get isConsuming(): boolean {
    return this.#consumption !== undefined;
  }

  /** All messages were dropped. */
  forget(): void {
    this.#handedOut = false;
    this.#handedTo = undefined;
    this.#calm();
  }

  /** Rejects all readers that wait. */
  close(reason: LocalError): void {
    this.#calm();
    for (const reader of this.#waiting.splice(0)) dismiss(reader, reason);
  }
}
