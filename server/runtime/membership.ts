/**
 * A process's membership in a fleet: it beats, so that the others know that it is alive, and handles what its beats
 * bring.
 */
import type { Answer, Beat, Fleet, Lost, Mail } from "../store/fleet.ts";
import type { Clock } from "../transport/platform.ts";

/** Parts of the lease: the interval between two beats, and before a failed one is tried again. */
const PACE = 1 / 5;
const AGAIN = 1 / 20;

/** Safety margin, as a part of the lease, because clocks differ and answers take time. */
const MARGIN = 1 / 5;

/** What a `Membership` needs from the server. */
export interface MembershipHost {
  readonly clock: Clock;
  /** Another process has taken a device, if its token is greater than this one's. */
  lost(lost: Lost): void;
  /**
   * Takes a device that no process has, unless another has taken it by now. @returns whether this process has it now
   */
  adopt(id: string): Promise<boolean>;
  /** A beat begins. */
  asks(): void;
  mail(mail: readonly Mail[]): void;
  answered(answer: Answer): void;
  /** The lease is held again, after it was not. */
  held(): void;
  /** The store has begun to fail, so the others may consider this process dead. */
  fails(error: unknown): void;
}

export class Membership {
  readonly #fleet: Fleet;
  readonly #host: MembershipHost;
  #heldUntil = -Infinity;
  #wasHeld = true;
  /** Notes that the store may delete. */
  #seen: number[] = [];
  #isBeating = false;
  #isHinted = false;
  #cancel: (() => void) | undefined;
  #closed = false;
  #joined = false;
  /** Devices that may be its own: the outcome of taking them is unknown. */
  readonly #doubtful = new Set<string>();
  readonly #adopting = new Set<string>();
  #isFailing = false;
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
   * Whether its devices are certainly its own, except for those that have moved: no other process can consider it dead
   * yet. While false, nothing is handed to applications, as another process may have done that already.
   */
  get isHeld(): boolean {
    const isHeld = this.#host.clock.now() < this.#heldUntil;
    this.#wasHeld &&= isHeld;
    return isHeld;
  }

  /** An attempt to take a device has failed, but may have been executed: then nobody else would take care of it. */
  doubt(id: string): void {
    this.#doubtful.add(id);
  }

  /** Beats soon, as that may bring something. */
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
      const beat = await this.#ask();
      if (this.#closed) break;
      // There may be more than one beat can bring, or room by then for mail that waits.
      pause = this.#fleet.lease * (beat?.mail.length === 0 ? PACE : AGAIN);
      if (!beat) break;
      this.#lose(beat);
      this.#holdFrom(begun);
      this.#do(beat);
    } while (this.#isHinted && !this.#closed);
    this.#isBeating = false;
    if (!this.#closed) this.#cancel = clock.after(pause, () => this.hint());
  }

  /** @returns undefined: the store fails */
  async #ask(): Promise<Beat | undefined> {
    const seen = this.#seen;
    try {
      const beat = await this.#fleet.beat(seen);
      this.#seen = [];
      this.#isFailing = false;
      return beat;
    } catch (error) { // any error of a custom store
      if (!this.#isFailing && !this.#closed) this.#host.fails(error);
      this.#isFailing = true;
      return undefined;
    }
  }

  /** First, so that devices that are not ours are not served any more. */
  #lose({ lost }: Beat): void {
    for (const it of lost) {
      this.#host.lost(it);
      this.#seen.push(it.note);
    }
  }

  #do({ lost, mail, answers, orphans }: Beat): void {
    if (!this.#wasHeld) {
      this.#wasHeld = true;
      this.#host.held();
    }
    for (const answer of answers) {
      this.#host.answered(answer);
      this.#seen.push(answer.note);
    }
    this.#host.mail(mail);
    for (const id of new Set([...this.#doubtful, ...orphans])) void this.#adopt(id);
    if (lost.length + answers.length > 0) this.#isHinted = true;
  }

  /** Runs besides further beats, which must not wait for it. */
  async #adopt(id: string): Promise<void> {
    if (this.#adopting.has(id)) return;
    this.#adopting.add(id);
    try {
      const isOurs = await this.#host.adopt(id);
      this.#doubtful.delete(id);
      if (isOurs) this.hint(); // there may be more
    } catch { // the next beat tries again, and reports a failing store
      this.#doubtful.add(id);
    } finally {
      this.#adopting.delete(id);
    }
  }

  /** Stops beating. */
  stop(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  /** This process leaves in an orderly way. @throws {LocalError} STORE_FAILED: then its lease expires */
  async close(): Promise<void> {
    this.stop();
    await this.#beating;
    if (this.#joined) await this.#fleet.leave();
  }
}
