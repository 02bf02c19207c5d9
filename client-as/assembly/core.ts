/**
 * The client's end of a Holdfast link: framing, message ids, duplicate record, outbox, keepalive,
 * timeouts and the decision when to connect again. It has no socket, no clock and no allocator. The
 * host (JavaScript, or C in a firmware) carries bytes and the time in, and carries out what `poll`
 * asks for. There are no imports: everything a host must do is an event that `poll` returns.
 *
 * ## The contract
 *
 * 1. `registers()` gives the address of the register block below (32-bit little-endian words). Write
 *    the settings (LINE ... HELLO), call `init(base, now)`, make sure that memory reaches to the
 *    address it returns, and write the hello's bytes to PTR. Nothing is allocated later. `init` is
 *    what a boot is: calling it again forgets everything.
 * 2. Call `poll(now, can)` after every other call and when WAIT ms have passed, again and again until
 *    it returns NONE. `now` is a clock in ms that may wrap at 2^32. `can` says what the host can do
 *    this time: 1 (CAN_SEND) a piece can be handed to the socket, 2 (CAN_RECEIVE) the application
 *    can take a message. The event tells what to do:
 *      NONE     nothing until WAIT ms from now, or the next call
 *      CONNECT  open a connection, then call `opened`, or `closed` if that fails
 *      CLOSE    drop the connection; the core has forgotten it already. REASON says why
 *      SEND     send LEN bytes at PTR, all of them and in this order
 *      MESSAGE  LEN bytes of text at PTR are for the application; `take()` once it has them
 *    PTR is valid until the next call: what cannot be sent at once must be copied.
 * 3. `received(n, now)` after n bytes from the socket were put at RX_PTR; n must not exceed RX_ROOM.
 *    RX_ROOM 0 means: do not read the socket now. Both hold from a `poll` that returned NONE until
 *    the next call.
 * 4. `room(n)` gives the address at which n bytes of text can be put, or 0: not now, or never (empty,
 *    or longer than LINE). `write(n, qos)` then makes them a message and returns 1, or 0 if there is
 *    a newline inside or, with qos 0, no link to send it on. QUEUED counts the messages accepted and
 *    DONE those that left the outbox in the order of acceptance: with qos 1, acknowledged.
 * 5. STATE, CONNECTS and REASON may be read at any time. A call out of turn (`received` while there is
 *    no connection, `take` without a message) does nothing.
 *
 * A message is acknowledged by `take`, not before. Messages not yet taken when a connection ends are
 * forgotten: nobody acknowledged them, so the other end sends them again.
 *
 * ## Memory map, from `base`
 *
 *     hello                HELLO bytes
 *     control              CONTROL bytes: acks and keepalives on their way out
 *     recent               RECENT words: what the last messages taken carried
 *     inbox                INBOX bytes:  [taken | messages | line being received | room | reserve]
 *     outbox               OUTBOX bytes: [done | sent, not acknowledged | not sent | room]
 *
 * An inbox entry is the line itself, its id digits overwritten by the text's length (u16) and its
 * newline by the id. An outbox entry is a length (u16), an id (u8), flags (u8), then the line as sent.
 * Both queues move to their front when their end is reached, so every line lies in one piece.
 */

/** The register block; word offsets follow. */
const SIZE: i32 = 72;
const R: usize = memory.data(SIZE, 4);

// Settings, read by `init`.
/** Longest text of a line in bytes, without id and newline: 1 to 65,000. */
const LINE: usize = 0;
/** Bytes of outbox, LINE + 7 at least: a message costs its text + 7. */
const OUTBOX: usize = 4;
/** Bytes of inbox, 2 * (LINE + 3) at least: a message costs its text + 3. */
const INBOX: usize = 8;
/** How many taken messages are remembered to recognise repeats, 1 to 223 (ids come round after 255). */
const RECENT: usize = 12;
/** How many messages the outbox holds at most, sent or not, 1 to 64. */
const WINDOW: usize = 16;
/** Nothing heard for so many ms is an outage; a keepalive goes out every quarter of it. */
const TIMEOUT: usize = 20;
/** Seed of the pauses' jitter; each device its own, or they all come back at once. */
const SEED: usize = 24;
/** Bytes of the hello, 2 to 256: the device's id and a newline. */
const HELLO: usize = 28;

