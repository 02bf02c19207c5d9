/**
 * Channels: settings and requests that an application receives, and what it reports. CHANNELS.md describes the lines.
 *
 *     export { canReceive } from "../assembly/app"; // no message is offered while there is no room for its answer
 *
 *     export function onStart(): void {
 *       hello("@kitchen 3"); // before anything else
 *       every(1000);
 *     }
 *
 *     export function onTick(): void {
 *       tellAt("=temp", millis()); // =temp@123456 512
 *       number(adc_read());
 *       send(QOS);
 *     }
 *
 *     export function onMessage(ptr: usize, length: i32): bool {
 *       if (!hear(ptr, length)) return true; // a plain line: not about a channel
 *       if (on("=heater")) {
 *         const wanted = integer(-1);
 *         if (wanted == 0 || wanted == 1) {
 *           gpio_write(HEATER, wanted);
 *           answer(); // :heater.8 1
 *           number(wanted);
 *         }
 *       } else if (on("?adc")) {
 *         answer(); // :adc.9 512
 *         number(adc_read());
 *       }
 *       return done(); // sends the answer, or ~heater.8 bad_value, or ~fan.9 unknown
 *     }
 *
 * Literals are the start of the line as it is sent: its mark and its name, `=heater`. Each setting and each request gets
 * exactly one answer; other lines get none. Nothing is copied, and nothing is kept after the message. The answer comes
 * first: while it is due, `tell` is refused.
 */
import { random } from "./board";
import { room } from "./core";
import { read, same } from "./json";
import { pending } from "./status";
import { begin, byte, copy, endOf, QOS, send, unsigned } from "./text";

const SPACE: i32 = 0x20;
const EVENT: i32 = 0x21; // !
const DASH: i32 = 0x2d;
const DOT: i32 = 0x2e;
const ZERO: i32 = 0x30;
const COLON: i32 = 0x3a;
const SETTING: i32 = 0x3d; // =
const REQUEST: i32 = 0x3f; // ?
const AT: i32 = 0x40;
const UNDERSCORE: i32 = 0x5f;
const LETTER: i32 = 0x61; // a
const FAULT: i32 = 0x7e; // ~

/** Bytes of the longest line that is begun here: every other end accepts it. */
const MOST: i32 = 121;
const MOST_NAME: u32 = 32;
const MOST_DIGITS: u32 = 10;

// Whether an answer is due, and what is sent if the application has not begun one.
const UNKNOWN: i32 = 1; // no `on` has matched the name
const BAD_VALUE: i32 = 2;
const BEGUN: i32 = 3; // the application has begun one

let due: i32 = 0;
let line: usize = 0; // the message
let headLength: i32 = 0; // of its mark and name
let tagEnd: usize = 0; // an answer repeats the bytes between the mark and here
let asked: u32 = 0; // the tag of the last request

/**
 * Parses a message. True if it is about a channel: then `on` tells which one, and `integer` and `is` read its
 * value. False if it is a plain line. Lines with a time stamp count as plain: only devices send them.
 */
export function hear(ptr: usize, length: i32): bool {
  const end = ptr + length;
  const mark = <i32>load<u8>(ptr);
  let at = line = ptr;
  let dot: usize = 0; // where the tag begins
  while (++at < end) {
    const c = <u32>load<u8>(at);
    if (!dot & <i32>(c == DOT)) dot = at;
    else if (
      !(<i32>(c - ZERO < 10) | !dot & (<i32>(c - DASH < 13) | <i32>(c - LETTER < 26) | <i32>(c == UNDERSCORE)))
    ) break;
  }
  tagEnd = at;
  headLength = <i32>((dot ? dot : at) - ptr);
  const hasValue = <usize>(at < end);
  read(at + hasValue, <i32>(end - at - hasValue));
  const answers = <i32>((mark | 2) == REQUEST); // apart from bit 1, the marks of settings and requests are the same
  const isMarked = (answers | <i32>(mark == EVENT) | <i32>(mark == COLON) | <i32>(mark == FAULT)) &
    <i32>(<u32>(headLength - 2) < MOST_NAME) &
    (dot ? <i32>(<u32>(at - dot - 2) < MOST_DIGITS) & <i32>(mark != EVENT) : <i32>(mark != REQUEST)) &
    (hasValue ? <i32>(at + 1 < end) & <i32>(load<u8>(at) == SPACE) : <i32>(mark != SETTING));
  due = answers & isMarked;
  return <bool>isMarked;
}

