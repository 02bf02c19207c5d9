/**
 * Frames between the emulated chip and the program around it, over QEMU's stdin and stdout: a type, a length
 * of 16 bits and a payload. `targets/emulator/port.c` is the other end.
 *
 * @module
 */

/** Frames from the chip. */
export const FromChip = {
  tcpOpen: "o", // connection, port (u16), host
  tcpClose: "c", // connection
  tcpData: "d", // connection, bytes
  tcpTaken: "a", // connection, how many of our bytes it has taken (u16)
  serial: "s", // bytes
  wifiJoin: "j", // address (see ipv4.ts), struct port_lease or zeros, ssid, NUL, password, NUL, country, NUL
  wifiLeave: "l",
  wifiScan: "n",
  pin: "g", // pin, mode (0 input, 1 output, 2 open drain), level
  pwm: "p", // pin, duty (u16), hz (u16)
  lineRead: "R", // pin
  kept: "k", // first word, words
  feed: "f",
  erase: "e", // address
  write: "w", // address, bytes
  restart: "r",
  sleep: "z", // ms (u32)
  crash: "x", // cause of the exception, pc, address
} as const;

/** Frames to the chip. */
export const ToChip = {
  wake: "B", // reset reason, speed (u16), seed (u32), kept words
  pins: "P", // path of the FIFOs, NUL: see targets/emulator/pins.c
  flash: "F", // address (u32), bytes; empty: the end
  tcpNameKnown: "K", // connection
  tcpNameUnknown: "U", // connection
  tcpOpened: "O", // connection
  tcpClosed: "C", // connection
  tcpData: "D", // connection, bytes
  tcpSent: "A", // connection, how many of its bytes were sent (u16)
  wifi: "W", // enum firmware_wifi, ip, and if it is up, struct port_lease
  serial: "S", // bytes
  input: "G", // pin, level
  analogue: "V", // u16
  found: "N", // rssi (i8), locked, ssid, NUL; empty: the end
  lineLevel: "Q", // level
  measure: "M", // in a build with MEASURE
  hang: "H",
} as const;

/** The bytes of a frame. */
export function frame(type: string, ...pieces: (number | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const bytes = pieces.flatMap((piece) => typeof piece === "number" ? [piece] : [...piece]);
  return Uint8Array.from([type.charCodeAt(0), bytes.length & 255, bytes.length >> 8, ...bytes]);
}

/** Splits a stream into frames. */
export class FrameReader {
  #held = new Uint8Array(0);

  /** Takes bytes as they come; returns the complete frames. */
  push(bytes: Uint8Array): { type: string; payload: Uint8Array }[] {
    const all = new Uint8Array(this.#held.length + bytes.length);
    all.set(this.#held);
    all.set(bytes, this.#held.length);
    const frames = [];
    let at = 0;
    while (at + 3 <= all.length) {
      const end = at + 3 + all[at + 1]! + (all[at + 2]! << 8);
      if (end > all.length) break;
      frames.push({ type: String.fromCharCode(all[at]!), payload: all.slice(at + 3, end) });
      at = end;
    }
    this.#held = all.slice(at);
    return frames;
  }
}

/** Two bytes, the low one first. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >> 8);
}

/** Four bytes, the lowest first. */
export function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >> 8 & 255, value >> 16 & 255, value >>> 24);
}
