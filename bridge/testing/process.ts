/** A simulated program: what it has planned and what the network brings it, until it is killed. */
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

/** What a program needs of its world. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** Code of the product runs now: afterwards its promises go on. */
  entered(): void;
  /** Something was thrown where nobody catches it. */
  failed(error: unknown): void;
}

/** Most callbacks from sockets between two looks at the timers, when a loop has to catch up. */
const DRIP = 4;

/**
 * A program can be killed: nothing that it has planned happens any more. It can be frozen, as by a debugger, a
 * swapped-out page or a long computation: then it does everything late, as a real event loop does. Timers that have
 * become due come first, and only then, a few at a time, what has arrived at the sockets.
 */
export class Process {
  #life = 0;
  #frozenUntil = 0;
  #late: (() => void)[] = []; // timers that came due while it was frozen
  #unread: (() => void)[] = []; // what the sockets have brought and it has not looked at
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

  /** What has arrived at the sockets, and was not handed over yet. */
  get isBehind(): boolean {
    return this.#unread.length > 0;
  }

  /** Everything planned so far is forgotten. */
  end(): void {
    this.#life++;
    this.#frozenUntil = 0;
    this.#late = [];
    this.#unread = [];
    this.#isCatchingUp = false;
  }

  /** Nothing happens in this program until then. */
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

  /** Plans something. @returns forgets it */
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

  /** The network has something for it. */
  arrive(run: () => void): void {
    if (!this.isFrozen && this.#unread.length === 0) return this.enter(run);
    this.#unread.push(run);
    this.#catchUp();
  }

  /** Runs something when all that the network has for it by now was handed over. */
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

  /** Runs code of the product. What a program throws that is killed by it does not matter any more. */
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
