/**
 * The loader that clients put into RAM because it can do more than the ROM: compressed data, MD5 sums,
 * reading and erasing the flash, other speeds. Its behaviour is modelled, not the code that a client uploads.
 *
 * As on the chip, a block is acknowledged before it is written: an error is reported in the answer to the next command.
 * A repeated compressed block breaks the stream.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { constants, inflateSync } from "node:zlib";
import { SECTOR } from "./flash.ts";
import { checksum, type Command, type Machine, Op, response } from "./machine.ts";

const NONE = new Uint8Array(0);
const MAX_BLOCK = 0x4000;

/** First byte of a status; the second is 0. */
const Status = {
  ok: 0x00,
  eraseAddress: 0x32,
  eraseLength: 0x33,
  md5Read: 0x63,
  badLength: 0xc0,
  badChecksum: 0xc1,
  badBlockSize: 0xc2,
  failedSpi: 0xc4,
  notInFlashMode: 0xc6,
  inflate: 0xc7,
  notEnoughData: 0xc8,
  tooMuchData: 0xc9,
  notImplemented: 0xff,
} as const;

/** A write that has begun. */
interface Writing {
  next: number;
  remaining: number;
  nextErase: number;
  eraseRemaining: number;
  error: number;
  /** Compressed bytes so far, if compressed, and how many bytes they gave. */
  packed: Uint8Array<ArrayBuffer> | undefined;
  unpacked: number;
}

/** A read under way: blocks go out as long as not too much is unacknowledged. */
interface Reading {
  start: number;
  length: number;
  block: number;
  inFlight: number;
  sent: number;
}

