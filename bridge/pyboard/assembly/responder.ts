/**
 * The lower half of the Pyboard link: micropython-iot's `asi2c` handshake, seen from the board that is
 * the I2C master. The other board, an I2C slave, is the initiator: it starts the exchanges, ten times a second. Each
 * has one wire to the other, and both wires are low between exchanges:
 *
 *     initiator                        responder (this)
 *     raises SYN, offers 2 bytes  -->  reads the number of bytes that the initiator will send
 *     lowers SYN                  <--  raises ACK
 *                                      lowers ACK                           (likewise for the bytes, if any)
 *     raises SYN, takes 2 bytes   <--  raises ACK, a moment later, when it has an answer
 *                                 <--  writes the number of bytes that it will send, lowers ACK
 *     lowers SYN                                                            (likewise for the bytes, if any)
 *
 * A size is 16 bits, low byte first; its highest bit says "send me nothing next time: I have no room".
 *
 * There is no clock in here, and no waiting but for the I2C transfers themselves and a few looks at a wire. Their time
 * does not count: `step(now)` goes as far as it can and returns, and a phase that it has entered begins with the next
 * call, some ms later. Each phase has a deadline. Any fault ends the exchange with ACK low, which never confirms
 * anything to an initiator in the middle of an exchange: that gives up by itself, and starts over. The next exchange
 * can begin when SYN is low.
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

// Pins of the ESP8266, as on boards with micropython-iot's firmware.
const SCL: i32 = 0;
const SDA: i32 = 2;
const SYN: i32 = 5;
const ACK: i32 = 4;
const HZ: i32 = 400000;
const ADDRESS: i32 = 0x12;

/** Bytes that each side can receive at once. */
export const BUFFER: i32 = 200;
const HOLD: i32 = 0x8000;

/** The initiator gives up when it has waited for a wire for 1,000 ms. Its I2C waits for 5,000. */
const DEADLINE: i32 = 1000;
/**
 * ACK is low between the received bytes and the answer, and the initiator does not confirm that it has seen this. It
 * looks every 10 us or so, but may be interrupted: this must be at least 1 ms.
 */
const PAUSE_MS: i32 = 2;
/** How often it looks at a wire before the call returns: an initiator answers within some 10 us. */
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
const OUT: i32 = 4; // no leg: waits for an initiator, which lowers SYN
const PAUSE: i32 = 5; // before an answer: ACK stays low for a moment

// Why an exchange was broken off: `step` returns these negated.
export const TOO_LONG: i32 = 1; // the initiator announces more bytes than fit
export const NO_ANSWER: i32 = 2; // SYN did not move in time, or the initiator's I2C did not answer
export const BUS_STUCK: i32 = 3; // an I2C line is held low
export const CUT_SHORT: i32 = 4; // fewer bytes were acknowledged than written
export const GLITCH: i32 = 5; // SYN fell before anything was transferred

// Other results of `step`.
export const NOTHING: i32 = 0;
/** `received` bytes are at `input`: call `accept` when they are safe. */
export const RECEIVED: i32 = 1;
/** The initiator waits for an answer: call `answer`. */
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
let begun: bool = false; // the part began after a transfer: it counts from the next step's `now`
let sending: i32 = 0;

/** At the start of the board. The initiator waits until ACK is low. */
export function begin(now: i32): void {
  i2c_begin(SCL, SDA, HZ);
  breakOff(now);
}

/** The bytes received are safe: confirms them to the initiator. */
export function accept(): void {
  gpio_write(ACK, 1);
  part = END;
}

/** The bytes received are refused: the initiator gets no answer. */
export function refuse(now: i32): void {
  breakOff(now);
}

/**
 * The answer: this many bytes at `output` (0 unless `mayAnswer`), and whether the initiator must send nothing in
 * the next exchange.
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

/** The leg is over. Returns whether it was the last one of an answer with bytes. */
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

/** The expected signal has not come. */
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