// Results.
const PTR: usize = 32;
const LEN: usize = 36;
const WAIT: usize = 40;
const RX_PTR: usize = 44;
const RX_ROOM: usize = 48;
const STATE: usize = 52;
const REASON: usize = 56;
/** How often the link came up. */
const CONNECTS: usize = 60;
const QUEUED: usize = 64;
const DONE: usize = 68;

// Events.
const NONE: i32 = 0;
const CONNECT: i32 = 1;
const CLOSE: i32 = 2;
const SEND: i32 = 3;
const MESSAGE: i32 = 4;

// What a host can do, in `poll`.
const CAN_SEND: i32 = 1;
const CAN_RECEIVE: i32 = 2;

// States.
const CLOSING: i32 = -1; // the host does not know yet that the connection is given up
const IDLE: i32 = 0; // waits before it connects
const CONNECTING: i32 = 1;
const GREETING: i32 = 2; // hello sent, nothing heard yet: no message may go out
const UP: i32 = 3;

// Reasons why a connection ended.
const LOST: i32 = 1; // the network or the other end closed it
const NO_ANSWER: i32 = 2; // connecting took too long
const NO_GREETING: i32 = 3; // connected, but nothing was heard
const SILENT: i32 = 4; // nothing was heard for TIMEOUT
const STALLED: i32 = 5; // the socket took nothing for TIMEOUT
const LINE_TOO_LONG: i32 = 6;
const BAD_LINE: i32 = 7; // a line that starts with no two lower-case hex digits

/** Bytes for acks and keepalives; messages are not offered while it is full. */
const CONTROL: usize = 64;
/** Bytes of a line beside its text: two digits and a newline. */
const FRAME: i32 = 3;
/** Bytes on their way without an ack, if they are more than one message: about a segment. A reader of
 * micropython-iot's that gets more than 4,096 at once may cut a character in two, and dies of that. */
const UNACKED: usize = 1400;
/** Messages since the last ack, if qos is off: were more lost, ids would come round unnoticed. */
const UNKNOWN: i32 = 63;
/** Bytes before an outbox entry's line. */
const HEADER: i32 = 4;
// Flags of an outbox entry; 0: waits for its ack.
const QOS_OFF: u8 = 1;
const DONE_WITH: u8 = 2;

let hello: usize = 0;
let control: usize = 0;
let controlHead: usize = 0; // `hello` while the hello is due: the two lie side by side
let controlEnd: usize = 0;
let recent: usize = 0;
let recentCount: u32 = 0; // messages taken
let recentUp: u32 = 0; // as many when the link came up
let recentBoot: u32 = 0; // as many when the other end booted: what it took before is forgotten
let newestId: i32 = 0;
let bootConnect: i32 = 0; // the connection on which that boot was seen
let inbox: usize = 0;
let inHead: usize = 0; // oldest message not taken
let inLine: usize = 0; // line being received
let inEnd: usize = 0; // where the next byte goes
let inLimit: usize = 0; // no message ends beyond it: a line's room stays free, so acks get through
let outbox: usize = 0; // also where the inbox ends
let outHead: usize = 0; // oldest message not done
let outNext: usize = 0; // next to send
let outEnd: usize = 0;
let nextId: u32 = 0; // 0 once only: it tells the other end that we booted

let known: i32 = 0; // QUEUED, when an ack came last: the other end knows the ids up to there
let heard: i32 = 0; // ms; also when the attempt to connect began
let sent: i32 = 0; // ms
let progress: i32 = 0; // ms: last ack, or when the first unacknowledged message was sent
let upAt: i32 = 0; // ms
let resumeAt: i32 = 0; // ms: when to connect
let failures: i32 = 0; // attempts since the link was last up for a while
let candidate: u32 = 0; // what the message on offer carries; 0: none is

