/**
 * An ESP8266 with flash on a board with a USB bridge, as seen by a flashing program: bytes, the
 * bridge's two control lines and the time go in, bytes come out. No socket, no clock, no timer inside.
 *
 * @module
 */
import { Faults } from "./faults.ts";
import { Flash } from "./flash.ts";
import { loadImage } from "./image.ts";
import { type Command, type Machine, parseCommand } from "./machine.ts";
import { ESP8266_MAGIC, Registers } from "./registers.ts";
import { Rom } from "./rom.ts";
import { slipFrame, SlipReader } from "./slip.ts";
import { Stub } from "./stub.ts";
import { flipBits, garble, understands } from "./uart.ts";

/** The speed of the ROM's boot messages, on a board with a crystal of 26 MHz. */
export const ROM_BAUD = 74880;

/** Why the processor starts; the watchdog is the hardware one. */
export type ResetReason = "power-on" | "external" | "software" | "watchdog" | "exception";

/** The board as seen by a program in flash. */
export interface Hardware {
  readonly flash: Flash;
  readonly mac: string;
  readonly reason: ResetReason;
  /** Sends on the serial line, at the program's speed by default. */
  print(text: string | Uint8Array, baud?: number): void;
  /** Does something later, unless the chip is reset before. */
  after(ms: number, what: () => void): void;
  /** Resets the processor: by software by default. */
  restart(reason?: ResetReason): void;
}

/** A program that runs. */
export interface Program {
  /** Speed of its serial line. */
  readonly baud: number;
  receive(bytes: Uint8Array): void;
  /** Called when it stops: the chip is reset, or has lost its power. */
  stop?(): void;
}

/** Starts a program; called at each boot from flash with a valid image. */
export type Firmware = (board: Hardware) => Program;

/** Properties of the board. */
export interface ChipOptions {
  /** Bytes of flash; 4 MB by default. */
  flashSize?: number;
  /** The size in the flash's id; the real one by default. */
  claimedSize?: number;
  mac?: string;
  /** Whether it is an ESP8285: its flash is inside, and can be read in one mode only. */
  embedded?: boolean;
  /** Whether its flash, although outside, can be read as DOUT only, as on some ESP-01S. */
  onlyDout?: boolean;
  /** The word that names the chip. */
  magic?: number;
  /** The program that runs if the flash holds an image; by default a silent one. */
  firmware?: Firmware;
  /** Whether the bridge's lines are wired to EN and IO0. Otherwise only the buttons work. */
  autoReset?: boolean;
  /** How long EN takes to rise after its release, in ms; IO0 is sampled then. */
  riseTime?: number;
  /** ms to erase a sector; 0 by default. */
  eraseTime?: number;
  /** The fastest speed without errors: above it one byte in 500 is wrong. No limit by default. */
  cleanBaud?: number;
}

/** Boot modes, set by the pins. */
const DOWNLOAD = 1;
const FROM_RAM = 2;
const FROM_FLASH = 3;

/** The ROM's numbers for hardware resets. */
const CAUSES: Partial<Record<ResetReason, number>> = { "power-on": 1, external: 2, watchdog: 4 };

const SILENT: Firmware = () => ({ baud: 115200, receive() {} });
const encoder = new TextEncoder();

export class Chip {
  readonly flash: Flash;
  readonly faults = new Faults();
  readonly mac: string;
  /** Whether it has power: a cable. */
  plugged = true;
  /** How often the ROM has started, and into what. */
  readonly boots = { program: 0, loader: 0 };
  /** Every command that a loader got, in order. */
  readonly commands: number[] = [];
  /** The time in ms, as of the last call. */
  now = 0;
  /** The levels that wires force on GPIO15, GPIO0 and GPIO2 at the next starts, a bit each; right ones by default. */
  wired: number | undefined;

  #options: ChipOptions;
  #firmware: Firmware;
  #registers: Registers;
  #lines = { dtr: false, rts: false };
  #enabled = true;
  #booting: number | undefined;
  #download = false;
  #mode: { rom: Rom } | { stub: Stub } | { program: Program } | undefined;
  #baud: number | undefined;
  /** Cause of the last reset that the program did not make itself; the ROM knows only those. */
  #cause = 0;
  #slip = new SlipReader();
  #frames: Uint8Array[] = [];
  #busyUntil = 0;
  #out: { at: number; baud: number; bytes: Uint8Array }[] = [];
  #timers: { at: number; what: () => void }[] = [];
  #received = 0;
  #spoilNext = false;
  readonly #machine: Machine;

  constructor(options: ChipOptions = {}) {
    this.#options = options;
    this.flash = new Flash(options.flashSize ?? 4 * 1024 * 1024, options.claimedSize);
    this.mac = options.mac ?? "84:0d:8e:76:81:2a";
    this.#registers = this.#newRegisters();
    this.#machine = this.#newMachine();
    this.#firmware = options.firmware ?? SILENT;
    this.#start("power-on");
  }

