/** An attacker on the path of one device, without its key: changes, repeats, reorders, drops and invents records. */
import { concat } from "../../server/protocol/lines.ts";
import { LENGTH_BYTES, RECORD } from "../../server/protocol/seal.ts";
import { type Direction, DOWN, type Meddling, UP } from "../../bridge/testing/network.ts";
import type { Random } from "../../bridge/testing/random.ts";

/** Pieces that are remembered for replay. */
const KEPT = 40;

/** Connections whose records are remembered. */
const CONNECTIONS = 10;

const NOTHING = new Uint8Array(0);

/** Records that one end has sent on a connection, after its greeting. */
class Said {
  /** Indexed by their numbers. */
  readonly records: Uint8Array<ArrayBuffer>[] = [];
  #rest: Uint8Array = NOTHING;

  /** Takes the next piece. Returns the number of the first record in it; undefined: it is not whole records. */
  add(piece: Uint8Array): number | undefined {
    const first = this.records.length;
    const isBegun = this.#rest.length > 0;
    let bytes = concat(this.#rest, piece);
    while (bytes.length >= LENGTH_BYTES) {
      const end = (bytes[0]! << 8 | bytes[1]!) + RECORD;
      if (end > bytes.length) break;
      this.records.push(bytes.slice(0, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes.slice();
    return isBegun || bytes.length > 0 ? undefined : first;
  }
}

/** A connection, as seen without the key. */
interface Seen {
  connection: object;
  said: Record<Direction, Said>;
}

export class Meddler implements Meddling {
  /** Earlier pieces, also of other connections. */
  readonly #kept: Uint8Array<ArrayBuffer>[][] = [[], []];
  /** Newest first. */
  readonly #seen: Seen[] = [];
  /** Share of the records that it spoils. */
  readonly #share: number;

  constructor(readonly random: Random) {
    this.#share = random.pick([0.02, 0.1, 0.5]);
  }

  pass(direction: Direction, piece: Uint8Array, connection: object): Uint8Array {
    const { random } = this;
    const [seen, ...earlier] = this.#see(connection);
    const first = seen.said[direction].add(piece);
    const kept = this.#kept[direction]!;
    const bytes = piece.slice();
    kept.push(piece.slice());
    if (kept.length > KEPT) kept.shift();
    if (!random.chance(this.#share)) return bytes;
    const at = random.below(bytes.length);
    const others = this.#kept[1 - direction]!;
    switch (random.below(11)) {
      case 0: // changed
        bytes[at]! ^= 1 << random.below(8);
        return bytes;
      case 1: // repeated
        return concat(bytes, bytes);
      case 2: // an old one before it
        return concat(random.pick(kept), bytes);
      case 3: // an old one, in its place
        return random.pick(kept);
      case 4: // in another order
        return concat(bytes.subarray(at), bytes.subarray(0, at));
      case 5: // cut off, or left out
        return bytes.subarray(0, at);
      case 6: // a piece of the other end
        // The newest: perhaps as many records have passed in either direction.
        return others.length > 0 ? random.pick(others.slice(-3)) : bytes;
      case 7: // the other end's records with the same numbers
        return sameNumbers(seen.said[direction === UP ? DOWN : UP], first) ?? bytes;
      case 8: // the same of an earlier connection
      case 9:
        return earlier.length > 0
          ? sameNumbers(random.pick(earlier).said[direction], first) ?? bytes
          : bytes;
      default: // bytes that neither end has sent
        return concat(
          Uint8Array.from({ length: 1 + random.below(60) }, () => random.below(256)),
          bytes,
        );
    }
  }

  /** The pieces of this connection, and of earlier ones. */
  #see(connection: object): [Seen, ...Seen[]] {
    if (this.#seen[0]?.connection !== connection) {
      this.#seen.unshift({ connection, said: { [UP]: new Said(), [DOWN]: new Said() } });
      this.#seen.splice(CONNECTIONS);
    }
    return this.#seen as [Seen, ...Seen[]];
  }
}

/** The record with this number, and the next ones. */
function sameNumbers({ records }: Said, first: number | undefined): Uint8Array | undefined {
  const record = first === undefined ? undefined : records[first];
  return record && concat(record, records[first! + 1] ?? NOTHING);
}