// @ts-ignore: decorator
@inline
function get(register: usize): i32 {
  return load<i32>(R + register);
}

// @ts-ignore: decorator
@inline
function set(register: usize, value: i32): void {
  store<i32>(R + register, value);
}

export function registers(): usize {
  return R;
}

/** Lays the memory out from `base` (0: after the module's own data) and returns where it ends. */
export function init(base: usize, now: i32): usize {
  hello = base ? base : __heap_base;
  control = hello + get(HELLO);
  recent = control + CONTROL;
  inbox = recent + (get(RECENT) << 2);
  outbox = outHead = outNext = outEnd = inbox + get(INBOX);
  inLimit = outbox - get(LINE) - FRAME;
  recentCount = recentUp = recentBoot = nextId = failures = 0;
  for (let at = PTR; at < <usize>SIZE; at += 4) set(at, 0);
  set(PTR, <i32>hello);
  down(now, 0);
  return outbox + get(OUTBOX);
}

export function opened(now: i32): void {
  if (get(STATE) != CONNECTING) return;
  set(STATE, GREETING);
  heard = sent = now;
  controlHead = hello;
}

export function closed(now: i32): void {
  if (get(STATE)) down(now, LOST);
}

export function received(n: i32, now: i32): void {
  if (get(STATE) < GREETING) return;
  heard = now;
  let from = inEnd;
  for (const end = from + n; from < end;) {
    const byte = load<u8>(from++);
    store<u8>(inEnd++, byte);
    let reason = 0;
    if (byte == 10) reason = line(now);
    else if (<i32>(inEnd - inLine) >= get(LINE) + FRAME) reason = LINE_TOO_LONG;
    if (reason) {
      down(now, reason);
      set(STATE, CLOSING);
      return;
    }
  }
}

/** The application has the message that `poll` offered: acknowledges it. */
export function take(): void {
  const key = candidate;
  if (!key) return;
  if (!(key >>> 24)) { // id 0: the other end has booted and counts anew
    recentBoot = recentUp; // on this connection it was itself already
    newestId = 0;
    bootConnect = get(CONNECTS);
  }
  // Counted in ids, so that lost messages count too; one that was overtaken counts as one.
  const taken = <i32>(key >>> 24);
  let ahead = (taken + 255 - newestId) % 255;
  if (ahead < 128) newestId = taken;
  else ahead = 1;
  do store<u32>(recent + (recentCount++ % get(RECENT) << 2), --ahead > 0 ? 0 : key);
  while (ahead > 0);
  acknowledge();
}

export function room(n: i32): usize {
  if (<u32>(n - 1) >= <u32>get(LINE) || get(QUEUED) - get(DONE) >= get(WINDOW)) return 0;
  const limit = outbox + get(OUTBOX) - n - FRAME - HEADER;
  if (outEnd > limit) {
    const free = outHead - outbox;
    move(outbox, outHead, outEnd);
    outHead = outbox;
    outNext -= free;
    outEnd -= free;
    if (outEnd > limit) return 0;
  }
  return outEnd + HEADER + 2;
}

export function write(n: i32, qos: i32): i32 {
  const text = room(n);
  if (!text || !qos && (get(STATE) != UP || get(QUEUED) - known > UNKNOWN)) return 0;
  const end = text + n;
  for (let at = text; at < end; at++) if (load<u8>(at) == 10) return 0;
  frame(text - 2, end, nextId);
  store<u32>(outEnd, n + FRAME | nextId << 16 | <i32>!qos << 24);
  nextId = nextId % 255 + 1;
  outEnd = end + 1;
  set(QUEUED, get(QUEUED) + 1);
  return 1;
}

