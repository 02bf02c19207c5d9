/** What passes on a sealed connection, for watchers that have the device's key. */
import { EPHEMERAL, HELLO, SEALED } from "../../server/protocol/greeting.ts";
import { concat } from "../../server/protocol/lines.ts";
import { Seal, sealKeys } from "../../server/protocol/seal.ts";
import { type Direction, DOWN, UP } from "./network.ts";
import type { DevicePlan } from "./scenario.ts";
import type { Tap } from "./socket.ts";
import { sharedOf, stealKeys, useOnce } from "./thief.ts";

/** What a hello begins with whose link is sealed. */
const SUITES = [`${HELLO}0${SEALED}`, `${HELLO}0${EPHEMERAL}`];
const SUITE_BYTES = 3;

/** Where a greeting of suite 4 has its key. */
const [KEY, KEY_END] = [59, 123];

const NEWLINE = 10;

/** Longest text of an end that takes records of any length. */
const MOST = 1024;

const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder();

/** How much of a greeting has passed in one direction. */
interface Passed {
  clear: Uint8Array;
  /** Lines of the greeting that are still to come. */
  left: number;
}

/** Shows a tap the lines of a connection, whether it is sealed or not. */
export class OpenedTap implements Tap {
  readonly #tap: Tap;
  readonly #plan: DevicePlan | undefined;
  /** The direction of what its end writes. */
  readonly #writes: Direction;
  readonly #passed: Passed[] = [{ clear: NOTHING, left: 2 }, { clear: NOTHING, left: 1 }];
  #isSealed: boolean | undefined; // the hello says so
  #key: Uint8Array | undefined; // when the welcome was said
  #seals: Seal[] | undefined;
  #isBroken = [false, false]; // what passes means nothing to its receiver
  readonly #now: () => number;
  readonly #raw: ((written: Uint8Array) => void) | undefined;
  #shownAt: number;
  #longest = 0;

  constructor(
    tap: Tap,
    plan: DevicePlan | undefined,
    writes: Direction,
    clock: { readonly now: number },
    raw?: (written: Uint8Array) => void,
  ) {
    this.#raw = raw;
    this.#now = () => clock.now;
    this.#shownAt = clock.now;
    this.#tap = tap;
    this.#plan = plan;
    this.#writes = writes;
  }

  read(bytes: Uint8Array): void {
    this.#pass(this.#writes === UP ? DOWN : UP, bytes);
  }

  wrote(bytes: Uint8Array): void {
    this.#raw?.(bytes);
    this.#pass(this.#writes, bytes);
  }

  #pass(direction: Direction, bytes: Uint8Array): void {
    const passed = this.#passed[direction]!;
    if (direction === UP && this.#isSealed === undefined) {
      const start = decoder.decode(concat(passed.clear, bytes).subarray(0, SUITE_BYTES));
      const mayBe = this.#plan?.key !== undefined &&
        SUITES.some((suite) => suite.startsWith(start));
      if (!mayBe || start.length === SUITE_BYTES) this.#isSealed = mayBe;
    }
    if (this.#isSealed === false) return this.#show(direction, bytes);
    if (direction === DOWN) this.#key ??= this.#plan!.key!;
    let end = 0;
    while (passed.left > 0 && end < bytes.length) {
      if (bytes[end++] === NEWLINE) passed.left--;
    }
    const clear = bytes.subarray(0, end);
    passed.clear = concat(passed.clear, clear);
    if (clear.length > 0) this.#show(direction, clear);
    const sealed = bytes.subarray(end);
    if (sealed.length === 0 || this.#isBroken[direction]) return;
    this.#seals ??= this.#make(this.#key!);
    const { bytes: opened, error } = this.#seals[direction]!.open(sealed);
    this.#isBroken[direction] = error !== undefined;
    if (opened.length > 0) this.#show(direction, opened);
  }

  /** One that opens each direction. */
  #make(key: Uint8Array): Seal[] {
    const [up, down] = this.#passed as [Passed, Passed];
    const hello = up.clear.subarray(0, up.clear.indexOf(NEWLINE) + 1);
    const greeting = concat(hello, down.clear);
    let shared: Uint8Array | undefined;
    if (decoder.decode(hello.subarray(0, SUITE_BYTES)) === SUITES[1]) {
      const device = decoder.decode(hello.subarray(KEY, KEY_END));
      const server = decoder.decode(down.clear.subarray(KEY, KEY_END));
      if (this.#writes === UP) useOnce(device, server);
      shared = sharedOf(device, server);
    }
    const keys = sealKeys(key, greeting, shared);
    if (shared) stealKeys(key, greeting, keys);
    return [keys.toServer, keys.toDevice].map((theirs) => new Seal(theirs, theirs, MOST, MOST));
  }

  #show(direction: Direction, bytes: Uint8Array): void {
    if (direction === this.#writes) this.#tap.wrote(bytes);
    else {
      this.#longest = Math.max(this.#longest, this.#now() - this.#shownAt);
      this.#shownAt = this.#now();
      this.#tap.read(bytes);
    }
  }

  quiet(): number | undefined {
    return this.#isSealed ? Math.max(this.#longest, this.#now() - this.#shownAt) : undefined;
  }
}
