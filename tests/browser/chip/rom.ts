/**
 * The loader in the chip's ROM: it can read and write words and RAM, and write the flash slowly, with a bug in erasing
 * that every client works around.
 *
 * @module
 */
import { SECTOR, SECTORS_PER_BLOCK } from "./flash.ts";
import { checksum, type Command, type Machine, Op, response } from "./machine.ts";

const NONE = new Uint8Array(0);
/** The ROM's value in answers to SYNC; loaders in RAM answer 0, which distinguishes them. */
const SYNC_VALUE = 0x20555507;

const OK = [0, 0];
/** Errors are [1, code]. */
const INVALID = [1, 0x05];
const FAILED = [1, 0x06];
const BAD_CHECKSUM = [1, 0x07];
const WRITE_FAILED = [1, 0x08];

/**
 * How many sectors the ROM really erases when told to erase some: those up to the next block's start are
 * counted twice.
 */
export function romEraseCount(first: number, count: number): number {
  const head = SECTORS_PER_BLOCK - first % SECTORS_PER_BLOCK;
  return count + Math.min(count, head);
}

export class Rom {
  #machine: Machine;
  /** The loaded ranges of RAM. */
  #loaded: { start: number; end: number }[] = [];
  #loading: { next: number; end: number } | undefined;
  #writing: { offset: number; blockSize: number } | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  handle(command: Command): void {
    const { op } = command;
    if (op === Op.sync) {
      const status = command.data.length === 36 ? OK : INVALID;
      for (let i = 0; i < 8; i++) this.#machine.reply(response(op, SYNC_VALUE, NONE, status));
      return;
    }
    const value = op === Op.readReg ? this.#machine.registers.read(command.word(0)) : 0;
    const { status, then } = this.#carryOut(command);
    this.#machine.reply(response(op, value, NONE, status));
    then?.();
  }

  #carryOut(command: Command): { status: number[]; then?: () => void } {
    const machine = this.#machine;
    switch (command.op) {
      case Op.readReg:
        return { status: command.data.length === 4 ? OK : INVALID };
      case Op.writeReg:
        if (command.data.length !== 16) return { status: INVALID };
        machine.registers.write(command.word(0), command.word(1), command.word(2));
        return { status: OK };
      case Op.memBegin:
        this.#loading = { next: command.word(3), end: command.word(3) + command.word(0) };
        return { status: OK };
      case Op.memData:
        return { status: this.#memData(command) };
      case Op.memEnd:
        return this.#memEnd(command);
      case Op.flashBegin: {
        const [size, , blockSize, offset] = [0, 1, 2, 3].map(command.word) as [
          number,
          number,
          number,
          number,
        ];
        const first = Math.floor(offset / SECTOR);
        const sectors = size === 0 ? 0 : romEraseCount(first, Math.ceil(size / SECTOR));
        machine.flash.eraseSectors(first, sectors);
        machine.busy(sectors * machine.eraseTime);
        this.#writing = { offset, blockSize };
        return { status: OK };
      }
      case Op.flashData:
        return { status: this.#flashData(command) };
      case Op.flashEnd:
        if (this.#writing === undefined) return { status: FAILED };
        this.#writing = undefined;
        return {
          status: OK,
          then: () => command.word(0) === 0 ? machine.softReset() : machine.runProgram(),
        };
      default:
        return { status: INVALID };
    }
  }

  #memData(command: Command): number[] {
    const data = command.data.subarray(16);
    if (this.#loading === undefined || data.length !== command.word(0)) return INVALID;
    if (checksum(data) !== (command.checksum & 0xff)) return BAD_CHECKSUM;
    const { next, end } = this.#loading;
    if (next + data.length > end) return FAILED;
    this.#loaded.push({ start: next, end: next + data.length });
    this.#loading.next += data.length;
    return OK;
  }

  /** Jumps to loaded code. Other memory is not modelled: there the chip falls silent. */
  #memEnd(command: Command): { status: number[]; then?: () => void } {
    if (this.#loading === undefined || this.#loading.next !== this.#loading.end) {
      return { status: FAILED };
    }
    this.#loading = undefined;
    const entry = command.word(1);
    if (entry === 0) return { status: OK };
    const there = this.#loaded.some(({ start, end }) => entry >= start && entry < end);
    return { status: OK, then: () => there && this.#machine.runStub() };
  }

  #flashData(command: Command): number[] {
    const data = command.data.subarray(16);
    if (this.#writing === undefined || data.length !== command.word(0)) return INVALID;
    if (checksum(data) !== (command.checksum & 0xff)) return BAD_CHECKSUM;
    const { offset, blockSize } = this.#writing;
    const address = offset + command.word(1) * blockSize;
    return this.#machine.flash.program(address, this.#machine.spoil(data)) ? OK : WRITE_FAILED;
  }
}
