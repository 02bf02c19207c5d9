/**
 * The initiator's lines that the server has not acknowledged yet, oldest first, as they came ("3text\n"). They
 * are kept in memory that survives a reset of the board, together with their stream and numbers at the server,
 * so that the core can get them again with the same numbers.
 *
 * The lines are in a ring buffer, so that no byte ever moves: a line is written behind the others, and then one
 * of two headers, in turn. A reset at any instant leaves the header before or the one after, complete, with all
 * its lines.
 */
import { keep, KEPT, kept } from "../../../client-as/assembly/board";

// Words of a header. Those without an underscore are the link's, for `get` and `set`.
const MARK: usize = 0;
const TURN: usize = 4; // the header with the higher turn counts
const HEAD: usize = 8; // where the oldest line starts
const USED: usize = 12; // bytes of lines
/** Number of the oldest line. */
export const FIRST: usize = 16;
/** The core's TX_EPOCH; 0: the lines have no numbers. */
export const EPOCH: usize = 20;
/** The configuration that the lines belong to. */
export const IDENTITY: usize = 24;
/** Stream and number of the last message that the initiator has received. */
export const HANDED_EPOCH: usize = 28;
export const HANDED: usize = 32;
/** Session of an initiator that numbers its lines, or 0; and the last of its numbers. */
export const SESSION: usize = 36;
export const SEQUENCE: usize = 40;
const SUM: usize = 44; // over the words before, and the lines
const HEADER: i32 = 48;

const VERSION: i32 = 0x48465031; // HFP1
const RING: i32 = KEPT - 2 * HEADER;
const header: usize = memory.data(HEADER, 4);
const ring: usize = memory.data(RING, 4);

export function get(word: usize): i32 {
  return load<i32>(header + word);
}

/** Sets a word of the header. Takes effect at the next `save`. */
export function set(word: usize, value: i32): void {
  store<i32>(header + word, value);
}

/** At the start of the board: loads the journal from before the reset, or an empty one. */
export function restore(): void {
  kept(2 * HEADER, ring, RING);
  let newest = -1;
  let turn = 0;
  for (let n = 0; n < 2; n++) {
    if (!kept(n * HEADER, header, HEADER) || !isSound()) continue;
    if (newest < 0 || get(TURN) - turn > 0) newest = n;
    turn = get(TURN);
  }
  if (newest < 0 || !kept(newest * HEADER, header, HEADER)) memory.fill(header, 0, HEADER);
}

/** Makes the changes survive a reset. */
export function save(): void {
  set(MARK, VERSION);
  set(TURN, get(TURN) + 1);
  set(SUM, sum());
  keep((get(TURN) & 1) * HEADER, header, HEADER);
}

/** Bytes that can be appended. */
export function free(): i32 {
  return RING - get(USED);
}

/** Whether there are lines. */
export function isEmpty(): bool {
  return !get(USED);
}

/** Adds a byte behind the lines. The caller has checked `free`. */
export function append(byte: u32): void {
  const at = position(get(USED));
  store<u8>(ring + at, byte);
  set(USED, get(USED) + 1);
  // Only whole words can be written: the word's other bytes are written again.
  keep(2 * HEADER + (at & ~3), ring + (at & ~3), 4);
}

/** The byte at this distance from the start of the oldest line. */
export function byteAt(offset: i32): u32 {
  return load<u8>(ring + position(offset));
}

/** Offset behind the newline of the line that starts at this offset. */
export function lineEnd(offset: i32): i32 {
  while (offset < get(USED) && byteAt(offset++) != 10);
  return offset;
}

/** Bytes of all lines. */
export function used(): i32 {
  return get(USED);
}

/** Forgets the oldest line. */
export function drop(): void {
  const length = lineEnd(0);
  set(HEAD, position(length));
  set(USED, get(USED) - length);
  set(FIRST, get(FIRST) + 1);
}

/** Forgets all lines. */
export function clear(): void {
  set(USED, 0);
}

function position(offset: i32): i32 {
  const at = get(HEAD) + offset;
  return at < RING ? at : at - RING;
}

function isSound(): bool {
  return get(MARK) == VERSION && <u32>get(HEAD) < <u32>RING && <u32>get(USED) <= <u32>RING && get(SUM) == sum();
}

/** FNV-1a of the words, then of the bytes. */
function sum(): i32 {
  let hash: u32 = 0x811c9dc5;
  for (let word: usize = 0; word < SUM; word += 4) hash = (hash ^ get(word)) * 0x01000193;
  for (let i = 0; i < get(USED); i++) hash = (hash ^ byteAt(i)) * 0x01000193;
  return hash;
}
