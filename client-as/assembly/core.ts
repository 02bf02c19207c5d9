/**
 * The client's end of a Holdfast link, in both dialects of `client-as/PROTOCOL.md`: framing, message
 * numbers, greeting, outbox, keepalive, timeouts and the decision when to connect again. It has no
 * socket, no clock, no key and no allocator. The host (JavaScript, or C in a firmware) carries bytes and
 * the time in, and carries out what `poll` asks for. Its only import, `hmac`, just computes.
 * Long because it is one state machine: all functions work on the same queues and variables, and a module
 * cannot assign the variables of another.
 *
 * ## The contract
 *
 * 1. `registers()` gives the address of the register block (`registers.ts`). Write the settings ("host" there),
 *    call `init(base, now)`, make sure that memory reaches to the address it returns, and write the device's id
 *    and a newline to PTR. Nothing is allocated later. `init` is a boot: calling it again discards the state of
 *    the link and all messages.
 * 2. Call `poll(now, can)` after every other call and when WAIT ms have passed, again and again until
 *    it returns NONE. `now` is a clock in ms that may wrap at 2^32. `can` says what the host can do
 *    this time: 1 (CAN_SEND) the socket can accept bytes, 2 (CAN_RECEIVE) the application can take a
 *    message. The event tells the host what to do:
 *      NONE     nothing until WAIT ms from now, or the next call
 *      CONNECT  open a connection, then write NONCE and call `opened`, or `closed` if that fails
 *      CLOSE    drop the connection; the core has forgotten it already. REASON says why
 *      SEND     send LEN bytes at PTR, all of them and in this order
 *      MESSAGE  LEN bytes of text at PTR are for the application; `take()` once it has them
 *    PTR is valid until the next call: what cannot be sent at once must be copied.
 * 3. `received(n, now)` after n bytes from the socket were put at RX_PTR; n must not exceed RX_ROOM.
 *    RX_ROOM 0 means: do not read the socket now. Both are valid from a `poll` that returned NONE until
 *    the next call.
 * 4. `room(n)` gives the address at which n bytes of text can be put, or 0: not now, or never (empty,
 *    or longer than LINE, or than the other end accepts). `write(n, qos)` then makes them a message and
 *    returns 1. It returns 0 if the text contains a newline or starts with NUL, or, with qos 0, if there is no link.
 *    `n` may be smaller than it was for `room`. A message on offer stays valid meanwhile. TX_NEXT counts the messages
 *    that were accepted. TX_FIRST counts those that have left the outbox, in the order of acceptance. With qos 1 a
 *    message leaves it when it is acknowledged; or it is withdrawn, if the server has come back with a PEER_LINE
 *    (valid once the link is up) that is too short for it.
 * 5. RX_EPOCH and RX_NEXT are the position in the stream from the other end. A host that can store them across a
 *    reset saves them when `take` or `poll` has changed them, before the next `poll`. If the connection ends before a
 *    host could take the message that it was offered last, and the host keeps that message, it adds 1 to RX_NEXT before
 *    `opened`. A host that keeps the outbox as well sets TX_EPOCH, TX_FIRST and TX_NEXT (both the number of the first
 *    message) after `init`, writes the messages that it has kept before the first `poll`, and saves TX_EPOCH before
 *    `opened`, because a greeting may have changed it. A message that an earlier boot may have sent is written with
 *    qos 3: as 1, but the other end may have it. A message that was withdrawn is written with any text, and its first
 *    byte is then set to NUL.
 * 6. `expire(number)` says that the deadline of a message has passed. It returns 1 if the message is withdrawn: the other
 *    end will never see it. It returns 0 if the message has left the outbox, has no qos, or may have arrived. Then call
 *    it again after every other call, until it returns 1 or TX_FIRST is beyond the number. Meanwhile, in dialect 2,
 *    neither the message nor those after it are sent again. A message that was not sent is withdrawn at once. One that
 *    was sent is withdrawn if the next greeting says that it has not arrived, as soon as anything is heard after that
 *    greeting. Dialect 1 has no such greeting: a message that was sent is withdrawn at once, and 2 is returned, as
 *    nobody can know whether it has arrived. In dialect 1 neither a boot's first message nor one that is 64 or more
 *    after the last ack can be withdrawn.
 * 7. STATE, CONNECTS and REASON may be read at any time. A call out of turn (`received` while there is
 *    no connection, `take` without a message) does nothing.
 *
 * DEADLINES is 0 in an application without deadlines (`build.ts`): then `expire` does nothing and costs nothing.
 *
 * To save space, conditions without side effects are joined by `&` and `|`: `&&` and `||` cost five bytes more.
 *
 * `take` acknowledges a message. Messages not yet taken when a connection ends are discarded: they were not
 * acknowledged, so the other end sends them again.
 *
 * ## Memory map, from `base`
 *
 *     id and newline       ID_LEN bytes
 *     control              CONTROL bytes: proof, acks and keepalives on their way out
 *     recent               RECENT words: what the last messages taken carried (dialect 1)
 *     inbox                INBOX bytes:  [taken | messages | line being received | room | reserve]
 *     outbox               OUTBOX bytes: [done | sent, not acknowledged | not sent | room]
 *
 * An inbox entry is the line itself, its id digits overwritten by the text's length (u16) and its
 * newline by the id. An outbox entry is a length (u16), an id (u8), flags (u8), then the line as sent.
 * Both queues move to their front when their end is reached, so every line lies in one piece. During the
 * greeting, the inbox holds the hello, followed by the welcome: this is what the proofs sign.
 */
