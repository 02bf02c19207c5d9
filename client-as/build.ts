/**
 * `deno task build`: compiles the client core and every device application to `client-as/build/<name>.wasm`, prints the
 * sizes of each module, and fails if the core is over its budget. It also writes the core as a module,
 * `client-as/core_wasm.ts`, which programs import. Compiles only if a source is newer than the modules, or with
 * `--force`. `deno task build my_app.ts` compiles only that application, to `my_app.wasm` beside it.
 *
 * An application is compiled together with the core: its module exports the core's functions
 * next to its own. The targets of asconfig.json differ in whether messages can have deadlines.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const HELP = `deno task build [options] [APPLICATION.ts …]

Without applications: compiles the core and the examples to client-as/build, if a source has changed.
With applications: compiles each to a .wasm beside it. They import the core and the board's functions by path:

  export * from "./client-as/assembly/core";   (in an application in the project's folder)
  import { every, log } from "./client-as/assembly/app";

A .wasm runs on a PC (deno run -A bridge/host/run.ts my_app.wasm --id 1), and the flasher's page puts it on a
board: in step 2, choose “A file on this computer” as its application. No compiler for the chip is needed.

  --force  compile even if nothing has changed
  --help   this text

Exit codes: 0 built, 1 does not compile, or the core is over its budget (the message says which), 2 wrong options.`;

/** Limits of the core's size in flash, and so in RAM: wasm3 takes 2.4 bytes of heap for each byte of code. 198 and 182
 * of these bytes are for deadlines (`expire`), which must know the messages that may be at the server, and hold them
 * back. An application without deadlines does not have that code. Applications have no budget here. */
const CORE_BUDGET = { fileBytes: 3904, codeBytes: 3550, imports: 1, startSections: 0 };

const ROOT = new URL("../", import.meta.url);
const BUILD = "client-as/build";
/** The core as a module. It is committed, so that it is there without a build, and in the packages of registries. */
const EMBEDDED = "client-as/core_wasm.ts";
const CORE: Product = { name: "core", source: "client-as/assembly/core.ts" };
/** Folders with applications: each .ts file in them is one. FOLDERS: all folders with sources. */
const EXAMPLES = ["client-as/examples", "bridge/mqtt/examples"];
const APPLICATIONS = [...EXAMPLES, "bridge/pyboard/assembly/app"];
const FOLDERS = ["client-as/assembly", ...EXAMPLES, "bridge/pyboard/assembly"];
/** Other files that the modules depend on. */
const SETTINGS = ["asconfig.json", "client-as/build.ts", "deno.json"];

/** The compiler's message if an application uses `client-as/assembly/deadlines.ts` with the target that has none. */
const HAS_DEADLINES = "this application has deadlines";

/** A source that becomes a .wasm: a name for people, and paths in the project's folder. */
interface Product {
  name: string;
  source: string;
  /** Default: in `client-as/build`. */
  wasm?: string;
}

/** Wrong arguments on the command line. */
class UsageError extends Error {}

/** The sizes and imports of a module. */
export interface ModuleFacts {
  fileBytes: number;
  /** Size of the code section. */
  codeBytes: number;
  /** Size of the data section, which is copied into memory at the start. */
  dataBytes: number;
  functions: number;
  /** Names, as `module.name`. */
  imports: string[];
  startSections: number;
}

