/**
 * Reads as much JSON as a device needs: flat arrays and objects of numbers, strings, true, false and
 * null. Nothing is copied.
 *
 *     read(ptr, length);                      // [1,"on"], or {"led":1,"mode":"on"}
 *     if (element(1)) gpio_write(2, is("on")); //              member("mode")
 *
 * First choose a value, then read it. Until one is chosen the value is the whole text, so a message can also be a bare
 * number. An array or object is read to its end before one of its values is chosen: a malformed or nested one has no
 * values. Without a value, `integer` returns its fallback and `is` returns false. Nothing outside the text is ever
 * read. It is more lenient than JSON in two ways: bytes below a space count as blanks, and a value
 * without quotes may be anything, not only a number, true, false or null.
 */

import { endOf } from "./text";

const SPACE: i32 = 0x20;
const QUOTE: i32 = 0x22;
const COMMA: i32 = 0x2c;
const MINUS: i32 = 0x2d;
const COLON: i32 = 0x3a;
const ARRAY: i32 = 0x5b; // [
const BACKSLASH: i32 = 0x5c;
const OBJECT: i32 = 0x7b; // {
const TO_CLOSE: i32 = 2; // from either bracket to its counterpart
const NOTHING: i32 = -1; // the end of the text

let from: usize = 0; // the text
let end: usize = 0;
let at: usize = 0; // the next byte to read
let value: usize = 0; // a string without its quotes
let valueEnd: usize = 0;

/** Reads this text from now on: a message, while `onMessage` runs. */
export function read(ptr: usize, length: i32): void {
  from = value = ptr;
  end = valueEnd = ptr + length;
}

/** Chooses the n-th element of an array, counted from 0. False if there is none. */
export function element(n: i32): bool {
  return choose(ARRAY, n, "");
}

/**
 * Chooses the member of an object by its name: the last, if there are several. The name is compared as
 * in `is`. False if there is none.
 */
export function member(name: string): bool {
  return choose(OBJECT, 0, name);
}

/** The value as an integer; the fallback if it is anything else, or does not fit an i32. Quotes do not matter. */
export function integer(fallback: i32): i32 {
  let at = value;
  const negative = at < valueEnd && load<u8>(at) == MINUS;
  if (negative) at++;
  let result: u32 = 0;
  if (at == valueEnd) return fallback;
  do {
    const digit = <u32>load<u8>(at) - 0x30;
    if (digit > 9 || result > 214748364) return fallback;
    result = result * 10 + digit;
  } while (++at < valueEnd);
  if (result > <u32>i32.MAX_VALUE + <u32>negative) return fallback;
  return negative ? 0 - result : result;
}

/**
 * Whether the value is this literal, which must be ASCII. Escapes are not decoded, and quotes do not matter.
 */
export function is(literal: string): bool {
  return same(value, valueLength(), literal);
}

/** Whether these bytes are this literal, in ASCII. */
export function same(ptr: usize, length: i32, literal: string): bool {
  let at = <i32>(endOf(literal) - changetype<usize>(literal));
  if (at != length << 1) return false;
  while (at) {
    at -= 2;
    // A byte beyond ASCII is negative here, so it matches no character of the literal.
    if (load<i8>(ptr + (at >> 1)) != <i32>load<u16>(changetype<usize>(literal) + at)) return false;
  }
  return true;
}

/** The address of the value, for `bytes`, and for applications that parse it themselves. */
export function valuePtr(): usize {
  return value;
}

export function valueLength(): i32 {
  return <i32>(valueEnd - value);
}

/** Reads the text to its end, and chooses the n-th element or the member with that name. */
function choose(bracket: i32, n: i32, name: string): bool {
  let found: usize = 0;
  let foundEnd: usize = 0;
  let mark = 0;
  at = from;
  for (let i = 0;; i++) {
    mark = next();
    if (mark != (i ? COMMA : bracket) || !scalar()) break;
    let wanted = i == n;
    if (bracket == OBJECT) {
      wanted = is(name);
      if (load<u8>(value - 1) != QUOTE || next() != COLON || !scalar()) break;
    }
    if (wanted) {
      found = value;
      foundEnd = valueEnd;
    }
  }
  // If anything inside is wrong, the last mark was an opening one or a comma.
  if (mark != bracket + TO_CLOSE || next() != NOTHING) found = foundEnd = 0;
  value = found;
  valueEnd = foundEnd;
  return found != 0;
}

/** After a mark: reads a string to its closing quote, or anything else up to a mark or a blank. */
function scalar(): bool {
  const quoted = next() == QUOTE;
  value = quoted ? at : --at; // for an empty value this is the mark, or a blank after it
  for (; at < end; at++) {
    const c = <i32>load<u8>(at);
    if (quoted) {
      if (c == QUOTE) break;
      if (c == BACKSLASH) at++; // skips what it escapes, too
    } else if (c <= SPACE || c == COMMA || c == COLON || (c | 0x20) == OBJECT + TO_CLOSE) break;
  }
  valueEnd = at;
  return quoted ? at++ < end : at > value;
}

/** Reads the next byte that is not a blank. */
function next(): i32 {
  while (at < end) {
    const c = <i32>load<u8>(at++);
    if (c > SPACE) return c;
  }
  return NOTHING;
}