import {
  BAD_GREETING, BAD_LINE, BAD_POSITION, BAD_PROOF, BYTES, CAN_RECEIVE, CAN_SEND, CLOSE, CLOSING, CONNECT,
  CONNECTING, CONNECTS, DIALECT, GAP, GREETING, ID_LEN, IDLE, INBOX, LEN, LINE, LINE_TOO_LONG, LOST, MESSAGE,
  NO_ANSWER, NONCE, NONE, OUTBOX, PEER_BYTES, PEER_LINE, PEER_RX_EPOCH, PEER_RX_NEXT, PEER_TX_EPOCH,
  PEER_TX_FIRST, PEER_WINDOW, PTR, REASON, RECENT, REFUSED, RX_EPOCH, RX_NEXT, RX_PTR, RX_ROOM, SEED, SEND,
  SIZE, STALLED, STATE, SUITE, TIMEOUT, TX_EPOCH, TX_FIRST, TX_NEXT, UP, WAIT, WINDOW,
} from "./registers";

/** The register block. */
const R: usize = memory.data(SIZE, 4);

/** Bytes for acks, keepalives and the proof; messages are not offered while it is full. */
const CONTROL: usize = 64;
/** Digits of a proof: 128 bits. */
const PROOF: i32 = 32;
/** Bytes of a greeting before its proof or id: kind, suite, seven words and a nonce of four. In suite 4 a nonce has eight:
 * the host has put the second half of ours before the id. */
const GREETING_BYTES: i32 = 3 + 11 * 8;
// First bytes of the lines that only dialect 2 has.
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const PROVE: u8 = 3;
const REFUSAL: u8 = 4;
/** Bytes of a line besides its text: two digits and a newline. */
const FRAME: i32 = 3;
/** Most unacknowledged bytes in dialect 1, unless they are a single message: about a TCP segment. A reader of
 * micropython-iot that gets more than 4,096 bytes at once may cut a character in two, and crashes. */
const UNACKED: i32 = 1400;
/** Most messages since the last ack, if qos is off: if more were lost, ids would wrap around unnoticed. */
const UNKNOWN: i32 = 63;
/** Bytes before the line in an outbox entry. */
const HEADER: i32 = 4;
// Flags of an outbox entry; 0: waits for its ack.
const QOS_OFF: u8 = 1;
const DONE_WITH: u8 = 2;
const WITHDRAWN: u8 = 3; // its line is shorter than its entry
const LATE: u8 = 4; // its deadline passed after it may have arrived: it is not sent again
/** The flags without which a message waits for its ack. */
const SETTLED: i32 = 3;

