/**
 * A module that runs on the emulated chip and on the host at once: each call is made on both, and both must return the
 * same and leave the same memory, byte for byte.
 *
 * @module
 */
import { encodeApplication } from "../../bridge/formats/application.ts";
import { CORE_EXPORTS } from "../../server/protocol/module.ts";
import { EMULATOR } from "../../bridge/esp8266/emulator/processor.ts";
import { frame, FrameReader, u16, u32 } from "../../bridge/esp8266/emulator/frames.ts";

/** Bytes of memory to compare: all of a module's memory on the chip. */
const MEMORY = 4096;

/** The names of exports that a module may have. */
const EXPORTS: readonly string[] = CORE_EXPORTS;

/** The emulator, used synchronously: a call returns when the chip has answered. */
export class RemoteChip implements Disposable {
  /** Calls made on it so far. */
  calls = 0;
  #process: Deno.ChildProcess;
  #to: Deno.FsFile;
  #from: Deno.FsFile;
  #frames = new FrameReader();
  #waiting: { type: string; payload: Uint8Array }[] = [];

  /** Starts it with a module in its flash. `firmware` was built with EMULATOR_RUNNER. */
  constructor(qemu: string, firmware: string, wasm: Uint8Array, readonly folder: string) {
    const made = new Deno.Command("mkfifo", { args: [`${folder}/to`, `${folder}/from`] })
      .outputSync();
    if (!made.success) throw new Error(new TextDecoder().decode(made.stderr));
    const command = `exec "$0" ${EMULATOR.join(" ")} -kernel "$1" <"$2/to" >"$2/from"`;
    this.#process = new Deno.Command("sh", {
      args: ["-c", command, qemu, firmware, folder],
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#to = Deno.openSync(`${folder}/to`, { write: true });
    this.#from = Deno.openSync(`${folder}/from`, { read: true });
    this.send(frame("B", 0, u16(1), u32(1), new Uint8Array(64)));
    const area = encodeApplication("core", wasm);
    for (let at = 0; at < area.length; at += MEMORY) {
      this.send(frame("F", u32(0xf0000 + at), area.subarray(at, at + MEMORY)));
    }
    this.send(frame("F"));
  }

  send(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += this.#to.writeSync(bytes.subarray(at));
  }

  /** The next frame from the chip. */
  next(): { type: string; payload: Uint8Array } {
    const buffer = new Uint8Array(8192);
    while (this.#waiting.length === 0) {
      const n = this.#from.readSync(buffer);
      if (n === null) throw new Error("the emulated chip has ended");
      this.#waiting.push(...this.#frames.push(buffer.subarray(0, n)));
    }
    return this.#waiting.shift()!;
  }

  [Symbol.dispose](): void {
    this.#to.close();
    this.#from.close();
    this.#process.kill("SIGKILL");
  }

  /** Resolves when it has ended completely. */
  async ended(): Promise<void> {
    await this.#process.status;
  }
}

/** Lets modules that are instantiated during `fn` run on the chip as well. */
export function onChip(chip: RemoteChip, fn: () => void): void {
  const { Instance } = WebAssembly;
  // deno-lint-ignore no-explicit-any
  (WebAssembly as any).Instance = class {
    exports: Record<string, unknown>;
    constructor(module: WebAssembly.Module, imports: WebAssembly.Imports) {
      this.exports = twin(chip, new Instance(module, imports), imports);
    }
  };
  try {
    fn();
  } finally {
    WebAssembly.Instance = Instance;
  }
}

function twin(
  chip: RemoteChip,
  { exports }: WebAssembly.Instance,
  imports: WebAssembly.Imports,
): Record<string, unknown> {
  chip.send(frame("I", u32(MEMORY)));
  const complaint = new TextDecoder().decode(chip.next().payload);
  if (complaint !== "") throw new Error(`the chip says: ${complaint}`);
  const memory = new Uint8Array((exports.memory as WebAssembly.Memory).buffer);
  let there = new Uint8Array(MEMORY); // the chip's memory
  there.set(memory.subarray(0, MEMORY)); // the module's data, which both have initialised
  const hmac = imports.host!.hmac as (at: number, length: number, to: number) => void;
  const call = (name: string, args: number[]): number => {
    const [a = 0, b = 0] = args;
    // The range that the host has written since the last call.
    let from = 0, end = MEMORY;
    while (from < end && there[from] === memory[from]) from++;
    while (end > from && there[end - 1] === memory[end - 1]) end--;
    const changed = memory.slice(from, end);
    chip.calls++;
    chip.send(frame("X", EXPORTS.indexOf(name), u32(a), u32(b), u32(from), changed));
    const local = Number((exports[name] as (...args: number[]) => number)(...args) ?? 0) | 0;
    let answer = chip.next();
    while (answer.type === "h") { // the host's module makes the same call, so its arguments give the answer
      const view = new DataView(answer.payload.buffer);
      const shadow = answer.payload.slice(12);
      const kept = memory.slice(0, MEMORY);
      memory.set(shadow);
      hmac(view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true));
      chip.send(frame("J", memory.slice(0, MEMORY)));
      memory.set(kept);
      answer = chip.next();
    }
    const result = new DataView(answer.payload.buffer).getInt32(0, true);
    there = answer.payload.slice(4);
    const differs = there.findIndex((byte, at) => byte !== memory[at]);
    if (result !== local || differs >= 0) {
      throw new Error(
        `${name}(${args}): the host says ${local}, the chip ${result}` +
          (differs < 0 ? "" : `; memory differs at ${differs}`),
      );
    }
    return result;
  };
  const functions = Object.keys(exports).filter((name) => EXPORTS.includes(name));
  return {
    memory: exports.memory,
    ...Object.fromEntries(functions.map((name) => [name, (...args: number[]) => call(name, args)])),
  };
}
