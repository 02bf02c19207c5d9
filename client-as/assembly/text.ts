/**
 * Composes lines. A line is composed in the core's outbox, from which it will be sent: no buffer, no copy.
 *
 *     begin(32); // bytes at most
 *     open(); item(connects()); item(-1); close();
 *     if (!send(QOS)) { ... } // now [3,-1] is on its way
 *
 * A line that does not fit is never cut short: it is refused at the first byte too many, or if `begin` finds no
 * room. The rest of it is ignored, and `send` returns false. So it is enough to check the result of `send`. Call
 * `begin` and `send` within the same call from the host.
 */
import { room, write } from "./core";
import { log } from "./board";

/** For `send`: the line is kept until it is acknowledged, through outages. */
export const QOS: i32 = 1;
/** For `send`: the line is sent at once or never. Refused while there is no link. */
export const NO_QOS: i32 = 0;

const OPEN: u32 = 0x5b; // [
const CLOSE: u32 = 0x5d;
const COMMA: u32 = 0x2c;
const MINUS: u32 = 0x2d;
const ZERO: u32 = 0x30;

let start: usize = 0;
let at: usize = 0; // where the next byte goes
let limit: usize = 0; // where the room ends; 0: the line is refused

/** Starts a line of up to `most` bytes. False if there is no room for that many, now or ever. */
export function begin(most: i32): bool {
  start = at = room(most);
  limit = start ? start + most : 0;
  return limit != 0;
}

/** Sends the line. False if it was refused: it is too long or empty, has a newline in it or a first byte below 3; or,
 * without qos, there is no link. */
export function send(qos: i32): bool {
  // As a first byte, NUL marks a withdrawn message, 1 a line for the log, 2 a line of the firmware.
  const accepted = limit && load<u8>(start) > 2 && write(<i32>(at - start), qos);
  limit = 0;
  return <bool>accepted;
}

/** Shows the line as it is so far in the board's log. It can still be continued and sent. */
export function show(): void {
  if (limit) log(start, <i32>(at - start));
}

export function byte(value: u32): void {
  if (at < limit) store<u8>(at++, value);
  else limit = 0;
}

/** Bytes from elsewhere in memory: part of a received message, for example. */
export function bytes(ptr: usize, length: i32): void {
  copy(ptr, ptr + length, 1);
}

/** The bytes from `from` to before `end`, `step` apart. */
export function copy(from: usize, end: usize, step: i32): void {
  for (; from < end; from += step) byte(load<u8>(from));
}

/** Where a literal ends in memory: its size is stored before it. `literal.length` would need one more function. */
// @ts-ignore: decorator
@inline
export function endOf(literal: string): usize {
  return changetype<usize>(literal) + load<u32>(changetype<usize>(literal) - 4);
}

/** A literal, as UTF-8. Half a surrogate pair is not a character: the line is refused. */
export function text(literal: string): void {
  const end = endOf(literal);
  for (let from = changetype<usize>(literal); from < end; from += 2) {
    let c = <u32>load<u16>(from);
    if (c >= 0x80) {
      if (c < 0x800) byte(0xc0 | c >> 6);
      else {
        if (c >>> 11 == 0x1b) { // a surrogate: two of them make a character beyond 0xffff
          from += 2;
          const low = c < 0xdc00 && from < end ? <u32>load<u16>(from) - 0xdc00 : -1;
          if (low > 0x3ff) limit = 0;
          c = 0x10000 + ((c & 0x3ff) << 10) + low;
          byte(0xf0 | c >> 18);
          byte(0x80 | c >> 12 & 63);
        } else byte(0xe0 | c >> 12);
        byte(0x80 | c >> 6 & 63);
      }
      c = 0x80 | c & 63;
    }
    byte(c);
  }
}

/** A decimal number. */
export function number(value: i32): void {
  if (value < 0) {
    byte(MINUS);
    value = 0 - value; // also right for the smallest i32
  }
  unsigned(value);
}

/** A decimal number without a sign: a time, for example. */
export function unsigned(value: u32): void {
  let unit: u32 = 1;
  while (value / unit > 9) unit *= 10;
  for (; unit; unit /= 10) {
    byte(ZERO + value / unit);
    value %= unit;
  }
}

/** Starts a JSON array. */
export function open(): void {
  byte(OPEN);
}

/** The next element of an array, with the comma before it. */
export function item(value: i32): void {
  if (at > start && load<u8>(at - 1) != OPEN) byte(COMMA);
  number(value);
}

export function close(): void {
  byte(CLOSE);
}
