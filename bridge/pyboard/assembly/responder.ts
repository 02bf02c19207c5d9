/**
 * The lower half of the Pyboard link: micropython-iot's `asi2c` handshake, seen from the board that is
 * the I2C master. The other board, an I2C slave, is the initiator: it starts an exchange when it likes, ten times a
 * second. Each has one wire to the other, and both wires are low between exchanges:
 *
 *     initiator                        responder (this)
 *     raises SYN, offers 2 bytes  -->  reads the size of what the initiator has to say
 *     lowers SYN                  <--  raises ACK
 *                                      lowers ACK                           (likewise for the bytes, if any)
 *     raises SYN, takes 2 bytes   <--  raises ACK, a moment later, when it has an answer
 *                                 <--  writes the size of what it has to say, lowers ACK
 *     lowers SYN                                                            (likewise for the bytes, if any)
 *
 * A size is 16 bits, low byte first; its highest bit says "send me nothing next time: I have no room".
 *
 * There is no clock and no waiting in here beyond the I2C transfers themselves and a look or two at a wire. What
 * they take counts for nothing: `step(now)` goes as far as it can and returns, is called again some ms later, and
 * what began meanwhile has begun then. Each phase has a deadline. Whatever goes wrong ends the exchange with ACK low, which never says "yes" to an initiator
 * in the middle of one: it gives up by itself, and starts over. The next exchange can begin when SYN is low.
 */
import {
  gpio_read,
  gpio_write,
  i2c_begin,
  I2C_NO_DEVICE,
  i2c_read,
  I2C_STUCK,
  i2c_write,
} from "../../../client-as/assembly/board";

// Pins of the ESP8266: the boards on which micropython-iot's firmware ran are wired like that.
const SCL: i32 = 0;
const SDA: i32 = 2;
const SYN: i32 = 5;
const ACK: i32 = 4;
const HZ: i32 = 400000;
const ADDRESS: i32 = 0x12;

/** Bytes that each side can take at once. */
export const BUFFER: i32 = 200;
const HOLD: i32 = 0x8000;

/** The initiator gives up when it has waited for a wire for 1,000 ms. Its I2C waits for 5,000. */
const DEADLINE: i32 = 1000;
/**
 * ACK is low between the last that was received and the answer, and nothing says that the initiator has
 * seen it. It looks every 10 us or so, but may be interrupted: 1 ms at least.
 */
const PAUSE_MS: i32 = 2;
/** How often a wire is looked at before the call returns: an initiator answers within some 10 us. */
const LOOKS: i32 = 64;

// The legs of an exchange.
const SIZE: i32 = 0; // between exchanges: its start
const BYTES: i32 = 1;
const ANSWER: i32 = 2; // from here on, the responder sends
const REPLY: i32 = 3;

// The parts of a leg.
const START: i32 = 0; // waits for SYN to rise
const MOVE: i32 = 1; // the transfer
const END: i32 = 2; // waits for SYN to fall
const HELD: i32 = 3; // waits for `accept` or `answer`
const OUT: i32 = 4; // no leg: waits for an initiator, which is there when SYN is low
const PAUSE: i32 = 5; // before an answer: ACK stays low for a moment

// Why an exchange was broken off: `step` returns minus that.
export const TOO_LONG: i32 = 1; // the initiator has more to say than fits
export const NO_ANSWER: i32 = 2; // SYN did not move in time, or the initiator's I2C did not answer
export const BUS_STUCK: i32 = 3; // an I2C line is held low
export const CUT_SHORT: i32 = 4; // fewer bytes were acknowledged than written
export const GLITCH: i32 = 5; // SYN fell before anything was transferred

// What `step` returns else.
export const NOTHING: i32 = 0;
/** `received` bytes are at `input`: call `accept` when they are safe. */
export const RECEIVED: i32 = 1;
/** Call `answer`. */
export const WANTS: i32 = 2;
/** All bytes of the answer have arrived. */
export const SENT: i32 = 3;
/** There is an initiator: both wires are low. */
export const SYNCHRONISED: i32 = 4;

export const input: usize = memory.data(BUFFER, 4);
export const output: usize = memory.data(BUFFER, 4);
const size: usize = memory.data(4, 4);

