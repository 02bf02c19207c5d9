/** A simulated program: its planned events and what the network brings it, until it is killed. */
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

/** What a program needs from its world. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** Called when code of the product runs; afterwards its promises go on. */
  entered(): void;
  /** Called with an uncaught error. */
  failed(error: unknown): void;
}

/** Most callbacks from sockets between two checks of the timers, while a loop catches up. */
const DRIP = 4;

/**
 * A program can be killed: nothing that it has planned happens any more. It can be frozen, as by a debugger, swapping
 * or a long computation: then it does everything late, as a real event loop does. Timers that are due run first, and
 * only then, a few at a time, the events of its sockets.
 */
export class Process {
  #life = 0;
  #frozenUntil = 0;
  #late: (() => void)[] = []; // timers that came due while it was frozen
  #unread: (() => void)[] = []; // events of sockets that it has not handled yet
  #isCatchingUp = false;

  constructor(readonly world: Surroundings) {}

  /** Changes when it ends. */
  get life(): number {
    return this.#life;
  }

  /** Until when it was, or is, frozen. */
  get frozenUntil(): number {
    return this.#frozenUntil;
  }

  get isFrozen(): boolean {
    return this.world.clock.now < this.#frozenUntil;
  }

  /** Whether events of its sockets were not handed over yet. */
  get isBehind(): boolean {
    return this.#unread.length > 0;
  }

  /** Drops everything planned so far. */
  end(): void {
    this.#life++;
    this.#frozenUntil = 0;
    this.#late = [];
    this.#unread = [];
    this.#isCatchingUp = false;
  }

  /** Stops this program until then. */
  freeze(until: number): void {
    if (until <= this.#frozenUntil) return;
    this.#frozenUntil = until;
    const life = this.#life;
    this.world.clock.at(until, () => {
      if (life === this.#life && !this.isFrozen) this.#thaw();
    });
  }

  #thaw(): void {
    const { clock } = this.world;
    for (const run of this.#late.splice(0)) clock.after(0, run);
    this.#catchUp();
  }

  /** Plans something. @returns a function that cancels it */
  after(delay: number, run: () => void): () => void {
    const life = this.#life;
    let cancelled = false;
    const fire = () => {
      if (cancelled || life !== this.#life) return;
      if (this.isFrozen) this.#late.push(fire);
      else this.enter(run);
    };
    this.world.clock.after(delay, fire);
    return () => {
      cancelled = true;
    };
  }

  /** Takes an event from the network. */
  arrive(run: () => void): void {
    if (!this.isFrozen && this.#unread.length === 0) return this.enter(run);
    this.#unread.push(run);
    this.#catchUp();
  }

  /** Runs something when all current events of the network have been handed over. */
  caughtUp(run: () => void): void {
    if (this.#unread.length > 0) this.#unread.push(run);
    else this.after(0, run);
  }

  #catchUp(): void {
    if (this.#isCatchingUp || this.isFrozen || this.#unread.length === 0) return;
    this.#isCatchingUp = true;
    const { clock, random } = this.world;
    const life = this.#life;
    clock.after(random.below(3), () => {
      if (life !== this.#life) return;
      this.#isCatchingUp = false;
      if (this.isFrozen) return;
      const some = this.#unread.slice(0, random.between(1, DRIP));
      for (const run of some) {
        clock.after(0, () => {
          if (life !== this.#life) return;
          this.#unread.shift();
          this.enter(run);
        });
      }
      clock.after(0, () => life === this.#life && this.#catchUp());
    });
  }

  /** Runs code of the product. If that kills the program, what it throws does not matter any more. */
  enter(run: () => void): void {
    this.world.entered();
    const life = this.#life;
    try {
      run();
    } catch (error) {
      if (life === this.#life) throw error;
    }
  }

  /** Runs something when the code that runs now has returned. */
  soon(run: () => void): void {
    const life = this.#life;
    this.world.entered();
    queueMicrotask(() => {
      if (life !== this.#life) return;
      try {
        run();
      } catch (error) {
        if (life === this.#life) this.world.failed(error);
      }
    });
  }
}
