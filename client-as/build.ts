/**
 * `deno task build`: compiles the client core and every device application to
 * `client-as/build/<name>.wasm`, says what each module is made of, and fails when the core outgrows
 * its budget. Compiles only when a source is newer than the modules, unless told `--force`.
 * `deno task build my_app.ts` compiles that application instead, to `my_app.wasm` beside it.
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

Without applications: compiles the core and the examples to client-as/build, as far as they have changed.
With some: compiles those, each to a .wasm beside it. They import the core, and what they need, by its place:

  export * from "./client-as/assembly/core";   (in an application in the project's folder)
  import { every, log } from "./client-as/assembly/app";

A .wasm runs on a PC (deno run -A bridge/host/run.ts my_app.wasm --id 1), and the flasher's page puts it on a
board: in step 2, as an application of “A file on this computer”. No compiler for the chip is needed.

  --force  compile whether or not something has changed
  --help   this text

Exit codes: 0 built, 1 it does not compile, or the core is over its budget (the message says which), 2 wrong options.`;

/** What the core may cost, in flash and, as wasm3 makes 2.4 bytes of heap of each byte of code, in RAM. Of it 198 and
 * 182 bytes are for deadlines (`expire`): what may be at the server is to be known, and is held back. An application
 * without deadlines has nothing of that. Applications have no budget here. */
const CORE_BUDGET = { fileBytes: 3904, codeBytes: 3550, imports: 1, startSections: 0 };

const ROOT = new URL("../", import.meta.url);
const BUILD = "client-as/build";
const CORE: Product = { name: "core", source: "client-as/assembly/core.ts" };
/** Folders with applications, each .ts file in them being one; and those with what these import. */
const EXAMPLES = ["client-as/examples", "bridge/mqtt/examples"];
const APPLICATIONS = [...EXAMPLES, "bridge/pyboard/assembly/app"];
const FOLDERS = ["client-as/assembly", ...EXAMPLES, "bridge/pyboard/assembly"];
/** What the modules depend on, besides the sources in the folders. */
const SETTINGS = ["asconfig.json", "client-as/build.ts", "deno.json"];

/** What the compiler says where `client-as/assembly/deadlines.ts` is used, and the core was to be without. */
const HAS_DEADLINES = "this application has deadlines";

/** What becomes a .wasm: a name for people, and paths in the project's folder. */
interface Product {
  name: string;
  source: string;
  /** In `client-as/build` unless told. */
  wasm?: string;
}

/** Arguments that cannot be. */
class UsageError extends Error {}

/** What a module is made of. */
export interface ModuleFacts {
  fileBytes: number;
  /** Size of the code section. */
  codeBytes: number;
  /** Size of the data section: what is copied into memory at the start. */
  dataBytes: number;
  functions: number;
  /** Names, as `module.name`. */
  imports: string[];
  startSections: number;
}

/** Reads the sections of a WebAssembly module. Throws if it is none. */
export function inspect(wasm: Uint8Array<ArrayBuffer>): ModuleFacts {
  const module = new WebAssembly.Module(wasm); // checks it all, so the walk below need not
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

/** What is over the core's budget, one complaint each. */
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

function output({ name, wasm }: Product): string {
  return wasm ?? `${BUILD}/${name}.wasm`;
}

/** An application of somebody's own, at a path that was typed in `folder`. @throws {UsageError} */
function own(path: string, folder: string): Product {
  if (!/\.ts$/.test(path)) {
    throw new UsageError(`an application is a .ts file, and ${path} is not`);
  }
  const file = resolve(folder, path);
  if (changed(file) === undefined) throw new UsageError(`there is no ${file}`);
  // asc wants a path in its own way, also where others have backslashes.
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
  // Loaded only when there is something to compile: it takes longer than everything else here.
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
  // A task runs in the project's folder, wherever it was called.
  const folder = Deno.env.get("INIT_CWD") ?? Deno.cwd();
  const applications = positionals.map((path) => own(path, folder));
  Deno.chdir(ROOT);
  const all = applications.length > 0 ? applications : products();
  if (applications.length > 0 || values.force || !upToDate(all)) {
    for (const product of all) await compile(product);
  }
  for (const product of all) {
    const facts = inspect(await Deno.readFile(output(product)));
    report(product, facts);
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
