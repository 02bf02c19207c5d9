/**
 * Shared by the parts of the chip: the commands of its loaders, and a loader's access to the rest of the chip.
 *
 * @module
 */
import type { Flash } from "./flash.ts";
import type { Registers } from "./registers.ts";

/** Commands of the loaders, by their usual names. */
export const Op = {
  flashBegin: 0x02,
  flashData: 0x03,
  flashEnd: 0x04,
  memBegin: 0x05,
  memEnd: 0x06,
  memData: 0x07,
  sync: 0x08,
  writeReg: 0x09,
  readReg: 0x0a,
  spiSetParams: 0x0b,
  spiAttach: 0x0d,
  changeBaud: 0x0f,
  flashDeflBegin: 0x10,
  flashDeflData: 0x11,
  flashDeflEnd: 0x12,
  flashMd5: 0x13,
  securityInfo: 0x14,
  eraseFlash: 0xd0,
  eraseRegion: 0xd1,
  readFlash: 0xd2,
  runUserCode: 0xd3,
} as const;

/** A parsed request. */
export interface Command {
  op: number;
  /** Checksum of the data; only some commands set it. */
  checksum: number;
  data: Uint8Array;
  /** The data as 32-bit words; missing ones are 0. */
  word(index: number): number;
}

/** Reads a frame as a command; undefined if it is not one. */
export function parseCommand(frame: Uint8Array): Command | undefined {
  if (frame.length < 8 || frame[0] !== 0) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint16(2, true) !== frame.length - 8) return undefined;
  const data = frame.subarray(8);
  return {
    op: view.getUint8(1),
    checksum: view.getUint32(4, true),
    data,
    word: (index) => index * 4 + 4 <= data.length ? view.getUint32(8 + index * 4, true) : 0,
  };
}

/** The checksum of blocks of data: all bytes XORed. */
export function checksum(data: Uint8Array): number {
  return data.reduce((sum, byte) => sum ^ byte, 0xef);
}

/** The answer to a command: value, data and status. */
export function response(op: number, value: number, data: Uint8Array, status: number[]) {
  const frame = new Uint8Array(8 + data.length + status.length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, 1);
  view.setUint8(1, op);
  view.setUint16(2, data.length + status.length, true);
  view.setUint32(4, value, true);
  frame.set(data, 8);
  frame.set(status, 8 + data.length);
  return frame;
}

/** A loader's access to its chip. */
export interface Machine {
  readonly flash: Flash;
  readonly registers: Registers;
  /** Sends a frame. */
  reply(frame: Uint8Array): void;
  /** Handles nothing for this many ms: bytes wait in both directions. */
  busy(ms: number): void;
  /** How long it takes to erase a sector, in ms. */
  readonly eraseTime: number;
  setBaud(rate: number): void;
  /** Passes data to the flash through a fault that may corrupt it. */
  spoil(data: Uint8Array): Uint8Array;
  /** Starts code that was loaded into RAM. */
  runStub(): void;
  /** Starts the program in flash, without a reset. */
  runProgram(): void;
  /** Resets the processor; the boot mode stays that of the pins at the last reset of the chip. */
  softReset(): void;
}
