/**
 * Talks to a chip's loader in a test, byte by byte and without waiting: a command goes in, and the output is there at
 * once.
 *
 * @module
 */
import { Chip, type ChipOptions, type Firmware } from "./chip.ts";
import { makeImage } from "./image.ts";
import { checksum, Op } from "./machine.ts";
import { slipFrame, SlipReader } from "./slip.ts";

/** An answer, taken apart. */
export interface Answer {
  op: number;
  value: number;
  data: Uint8Array;
  status: number[];
}

/** RAM address for a loader. */
const RAM = 0x40100000;

export class Asker {
  readonly chip: Chip;
  baud = 115200;
  now = 0;

  constructor(options: ChipOptions = {}) {
    this.chip = new Chip(options);
  }

  /** Resets the chip into its ROM's loader with the bridge's lines, as clients do. */
  enterLoader(): void {
    this.lines(false, true, 100);
    this.lines(true, false, 50);
    this.lines(false, false, 0);
    this.heard();
  }

  /** Puts a loader into RAM and starts it. */
  enterStub(): void {
    this.enterLoader();
    this.ask(Op.sync, new Uint8Array(36));
    const code = new Uint8Array(64);
    this.ask(Op.memBegin, words(code.length, 1, code.length, RAM));
    this.ask(Op.memData, block(code, 0), checksum(code));
    this.say(Op.memEnd, words(0, RAM + 4));
    const frames = new SlipReader().push(this.heard());
    const greeting = new TextDecoder().decode(frames.at(-1));
    if (greeting !== "OHAI") throw new Error(`no loader started: ${greeting}`);
  }

  /** Sets both lines, and lets time pass. */
  lines(dtr: boolean, rts: boolean, ms: number): void {
    this.chip.setLines({ dtr, rts }, this.now);
    this.pass(ms);
  }

  pass(ms: number): void {
    this.now += ms;
    this.chip.tick(this.now);
  }

  /** Everything that came out. */
  heard(): Uint8Array {
    return this.chip.take(this.baud, this.now);
  }

  heardText(): string {
    return new TextDecoder("latin1").decode(this.heard());
  }

  say(op: number, data = new Uint8Array(0), sum = 0): void {
    const frame = new Uint8Array(8 + data.length);
    const view = new DataView(frame.buffer);
    view.setUint8(1, op);
    view.setUint16(2, data.length, true);
    view.setUint32(4, sum, true);
    frame.set(data, 8);
    this.chip.receive(slipFrame(frame), this.baud, this.now);
  }

  /** All answers to a command. */
  askAll(op: number, data = new Uint8Array(0), sum = 0): Answer[] {
    this.say(op, data, sum);
    return new SlipReader().push(this.heard()).filter((frame) => frame[0] === 1).map((frame) => {
      const view = new DataView(frame.buffer);
      const body = frame.subarray(8);
      return {
        op: frame[1]!,
        value: view.getUint32(4, true),
        data: body.slice(0, -2),
        status: [...body.slice(-2)],
      };
    });
  }

  /** The answer to a command. @throws if there is none */
  ask(op: number, data = new Uint8Array(0), sum = 0): Answer {
    const [answer] = this.askAll(op, data, sum);
    if (answer === undefined) throw new Error(`no answer to command ${op.toString(16)}`);
    return answer;
  }

  /** The status of the answer to a block. */
  sendBlock(op: number, data: Uint8Array, sequence: number, sum = checksum(data)): number[] {
    return this.ask(op, block(data, sequence), sum).status;
  }
}

/** 32-bit words as bytes. */
export function words(...values: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, at) => view.setUint32(at * 4, value, true));
  return bytes;
}

function block(data: Uint8Array, sequence: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16 + data.length);
  bytes.set(words(data.length, sequence));
  bytes.set(data, 16);
  return bytes;
}

/** A program that prints a greeting, and echoes its input. */
export const parrot: Firmware = (board) => {
  board.print(`hello after ${board.reason}\r\n`);
  return { baud: 115200, receive: (bytes) => board.print(bytes) };
};

/** An image that the ROM starts. */
export const image = makeImage(0x40100000, [{
  address: 0x40100000,
  data: new Uint8Array(64).fill(7),
}]);

/** A board that was just reset; it runs the parrot by default. */
export function withProgram(options: ChipOptions = {}): Asker {
  const asker = new Asker({ firmware: parrot, ...options });
  asker.chip.flash.program(0, image);
  asker.chip.press({ flashButton: false }, 0);
  return asker;
}