/** Whether the message has this mark and name, as in "=heater". */
export function on(head: string): bool {
  if (!same(line, headLength, head)) return false;
  if (due) due = BAD_VALUE;
  return true;
}

/** Begins the answer: compose its value, and call `done`. Does nothing if no answer is due. */
export function answer(): void {
  reply(COLON);
}

/** Answers with an error: "busy", "failed", "unsupported" or "bad_value"; words may follow after a space. Call `done` then. */
export function refuse(code: string): void {
  reply(FAULT);
  copy(changetype<usize>(code), endOf(code), 2);
}

/**
 * Call this at the end of each message about a channel: it sends the answer that is due. If the application has begun
 * none, the answer is `unknown` if no `on` was true, else `bad_value`; if its answer is too long, it is `failed`.
 * False if other lines have taken the room for it: let `onMessage` return that, and it is offered the message again.
 */
export function done(): bool {
  let without = due;
  if (without == BEGUN && send(QOS)) without = due = 0;
  if (!without) return true;
  reply(FAULT);
  // unknown, bad_value, failed: literals would take three times the memory.
  const codes = memory.data<u8>([
    0x75, 0x6e, 0x6b, 0x6e, 0x6f, 0x77, 0x6e, 0, 0,
    0x62, 0x61, 0x64, 0x5f, 0x76, 0x61, 0x6c, 0x75, 0x65,
    0x66, 0x61, 0x69, 0x6c, 0x65, 0x64,
  ]);
  const code = codes + 9 * (without - 1);
  copy(code, code + (0x6970 >> (without << 2) & 15), 1); // they are 7, 9 and 6 bytes long
  due = 0;
  return <bool>(<i32>send(QOS) | <i32>!pending()); // with an empty outbox there will never be more room
}

function reply(mark: i32): void {
  if (!due) return;
  due = BEGUN;
  begin(MOST);
  byte(mark);
  copy(line + 1, tagEnd, 1);
  byte(SPACE);
}

/**
 * Whether a message can be offered: there is room for an answer to it, or the outbox is empty. Every application that
 * calls `hear` must export it.
 */
export function canReceive(): bool {
  return <bool>(<i32>!pending() | <i32>(room(MOST) != 0));
}

/** The first line after a start, such as "@kitchen 3": application and version, in ASCII. Call it first in `onStart`. */
export function hello(line: string): bool {
  start(line);
  return send(QOS);
}

/** Begins a line about a channel: "=temp" for a reading or a change made here, "!button" for an event. */
// @ts-ignore: decorator
@inline
export function tell(head: string): void {
  start(head);
  byte(SPACE);
}

/** The same with the time, by `millis()`: the server works out when that was, however late the line arrives. */
export function tellAt(head: string, ms: i32): void {
  start(head);
  byte(AT);
  unsigned(ms);
  byte(SPACE);
}

/** Begins a request to the server, "?time". A value may follow, after a `byte(0x20)`. */
export function ask(head: string): void {
  if (!asked) asked = random() >>> 1; // so that an answer to a request of an earlier run does not match
  start(head);
  byte(DOT);
  unsigned(++asked);
}

function start(head: string): void {
  begin(due ? 0 : MOST);
  copy(changetype<usize>(head), endOf(head), 2); // ASCII: `text` is long
}

/** Whether the message answers the last request: ":time", or "~time" if the server could not answer it. */
export function answered(head: string): bool {
  let tag: u32 = 0;
  for (let at = line + headLength; ++at < tagEnd;) tag = tag * 10 + load<u8>(at) - ZERO;
  return <bool>(<i32>on(head) & <i32>(tag == asked));
}
