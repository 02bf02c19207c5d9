/**
 * Compiles an application ahead of time: wasm2c (Debian's wabt) translates its .wasm to C, which becomes part of the
 * firmware. This is for an application that is too large or too slow for the interpreter, and is replaced only together
 * with the firmware.
 *
 * @module
 */
import { BuildError } from "./errors.ts";
import { run } from "./toolchain.ts";

/** From wabt, which wasm2c is part of. */
const RUNTIME_HEADER = "/usr/include/wasm-rt.h";
/** Linear memory for the first load of the module, in bytes: more than its data need. */
const FIRST_MEMORY = 4096;
/** The exports that the firmware calls, in its order (`engine.h`). */
const EXPORTS =
  "registers init opened closed received poll take room write onStart onMessage onState onTick canReceive onTrial"
    .split(" ");

/** Files of the translated application, by their names. @throws {BuildError} */
export async function translate(
  { name, wasm }: { name: string; wasm: Uint8Array<ArrayBuffer> },
): Promise<Record<string, string>> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast_aot_" });
  try {
    await Deno.writeFile(`${folder}/app.wasm`, wasm);
    await run("wasm2c", ["app.wasm", "--module-name=app", "-o", "app.c"], folder);
    const [header, code] = await Promise.all(
      ["app.h", "app.c"].map((file) => Deno.readTextFile(`${folder}/${file}`)),
    );
    checkApplication(name, header!);
    return {
      "app.h": header!,
      "app.c": forTheChip(code!),
      "glue.h": glue(name, header!),
      "wasm-rt.h": await runtimeHeader(),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function runtimeHeader(): Promise<string> {
  try {
    return await Deno.readTextFile(RUNTIME_HEADER);
  } catch (cause) {
    throw new BuildError(`${RUNTIME_HEADER} is missing: apt-get install wabt`, { cause });
  }
}

/** @throws {BuildError} if wasm2c has changed */
function replaceOnce(text: string, from: string, to: string): string {
  if (text.split(from).length !== 2) {
    throw new BuildError(
      `this version of wasm2c is not supported: its output lacks ${
        JSON.stringify(from)
      }, or has it more than once`,
    );
  }
  return text.replace(from, () => to);
}

/**
 * Makes addresses 32 bits instead of 64, loads and stores aligned words as words, and copies data from flash by
 * words. An address that wraps stays inside the memory, as all addresses are checked.
 */
function forTheChip(code: string): string {
  const aligned = (name: string, head: string, fast: string, slow: string) =>
    `static inline ${head} {\n  MEMCHECK(mem, addr, u32);\n` +
    `  if (!(addr & 3)) ${fast}\n  ${slow}\n} /* ${name} */`;
  code = code.replaceAll("u64 addr", "u32 addr");
  code = replaceOnce(
    code,
    "if (UNLIKELY(offset + (uint64_t)len > mem->size))",
    "if (UNLIKELY((u32)(offset) > mem->size - (u32)(len)))",
  );
  code = replaceOnce(
    code,
    "  memcpy(dest, src, n);\n}\n#define LOAD_DATA(m, o, i, s)      \\",
    "  bytes_copy(dest, src, n);\n}\n#define LOAD_DATA(m, o, i, s)      \\",
  );
  code = replaceOnce(
    code,
    "DEFINE_LOAD(i32_load, u32, u32, u32)",
    aligned(
      "load",
      "u32 i32_load(wasm_rt_memory_t* mem, u32 addr)",
      "return *(const u32*)&mem->data[addr];",
      "u32 word; wasm_rt_memcpy(&word, &mem->data[addr], 4); return word;",
    ),
  );
  code = replaceOnce(
    code,
    "DEFINE_STORE(i32_store, u32, u32)",
    aligned(
      "store",
      "void i32_store(wasm_rt_memory_t* mem, u32 addr, u32 word)",
      "*(u32*)&mem->data[addr] = word;",
      "else wasm_rt_memcpy(&mem->data[addr], &word, 4);",
    ),
  );
  return `#include "bytes.h"\n${code}`;
}

/** How many modules it imports from: an instance is created with a pointer for each, which its imports get. */
function modules(header: string): number {
  const [, parameters] = header.match(/^void Z_app_instantiate\(([^)]*)\);$/m) ?? [];
  if (parameters === undefined) {
    throw new BuildError(
      "this version of wasm2c is not supported: its output does not declare Z_app_instantiate",
    );
  }
  return parameters.split(",").length - 1;
}

/** @throws {BuildError} if the module is not an application */
function checkApplication(name: string, header: string): void {
  const lacking = ["memory", "registers", "poll"].filter((field) =>
    !header.includes(`/* export: '${field}' */`)
  );
  if (lacking.length > 0) {
    throw new BuildError(
      `${name} is not an application: it does not export ${lacking.join(", ")}`,
    );
  }
}

/** The C code that connects the functions declared by wasm2c with the firmware's tables. */
function glue(name: string, header: string): string {
  const declared = (comment: string) =>
    header.matchAll(
      new RegExp(`/\\* ${comment} \\*/\\n(u32|void) (\\w+)\\(([^)]*)\\);`, "g"),
    );
  const lines: string[] = [
    `#define AOT_NAME ${JSON.stringify(name)}`,
    `#define AOT_FIRST_MEMORY ${FIRST_MEMORY}`,
    `#define AOT_INSTANTIATE(instance) Z_app_instantiate(instance${", 0".repeat(modules(header))})`,
  ];
  const imports = [...declared("import: '(\\w+)' '(\\w+)'")];
  lines.push("static const char *const import_names[][2] = {");
  for (const [, module, field] of imports) lines.push(`  { "${module}", "${field}" },`);
  lines.push("};", `static import_call import_calls[${imports.length}] IN_WORDS;`);
  for (const [index, [, , , type, symbol, parameters = ""]] of imports.entries()) {
    const count = parameters.split(",").length - 1;
    const names = Array.from({ length: count }, (_, i) => `a${i}`);
    const head = [parameters.split(",")[0] + " of", ...names.map((a) => `u32 ${a}`)].join(", ");
    lines.push(
      `${type} ${symbol}(${head}) {`,
      `  const uint32_t arguments[] = { ${[...names, "0"].join(", ")} };`,
      "  (void)of;",
      `  ${type === "u32" ? "return " : ""}import_calls[${index}](arguments);`,
      "}",
    );
  }
  const exports = new Map(
    [...declared("export: '(\\w+)'")].map(([, field, ...rest]) => [field, rest]),
  );
  let returns = 0;
  const calls = EXPORTS.map((field, index) => {
    const [type, symbol, parameters = ""] = exports.get(field) ?? [];
    if (!symbol) return "0";
    const args = ["&app", "a", "b"].slice(0, parameters.split(",").length).join(", ");
    const call = `${symbol}(${args})`;
    if (type === "u32") returns |= 1 << index;
    lines.push(
      `static uint32_t export_${field}(uint32_t a, uint32_t b) {`,
      "  (void)a, (void)b;",
      type === "u32" ? `  return ${call};` : `  ${call};\n  return 0;`,
      "}",
    );
    return `export_${field}`;
  });
  lines.push(
    `static uint32_t (*const export_calls[])(uint32_t, uint32_t) = { ${calls.join(", ")} };`,
    `static const uint32_t export_returns = ${returns};`,
  );
  return lines.join("\n") + "\n";
}
