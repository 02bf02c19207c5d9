/**
 * A host for the core, for its specs: a clock that advances only when told to, and a socket and an
 * application that record the core's requests.
 */
import {
  closed, init, opened, poll, received, registers, room, take, write,
} from "../core";
import {
  CAN_RECEIVE, CAN_SEND, CLOSE, CONNECT, CONNECTING, DIALECT, ID_LEN, IDLE, INBOX, LEN, LINE, NONCE, NONE, OUTBOX,
  PTR, REASON, RECENT, REFUSED, RX_PTR, RX_ROOM, SEED, SEND, SIZE, STATE, TIMEOUT, UP, WAIT, WINDOW,
} from "../registers";

export * from "../registers";

/** Everything that a host can do, for `poll`. */
export const CAN_ALL: i32 = CAN_SEND | CAN_RECEIVE;

/** Memory for the core's buffers, with a guard behind them. */
const ROOM: i32 = 8192;
const MEMORY: usize = memory.data(ROOM, 4);
const GUARD: u8 = 0xa5;

const REASONS = [
  "", "LOST", "NO_ANSWER", "NO_GREETING", "SILENT", "STALLED", "LINE_TOO_LONG", "BAD_LINE",
  "GAP", "BAD_POSITION", "BAD_GREETING", "BAD_PROOF",
];
let now: i32 = 0;
let end: usize = 0;
let opens: i32 = 0;
/** The log of calls that had to poll before they could do their own work. */
let earlier: string = "";
/** Whether the last call was a poll that returned NONE. */
let quiet: bool = false;

export function get(register: usize): i32 {
  return load<i32>(registers() + register);
}

export function set(register: usize, value: i32): void {
  store<i32>(registers() + register, value);
  quiet = false;
}

/** Forgets all settings. */
function clear(): void {
  memory.fill(registers(), 0, SIZE);
}

/** Dialect 1, and small buffers that a test fills soon. */
export function defaults(): void {
  clear();
  set(DIALECT, 1);
  set(LINE, 20);
  set(OUTBOX, 100);
  set(INBOX, 80);
  set(RECENT, 8);
  set(WINDOW, 8);
  set(TIMEOUT, 2000);
  set(SEED, 12345);
  set(ID_LEN, 2);
}

/** Boots the core with the current settings. Its id is ID_LEN - 1 digits. */
export function boot(at: i32 = 0): void {
  now = at;
  earlier = "";
  quiet = false;
  opens = 0;
  end = init(MEMORY, at);
  assert(<i32>(end - MEMORY) <= ROOM - 16, "the harness has too little memory for these settings");
  for (let i: usize = 0; i < 16; i++) store<u8>(end + i, GUARD);
  const id: usize = get(PTR);
  const length = get(ID_LEN);
  for (let i = 0; i < length - 1; i++) store<u8>(id + i, 49);
  store<u8>(id + length - 1, 10);
}

/** Whether the guard behind the core's memory is unchanged. */
export function intact(): bool {
  for (let i: usize = 0; i < 16; i++) if (load<u8>(end + i) != GUARD) return false;
  return true;
}

/** Boots a core with the default settings. */
export function fresh(at: i32 = 0): void {
  defaults();
  boot(at);
}

/** Brings the link of a core up, and drops the log. */
export function up(): void {
  pump();
  if (get(STATE) == IDLE) {
    later(get(WAIT));
    pump();
  }
  assert(get(STATE) == CONNECTING, "not about to connect");
  open();
  hear("\n");
  pump();
  assert(get(STATE) == UP, "not up");
}

/** A booted core with the default settings whose link is up. */
export function linked(): void {
  fresh();
  up();
}

export function time(): i32 {
  return now;
}

/** Advances the clock without polling. */
export function later(ms: i32): void {
  now += ms;
  quiet = false;
}

/** One poll. */
export function step(can: i32 = CAN_ALL): i32 {
  const event = poll(now, can);
  quiet = event == NONE;
  return event;
}

/** Why the last connection ended. */
export function reason(): string {
  const code = get(REASON);
  return code < REFUSED ? REASONS[code] : "REFUSED " + (code - REFUSED).toString();
}

/** The bytes at PTR. */
export function piece(): string {
  return String.UTF8.decodeUnsafe(<usize>get(PTR), get(LEN));
}

/**
 * Polls until nothing is left to do, and takes every message. Returns a log: sent bytes as they are, everything
 * else in brackets.
 */
