/** Misbehaviour of an application on the server: it fails, drops promises, and tries again at once. */
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Random } from "../../bridge/testing/random.ts";
import type { DeviceTalk } from "./scenario.ts";
import type { World } from "./world.ts";

/** The error of an application, or of a promise that it has dropped. */
export class AppFailure extends Error {
  override name = "AppFailure";
}

/** An application's own reason to let a transaction fail. */
export class ChangedItsMind extends Error {}

/** Results while nothing else happens: more than this are an endless loop that holds up everybody. */
const MOST_AT_ONCE = 500;

/** Failures of an application with one message: a real one may fail for ever, but a world must end. */
const MOST_FAILURES = 3;

export class Misconduct {
  /** It returns at once, and its loops go on. */
  readonly returns: boolean;
  readonly #random: Random;
  #failing = { text: "", times: 0 }; // the message with which it failed last
  #spins = { steps: -1, times: 0 };

  constructor(
    readonly world: World,
    readonly platform: SimPlatform,
    readonly talk: DeviceTalk,
  ) {
    this.#random = world.random;
    this.returns = this.#random.chance(world.scenario.returns);
  }

  /** Now and then drops a promise that fails. */
  drop(): void {
    const { talk } = this;
    if (talk.dropped <= 0 || !this.#random.chance(0.2)) return;
    talk.dropped--;
    const { platform, world } = this;
    const pause = this.#random.below(talk.pause + 1);
    void new Promise<void>((resolve) => void platform.after(pause, resolve)).then(() => {
      const { told } = talk;
      platform.after(1, () => {
        if (talk.told > told || world.serverIsDown) return;
        throw new Violation("an application has dropped a promise that failed, and nobody is told");
      });
      throw new AppFailure("dropped");
    });
  }

  /** Whether it fails as a whole. */
  fails(): boolean {
    if (this.returns || this.talk.failures <= 0 || !this.#random.chance(0.2)) return false;
    this.talk.failures--;
    return true;
  }

  /** Whether it fails with this message: with this probability, but not for ever. */
  failsWith(text: string, chance: number): boolean {
    if (this.#failing.text !== text) this.#failing = { text, times: 0 };
    if (this.#failing.times >= MOST_FAILURES || !this.#random.chance(chance)) return false;
    this.#failing.times++;
    return true;
  }

  /** Whether it tries again at once. */
  get isStubborn(): boolean {
    return this.#random.chance(this.world.scenario.stubborn);
  }

  /** It got a result. @throws {Violation} if nothing else has had a turn for too long */
  spin(): void {
    const { steps } = this.world.clock;
    if (this.#spins.steps !== steps) this.#spins = { steps, times: 0 };
    if (++this.#spins.times < MOST_AT_ONCE) return;
    throw new Violation("an application holds up everything else");
  }

  /** Now and then repeats something for a while, whatever the result. */
  async insist(tries: () => Promise<unknown>, isOver: (error: unknown) => boolean): Promise<void> {
    const { clock, scenario: { timeout } } = this.world;
    if (!this.isStubborn) return;
    const end = clock.now + this.#random.below(timeout / 4);
    for (let times = 0; times < 2 * MOST_AT_ONCE && clock.now < end; times++) {
      try {
        await tries();
      } catch (error) {
        if (isOver(error)) throw error;
      }
      this.spin();
    }
  }
}
