/** Somebody on the way of one device, who has no key, and does to records whatever can be done to bytes. */
import { concat } from "../../server/protocol/lines.ts";
import type { Direction, Meddling } from "./network.ts";
import type { Random } from "./random.ts";

/** Pieces that are remembered, to be said again. */
const KEPT = 40;

export class Meddler implements Meddling {
  /** What has passed before, also on other connections. */
  readonly #kept: Uint8Array<ArrayBuffer>[][] = [[], []];
  /** How much of what passes it spoils. */
  readonly #share: number;

  constructor(readonly random: Random) {
    this.#share = random.pick([0.02, 0.1, 0.5]);
  }

  pass(direction: Direction, piece: Uint8Array): Uint8Array {
    const { random } = this;
    const kept = this.#kept[direction]!;
    const bytes = piece.slice();
    kept.push(piece.slice());
    if (kept.length > KEPT) kept.shift();
    if (!random.chance(this.#share)) return bytes;
    const at = random.below(bytes.length);
    const others = this.#kept[1 - direction]!;
    switch (random.below(8)) {
      case 0: // changed
        bytes[at]! ^= 1 << random.below(8);
        return bytes;
      case 1: // said again
        return concat(bytes, bytes);
      case 2: // an old one, first
        return concat(random.pick(kept), bytes);
      case 3: // an old one, in its place
        return random.pick(kept);
      case 4: // in another order
        return concat(bytes.subarray(at), bytes.subarray(0, at));
      case 5: // cut off, or left out
        return bytes.subarray(0, at);
      case 6: // what the other end has said
        // The newest: as many records have passed one way as the other, perhaps.
        return others.length > 0 ? random.pick(others.slice(-3)) : bytes;
      default: // what nobody has said
        return concat(
          Uint8Array.from({ length: 1 + random.below(60) }, () => random.below(256)),
          bytes,
        );
    }
  }
}