  /** The program that its flash stands for, from the next start on. */
  set firmware(firmware: Firmware) {
    this.#firmware = firmware;
  }

  #newRegisters(): Registers {
    const { magic = ESP8266_MAGIC, embedded = false } = this.#options;
    return new Registers(this.flash, this.mac, magic, embedded);
  }

  /** What runs: a loader, a program, or nothing while it is held in reset, is off, or has no image. */
  get state(): "rom" | "stub" | "program" | "none" {
    if (this.#mode === undefined) return "none";
    if ("rom" in this.#mode) return "rom";
    return "stub" in this.#mode ? "stub" : "program";
  }

  /** Speed of the chip's end of the line; undefined until the ROM has received something. */
  get baud(): number | undefined {
    return this.#baud;
  }

  /** When `tick` must be called next; Infinity: never. */
  get deadline(): number {
    return Math.min(this.#nextStep, this.#out[0]?.at ?? Infinity);
  }

  /** When something happens inside next. */
  get #nextStep(): number {
    const frame = this.#frames.length > 0 ? this.#busyUntil : Infinity;
    return Math.min(this.#booting ?? Infinity, frame, ...this.#timers.map(({ at }) => at));
  }

  /** Tells the time, in ms. */
  tick(now: number): void {
    for (let at; (at = this.#nextStep) <= now;) {
      this.now = Math.max(this.now, at);
      const due = this.#timers.findIndex((timer) => timer.at <= at);
      if (this.#booting !== undefined && this.#booting <= at) {
        this.#booting = undefined;
        this.#download = this.#io0Low;
        this.#start("external");
      } else if (due >= 0) this.#timers.splice(due, 1)[0]!.what();
      else this.#handle(this.#frames.shift()!);
    }
    this.now = Math.max(this.now, now);
  }

  /**
   * Changes the bridge's lines; a missing one stays. True pulls a line low. Two transistors let each act only while the
   * other is not pulled: RTS alone holds the chip in reset, DTR alone pulls IO0 down.
   */
  setLines(lines: { dtr?: boolean; rts?: boolean }, now: number): void {
    this.tick(now);
    Object.assign(this.#lines, lines);
    if (!this.plugged || !(this.#options.autoReset ?? true)) return;
    this.#setEnable(!(this.#lines.rts && !this.#lines.dtr));
  }

  get #io0Low(): boolean {
    return (this.#options.autoReset ?? true) && this.#lines.dtr && !this.#lines.rts;
  }

  #setEnable(enabled: boolean): void {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    if (enabled) this.#booting = this.now + (this.#options.riseTime ?? 2);
    else {
      this.#booting = undefined;
      this.#halt();
    }
  }

  /** Presses the board's reset button, with or without the other one (FLASH, IO0) held down. */
  press({ flashButton }: { flashButton: boolean }, now: number): void {
    this.tick(now);
    this.#halt();
    this.#download = flashButton;
    this.#start("external");
  }

  /** Unplugs the cable. */
  unplug(now: number): void {
    this.tick(now);
    this.#halt();
    this.#booting = undefined;
    this.#out = [];
    this.plugged = false;
  }

  /** Plugs the cable in again, without pressing a button. */
  plug(now: number): void {
    this.tick(now);
    this.plugged = true;
    this.#enabled = true;
    this.#lines = { dtr: false, rts: false };
    this.#download = false;
    this.#start("power-on");
  }

  /** Takes bytes from the line, sent at this speed. */
  receive(bytes: Uint8Array, baud: number, now: number): void {
    this.tick(now);
    if (!this.plugged || this.#mode === undefined) return;
    if (this.#baud === undefined) { // the ROM measures the first bytes that it receives
      this.#baud = baud;
      this.#registers.baud = baud;
    }
    let heard = understands(baud, this.#baud) ? bytes : garble(bytes, baud, this.#baud);
    if (baud > (this.#options.cleanBaud ?? Infinity)) {
      heard = flipBits(heard, 500, this.#received);
      this.#received += bytes.length;
    }
    if ("program" in this.#mode) return this.#mode.program.receive(heard);
    this.#frames.push(...this.#slip.push(heard));
    this.tick(now);
  }

  /** The output since the last call, as a receiver at this speed gets it. */
  take(baud: number, now: number): Uint8Array {
    this.tick(now);
    const parts: Uint8Array[] = [];
    while (this.#out.length > 0 && this.#out[0]!.at <= now) {
      const { bytes, baud: sentAt } = this.#out.shift()!;
      let heard = understands(baud, sentAt) ? bytes : garble(bytes, sentAt, baud);
      if (baud > (this.#options.cleanBaud ?? Infinity)) heard = flipBits(heard, 500, heard.length);
      parts.push(heard);
    }
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  #send(bytes: Uint8Array, baud: number): void {
    this.#out.push({ at: Math.max(this.now, this.#busyUntil), baud, bytes });
  }

  #halt(): void {
    if (this.#mode !== undefined && "program" in this.#mode) this.#mode.program.stop?.();
    this.#mode = undefined;
    this.#baud = undefined;
    this.#frames = [];
    this.#timers = [];
    this.#busyUntil = 0;
    this.#out = this.#out.filter(({ at }) => at <= this.now);
    this.#slip = new SlipReader();
  }

  /** The processor starts in ROM. */
  #start(reason: ResetReason): void {
    this.#halt();
    this.#registers = this.#newRegisters();
    this.#cause = CAUSES[reason] ?? this.#cause;
    const mode = this.wired ?? (this.#download ? DOWNLOAD : FROM_FLASH);
    this.#say(`\r\n ets Jan  8 2013,rst cause:${this.#cause}, boot mode:(${mode},6)\r\n\r\n`);
    if (this.#cause === CAUSES.watchdog) this.#say("wdt reset\r\n");
    if (mode >= 4) this.#say("waiting for host\r\n");
    if (mode === DOWNLOAD) {
      this.boots.loader++;
      this.#mode = { rom: new Rom(this.#machine) };
    } else if (mode === FROM_RAM) this.#fail();
    else if (mode === FROM_FLASH) this.#runProgram(reason);
  }

  /** Prints something for the ROM, or for the vendor's code after it. */
  #say(text: string): void {
    this.#send(encoder.encode(text), ROM_BAUD);
  }

  /** It runs its empty memory, and crashes again and again. */
  #fail(): void {
    const registers = ["epc1=0x40100000", "epc2", "epc3", "excvaddr", "depc"]
      .map((name) => name.includes("=") ? name : `${name}=0x00000000`).join(", ");
    this.#say(`Fatal exception (0): \r\n${registers}\r\n`);
    this.#timers.push({ at: this.now + 20, what: () => this.#fail() });
  }

  #runProgram(reason: ResetReason): void {
    this.#halt();
    const { embedded, onlyDout } = this.#options;
    const { fault, says } = loadImage(this.flash.bytes, embedded || onlyDout);
    this.#say(says);
    if (fault !== undefined) return;
    this.boots.program++;
    const started: { program?: Program } = {};
    const baud = () => started.program?.baud ?? 115200;
    started.program = this.#firmware({
      flash: this.flash,
      mac: this.mac,
      reason,
      print: (text, at = baud()) =>
        this.#send(typeof text === "string" ? encoder.encode(text) : text, at),
      after: (ms, what) => this.#timers.push({ at: this.now + ms, what }),
      restart: (reason = "software") => this.#start(reason),
    });
    this.#baud = started.program.baud;
    this.#mode = { program: started.program };
  }

  /** Lets a loader carry out a command, or applies a fault. */
  #handle(frame: Uint8Array): void {
    const mode = this.#mode;
    if (mode === undefined || "program" in mode) return;
    if ("stub" in mode && mode.stub.reading) return mode.stub.acknowledge(frame);
    const command = parseCommand(frame);
    if (command === undefined) return;
    this.commands.push(command.op);

    const fault = this.faults.strike(command.op);
    const loader = "rom" in mode ? mode.rom : mode.stub;
    if (fault === undefined) return loader.handle(command);
    const before = this.#out.length;
    switch (fault.what) {
      case "unplug":
        return this.unplug(this.now);
      case "slow":
        this.#machine.busy(fault.ms ?? 1000);
        return loader.handle(command);
      case "noise":
        this.#send(Uint8Array.of(0x00, 0x7e, 0xff), this.#baud!);
        return loader.handle(command);
      case "lost reply":
        loader.handle(command);
        this.#out.splice(before);
        return;
      case "bad flash":
        this.#spoilNext = true;
        return loader.handle(command);
      case "corrupted command":
        return loader.handle(corrupt(command));
    }
  }

  #newMachine(): Machine {
    const flash = this.flash;
    const registers = () => this.#registers;
    return {
      flash,
      get registers() {
        return registers();
      },
      eraseTime: this.#options.eraseTime ?? 0,
      reply: (frame) => this.#send(slipFrame(frame), this.#baud!),
      busy: (ms) => this.#busyUntil = Math.max(this.now, this.#busyUntil) + ms,
      setBaud: (rate) => {
        this.#baud = rate;
        this.#registers.baud = rate;
      },
      spoil: (data) => {
        if (!this.#spoilNext) return data;
        this.#spoilNext = false;
        const spoiled = data.slice();
        spoiled[spoiled.length >> 1]! ^= 0x01;
        return spoiled;
      },
      runStub: () => this.#mode = { stub: new Stub(this.#machine) },
      runProgram: () => this.#runProgram("software"),
      softReset: () => this.#start("software"),
    };
  }
}

/** The command with a bit of its last byte changed. */
function corrupt(command: Command): Command {
  const data = command.data.slice();
  if (data.length > 0) data[data.length - 1]! ^= 0x04;
  return { ...command, data };
}
