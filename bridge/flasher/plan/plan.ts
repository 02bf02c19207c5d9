/** What goes where in the flash, checked before anything is erased. */
import { SECTOR } from "../chip/chip.ts";
import { FlashError, hex } from "../chip/errors.ts";

/** Bytes to write to one place in the flash. */
export interface Piece {
  /** For people: `boot`, `settings`, the name of a file. */
  name: string;
  offset: number;
  data: Uint8Array;
}

export interface Plan {
  /** In the order of their addresses, each a whole number of words, and no two in one sector. */
  pieces: Piece[];
  /** Bytes of all of them. */
  total: number;
}

/**
 * Puts pieces in order.
 *
 * @param keep ranges that must stay as they are, with their names for users
 * @throws {FlashError} BAD_PLAN, with the address
 */
export function makePlan(
  pieces: Piece[],
  flashBytes: number,
  keep: { name: string; offset: number; size: number }[] = [],
): Plan {
  const sorted = pieces.map((piece) => ({ ...piece, data: padded(piece.data) }))
    .sort((a, b) => a.offset - b.offset);
  if (sorted.length === 0) throw new FlashError("BAD_PLAN", "there is nothing to write");
  let before: Piece | undefined;
  for (const piece of sorted) {
    const { name, offset, data } = piece;
    const fault = (message: string) => new FlashError("BAD_PLAN", message, offset);
    if (!Number.isInteger(offset) || offset < 0 || offset % SECTOR !== 0) {
      throw fault(
        `${name} at ${hex(offset)}: an address must be a multiple of ${
          hex(SECTOR)
        }, because flash ` +
          "is erased in such pieces",
      );
    }
    if (data.length === 0) throw fault(`${name} is empty`);
    if (offset + data.length > flashBytes) {
      throw fault(
        `${name} at ${hex(offset)} would end at ${
          hex(offset + data.length)
        }, and this flash ends at ` +
          hex(flashBytes),
      );
    }
    if (before && offset < sectorsEnd(before)) {
      throw fault(`${name} at ${hex(offset)} would overwrite the end of ${before.name}`);
    }
    for (const area of keep) {
      if (offset < area.offset + area.size && sectorsEnd(piece) > area.offset) {
        throw fault(
          `${name} at ${hex(offset)} would overwrite ${area.name}, which you want to keep`,
        );
      }
    }
    before = piece;
  }
  return { pieces: sorted, total: sorted.reduce((sum, { data }) => sum + data.length, 0) };
}

/** First address after the sectors that a piece touches. */
function sectorsEnd({ offset, data }: Piece): number {
  return offset + Math.ceil(data.length / SECTOR) * SECTOR;
}

/** Flash is written in words. */
function padded(data: Uint8Array): Uint8Array {
  if (data.length % 4 === 0) return data;
  const words = new Uint8Array(Math.ceil(data.length / 4) * 4).fill(0xff);
  words.set(data);
  return words;
}

/** An address as people write it: `0x10000` or `65536`. Undefined if it is not an address. */
export function parseAddress(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^(0x[0-9a-f]{1,7}|\d{1,8})$/i.test(trimmed)) return undefined;
  return Number(trimmed);
}