/** Reads the sections of a WebAssembly module. @throws {WebAssembly.CompileError} it is not a module */
export function inspect(wasm: Uint8Array<ArrayBuffer>): ModuleFacts {
  const module = new WebAssembly.Module(wasm); // validates it, so the loop below need not
  const imports = WebAssembly.Module.imports(module).map((i) => `${i.module}.${i.name}`);
  const facts: ModuleFacts = {
    fileBytes: wasm.length,
    codeBytes: 0,
    dataBytes: 0,
    functions: 0,
    imports,
    startSections: 0,
  };
  let at = 8; // behind magic and version
  /** An unsigned LEB128 number. */
  const number = () => {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = wasm[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < wasm.length) {
    const id = wasm[at++];
    const size = number();
    const end = at + size;
    if (id === 3) facts.functions = number();
    if (id === 8) facts.startSections++;
    if (id === 10) facts.codeBytes = size;
    if (id === 11) facts.dataBytes = size;
    at = end;
  }
  return facts;
}

/** One complaint for each figure that is over the core's budget. */
export function overBudget(facts: ModuleFacts, budget = CORE_BUDGET): string[] {
  const complaints: string[] = [];
  const limit = (what: string, value: number, max: number) => {
    if (value > max) complaints.push(`${what}: ${value}, allowed ${max}`);
  };
  limit("file bytes", facts.fileBytes, budget.fileBytes);
  limit("code section bytes", facts.codeBytes, budget.codeBytes);
  limit(`imports (${facts.imports.join(", ")})`, facts.imports.length, budget.imports);
  limit("start sections", facts.startSections, budget.startSections);
  return complaints;
}

/** The text of the module that contains the core. */
export function embedded(core: Uint8Array): string {
  return `/** The core: the bytes of client-as/build/core.wasm, as \`deno task build\` has written it. */
export const CORE_WASM: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(
  "${core.toBase64({ alphabet: "base64url", omitPadding: true })}",
  { alphabet: "base64url" },
);
`;
}

/** Writes that module if the core has changed. */
async function embed(core: Uint8Array): Promise<void> {
  const text = embedded(core);
  const isThere = changed(EMBEDDED) !== undefined && await Deno.readTextFile(EMBEDDED) === text;
  if (!isThere) await Deno.writeTextFile(EMBEDDED, text);
}

function output({ name, wasm }: Product): string {
  return wasm ?? `${BUILD}/${name}.wasm`;
}

/** A user's application, at a path relative to `folder`. @throws {UsageError} */
function own(path: string, folder: string): Product {
  if (!/\.ts$/.test(path)) {
    throw new UsageError(`an application must be a .ts file: ${path}`);
  }
  const file = resolve(folder, path);
  if (changed(file) === undefined) throw new UsageError(`${file} does not exist`);
  // asc needs slashes, also on Windows.
  const source = relative(fileURLToPath(ROOT), file).replaceAll("\\", "/");
  const name = source.slice(source.lastIndexOf("/") + 1, -".ts".length);
  return { name, source, wasm: source.slice(0, -".ts".length) + ".wasm" };
}

/** The files below a folder, or none if there is no such folder. */
function sources(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
      const path = `${folder}/${name}`;
      if (isDirectory) return name === "__tests__" ? [] : sources(path);
      return name.endsWith(".ts") ? [path] : [];
    }).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function products(): Product[] {
  const applications = APPLICATIONS.flatMap((folder) =>
    sources(folder).filter((path) => path.lastIndexOf("/") === folder.length)
  );
  return [
    CORE,
    ...applications.map((source) => ({
      name: source.slice(source.lastIndexOf("/") + 1, -".ts".length),
      source,
    })),
  ];
}

/** Time of the last change in ms, or undefined for a file that is not there. */
function changed(path: string): number | undefined {
  try {
    return Deno.statSync(path).mtime?.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function upToDate(all: Product[]): boolean {
  const inputs = [...SETTINGS, ...FOLDERS.flatMap(sources)];
  const newest = Math.max(...inputs.map((path) => changed(path) ?? Infinity));
  return all.every((product) => (changed(output(product)) ?? -Infinity) > newest);
}

async function compile(product: Product): Promise<void> {
  // Loaded only if there is something to compile: that takes longer than everything else here.
  const { default: asc } = await import("assemblyscript/asc");
  const as = async (target: "core" | "application") => {
    const args = ["--config", "asconfig.json", "--target", target, "--outFile", output(product)];
    const { error, stderr } = await asc.main([product.source, ...args]);
    return error && `${product.source} does not compile: ${error.message}\n\n${stderr}`.trim();
  };
  let wrong = product === CORE ? await as("core") : await as("application");
  if (wrong?.includes(HAS_DEADLINES)) wrong = await as("core");
  if (wrong) throw new Error(wrong);
}

function report({ name }: Product, facts: ModuleFacts): void {
  const { fileBytes, codeBytes, dataBytes, functions, imports } = facts;
  console.log(
    `${name}.wasm: ${fileBytes} bytes, code ${codeBytes}, data ${dataBytes}, ` +
      `${functions} functions, imports ${imports.join(" ") || "none"}`,
  );
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        force: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parse(Deno.args);
  if (values.help) return console.log(HELP);
  // A task runs in the project's folder; INIT_CWD is where it was called.
  const folder = Deno.env.get("INIT_CWD") ?? Deno.cwd();
  const applications = positionals.map((path) => own(path, folder));
  Deno.chdir(ROOT);
  const all = applications.length > 0 ? applications : products();
  if (applications.length > 0 || values.force || !upToDate(all)) {
    for (const product of all) await compile(product);
  }
  for (const product of all) {
    const module = await Deno.readFile(output(product));
    const facts = inspect(module);
    report(product, facts);
    if (product === CORE) await embed(module);
    const complaints = product === CORE ? overBudget(facts) : [];
    if (complaints.length > 0) {
      throw new Error(`The core is over its budget:\n  ${complaints.join("\n  ")}`);
    }
    if (product.wasm !== undefined) console.log(`built ${resolve(product.wasm)}`);
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`build: ${error instanceof Error ? error.message : error}`);
    if (error instanceof UsageError) console.error("(--help lists the options)");
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