/** Writes the first 32 hex digits of HMAC-SHA256(key, length bytes at `at`) to `to`. */
// @ts-ignore: decorator
@external("host", "hmac")
declare function hmac(at: usize, length: i32, to: usize): void;

let id: usize = 0;
let control: usize = 0;
let controlHead: usize = 0; // differs from `control` only while the hello waits to be sent
let controlEnd: usize = 0;
let recent: usize = 0;
let recentCount: u32 = 0; // messages taken
let recentUp: u32 = 0; // recentCount when the link came up
let recentBoot: u32 = 0; // recentCount when the other end booted: older messages no longer count
let newestId: i32 = 0;
let bootConnect: i32 = 0; // the connection on which that boot was seen
let inbox: usize = 0;
let inHead: usize = 0; // oldest message not taken
let inLine: usize = 0; // line being received
let inEnd: usize = 0; // where the next byte goes
let inLimit: usize = 0; // no message ends beyond it: room for one line stays free, so acks get through
let outbox: usize = 0; // also where the inbox ends
let outHead: usize = 0; // oldest message not done
let outNext: usize = 0; // next to send
let outEnd: usize = 0;
let outSent: usize = 0; // everything before it may have arrived
let expected: i32 = 0; // dialect 2: number of the next message to arrive
let malformed: i32 = 0; // negative: `number` met something other than digits

let known: i32 = 0; // TX_NEXT when the last ack came: the other end knows the ids up to there
let heard: i32 = 0; // ms: when bytes last arrived, or when the attempt to connect began
let sent: i32 = 0; // ms: when bytes were last sent
let progress: i32 = 0; // ms: last ack, or when the first unacknowledged message was sent
let upAt: i32 = 0; // ms
let resumeAt: i32 = 0; // ms: when to connect
let failures: i32 = 0; // attempts since the link was last up for a while
let candidate: u32 = 0; // hash of the message on offer; 0: no message

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

/** Lays out the memory from `base` (0: after the module's own data) and returns where it ends. */
export function init(base: usize, now: i32): usize {
  id = base ? base : __heap_base;
  control = id + get(ID_LEN);
  recent = control + CONTROL;
  inbox = recent + (get(RECENT) << 2);
  outbox = outHead = outNext = outEnd = outSent = inbox + get(INBOX);
  inLimit = outbox - get(LINE) - FRAME;
  recentCount = recentUp = recentBoot = 0;
  newestId = bootConnect = known = 0;
  set(TX_FIRST, 0);
  set(TX_NEXT, 0);
  set(CONNECTS, 0);
  set(BYTES, <i32>(inLimit - inbox));
  set(PEER_BYTES, UNACKED);
  set(PEER_LINE, get(LINE));
  set(PTR, <i32>id);
  failures = 0;
  down(now, 0);
  return outbox + get(OUTBOX);
}

/** The connection is open. In dialect 2 the hello is written to the front of the inbox: the welcome will follow it. */
export function opened(now: i32): void {
  if (get(STATE) != CONNECTING) return;
  set(STATE, GREETING);
  heard = sent = now;
  controlHead = id;
  if (!second()) return;
  let at = controlHead = inbox;
  store<u8>(at, HELLO);
  at = hex(at + 1, get(SUITE), 4);
  for (let word: usize = TX_EPOCH; word < <usize>NONCE + 16; word += 4) at = hex(at, get(word), 28);
  move(at, id, control);
  inHead = inLine = inEnd = controlEnd = at + get(ID_LEN);
}

export function closed(now: i32): void {
  if (get(STATE)) down(now, LOST);
}

