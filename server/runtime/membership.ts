/** A process's part in a fleet: it beats, so that the others know that it lives, and does what its beats bring. */
import { LocalError } from "../protocol/errors.ts";
import type { Answer, Beat, Fleet, Lost, Mail } from "../store/fleet.ts";
import type { Clock } from "../transport/platform.ts";

/** Of the lease: between two beats, and before one that has failed is tried again. */
const PACE = 1 / 5;
const AGAIN = 1 / 20;

/** Of the lease: what this process does not count on, as clocks differ and an answer takes its time. */
const MARGIN = 1 / 5;

/** What it needs of the server. Nothing of it is called again before the promise that it has returned has settled. */
export interface MembershipHost {
  readonly clock: Clock;
  /** Another process has taken a device, if the token is greater than that of this one. */
  lost(lost: Lost): void;
  /** A device that nobody has; it may be somebody's by now. */
  adopt(id: string): Promise<void>;
  /** A beat begins. */
  asks(): void;
  mail(mail: readonly Mail[]): void;
  answered(answer: Answer): void;
  /** It is held again, after it was not. */
  held(): void;
}

export class Membership {
  readonly #fleet: Fleet;
  readonly #host: MembershipHost;
  #heldUntil = -Infinity;
  #wasHeld = true;
  /** Notes that the store may forget. */
  #seen: number[] = [];
  #isBeating = false;
  #isHinted = false;
  #cancel: (() => void) | undefined;
  #closed = false;
  #joined = false;
  /** Devices that are its own, perhaps: the store did not say what has become of the attempt to take them. */
  readonly #doubtful = new Set<string>();
  #beating: Promise<void> = Promise.resolve();

  constructor(fleet: Fleet, host: MembershipHost) {
    this.#fleet = fleet;
    this.#host = host;
  }

  /** Enters this process. @throws {LocalError} STORE_FAILED */
  async start(): Promise<void> {
    const begun = this.#host.clock.now();
    await this.#fleet.join(() => this.hint());
    this.#joined = true;
    this.#holdFrom(begun);
    this.hint();
  }

  /**
   * Whether its devices are its own for sure, but for those that have moved: no other process can take it for dead yet.
   * While it is not, nothing is handed to applications, as another process may have done that by now.
   */
  get isHeld(): boolean {
    const isHeld = this.#host.clock.now() < this.#heldUntil;
    this.#wasHeld &&= isHeld;
    return isHeld;
  }

  /** An attempt to take a device has failed, and may have been executed: nobody else would look after it. */
  doubt(id: string): void {
    this.#doubtful.add(id);
  }

  /** A beat may bring something. */
  hint(): void {
    if (this.#closed) return;
    this.#isHinted = true;
    if (this.#isBeating) return;
    this.#cancel?.();
    this.#beating = this.#beat();
  }

  #holdFrom(begun: number): void {
    this.#heldUntil = begun + this.#fleet.lease * (1 - MARGIN);
  }

  async #beat(): Promise<void> {
    const { clock } = this.#host;
    this.#isBeating = true;
    let pause = this.#fleet.lease * PACE;
    do {
      this.#isHinted = false;
      const begun = clock.now();
      this.#host.asks();
      const seen = this.#seen;
      try {
        const beat = await this.#fleet.beat(seen);
        this.#seen = this.#seen.slice(seen.length);
        if (this.#closed) break;
        this.#lose(beat);
        this.#holdFrom(begun);
        await this.#do(beat);
        // There may be more than it could hold, or room by then for what it has held.
        pause = this.#fleet.lease * (beat.mail.length > 0 ? AGAIN : PACE);
      } catch (error) {
        if (!(error instanceof LocalError)) throw error; // nothing else is to be expected
        pause = this.#fleet.lease * AGAIN;
        this.#isHinted = false;
      }
    } while (this.#isHinted && !this.#closed);
    this.#isBeating = false;
    if (!this.#closed) this.#cancel = clock.after(pause, () => this.hint());
  }

  /** First of all: what is not ours is not served any more. */
  #lose({ lost }: Beat): void {
    for (const it of lost) {
      this.#host.lost(it);
      this.#seen.push(it.note);
    }
  }

  async #do({ lost, mail, answers, orphans }: Beat): Promise<void> {
    if (!this.#wasHeld) {
      this.#wasHeld = true;
      this.#host.held();
    }
    for (const answer of answers) {
      this.#host.answered(answer);
      this.#seen.push(answer.note);
    }
    this.#host.mail(mail);
    for (const id of new Set([...this.#doubtful, ...orphans])) {
      if (this.#closed) return;
      this.#doubtful.add(id);
      await this.#host.adopt(id);
      this.#doubtful.delete(id);
    }
    if (lost.length + answers.length + orphans.length > 0) this.#isHinted = true;
  }

  /** This process is no more, in peace. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#beating;
    if (this.#joined) await this.#fleet.leave();
  }
}