export function pump(can: i32 = CAN_ALL): string {
  let log = earlier;
  earlier = "";
  for (let event = step(can); event != NONE; event = step(can)) {
    if (event == CONNECT) log += "[connect]";
    else if (event == CLOSE) log += "[close " + reason() + "]";
    else if (event == SEND) log += piece();
    else {
      log += "[" + piece() + "]";
      take();
    }
    assert(log.length < 20000, "the core never comes to rest");
  }
  return log;
}

/** Lets time pass as a host would, polling whenever the core wants it. Returns a log, as `pump` does. */
export function pass(ms: i32, can: i32 = CAN_ALL): string {
  let log = pump(can);
  const until = now + ms;
  for (;;) {
    const wait = get(WAIT);
    assert(wait > 0, "a core that wants nothing must wait");
    if (until - now < wait) break;
    now += wait;
    log += pump(can);
  }
  now = until;
  return log + pump(can);
}

/** Opens a connection. Its nonce is the words 0x01010101 to 0x04040404, plus 0x10101010 for each connection before. */
export function open(): void {
  for (let i = 0; i < 4; i++) set(NONCE + (i << 2), 0x01010101 * (i + 1) + 0x10101010 * opens);
  opens++;
  opened(now);
  quiet = false;
}

export function lose(): void {
  closed(now);
  quiet = false;
}

/** The socket receives a text. */
export function hear(text: string): void {
  const bytes = String.UTF8.encode(text);
  hearBytes(changetype<usize>(bytes), bytes.byteLength);
}

/** The socket receives `length` bytes at `from`. */
export function hearBytes(from: usize, length: i32): void {
  if (!quiet) earlier = pump(0);
  assert(length <= get(RX_ROOM), "more than the core has room for");
  memory.copy(<usize>get(RX_PTR), from, length);
  received(length, now);
  quiet = false;
}

/** The socket receives as much of a text as there is room for. Returns the rest. */
export function hearSome(text: string): string {
  if (!quiet) earlier = pump(0);
  const n = min(text.length, get(RX_ROOM));
  hear(text.substr(0, n));
  return text.substr(n);
}

/** The application writes a text. Returns whether it was accepted. */
export function say(text: string, qos: i32 = 1): bool {
  quiet = false;
  const bytes = String.UTF8.encode(text);
  const at = room(bytes.byteLength);
  if (!at) return false;
  memory.copy(at, changetype<usize>(bytes), bytes.byteLength);
  return write(bytes.byteLength, qos) == 1;
}

/** An id as on the wire. */
export function hex(id: i32): string {
  const digits = "0123456789abcdef";
  return digits.charAt(id >> 4) + digits.charAt(id & 15);
}

// Dialect 2.

// @ts-ignore: decorator
@external("host", "hmac")
declare function hmac(at: usize, length: i32, to: usize): void;

/** The epoch of the device's stream in `defaults2`. */
export const EPOCH: i32 = 0x0dec0de1;
/** The epoch of the server's stream. */
export const PEER: i32 = 0x0ca7f00d;

/** Dialect 2, and buffers as small as its greeting allows. */
export function defaults2(): void {
  defaults();
  set(DIALECT, 2);
  set(LINE, 121);
  set(OUTBOX, 400);
  set(INBOX, 300);
  set(TX_EPOCH, EPOCH);
}

/** A number as in greetings. */
export function word(value: i32): string {
  let digits = "";
  for (let shift = 24; shift >= 0; shift -= 8) digits += hex(value >>> shift & 255);
  return digits;
}

/** A server's welcome. By default it suits a device that has just booted. */
export class Welcome {
  kind: string = "\x02";
  suite: i32 = 0;
  txEpoch: i32 = PEER;
  txFirst: i32 = 0;
  rxEpoch: i32 = EPOCH;
  rxNext: i32 = 0;
  window: i32 = 64;
  bytes: i32 = 4000;
  line: i32 = 512;
  nonce: string = "000102030405060708090a0b0c0d0e0f";

  /** The line without proof and newline. With a key the positions are hidden. */
  get text(): string {
    const mask = this.suite >= 2 ? proof(this.nonce) : "0".repeat(32);
    const positions = [this.txEpoch, this.txFirst, this.rxEpoch, this.rxNext];
    let hidden = "";
    for (let i = 0; i < 4; i++) {
      hidden += word(positions[i] ^ <i32>(<i64>parseInt(mask.substr(8 * i, 8), 16)));
    }
    return this.kind + hex(this.suite) + hidden + word(this.window) + word(this.bytes) +
      word(this.line) + this.nonce;
  }

