/**
 * A host for the core, for its specs: a clock that stands still unless it is told to go on, and a
 * socket and an application that write down what the core asks of them.
 */
import {
  closed, init, opened, poll, received, registers, room, take, write,
} from "../core";

// The register block, as `core.ts` documents it.
export const LINE: usize = 0;
export const OUTBOX: usize = 4;
export const INBOX: usize = 8;
export const RECENT: usize = 12;
export const WINDOW: usize = 16;
export const TIMEOUT: usize = 20;
export const SEED: usize = 24;
export const HELLO: usize = 28;
export const PTR: usize = 32;
export const LEN: usize = 36;
export const WAIT: usize = 40;
export const RX_PTR: usize = 44;
export const RX_ROOM: usize = 48;
export const STATE: usize = 52;
export const REASON: usize = 56;
export const CONNECTS: usize = 60;
export const QUEUED: usize = 64;
export const DONE: usize = 68;

export const NONE: i32 = 0;
export const CONNECT: i32 = 1;
export const CLOSE: i32 = 2;
export const SEND: i32 = 3;
export const MESSAGE: i32 = 4;

export const CAN_SEND: i32 = 1;
export const CAN_RECEIVE: i32 = 2;
export const CAN_ALL: i32 = 3;

export const IDLE: i32 = 0;
export const CONNECTING: i32 = 1;
export const GREETING: i32 = 2;
export const UP: i32 = 3;

/** Where the core's buffers lie, with a guard behind them. */
const ROOM: i32 = 8192;
const MEMORY: usize = memory.data(ROOM, 4);
const GUARD: u8 = 0xa5;

const REASONS = [
  "", "LOST", "NO_ANSWER", "NO_GREETING", "SILENT", "STALLED", "LINE_TOO_LONG", "BAD_LINE",
];

let now: i32 = 0;
let end: usize = 0;
/** What happened in calls that had to poll before they could do their own work. */
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

/** Small buffers, so that a test fills them soon. */
export function defaults(): void {
  set(LINE, 20);
  set(OUTBOX, 100);
  set(INBOX, 80);
  set(RECENT, 8);
  set(WINDOW, 8);
  set(TIMEOUT, 2000);
  set(SEED, 12345);
  set(HELLO, 2);
}

/** Boots the core with the settings as they are. Its hello is as many digits as HELLO says. */
export function boot(at: i32 = 0): void {
  now = at;
  earlier = "";
  quiet = false;
  end = init(MEMORY, at);
  assert(<i32>(end - MEMORY) <= ROOM - 16, "the harness has too little memory for these settings");
  for (let i: usize = 0; i < 16; i++) store<u8>(end + i, GUARD);
  const hello: usize = get(PTR);
  const length = get(HELLO);
  for (let i = 0; i < length - 1; i++) store<u8>(hello + i, 49);
  store<u8>(hello + length - 1, 10);
}

/** Whether nothing was written behind the core's memory. */
export function intact(): bool {
  for (let i: usize = 0; i < 16; i++) if (load<u8>(end + i) != GUARD) return false;
  return true;
}

/** Boots a core with the default settings. */
export function fresh(at: i32 = 0): void {
  defaults();
  boot(at);
}

/** Takes a core without a link to one that is up, and forgets what happened on the way. */
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

/** The clock goes on, and nobody looks. */
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

/** The bytes at PTR. */
export function piece(): string {
  return String.UTF8.decodeUnsafe(<usize>get(PTR), get(LEN));
}

/**
 * Polls until nothing is left to do, and takes every message. Returns what was asked for: what was to
 * be sent as it is, everything else in brackets.
 */
export function pump(can: i32 = CAN_ALL): string {
  let log = earlier;
  earlier = "";
  for (let event = step(can); event != NONE; event = step(can)) {
    if (event == CONNECT) log += "[connect]";
    else if (event == CLOSE) log += "[close " + REASONS[get(REASON)] + "]";
    else if (event == SEND) log += piece();
    else {
      log += "[" + piece() + "]";
      take();
    }
    assert(log.length < 20000, "the core never comes to rest");
  }
  return log;
}

/** Lets time pass as a host would, polling whenever the core wants it. Returns what `pump` does. */
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

export function open(): void {
  opened(now);
  quiet = false;
}

export function lose(): void {
  closed(now);
  quiet = false;
}

/** The socket brings a text. */
export function hear(text: string): void {
  const bytes = String.UTF8.encode(text);
  hearBytes(changetype<usize>(bytes), bytes.byteLength);
}

/** The socket brings `length` bytes that lie at `from`. */
export function hearBytes(from: usize, length: i32): void {
  if (!quiet) earlier = pump(0);
  assert(length <= get(RX_ROOM), "more than the core has room for");
  memory.copy(<usize>get(RX_PTR), from, length);
  received(length, now);
  quiet = false;
}

/** The socket brings as much of a text as there is room for. Returns the rest. */
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

/** An id as it is written on the wire. */
export function hex(id: i32): string {
  const digits = "0123456789abcdef";
  return digits.charAt(id >> 4) + digits.charAt(id & 15);
}