export function received(n: i32, now: i32): void {
  if (get(STATE) < GREETING) return;
  if (get(STATE) == UP | !second()) heard = now; // part of a welcome does not count
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
  if (second()) set(RX_NEXT, get(RX_NEXT) + 1);
  else {
    if (!(key >>> 24)) { // id 0: the other end has booted and counts from 0 again
      recentBoot = recentUp; // everything since this connection began is of the same boot
      newestId = 0;
      bootConnect = get(CONNECTS);
    }
    // Counted in ids, so that lost messages count too; one that was overtaken counts once.
    const taken = <i32>(key >>> 24);
    let ahead = (taken + 255 - newestId) % 255;
    if (ahead < 128) newestId = taken;
    else ahead = 1;
    do store<u32>(recent + (recentCount++ % get(RECENT) << 2), --ahead > 0 ? 0 : key);
    while (ahead > 0);
  }
  acknowledge();
}

export function room(n: i32): usize {
  if (
    <u32>(n - 1) >= min<u32>(get(LINE), get(PEER_LINE)) | get(TX_NEXT) - get(TX_FIRST) >= get(WINDOW)
  ) return 0;
  const limit = outbox + get(OUTBOX) - n - FRAME - HEADER;
  if (outEnd > limit) {
    const free = outHead - outbox;
    move(outbox, outHead, outEnd);
    outNext -= free;
    outEnd -= free;
    if (DEADLINES) outSent = max(outSent, outHead) - free;
    outHead = outbox;
    if (outEnd > limit) return 0;
  }
  return outEnd + HEADER + 2;
}

export function write(n: i32, qos: i32): i32 {
  const text = room(n);
  if (!text | !load<u8>(text) | !qos & (get(STATE) != UP | get(TX_NEXT) - known > UNKNOWN)) return 0;
  const end = text + n;
  for (let at = text; at < end; at++) if (load<u8>(at) == 10) return 0;
  const number = get(TX_NEXT);
  set(TX_NEXT, number + 1);
  // In dialect 1 id 00 is used only once: it tells the other end that we booted.
  const name = number && !second() ? (number - 1) % 255 + 1 : number & 255;
  frame(text - 2, end, name);
  store<u32>(outEnd, n + FRAME | name << 16 | <i32>!qos << 24);
  outEnd = end + 1;
  if (DEADLINES && qos > 1) outSent = outEnd;
  return 1;
}