  /** The line of suite 00. */
  get sent(): string {
    return this.text + "\n";
  }

  /** The line with a proof, in answer to a hello, which includes its newline. */
  proven(hello: string): string {
    return this.text + proof(hello + this.text) + "\n";
  }
}

/** The proof over a text. */
export function proof(said: string): string {
  const bytes = String.UTF8.encode(said);
  const digits = new ArrayBuffer(32);
  hmac(changetype<usize>(bytes), bytes.byteLength, changetype<usize>(digits));
  return String.UTF8.decode(digits);
}

/** The hello that the core should send now, with the id "1". */
export function helloText(): string {
  return "\x01" + hex(get(SUITE)) + word(get(TX_EPOCH)) + word(get(TX_FIRST)) +
    word(get(RX_EPOCH)) + word(get(RX_NEXT)) + word(get(WINDOW)) + word(get(BYTES)) +
    word(get(LINE)) + word(get(NONCE)) + word(get(NONCE + 4)) + word(get(NONCE + 8)) +
    word(get(NONCE + 12)) + "1\n";
}

/** Connects, and returns the core's hello. */
export function greet(): string {
  pump();
  if (get(STATE) == IDLE) {
    later(get(WAIT));
    pump();
  }
  assert(get(STATE) == CONNECTING, "not about to connect");
  open();
  return pump();
}

/** Brings the link of a core up. Returns what it sends after its hello. */
export function welcomed(welcome: Welcome = new Welcome()): string {
  greet();
  hear(welcome.sent);
  const log = pump();
  assert(get(STATE) == UP, "not up, but " + log);
  return log;
}

/** A booted core of dialect 2 whose link is up. */
export function linked2(): void {
  defaults2();
  boot();
  welcomed();
}

/** A core whose link is up, to a server with this credit. */
export function linkedTo(window: i32, bytes: i32, line: i32): void {
  defaults2();
  set(WINDOW, 64);
  set(OUTBOX, 1000);
  boot();
  const welcome = new Welcome();
  welcome.window = window;
  welcome.bytes = bytes;
  welcome.line = line;
  welcomed(welcome);
}

/** Loses the connection and opens another one; the server has our first `has` messages. Returns what is sent
 * after the hello. */
export function again(has: i32): string {
  lose();
  const welcome = new Welcome();
  welcome.rxNext = has;
  welcome.txFirst = get(RX_NEXT);
  return welcomed(welcome);
}

/** Keeps a link alive for a while. Returns what was sent, without keepalives. */
export function alive2(ms: i32): string {
  let log = "";
  for (let i = 0; i < ms / 100; i++) {
    log += pass(100);
    hear("\n");
  }
  return (log + pump()).replaceAll("\n", "");
}

/** A text of this many bytes. */
export function text(length: i32): string {
  return "x".repeat(length);
}

/** Log of a core that has just booted, on a new connection, if this line comes instead of the welcome. */
export function answerTo(line: string): string {
  defaults2();
  boot();
  greet();
  hear(line);
  const log = pump();
  assert(intact(), "something was written behind the core's memory");
  return log;
}

/** Boots a device with a key, and returns its hello. */
export function withKey(suite: i32 = 2): string {
  defaults2();
  set(SUITE, suite);
  boot();
  return greet();
}

export function withSuite(suite: i32): Welcome {
  const welcome = new Welcome();
  welcome.suite = suite;
  return welcome;
}

/** A text with the character at an index replaced. */
export function changed(text: string, at: i32, by: string): string {
  return text.substr(0, at) + by + text.substr(at + 1);
}

/** Keeps a link alive for a while. Returns what was sent, without keepalives. */
export function alive(ms: i32): string {
  let log = "";
  for (let i = 0; i < ms / 100; i++) {
    log += pass(100);
    hear("\n");
  }
  return lines(log + pump());
}

/** A core whose first message is acknowledged: the one with id 00, which is a special case. */
export function begun(): void {
  linked();
  say("first");
  pump();
  hear("00\n");
  pump();
}

/** A log without its keepalives. */
export function lines(log: string): string {
  while (log.startsWith("\n")) log = log.substr(1);
  while (log.includes("\n\n")) log = log.replaceAll("\n\n", "\n");
  return log;
}
