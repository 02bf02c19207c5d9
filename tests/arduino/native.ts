/**
 * The core as C in this process, in place of the .wasm: the host's calls run compiled C, in its memory.
 *
 * @module
 */
import { compiler, LIBRARY, SOURCES } from "./build.ts";

const EXPORTS = "registers init opened closed received poll take room write expire".split(" ");
const MEMORY = 65536;

const symbols = {
  native_boot: { parameters: ["function"], result: "pointer" },
  native_call: { parameters: ["u32", "u32", "u32"], result: "u32" },
} as const;
const HMAC = { parameters: ["u32", "u32", "u32"], result: "void" } as const;

type Hmac = (at: number, length: number, to: number) => void;

/** A shared library with the compiled core. */
export class NativeCore implements Disposable {
  /** Calls made on it so far. */
  calls = 0;
  /** Called instead of the last instance's own import. */
  #hmac: Hmac = () => {};
  readonly #library: Deno.DynamicLibrary<typeof symbols>;
  readonly #callback = new Deno.UnsafeCallback(HMAC, (...args) => this.#hmac(...args));

  private constructor(path: string) {
    this.#library = Deno.dlopen(path, symbols);
  }

  /** Compiles the core into a folder. @throws {Error} with what the compiler says */
  static async compile(gcc: string, folder: string): Promise<NativeCore> {
    const path = `${folder}/native.so`;
    const flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
    const checks = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"];
    const source = new URL("native.c", import.meta.url).pathname;
    await compiler(gcc, [
      ...[...flags, ...checks, `-I${LIBRARY}/src`, source, SOURCES.c[0]!],
      ...["-o", path],
    ]);
    return new NativeCore(path);
  }

  /** The exports of an instance, whose memory is the compiled core's. One at a time: the next call boots it again. */
  instantiate(imports: WebAssembly.Imports): Record<string, unknown> {
    const memory = this.#library.symbols.native_boot(this.#callback.pointer);
    this.#hmac = imports.host!.hmac as Hmac;
    const call = (name: string) => (a = 0, b = 0) => {
      this.calls++;
      return this.#library.symbols.native_call(EXPORTS.indexOf(name), a >>> 0, b >>> 0) | 0;
    };
    return {
      memory: { buffer: Deno.UnsafePointerView.getArrayBuffer(memory!, MEMORY) },
      ...Object.fromEntries(EXPORTS.map((name) => [name, call(name)])),
    };
  }

  [Symbol.dispose](): void {
    this.#library.close();
    this.#callback.close();
  }
}

/** Modules that are instantiated during `fn` are the compiled core. */
export function onNative(core: NativeCore, fn: () => void): void {
  const { Instance } = WebAssembly;
  // deno-lint-ignore no-explicit-any
  (WebAssembly as any).Instance = class {
    exports: Record<string, unknown>;
    constructor(_: WebAssembly.Module, imports: WebAssembly.Imports) {
      this.exports = core.instantiate(imports);
    }
  };
  try {
    fn();
  } finally {
    WebAssembly.Instance = Instance;
  }
}
