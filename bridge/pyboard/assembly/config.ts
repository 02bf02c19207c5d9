/**
 * The initiator's first line: micropython-iot's `pb_link` sends its configuration as a JSON list,
 *
 *     [id, port, server, timeout, report, ssid, password, "cfg"]
 *
 * with the timeout in ms and the report's interval in s. Two more elements may precede "cfg", which `pb_link` sends
 * if they are in its list: the dialect, 1 or 2 (0: as stored), and the session of an initiator that numbers its lines.
 */
import { element, integer, is, read, valueLength, valuePtr } from "../../../client-as/assembly/json";

/** Fields for `configure`, `length` bytes. */
export const fields: usize = memory.data(320);
export let length: i32 = 0;
/** Seconds between reports; 0: none. */
export let report: i32 = 0;
/** The dialect to speak; 0: the one that is stored. */
export let dialect: i32 = 0;
export let session: i32 = 0;
/** Hash of id, server, port and dialect. */
export let identity: i32 = 0;

const TEXT: usize = memory.data(64);
/** Longest text, so that it fits the initiator's buffer together with the bytes around it. */
const LINE: i32 = 198;
const LINE_NUMBERED: i32 = 194;

let at: usize = 0;

/** Reads the line. False if it is not such a list, or a value is out of range; then the results are undefined. */
export function parse(line: usize, bytes: i32): bool {
  read(line, bytes);
  let last = 7;
  while (last < 10 && !(element(last) && is("cfg"))) last++;
  if (last == 10 || element(last + 1)) return false;
  dialect = last > 7 ? number(7) : 0;
  session = last > 8 ? number(8) : 0;
  report = number(4);
  const port = number(1);
  const timeout = number(3);
  if (<u32>dialect > 2 || session < 0 || report < 0 || report > 2000000 || port < 1 || port > 65535) return false;
  if (timeout < 100 || timeout > 3600000) return false;
  at = fields;
  if (!text(0, 5, 1, 64) || !text(2, 3, 1, 64)) return false;
  field(4, port, 2);
  if (dialect) field(8, dialect, 1);
  identity = 0x811c9dc5;
  for (let from = fields; from < at; from++) identity = (identity ^ load<u8>(from)) * 0x01000193;
  field(7, timeout, 4);
  field(10, session ? LINE_NUMBERED : LINE, 2);
  element(5);
  if (!isString()) return false;
  // With an empty ssid, the stored network.
  if (valueLength() && !(text(5, 1, 1, 32) && text(6, 2, 0, 64))) return false;
  length = <i32>(at - fields);
  return true;
}

/** The n-th element, which must be a number; -1 for anything else. */
function number(n: i32): i32 {
  return element(n) && !isString() ? integer(-1) : -1;
}

/** Whether the current element is a string. */
function isString(): bool {
  return load<u8>(valuePtr() - 1) == 0x22;
}

/** Appends a number as a field of this many bytes. */
function field(tag: i32, value: i32, bytes: i32): void {
  store<u8>(at, tag);
  store<u8>(at + 1, bytes);
  store<i32>(at + 2, value);
  at += 2 + bytes;
}

/**
 * Appends a string as a field, unescaped and without a newline at its end. False if it is not a string, too
 * short or too long. The host checks its bytes.
 */
function text(n: i32, tag: i32, least: i32, most: i32): bool {
  if (!element(n) || !isString()) return false;
  let from = valuePtr();
  const end = from + valueLength();
  const start = at + 2;
  let to = start;
  while (from < end) {
    let c = <u32>load<u8>(from++);
    if (c == 0x5c && from < end) { // a backslash
      c = load<u8>(from++);
      if (c == 0x6e) c = 10;
      else if (c == 0x75) { // u and four hex digits
        c = 0;
        for (let digits = 4; digits; digits--) {
          const digit = from < end ? <u32>load<u8>(from++) : 0;
          c = c << 4 | (digit < 0x3a ? digit & 15 : (digit & 7) + 9);
        }
        if (c >= 0x80) {
          if (c >>> 11 == 0x1b) return false; // half of a surrogate pair
          if (c < 0x800) store<u8>(to++, 0xc0 | c >> 6);
          else {
            store<u8>(to++, 0xe0 | c >> 12);
            store<u8>(to++, 0x80 | c >> 6 & 63);
          }
          c = 0x80 | c & 63;
        }
      } else if (c != 0x22 && c != 0x5c && c != 0x2f) return false;
    }
    store<u8>(to++, c);
    if (<i32>(to - start) > most + 1) return false; // 1 more: a newline may be removed
  }
  if (to > start && load<u8>(to - 1) == 10) to--;
  const bytes = <i32>(to - start);
  if (bytes < least || bytes > most) return false;
  store<u8>(at, tag);
  store<u8>(at + 1, bytes);
  at = to;
  return true;
}