export class Stub {
  #machine: Machine;
  #writing: Writing | undefined;
  #reading: Reading | undefined;
  #memoryLeft = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
    machine.reply(new TextEncoder().encode("OHAI"));
  }

  /** While the flash is read, frames are acknowledgements: four bytes that say how much has arrived. */
  get reading(): boolean {
    return this.#reading !== undefined;
  }

  acknowledge(frame: Uint8Array): void {
    const reading = this.#reading!;
    if (frame.length !== 4) return this.#finishRead(reading);
    const acked = new DataView(frame.buffer, frame.byteOffset, 4).getUint32(0, true);
    if (acked >= reading.length || acked > reading.sent) return this.#finishRead(reading);
    this.#sendBlocks(reading, acked);
  }

  handle(command: Command): void {
    const { op, data } = command;
    const machine = this.#machine;
    if (op === Op.runUserCode) return machine.runProgram();
    const value = op === Op.readReg ? machine.registers.read(command.word(0)) : 0;
    let answer: Uint8Array = NONE;
    let status: number;
    if (data.length > MAX_BLOCK + 16) status = Status.badLength;
    else if (op === Op.flashMd5 && data.length === 16) {
      const bytes = machine.flash.read(command.word(0), command.word(1));
      if (bytes === undefined) status = Status.md5Read;
      else {
        answer = createHash("md5").update(bytes).digest();
        status = Status.ok;
      }
    } else status = this.#carryOut(command);

    const frame = response(op, value, answer, [status, 0]);
    for (let i = 0; i < (op === Op.sync ? 8 : 1); i++) machine.reply(frame);
    if (status === Status.ok) this.#afterwards(command);
  }

  #carryOut(command: Command): number {
    const { op, data } = command;
    const machine = this.#machine;
    const exactly = (length: number) => data.length === length ? Status.ok : Status.badLength;
    switch (op) {
      case Op.sync:
        return exactly(36);
      case Op.readReg:
      case Op.spiAttach:
        return exactly(4);
      case Op.writeReg:
        if (data.length % 16 !== 0) return Status.badLength;
        for (let at = 0; at < data.length / 4; at += 4) {
          machine.registers.write(command.word(at), command.word(at + 1), command.word(at + 2));
        }
        return Status.ok;
      case Op.spiSetParams:
        return exactly(24);
      case Op.changeBaud:
        return exactly(8);
      case Op.readFlash:
        return exactly(16);
      case Op.memBegin:
        this.#memoryLeft = command.word(0);
        return exactly(16);
      case Op.memData:
        if (data.length - 16 > this.#memoryLeft) return Status.tooMuchData;
        this.#memoryLeft -= data.length - 16;
        return Status.ok;
      case Op.memEnd:
        return this.#memoryLeft > 0 ? Status.notEnoughData : exactly(8);
      case Op.eraseFlash: {
        const sectors = machine.flash.erasures.length;
        machine.flash.eraseSectors(0, sectors);
        machine.busy(sectors * machine.eraseTime);
        return exactly(0);
      }
      case Op.eraseRegion:
        return data.length === 8
          ? this.#eraseRegion(command.word(0), command.word(1))
          : Status.badLength;
      case Op.flashBegin:
      case Op.flashDeflBegin:
        return this.#begin(command);
      case Op.flashData:
      case Op.flashDeflData:
        return this.#checkBlock(command);
      case Op.flashEnd:
      case Op.flashDeflEnd:
        return this.#end();
      default:
        return Status.notImplemented;
    }
  }

  /** Work after the answer was sent. */
  #afterwards(command: Command): void {
    const machine = this.#machine;
    switch (command.op) {
      case Op.changeBaud:
        machine.setBaud(command.word(0));
        break;
      case Op.readFlash:
        this.#reading = {
          start: command.word(0),
          length: command.word(1),
          block: command.word(2),
          inFlight: command.word(3),
          sent: 0,
        };
        this.#sendBlocks(this.#reading, 0);
        break;
      case Op.flashData:
        this.#write(command.data.subarray(16));
        break;
      case Op.flashDeflData:
        this.#inflate(command.data.subarray(16));
        break;
      case Op.flashEnd:
      case Op.flashDeflEnd:
        if (command.word(0) === 0) machine.softReset();
        break;
      case Op.memEnd:
        if (command.word(1) !== 0) machine.runStub();
        break;
    }
  }

  #eraseRegion(address: number, length: number): number {
    if (address % SECTOR !== 0) return Status.eraseAddress;
    if (length % SECTOR !== 0) return Status.eraseLength;
    this.#machine.flash.eraseSectors(address / SECTOR, length / SECTOR);
    this.#machine.busy(length / SECTOR * this.#machine.eraseTime);
    return Status.ok;
  }

  #begin(command: Command): number {
    // Newer loaders take a fifth word, whether to encrypt, which this chip cannot.
    if (![16, 20].includes(command.data.length)) return Status.badLength;
    if (command.word(2) > MAX_BLOCK) return Status.badBlockSize;
    const size = command.word(0);
    const offset = command.word(3);
    this.#writing = {
      next: offset,
      remaining: size,
      nextErase: Math.floor(offset / SECTOR),
      eraseRemaining: Math.ceil((offset % SECTOR + size) / SECTOR),
      error: Status.ok,
      packed: command.op === Op.flashDeflBegin ? new Uint8Array(0) : undefined,
      unpacked: 0,
    };
    return Status.ok;
  }

  #checkBlock(command: Command): number {
    if (this.#writing === undefined) return Status.notInFlashMode;
    const data = command.data.subarray(16);
    if (command.word(0) !== data.length) return Status.badLength;
    if (checksum(data) !== (command.checksum & 0xff)) return Status.badChecksum;
    return this.#writing.error;
  }

  #end(): number {
    const writing = this.#writing;
    if (writing === undefined) return Status.notInFlashMode;
    if (writing.remaining > 0) return Status.notEnoughData;
    this.#writing = undefined;
    return writing.error;
  }

  /** Erases as far as the data reaches, and writes it. Data beyond the announced size is cut off. */
  #write(data: Uint8Array): void {
    const writing = this.#writing!;
    const machine = this.#machine;
    const bytes = data.subarray(0, writing.remaining);
    if (bytes.length === 0) return;
    const last = Math.floor((writing.next + bytes.length) / SECTOR);
    while (writing.eraseRemaining > 0 && writing.nextErase <= last) {
      machine.flash.eraseSectors(writing.nextErase++, 1);
      machine.busy(machine.eraseTime);
      writing.eraseRemaining--;
    }
    if (!machine.flash.program(writing.next, machine.spoil(bytes))) {
      writing.error = Status.failedSpi;
    }
    writing.next += bytes.length;
    writing.remaining -= bytes.length;
  }

  /** Unpacks from the start each time: the library's stream is not synchronous, and blocks are few. */
  #inflate(data: Uint8Array): void {
    const writing = this.#writing!;
    if (writing.packed === undefined) return this.#write(data);
    if (writing.remaining === 0) {
      writing.error = Status.tooMuchData;
      return;
    }
    const packed = new Uint8Array(writing.packed.length + data.length);
    packed.set(writing.packed);
    packed.set(data, writing.packed.length);
    writing.packed = packed;
    try {
      const all = inflateSync(packed, { finishFlush: constants.Z_SYNC_FLUSH });
      const fresh = all.subarray(writing.unpacked);
      writing.unpacked = all.length;
      if (fresh.length > writing.remaining) writing.error = Status.tooMuchData;
      this.#write(fresh);
    } catch {
      writing.error = Status.inflate; // reported with the next answer
    }
  }

  #sendBlocks(reading: Reading, acked: number): void {
    const { start, length, block, inFlight } = reading;
    if (block > SECTOR || block === 0) return; // as the loader does: no answer
    while (reading.sent < length && reading.sent - acked < inFlight) {
      const bytes = this.#machine.flash.read(
        start + reading.sent,
        Math.min(block, length - reading.sent),
      );
      if (bytes === undefined) break;
      reading.sent += bytes.length;
      this.#machine.reply(bytes);
    }
  }

  #finishRead({ start, sent }: Reading): void {
    this.#reading = undefined;
    const bytes = this.#machine.flash.read(start, sent) ?? NONE;
    this.#machine.reply(createHash("md5").update(bytes).digest());
  }
}