export let received: i32 = 0;
/** Whether the initiator can take bytes in this exchange. */
export let mayAnswer: bool = false;

let leg: i32 = SIZE;
let part: i32 = OUT;
let since: i32 = 0; // ms, when the part began
let begun: bool = false; // the part began behind a transfer, or looks: when, only the next step is told
let sending: i32 = 0;

/** At the start of the board. The initiator waits until ACK is low. */
export function begin(now: i32): void {
  i2c_begin(SCL, SDA, HZ);
  breakOff(now);
}

/** The bytes received are safe: the initiator may be told so. */
export function accept(): void {
  gpio_write(ACK, 1);
  part = END;
}

/** The bytes received are not taken: the initiator will find that nothing answers it. */
export function refuse(now: i32): void {
  breakOff(now);
}

/**
 * The answer: this many bytes at `output` (none unless `mayAnswer`), and whether the initiator must hold back
 * what it has to say in the next exchange.
 */
export function answer(bytes: i32, hold: bool): void {
  sending = bytes;
  store<u16>(size, bytes | (hold ? HOLD : 0));
  gpio_write(ACK, 1);
  part = START;
}

/** Goes on as far as it can. `now` is in ms. */
export function step(now: i32): i32 {
  if (begun) since = now;
  begun = false;
  while (part != HELD) {
    if (part == PAUSE) {
      if (now - since < PAUSE_MS) return NOTHING;
      part = HELD;
      return WANTS;
    }
    if (part != MOVE) {
      const level = <i32>(part == START);
      let looks = part == OUT || leg == SIZE && level ? 1 : LOOKS;
      while (gpio_read(SYN) != level) {
        if (!--looks) return part == OUT || leg == SIZE && level ? NOTHING : late(now);
      }
      if (part == START) enter(leg, MOVE, now);
      else if (part == OUT) {
        enter(SIZE, START, now);
        return SYNCHRONISED;
      } else if (next(now)) return SENT;
    } else {
      const length = leg == BYTES ? received : leg == REPLY ? sending : 2;
      const at = leg == BYTES ? input : leg == REPLY ? output : size;
      const bytes = leg < ANSWER ? i2c_read(ADDRESS, at, length) : i2c_write(ADDRESS, at, length);
      if (bytes == I2C_NO_DEVICE) return gpio_read(SYN) ? late(now) : fail(GLITCH, now);
      if (bytes == I2C_STUCK) return fail(BUS_STUCK, now);
      if (bytes != length) return fail(CUT_SHORT, now);
      begun = true;
      if (leg == BYTES) {
        enter(BYTES, HELD, now);
        return RECEIVED;
      }
      if (leg == SIZE) {
        const word = <i32>load<u16>(size);
        received = word & ~HOLD;
        if (received > BUFFER) return fail(TOO_LONG, now);
        mayAnswer = !(word & HOLD);
      }
      gpio_write(ACK, <i32>(leg == SIZE));
      enter(leg, END, now);
    }
  }
  return NOTHING;
}

/** The leg is over. Returns whether that was the last of an answer with bytes. */
function next(now: i32): bool {
  const done = leg == REPLY;
  if (leg < ANSWER) {
    gpio_write(ACK, 0);
    if (leg == SIZE && received) enter(BYTES, START, now);
    else {
      enter(ANSWER, PAUSE, now);
      begun = true;
    }
  } else if (leg == ANSWER && sending) {
    gpio_write(ACK, 1);
    enter(REPLY, START, now);
  } else enter(SIZE, START, now);
  return done;
}

function enter(newLeg: i32, newPart: i32, now: i32): void {
  leg = newLeg;
  part = newPart;
  since = now;
}

/** The awaited signal has not come. */
function late(now: i32): i32 {
  return now - since < DEADLINE ? NOTHING : fail(NO_ANSWER, now);
}

function fail(reason: i32, now: i32): i32 {
  i2c_begin(SCL, SDA, HZ); // frees the bus of a slave that stopped in the middle of a byte
  breakOff(now);
  return -reason;
}

function breakOff(now: i32): void {
  gpio_write(ACK, 0);
  enter(SIZE, OUT, now);
}
