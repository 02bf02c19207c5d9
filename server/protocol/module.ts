/**
 * Checks that the firmware can run a .wasm. The chip checks it, too, when it starts; this check comes before it is
 * written to a chip, and its errors say what to do. Runs in a browser, too.
 *
 * @module
 */
import { LocalError } from "./errors.ts";

/**
 * Functions that the firmware offers to an application, with their numbers of parameters and results (`application.c`,
 * in the same order). Their places in this list are sent to devices, so a new one must come last.
 */
export const IMPORTS: Readonly<Record<string, readonly [parameters: number, results: number]>> = {
  "host.hmac": [3, 0],
  "board.gpio_write": [2, 0],
  "board.gpio_read": [1, 1],
  "board.adc_read": [0, 1],
  "board.pwm_write": [3, 0],
  "board.log": [2, 0],
  "board.millis": [0, 1],
  "board.random": [0, 1],
  "board.free_memory": [0, 1],
  "board.every": [1, 0],
  "board.i2c_begin": [3, 0],
  "board.i2c_write": [3, 1],
  "board.i2c_read": [3, 1],
  "board.configure": [2, 1],
  "board.wifi": [0, 1],
  "board.restart": [0, 0],
  "board.keep": [3, 1],
  "board.kept": [3, 1],
  "board.sleep": [1, 1],
  "board.woke": [0, 1],
};

const NAMES = Object.keys(IMPORTS);

/** Imports as the number that is sent to a device: a bit for each, the lowest for the first. */
export function needsOf(imports: readonly string[]): number {
  return imports.reduce((needs, name) => needs + 2 ** NAMES.indexOf(name), 0);
}

/** The import with this number, as `board.log`; undefined: there is no such import. */
export function importName(number: number): string | undefined {
  return NAMES[number];
}

/** Exports of the core, in the order of `engine.h`: an application is compiled together with it. */
export const CORE_EXPORTS = [
  "registers",
  "init",
  "opened",
  "closed",
  "received",
  "poll",
  "take",
  "room",
  "write",
] as const;

/** Where a module's data must end, in bytes: the size of the memory that it is first loaded with (`engine_wasm3.c`). */
export const DATA_END = 2048;

/** How deep blocks (`if`, `while`, `switch`) may be nested (`m3_most_depth`). */
export const MOST_DEPTH = 16;

/** Longest module that can be deployed over the link, in bytes: a slot of the application's area, less its header. */
export const LONGEST_MODULE = 20_384;

/** Most bytes of RAM for interpreted code, which takes about two for each byte of a module's code. */
const CODE_RAM = 24 * 1024;
const RAM_OF_CODE = 1.9;

/** Facts about a module. */
export interface ModuleFacts {
  /** In bytes. */
  size: number;
  /** Its imports, such as `board.log`. */
  imports: string[];
}

const I32 = 0x7f;
const TYPES: Record<number, string> = {
  0x7e: "64-bit whole numbers (i64)",
  0x7d: "floating-point numbers (f32)",
  0x7c: "floating-point numbers (f64)",
};

/**
 * Checks that the firmware's interpreter can run a module as an application.
 *
 * @param most Bytes of room on the board.
 * @throws {LocalError} BAD_ARGUMENT: what is wrong with it and what to do
 */
export function checkModule(wasm: Uint8Array<ArrayBuffer>, most: number): ModuleFacts {
  if (wasm.length < 8 || new DataView(wasm.buffer, wasm.byteOffset).getUint32(0) !== 0x0061736d) {
    throw bad("it is not a WebAssembly module");
  }
  const version = new DataView(wasm.buffer, wasm.byteOffset).getUint32(4, true);
  if (version !== 1) {
    throw bad(`it is WebAssembly version ${version}, but the firmware only knows version 1`);
  }
  if (wasm.length > most) {
    throw bad(`it has ${wasm.length} bytes, but the board has room for ${most}`);
  }
  if (!WebAssembly.validate(wasm)) throw bad("it is damaged or cut off");
  // It is a valid module, so the code below need not check for its end.
  const sections = sectionsOf(wasm);
  const types = typesIn(sections.get(1));
  const functions = checkImports(sections.get(2), types);
  checkExports(sections.get(7));
  checkData(sections.get(11));
  checkCode(sections.get(10));
  return { size: wasm.length, imports: functions };
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}

const TOOLS = "compile it with `deno task build`, which avoids what the firmware does not support";

