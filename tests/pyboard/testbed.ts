/**
 * The wires between an initiator and a responder, for tests: `testbed.c`, compiled with gcc and loaded into
 * this process. Give it to a `Board` as its `wires`.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Wires } from "../../bridge/host/mod.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const DRIVER = fileURLToPath(new URL("../../bridge/esp8266/firmware/i2c.c", import.meta.url));

const symbols = {
  testbed_open: { parameters: ["u32", "u32"], result: "i32" },
  testbed_close: { parameters: [], result: "void" },
  testbed_trace: { parameters: ["buffer", "u32"], result: "i32" },
  testbed_gpio_read: { parameters: ["i32"], result: "i32" },
  testbed_gpio_write: { parameters: ["i32", "i32"], result: "void" },
  testbed_i2c_begin: { parameters: ["u32"], result: "void" },
  testbed_i2c_write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  testbed_i2c_read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  testbed_pins: { parameters: ["buffer"], result: "i32" },
  testbed_board_off: { parameters: [], result: "void" },
  testbed_reset: { parameters: [], result: "i32" },
  testbed_set: { parameters: ["i32", "i32"], result: "void" },
  testbed_get: { parameters: ["i32"], result: "i32" },
  testbed_slave_send: { parameters: ["buffer", "u32"], result: "void" },
  testbed_slave_receive: { parameters: ["u32"], result: "void" },
  testbed_slave_outcome: { parameters: ["buffer", "u32"], result: "i32" },
  testbed_slave_stop: { parameters: [], result: "void" },
  testbed_stick: { parameters: ["i32", "i32"], result: "void" },
  testbed_stretch: { parameters: ["u32"], result: "void" },
} as const;

/** The wires, by the numbers they have in `testbed.c`. */
export const Wire = { syn: 0, ack: 1, reset: 2, scl: 3, sda: 4 } as const;

/** How a transfer of the slave has ended. */
export const Outcome = { pending: 0, complete: 1, cutOff: 2 } as const;

export interface TestbedOptions {
  /** Longest time in us between pin and I2C of an initiator in another process. Default: 0. */
  latency?: number;
  seed?: number;
}

/** Runs a program to its end. @throws {Error} with its output if it fails */
export async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${command} ${args.join(" ")}\n${out}${err}`);
  return out!;
}

export class Testbed implements Wires, AsyncDisposable {
  /** The port for an initiator in another process. */
  readonly port: number;
  readonly #library: Deno.DynamicLibrary<typeof symbols>;
  readonly #folder: string;

  /** Compiles the testbed with the gcc at this path. */
  static async open(gcc: string, { latency = 0, seed = 1 }: TestbedOptions = {}): Promise<Testbed> {
    const folder = await Deno.makeTempDir({ prefix: "holdfast_testbed_" });
    const library = `${folder}/testbed.so`;
    const sources = [`${HERE}testbed.c`, `${HERE}bus.c`, DRIVER];
    const flags = [
      "-std=gnu99",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-O1",
      "-shared",
      "-fPIC",
      "-pthread",
    ];
    try {
      await run(gcc, [...flags, "-o", library, ...sources]);
      return new Testbed(folder, Deno.dlopen(library, symbols), latency, seed);
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }

  private constructor(
    folder: string,
    library: Deno.DynamicLibrary<typeof symbols>,
    latency: number,
    seed: number,
  ) {
    this.#folder = folder;
    this.#library = library;
    this.port = library.symbols.testbed_open(latency, seed);
    if (this.port < 0) throw new Error("the testbed found no port");
  }

  // The responder's board.

  read(pin: number): number {
    return this.#library.symbols.testbed_gpio_read(pin);
  }

  write(pin: number, level: number): void {
    this.#library.symbols.testbed_gpio_write(pin, level);
  }

  i2cBegin(_scl: number, _sda: number, hz: number): void {
    this.#library.symbols.testbed_i2c_begin(hz);
  }

  i2cWrite(address: number, bytes: Uint8Array<ArrayBuffer>): number {
    return this.#library.symbols.testbed_i2c_write(address, bytes.slice(), bytes.length);
  }

  i2cRead(address: number, bytes: Uint8Array<ArrayBuffer>): number {
    const read = new Uint8Array(bytes.length);
    const result = this.#library.symbols.testbed_i2c_read(address, read, read.length);
    bytes.set(read);
    return result;
  }

  /** For an emulated chip with its own driver: the path of its pins. Call it once. */
  pins(): string {
    const path = `${this.#folder}/pins`;
    const failed = this.#library.symbols.testbed_pins(new TextEncoder().encode(`${path}\0`));
    if (failed) throw new Error(`the testbed cannot make ${path}`);
    return path;
  }

  /** The board is switched off, or held in reset. */
  boardOff(): void {
    this.#library.symbols.testbed_board_off();
  }

  /** The reset wire: its level, and how often it has fallen. */
  get reset(): { level: number; times: number } {
    const value = this.#library.symbols.testbed_reset();
    return { level: value & 1, times: value >> 1 };
  }

  // An initiator in this process.

  set(wire: number, level: number): void {
    this.#library.symbols.testbed_set(wire, level);
  }

  get(wire: number): number {
    return this.#library.symbols.testbed_get(wire);
  }

  slaveSend(bytes: Uint8Array<ArrayBuffer>): void {
    this.#library.symbols.testbed_slave_send(bytes, bytes.length);
  }

  slaveReceive(length: number): void {
    this.#library.symbols.testbed_slave_receive(length);
  }

  /** One of `Outcome`; if that is complete, `bytes` are filled. */
  slaveOutcome(bytes: Uint8Array<ArrayBuffer>): number {
    return this.#library.symbols.testbed_slave_outcome(bytes, bytes.length);
  }

  slaveStop(): void {
    this.#library.symbols.testbed_slave_stop();
  }

  // Faults, and what happened.

  /** Makes a wire stick at a level; -1 repairs it. */
  stick(wire: number, level: number): void {
    this.#library.symbols.testbed_stick(wire, level);
  }

  /** The slave stretches the clock by this many us, once a byte. */
  stretch(us: number): void {
    this.#library.symbols.testbed_stretch(us);
  }

  /** What an initiator in another process did and saw, a line for each event. */
  get trace(): string[] {
    const bytes = new Uint8Array(1 << 22);
    const length = this.#library.symbols.testbed_trace(bytes, bytes.length);
    return new TextDecoder().decode(bytes.subarray(0, length)).split("\n").slice(0, -1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#library.symbols.testbed_close();
    this.#library.close();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
