/**
 * A copy of the source with all mutants at once, each inactive until it is selected. The mutants are made by Stryker's
 * instrumenter.
 */
/** Not in the import map, and so not in deno.lock, whose packages everybody downloads who builds. */
const INSTRUMENTER = "npm:@stryker-mutator/instrumenter@9.6.1";

const ROOT = new URL("../../", import.meta.url);

/** Files that tests and the simulator load. */
const COPIED = [
  "server",
  "bridge",
  "client-as",
  "tests",
  "deno.json",
  "deno.lock",
  "asconfig.json",
];

/** Folders that exist already, or are huge. */
const LEFT_OUT = new Set(["node_modules", "screenshots"]);

/** Kinds of changes that would mostly change words of messages and patterns. */
const EXCLUDED = ["StringLiteral", "Regex", "ObjectLiteral"];

/**
 * Differences in the copy besides the mutants: `coreModule` returns the active mutant of the core, if any; and `until`
 * and scenes have shorter timeouts.
 */
const CHANGED: [file: string, before: string, after: string][] = [
  [
    "bridge/host/core.ts",
    "return compiled ??=",
    "const { holdfastCore } = globalThis as { holdfastCore?: WebAssembly.Module };\n" +
    "  if (holdfastCore) return holdfastCore;\n  return compiled ??=",
  ],
  ["tests/support/wait.ts", "timeout = 120_000", "timeout = 5000"],
  ["tests/support/scene.ts", "LONGEST = 180_000", "LONGEST = 10_000"],
];

/** A small change of the source. */
export interface Mutant {
  id: string;
  file: string;
  /** Line number, from 1. */
  line: number;
  /** The kind of change. */
  kind: string;
  before: string;
  after: string;
  /** Its number, if the same change is possible in several places of the file. */
  nth: number;
  /** The changed source, if it is a mutant of the core, which cannot be switched. */
  core?: string;
}

/** Numbers equal changes of the same file. */
export function numbered<Any extends Omit<Mutant, "nth">>(
  mutants: readonly Any[],
): (Any & Mutant)[] {
  const counts = new Map<string, number>();
  return mutants.map((mutant) => {
    const { file, kind, before, after } = mutant;
    const change = JSON.stringify([file, kind, before, after]);
    const nth = counts.get(change) ?? 0;
    counts.set(change, nth + 1);
    return { ...mutant, nth };
  });
}

/** The copy with the mutants. */
export interface Tree extends AsyncDisposable {
  folder: string;
  mutants: Mutant[];
}

/** The part of Stryker's instrumenter that is used. */
interface Instrumenter {
  instrument(
    files: { name: string; content: string; mutate: boolean }[],
    options: { excludedMutations: string[]; ignorers: []; plugins: null },
  ): Promise<{
    files: { name: string; content: string }[];
    mutants: {
      id: string;
      fileName: string;
      location: { start: Position; end: Position };
      mutatorName: string;
      replacement: string;
      status?: string;
    }[];
  }>;
}

/** From 0. */
interface Position {
  line: number;
  column: number;
}

/** Stryker asks which levels are enabled before it logs. */
const logger = {
  isDebugEnabled: () => false,
  debug: () => {},
  info: () => {},
  warn: console.error,
};

/** @param source Files and folders whose code gets mutants. @throws {Error} if there is no such file */
export async function plant(source: readonly string[]): Promise<Tree> {
  const found = await Promise.all(source.map((path) => find(path.replace(/\/$/, ""))));
  const names = [...new Set(found.flat())];
  const contents = await Promise.all(names.map((name) => Deno.readTextFile(new URL(name, ROOT))));
  const { Instrumenter } = await import(INSTRUMENTER);
  const instrumenter: Instrumenter = new Instrumenter(logger);
  const made = await instrumenter.instrument(
    names.map((name, i) => ({ name, content: contents[i]!, mutate: true })),
    { excludedMutations: EXCLUDED, ignorers: [], plugins: null },
  );
  const folder = await Deno.makeTempDir({ prefix: "holdfast-mutation-" });
  for (const name of COPIED) await copy(name, folder);
  await Deno.symlink(new URL("node_modules", ROOT), `${folder}/node_modules`);
  for (const { name, content } of made.files) {
    await Deno.writeTextFile(`${folder}/${name}`, content);
  }
  for (const [file, before, after] of CHANGED) {
    const source = await Deno.readTextFile(`${folder}/${file}`);
    if (!source.includes(before)) throw new Error(`there is no ${before} in ${file}`);
    await Deno.writeTextFile(`${folder}/${file}`, source.replace(before, after));
  }
  const lines = new Map(names.map((name, i) => [name, contents[i]!.split("\n")]));
  return {
    folder,
    mutants: numbered(
      made.mutants.filter(({ status }) => status !== "Ignored") // ignored ones are of the excluded kinds
        .map(({ id, fileName, location: { start, end }, mutatorName, replacement }) => ({
          id,
          file: fileName,
          line: start.line + 1,
          kind: mutatorName,
          before: cut(lines.get(fileName)!, start, end),
          after: replacement,
        })),
    ),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

function cut(lines: readonly string[], start: Position, end: Position): string {
  if (start.line === end.line) return lines[start.line]!.slice(start.column, end.column);
  return [
    lines[start.line]!.slice(start.column),
    ...lines.slice(start.line + 1, end.line),
    lines[end.line]!.slice(0, end.column),
  ].join("\n");
}

async function find(path: string): Promise<string[]> {
  const { isDirectory } = await Deno.stat(new URL(path, ROOT));
  if (!isDirectory) return [path];
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(path, ROOT))) {
    if (isDirectory) names.push(...await find(`${path}/${name}`));
    else if (/(?<!_test|\.d)\.ts$/.test(name)) names.push(`${path}/${name}`);
  }
  return names.sort();
}

export async function copy(path: string, folder: string, from = ROOT): Promise<void> {
  const { isDirectory } = await Deno.stat(new URL(path, from));
  if (!isDirectory) return await Deno.copyFile(new URL(path, from), `${folder}/${path}`);
  await Deno.mkdir(`${folder}/${path}`);
  for await (const { name } of Deno.readDir(new URL(path, from))) {
    if (!LEFT_OUT.has(name)) await copy(`${path}/${name}`, folder, from);
  }
}