export function poll(now: i32, can: i32): i32 {
  offerRoom();
  const state = get(STATE);
  const timeout = get(TIMEOUT);
  let wait = resumeAt - now;
  if (state < 0) {
    set(STATE, IDLE);
    return CLOSE;
  }
  if (!state) {
    if (wait <= 0) {
      set(STATE, CONNECTING);
      heard = now;
      return CONNECT;
    }
  } else {
    // Without room for what may have arrived, silence says nothing about the other end.
    if (!get(RX_ROOM)) heard = now;
    // An attempt to connect is given up sooner than TCP repeats a lost SYN (1 s). A greeting may
    // take its time: the reference's server accepts five connections a second.
    wait = heard - now + (state == UP ? timeout : state == GREETING ? timeout << 1 : timeout >> 1);
    let reason = wait <= 0 ? state + 1 : 0;
    if (state >= GREETING) {
      if (can & CAN_RECEIVE && offer()) return MESSAGE;
      let next = timeout >> 2;
      if (can & CAN_SEND) {
        if (!reason && send(now)) return SEND;
        next += sent - now;
      } else if (now - sent >= timeout) reason = STALLED;
      wait = min(wait, next);
    }
    if (reason) {
      down(now, reason);
      return CLOSE;
    }
  }
  set(WAIT, wait);
  return NONE;
}

/** Finds the next piece to send, if there is one. */
function send(now: i32): bool {
  const timeout = get(TIMEOUT);
  if (controlHead == controlEnd && now - sent >= timeout >> 2) store<u8>(controlEnd++, 10);
  let at = controlHead;
  let length = <i32>(controlEnd - at);
  controlHead = controlEnd = control;
  if (!length && get(STATE) == UP) {
    if (outHead == outNext) progress = now;
    if (now - progress >= timeout) { // no ack for too long: what lacks one is sent again
      outNext = outHead;
      progress = now;
    }
    while (!length && outNext < outEnd) {
      at = outNext + HEADER;
      const end = after(outNext);
      // Nothing follows 00 before its ack: with newer messages taken, its repeat would look like a boot.
      if (outNext != outHead && (end - outHead > UNACKED || !load<u16>(outHead, 2))) break;
      outNext = end;
      const flags = load<u8>(at - 1);
      if (flags != DONE_WITH) length = <i32>(outNext - at);
      if (flags) finish(at - HEADER);
    }
  }
  if (!length) return false;
  sent = now;
  set(PTR, <i32>at);
  set(LEN, length);
  return true;
}

/** Offers the oldest message that is no repeat. A repeat is acknowledged again, and dropped. */
function offer(): bool {
  while (inHead < inLine && controlEnd + FRAME <= recent) {
    const length = <i32>load<u16>(inHead);
    const at = inHead + 2;
    let key: u32 = 0x811c9dc5; // FNV-1a
    for (let i = 0; i < length; i++) key = (key ^ load<u8>(at + i)) * 0x01000193;
    key = key >>> 8 | 1 | <u32>load<u8>(at + length) << 24;
    candidate = key;
    if (!isRepeat(key)) {
      set(PTR, <i32>at);
      set(LEN, length);
      return true;
    }
    acknowledge();
  }
  return false;
}

/**
 * Dialect 1 gives a message no name but an id of eight bits. A repeat carries what the same id
 * carried a short while ago. Id 0 is a repeat on the connection that brought it, or while nothing
 * newer was taken; otherwise the other end has booted and says the same as the last time.
 */
function isRepeat(key: u32): bool {
  const most = min(recentCount - recentBoot, <u32>get(RECENT));
  for (let newer: u32 = 0; newer < most; newer++) {
    if (load<u32>(recent + ((recentCount - 1 - newer) % get(RECENT) << 2)) == key) {
      return key >>> 24 != 0 || !newer || bootConnect == get(CONNECTS);
    }
  }
  return false;
}

/** Drops the oldest message of the inbox and puts its ack on its way. */
function acknowledge(): void {
  const end = inHead + 2 + load<u16>(inHead);
  frame(controlEnd, controlEnd + 2, load<u8>(end));
  controlEnd += FRAME;
  inHead = end + 1;
  candidate = 0;
}