/** The deadline of this message has passed. See the contract. */
export function expire(number: i32): i32 {
  if (!DEADLINES) return 0;
  let next = get(TX_FIRST);
  for (let entry = outHead; entry < outEnd; entry = after(entry)) {
    if (next++ != number | load<u8>(entry, 3) & SETTLED) continue;
    const mayBeThere = <i32>(entry < outSent);
    // Dialect 1 needs 00, and must not skip many ids in a row: ids tell a new message from a repeat.
    if (second() ? mayBeThere : <u32>(number - 1) >= <u32>(known + UNKNOWN)) {
      if (second()) store<u8>(entry, LATE, 3);
      return 0;
    }
    drop(entry);
    return 1 + mayBeThere;
  }
  return 0;
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
    // Without room in the inbox nothing is read, so silence does not mean that the other end is gone.
    if (!get(RX_ROOM)) heard = now;
    // An attempt that began in an outage is given up before TCP repeats a lost SYN (1 s). In dialect 1 a greeting
    // may take longer: micropython-iot's server accepts five connections a second.
    wait = heard - now +
      (state == UP ? timeout : state == GREETING & !second() ? timeout << 1 : timeout * 3 >> 3);
    let reason = wait <= 0 ? state + 1 : 0; // NO_ANSWER, NO_GREETING or SILENT
    if (state >= GREETING) {
      if (can & CAN_RECEIVE && offer()) return MESSAGE;
      let next = timeout >> state - 1;
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
  // Half as often before the link is up. In dialect 2 that means never, because the wait for the welcome ends first:
  // the other end would take whatever follows the hello for an answer to its welcome.
  if (controlHead == controlEnd & now - sent >= timeout >> get(STATE) - 1) {
    store<u8>(controlEnd++, 10);
  }
  let at = controlHead;
  let length = <i32>(controlEnd - at);
  controlHead = controlEnd = control;
  if (!length & get(STATE) == UP) {
    if (outHead == outNext) progress = now;
    if (now - progress >= timeout & !second()) { // no ack for too long: send again what lacks one
      outNext = outHead;
      progress = now;
    }
    while (!length && outNext < outEnd) {
      const end = after(outNext);
      const flags = load<u8>(outNext, 3);
      if (
        (DEADLINES ? <i32>(flags == LATE) : 0) | outNext != outHead & (
          <i32>(end - outHead) > get(PEER_BYTES) |
          // In dialect 1 nothing follows 00 before its ack: after newer messages, its repeat would look
          // like a boot.
          <i32>(second()
            ? (load<u8>(outNext, 2) - get(TX_FIRST) & 255) >= get(PEER_WINDOW)
            : !load<u16>(outHead, 2))
        )
      ) break;
      at = outNext + HEADER;
      outNext = end;
      if (DEADLINES) outSent = max(outSent, end);
      if (flags != DONE_WITH) length = flags == WITHDRAWN ? FRAME + 1 : <i32>(end - at);
      if (flags != 0 & !second()) finish(at - HEADER);
    }
  }
  if (!length) return false;
  sent = now;
  set(PTR, <i32>at);
  set(LEN, length);
  return true;
}

/** Offers the oldest message that is not a repeat. A repeat is acknowledged again and dropped. */
function offer(): bool {
  while (inHead < inLine & controlEnd + FRAME <= recent) {
    const length = <i32>load<u16>(inHead);
    const at = inHead + 2;
    let key: u32 = 0x811c9dc5; // FNV-1a
    for (let i = 0; i < length; i++) key = (key ^ load<u8>(at + i)) * 0x01000193;
    key = key >>> 8 | 1 | <u32>load<u8>(at + length) << 24;
    candidate = key;
    if (second() ? load<u8>(at) : !isRepeat(key)) {
      set(PTR, <i32>at);
      set(LEN, length);
      return true;
    }
    if (second()) take(); // withdrawn by its sender
    else acknowledge();
  }
  return false;
}

/**
 * In dialect 1 a message has only an id of eight bits. A repeat has the id and the text of a recent message.
 * Id 0 is a repeat on the connection that brought it, or if nothing newer was taken; otherwise the other end has booted,
 * and its first message has the same text as the last time.
 */
function isRepeat(key: u32): bool {
  const most = min(recentCount - recentBoot, <u32>get(RECENT));
  for (let newer: u32 = 0; newer < most; newer++) {
    if (load<u32>(recent + ((recentCount - 1 - newer) % get(RECENT) << 2)) == key) {
      return key >>> 24 != 0 | !newer | bootConnect == get(CONNECTS);
    }
  }
  return false;
}

/** Drops the oldest message of the inbox and queues its ack. */
function acknowledge(): void {
  const end = inHead + 2 + load<u16>(inHead);
  if (second()) controlEnd = control; // this ack covers all earlier ones
  frame(controlEnd, controlEnd + 2, load<u8>(end));
  controlEnd += FRAME;
  inHead = end + 1;
  candidate = 0;
}

/** A line has ended at inEnd. Returns 0, or the reason to end the connection. */
function line(now: i32): i32 {
  const length = <i32>(inEnd - inLine) - FRAME;
  malformed = 0;
  // A refusal may also come after the proof: no message starts like this.
  if (second() & <i32>(load<u8>(inLine) == REFUSAL)) return REFUSED + (number(inLine + 1, 2) & 63);
  if (second() & get(STATE) != UP) {
    const reason = greeted();
    if (reason) return reason;
  } else {
    // The other end has dropped the previous connection, which until then could still deliver messages that the
    // welcome does not count.
    if (DEADLINES && second()) outSent = outNext;
    if (length > -2) { // not a keepalive
      const value = number(inLine, 2);
      if (malformed) return BAD_LINE;
      if (!length) {
        if (!acked(value, now)) return BAD_POSITION;
      } else if (second() | inEnd <= inLimit) {
        if (value != (expected++ & 255) & second()) return GAP;
        store<u16>(inLine, length);
        store<u8>(inEnd - 1, value);
        inLine = inEnd;
      } // else it was read only for the acks after it. It is not acknowledged, so it will come again.
    }
  }
  inEnd = inLine;
  if (get(STATE) != UP) {
    set(STATE, UP);
    set(CONNECTS, get(CONNECTS) + 1);
    upAt = heard = now;
    known = get(TX_NEXT);
    recentUp = recentCount;
    sent = now - (get(TIMEOUT) >> 2); // the other end waits to hear from us: send something at once, even a keepalive
  }
  return 0;
}

/** The welcome of dialect 2 has arrived; it is stored after the hello. Returns 0, or the reason to end the connection. */
function greeted(): i32 {
  const suite = get(SUITE);
  const proof = inLine + GREETING_BYTES + ((suite & 4) << 3);
  const digits = control + 1;
  const end = proof + (suite ? <usize>PROOF + 1 : 1);
  if (load<u8>(inLine) != WELCOME | <i32>(inEnd != end)) return BAD_GREETING;
  // With a key, the four positions are masked with the HMAC of the nonce's last four words.
  if (suite) hmac(proof - PROOF, PROOF, digits);
  // A word is stored when the next one is read; the first store repeats our own suite. So the last word, which matters
  // beyond this connection, is stored after the proof. The others matter only while the link is up.
  let longest = suite;
  for (let word: usize = PEER_TX_EPOCH; word < <usize>SIZE; word += 4) {
    set(word - 4, longest);
    const place = (word << 1) - (PEER_TX_EPOCH << 1);
    const isHidden = <i32>(word < <usize>PEER_WINDOW) * suite;
    longest = number(inLine + 3 + place, 8) ^ (isHidden ? number(digits + place, 8) : 0);
  }
  const epoch = get(PEER_TX_EPOCH);
  if (
    (number(inLine + 1, 2) ^ suite) | malformed | <i32>(<u32>(get(PEER_WINDOW) - 1) > 63) |
    <i32>(<u32>(longest - 1) >= <u32>(get(PEER_BYTES) - FRAME)) |
    <i32>(<u32>get(PEER_BYTES) < <u32>FRAME) | <i32>!epoch
  ) return BAD_GREETING;
  if (suite) {
    hmac(inbox, <i32>(proof - inbox), digits);
    for (let i = PROOF; i--;) malformed |= load<u8>(digits + i) ^ load<u8>(proof + i);
    if (malformed) return BAD_PROOF;
    hmac(inbox, <i32>(inEnd - inbox), digits);
    store<u8>(control, PROVE);
    store<u8>(control, 10, PROOF + 1);
    controlEnd = digits + PROOF + 1;
  }
  set(PEER_LINE, longest);
  const there = get(PEER_RX_NEXT) - get(TX_FIRST);
  if (get(PEER_RX_EPOCH) != get(TX_EPOCH)) return BAD_POSITION;
  if (<u32>there > <u32>(get(TX_NEXT) - get(TX_FIRST))) {
    // Otherwise the other end would repeat this position for ever. With another epoch, the stream is new to it.
    set(TX_EPOCH, get(NONCE) | 1);
    return BAD_POSITION;
  }
  for (let i = there; i--;) finish(outHead);
  withdraw(longest);
  const first = get(PEER_TX_FIRST);
  if (get(RX_EPOCH) != epoch | get(RX_NEXT) - first < 0) set(RX_NEXT, first);
  set(RX_EPOCH, epoch);
  expected = get(RX_NEXT);
  inHead = inLine = inbox;
  return 0;
}

/** The other end has the message with this id; in dialect 2, all before it as well. Returns whether that is possible. */
function acked(value: i32, now: i32): bool {
  known = get(TX_NEXT);
  for (let entry = outHead; entry < outNext; entry = after(entry)) {
    // In dialect 1, one that is neither done nor without qos.
    if ((second() ? load<u8>(entry, 2) : load<u16>(entry, 2)) != value) continue;
    progress = now;
    if (!second()) finish(entry);
    else while (outHead <= entry) finish(outHead);
    return true;
  }
  return !second() || !((get(TX_FIRST) - 1 ^ value) & 255);
}

/** The message is settled. Messages leave the outbox in order. */
function finish(entry: usize): void {
  store<u8>(entry, DONE_WITH, 3);
  while (outHead < outEnd && load<u8>(outHead, 3) == DONE_WITH) {
    outHead = after(outHead);
    set(TX_FIRST, get(TX_FIRST) + 1);
  }
  outNext = max(outNext, outHead);
}

/** Withdraws messages without qos, or longer than the other end accepts. */
function withdraw(longest: u32): void {
  for (let entry = outHead; entry < outEnd; entry = after(entry)) {
    if (load<u8>(entry, 3) & SETTLED | <i32>(<u32>load<u16>(entry) - FRAME > longest)) drop(entry);
  }
}

/** Withdraws a message. In dialect 2 its number must still be sent. */
function drop(entry: usize): void {
  if (second()) {
    store<u8>(entry, WITHDRAWN, 3);
    store<u16>(entry, 0x0a00, HEADER + 2); // NUL and the line's new end
  } else finish(entry);
}

/** The outbox entry after this one. */
function after(entry: usize): usize {
  return entry + HEADER + load<u16>(entry);
}

/** The connection has ended: clears its state, and schedules the next attempt. */
function down(now: i32, reason: i32): void {
  if (get(STATE) == UP & <u32>(now - upAt) >= <u32>get(TIMEOUT)) failures = 0;
  set(REASON, reason);
  set(STATE, IDLE);
  controlHead = controlEnd = control;
  inHead = inLine = inEnd = inbox;
  candidate = 0;
  withdraw(-1); // messages without qos are sent at most once
  outNext = outHead;
  // At once, then after 1/32, 1/16, 1/8 and 1/4 of the timeout, less a random part of up to a half. Also at once
  // after an attempt without an answer: waiting for the answer was a pause already.
  const pause = reason >= BAD_GREETING
    ? get(TIMEOUT) << 2
    : failures && reason >> 1 != NO_ANSWER >> 1
    ? get(TIMEOUT) >> max(6 - failures, 2)
    : 0;
  resumeAt = now + pause - (((now ^ get(SEED)) * 0x9e3779b1 >>> 16) * pause >>> 17);
  failures++;
}

/** Frees room in the inbox where that needs little copying, and sets RX_PTR and RX_ROOM. */
function offerRoom(): void {
  const taken = inHead - inbox;
  if (taken != 0 & get(STATE) == UP & (inHead == inLine | inEnd >= inLimit)) {
    move(inbox, inHead, inEnd);
    inHead = inbox;
    inLine -= taken;
    inEnd -= taken;
  }
  // While messages of ours are unacknowledged, read on beyond the limit: their acks may come next. In dialect 2
  // the other end knows the limit.
  const limit = outHead == outNext & !second() ? inLimit : outbox;
  set(RX_PTR, <i32>inEnd);
  set(RX_ROOM, max(<i32>(limit - inEnd), 0));
}

function second(): bool {
  return get(DIALECT) == 2;
}

/** Puts two hex digits before a text and a newline after it. */
function frame(at: usize, end: usize, value: u32): void {
  hex(at, value, 4);
  store<u8>(end, 10);
}

/** Writes the hex digits of a value, from the one at bit `shift` down, and returns where they end. */
function hex(at: usize, value: u32, shift: i32): usize {
  for (; shift >= 0; shift -= 4) {
    const nibble = value >>> shift & 15;
    store<u8>(at++, nibble + (nibble < 10 ? 48 : 87));
  }
  return at;
}

/** Reads lower-case hex digits. */
function number(at: usize, digits: i32): i32 {
  let value = 0;
  while (digits--) {
    let digit = <i32>load<u8>(at++) - 48;
    if (<u32>digit > 9) {
      digit -= 39;
      if (<u32>(digit - 10) > 5) malformed = -1;
    }
    value = value << 4 | digit;
  }
  return value;
}

function move(to: usize, from: usize, end: usize): void {
  while (from < end) store<u8>(to++, load<u8>(from++));
}