/** Reads numbers and names of a section. */
class Reader {
  #at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get done(): boolean {
    return this.#at >= this.bytes.length;
  }

  byte(): number {
    return this.bytes[this.#at++] ?? 0;
  }

  /** Reads LEB128 as unsigned: only the length of a signed one matters here. */
  number(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  name(): string {
    return new TextDecoder().decode(this.take(this.number()));
  }

  take(length: number): Uint8Array {
    return this.bytes.subarray(this.#at, this.#at += length);
  }

  list<T>(one: () => T): T[] {
    return Array.from({ length: this.number() }, one);
  }
}

/** The sections by number, without those for tools. */
function sectionsOf(wasm: Uint8Array): Map<number, Reader> {
  const all = new Reader(wasm.subarray(8));
  const sections = new Map<number, Reader>();
  while (!all.done) {
    const id = all.byte();
    const bytes = all.take(all.number());
    if (id !== 0) sections.set(id, new Reader(bytes));
  }
  return sections;
}

type FunctionType = [parameters: number, results: number];

function checkType(type: number): void {
  if (type === I32) return;
  throw bad(
    `it uses ${
      TYPES[type] ?? "values that are not numbers"
    }, and the firmware has whole numbers of 32 bits only`,
  );
}

function typesIn(section: Reader | undefined): FunctionType[] {
  return section?.list(() => {
    if (section.byte() !== 0x60) throw bad(`it has types that are not functions: ${TOOLS}`);
    const lengths = [0, 1].map(() => {
      const values = section.list(() => section.byte());
      for (const type of values) checkType(type);
      return values.length;
    });
    return lengths as FunctionType;
  }) ?? [];
}

/** The imports, by their names. */
function checkImports(section: Reader | undefined, types: FunctionType[]): string[] {
  return section?.list(() => {
    const name = `${section.name()}.${section.name()}`;
    if (section.byte() !== 0) throw bad(`it imports ${name}, which is not a function: ${TOOLS}`);
    const [parameters, results] = types[section.number()]!;
    const known = Object.hasOwn(IMPORTS, name) ? IMPORTS[name] : undefined;
    if (!known) throw bad(`it imports ${name}, which this firmware does not have`);
    if (known[0] !== parameters || known[1] !== results) {
      throw bad(
        `it imports ${name} with a different signature than this firmware's: build it again`,
      );
    }
    return name;
  }) ?? [];
}

function checkExports(section: Reader | undefined): void {
  const exported = new Map(
    section?.list(() => {
      const name = section.name();
      const kind = section.byte();
      section.number();
      return [name, kind] as const;
    }),
  );
  const lacking = CORE_EXPORTS.find((name) => exported.get(name) !== 0) ??
    (exported.get("memory") === 2 ? undefined : "memory");
  if (lacking !== undefined) {
    throw bad(
      `it is not an application for this firmware: it does not export ${lacking}. An application exports all of the core; ` +
        "client-as/README.md shows one",
    );
  }
}

/** Static data must fit into the memory that a module is first loaded with. */
function checkData(section: Reader | undefined): void {
  section?.list(() => {
    if (section.number() !== 0 || section.byte() !== 0x41) { // memory 0, i32.const
      throw bad(`it places data at run time: ${TOOLS}`);
    }
    const from = section.number();
    section.byte(); // end
    const end = from + section.take(section.number()).length;
    if (end > DATA_END) {
      throw bad(
        `its constant texts and tables end at byte ${end}, but at most ${DATA_END} is allowed: make them shorter`,
      );
    }
  });
}

/** The number of immediate values after each opcode that the firmware knows. */
const OPERANDS: Record<number, number> = {
  ...Object.fromEntries(range(0x00, 0x05).map((code) => [code, 0])), // unreachable to else
  ...{ 0x02: 1, 0x03: 1, 0x04: 1, 0x0b: 0, 0x0c: 1, 0x0d: 1, 0x0f: 0, 0x10: 1, 0x11: 2 },
  ...{ 0x1a: 0, 0x1b: 0 }, // drop, select
  ...Object.fromEntries(range(0x20, 0x24).map((code) => [code, 1])), // variables
  ...Object.fromEntries([0x28, 0x2c, 0x2d, 0x2e, 0x2f].map((code) => [code, 2])), // loads
  ...Object.fromEntries([0x36, 0x3a, 0x3b].map((code) => [code, 2])), // stores
  ...{ 0x3f: 1, 0x40: 1, 0x41: 1 }, // memory, i32.const
  ...Object.fromEntries([...range(0x45, 0x4f), ...range(0x67, 0x78)].map((code) => [code, 0])),
  ...{ 0xc0: 0, 0xc1: 0 }, // signs
};

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

function checkCode(section: Reader | undefined): void {
  const ram = Math.round((section?.bytes.length ?? 0) * RAM_OF_CODE);
  if (ram > CODE_RAM) {
    throw bad(
      `its code would take about ${ram} bytes of the board's memory, but there are only ${CODE_RAM}: ` +
        "make it shorter, or put it into the firmware ahead of time",
    );
  }
  section?.list(() => {
    const body = new Reader(section.take(section.number()));
    body.list(() => {
      body.number();
      checkType(body.byte());
    });
    let depth = 0;
    while (!body.done) {
      depth += DEEPER[checkInstruction(body)] ?? 0;
      if (depth > MOST_DEPTH) {
        throw bad(
          `one of its functions nests more than ${MOST_DEPTH} blocks (if, while, switch): ` +
            "move the inner ones into functions",
        );
      }
    }
  });
}

/** Opcodes that open or end a block: block, loop, if, end. */
const DEEPER: Record<number, number> = { 0x02: 1, 0x03: 1, 0x04: 1, 0x0b: -1 };

/** Reads and checks an instruction, and returns its opcode. */
function checkInstruction(body: Reader): number {
  const code = body.byte();
  if (code === 0x0e) { // br_table
    body.list(() => body.number());
    body.number();
    return code;
  }
  const operands = OPERANDS[code];
  if (operands === undefined) {
    const hex = `0x${code.toString(16).padStart(2, "0")}`;
    const kind = code >= 0x29 && code < 0xc0
      ? "for 64-bit or floating-point numbers"
      : "a newer extension";
    throw bad(`it has an instruction that the firmware does not have (${hex}, ${kind}): ${TOOLS}`);
  }
  for (let n = 0; n < operands; n++) body.number();
  return code;
}