/** A line has ended at inEnd. Returns what is wrong with it. */
function line(now: i32): i32 {
  const length = <i32>(inEnd - inLine) - FRAME;
  if (length > -2) { // no keepalive
    const value = digit(inLine) << 4 | digit(inLine + 1);
    if (value < 0) return BAD_LINE;
    if (!length) acked(value, now);
    else if (inEnd <= inLimit) {
      store<u16>(inLine, length);
      store<u8>(inEnd - 1, value);
      inLine = inEnd;
    } // else it was read only for the acks behind it. Not acknowledged, it will come again.
  }
  inEnd = inLine;
  if (get(STATE) != UP) {
    set(STATE, UP);
    set(CONNECTS, get(CONNECTS) + 1);
    upAt = now;
    known = get(QUEUED);
    recentUp = recentCount;
    sent = now - (get(TIMEOUT) >> 2); // the other end waits to hear us: at once, if only a keepalive
  }
  return 0;
}

/** The other end has the message with this id. It may have overtaken others. */
function acked(value: i32, now: i32): void {
  known = get(QUEUED);
  for (let entry = outHead; entry < outNext; entry = after(entry)) {
    if (load<u16>(entry, 2) == value) { // neither done nor qos off
      progress = now;
      return finish(entry);
    }
  }
}

/** Nobody waits for this message any more. Messages leave the outbox in order. */
function finish(entry: usize): void {
  store<u8>(entry, DONE_WITH, 3);
  while (outHead < outNext && load<u8>(outHead, 3) == DONE_WITH) {
    outHead = after(outHead);
    set(DONE, get(DONE) + 1);
  }
}

/** The outbox entry behind this one. */
function after(entry: usize): usize {
  return entry + HEADER + load<u16>(entry);
}

/** The connection is gone: what belonged to it is forgotten, and the next attempt planned. */
function down(now: i32, reason: i32): void {
  if (get(STATE) == UP && <u32>(now - upAt) >= <u32>get(TIMEOUT)) failures = 0;
  set(REASON, reason);
  set(STATE, IDLE);
  controlHead = controlEnd = control;
  inHead = inLine = inEnd = inbox;
  candidate = 0;
  outNext = outEnd;
  for (let entry = outHead; entry < outEnd; entry = after(entry)) {
    if (load<u8>(entry, 3)) finish(entry); // qos off: it had its chance
  }
  outNext = outHead;
  // At once, then after 1/32, 1/16, 1/8 and 1/4 of the timeout, less up to a half.
  const pause = failures ? get(TIMEOUT) >> max(6 - failures, 2) : 0;
  resumeAt = now + pause - (((now ^ get(SEED)) * 0x9e3779b1 >>> 16) * pause >>> 17);
  failures++;
}

/** Makes room in the inbox where that costs little copying, and says how much there is. */
function offerRoom(): void {
  const taken = inHead - inbox;
  if (inHead == inLine || taken > <usize>get(LINE)) {
    move(inbox, inHead, inEnd);
    inHead = inbox;
    inLine -= taken;
    inEnd -= taken;
  }
  // While messages of ours lack an ack, read on beyond the limit: their acks may be next.
  const limit = outHead == outNext ? inLimit : outbox;
  set(RX_PTR, <i32>inEnd);
  set(RX_ROOM, max(<i32>(limit - inEnd), 0));
}

/** Puts two hex digits and a newline around a text. */
function frame(at: usize, end: usize, value: u32): void {
  for (let shift = 4; shift >= 0; shift -= 4) {
    const nibble = value >>> shift & 15;
    store<u8>(at++, nibble + (nibble < 10 ? 48 : 87));
  }
  store<u8>(end, 10);
}

/** The value of a lower-case hex digit; negative if it is none. */
function digit(at: usize): i32 {
  const c = load<u8>(at);
  const value = <i32>c - 48;
  if (<u32>value < 10) return value;
  return <u32>(value - 49) < 6 ? value - 39 : -1;
}

function move(to: usize, from: usize, end: usize): void {
  while (from < end) store<u8>(to++, load<u8>(from++));
}
