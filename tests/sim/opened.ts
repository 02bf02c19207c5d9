/** Decrypts a sealed connection, for watchers that have the device's key. */
import { EPHEMERAL, HELLO, SEALED } from "../../server/protocol/greeting.ts";
import { concat } from "../../server/protocol/lines.ts";
import { Seal, sealKeys } from "../../server/protocol/seal.ts";
import { type Direction, DOWN, UP } from "../../bridge/testing/network.ts";
import type { DevicePlan } from "./scenario.ts";
import type { Tap } from "../../bridge/testing/socket.ts";
import { sharedOf, stealKeys, useOnce } from "./thief.ts";

/** The beginning of the hello of a sealed link. */
const SUITES = [`${HELLO}0${SEALED}`, `${HELLO}0${EPHEMERAL}`];
const SUITE_BYTES = 3;

/** The position of the key in a greeting of suite 4. */
const [KEY, KEY_END] = [59, 123];

const NEWLINE = 10;

/** Longest text of an end that takes records of any length. */
const MOST = 1024;

const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder();

/** How much of a greeting has passed in one direction. */
interface Passed {
  clear: Uint8Array;
  /** Lines of the greeting that have not passed yet. */
  left: number;
}

/** Passes the lines of a connection to a tap, whether it is sealed or not. */
export class OpenedTap implements Tap {
  readonly #tap: Tap;
  readonly #plan: DevicePlan | undefined;
  /** The direction in which this end writes. */
  readonly #writes: Direction;
  readonly #passed: Passed[] = [{ clear: NOTHING, left: 2 }, { clear: NOTHING, left: 1 }];
  #isSealed: boolean | undefined; // as the hello says
  #key: Uint8Array | undefined; // set when the welcome was sent
  #seals: Seal[] | undefined;
  #isBroken = [false, false]; // the receiver cannot decrypt what passes
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
    if (!this.#seals) return void (this.#isBroken = [true, true]);
    const { bytes: opened, error } = this.#seals[direction]!.open(sealed);
    this.#isBroken[direction] = error !== undefined;
    if (opened.length > 0) this.#show(direction, opened);
  }

  /** A decrypter for each direction; undefined: the greeting was an impostor's, and fails. */
  #make(key: Uint8Array): Seal[] | undefined {
    const [up, down] = this.#passed as [Passed, Passed];
    const hello = up.clear.subarray(0, up.clear.indexOf(NEWLINE) + 1);
    const greeting = concat(hello, down.clear);
    let shared: Uint8Array | undefined;
    if (decoder.decode(hello.subarray(0, SUITE_BYTES)) === SUITES[1]) {
      const device = decoder.decode(hello.subarray(KEY, KEY_END));
      const server = decoder.decode(down.clear.subarray(KEY, KEY_END));
      shared = sharedOf(device, server);
      if (!shared) return undefined;
      if (this.#writes === UP) useOnce(device, server);
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
