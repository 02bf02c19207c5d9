/**
 * Builds the page: bundles its code, and writes a folder of static files that can be hosted anywhere.
 *
 * @module
 */
import * as esbuild from "esbuild";

const HERE = new URL("./", import.meta.url);

/** A built page: paths below its folder, with the files' contents. */
export type Site = Map<string, Uint8Array>;

/** Sizes of a page, compressed as servers do it, in bytes. */
export interface Weight {
  /** Files loaded before the page can be used. */
  entry: number;
  /** Files loaded with the first board: esptool-js and its program for the chip. */
  loader: number;
}

/** Folder of the parts that this page shares with the server's page. */
const PARTS = "../../server/web/parts";

/** Files that are copied unchanged. */
const STATIC = ["page/index.html", `${PARTS}/icon.svg`, "page/app.webmanifest"];

/** The style that both pages share, and this page's own. */
const STYLES = [`${PARTS}/style.css`, "page/style.css"];

const COMMON = {
  absWorkingDir: HERE.pathname,
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  charset: "utf8",
  outdir: "/",
  write: false,
} as const satisfies esbuild.BuildOptions;

/**
 * Bundles the page.
 *
 * @param texts further licences to include
 * @param servedHere whether it is served from the folder of Holdfast, not published
 */
export async function buildSite(texts: string[] = [], servedHere = false): Promise<Site> {
  const site: Site = new Map();
  for (const path of STATIC) {
    site.set(path.split("/").pop()!, await Deno.readFile(new URL(path, HERE)));
  }
  const styles = await Promise.all(STYLES.map((path) => Deno.readTextFile(new URL(path, HERE))));
  site.set("style.css", new TextEncoder().encode(styles.join("\n")));
  if (servedHere) {
    const html = new TextDecoder().decode(site.get("index.html"));
    site.set(
      "index.html",
      new TextEncoder().encode(html.replace("<html ", "<html data-served-here ")),
    );
  }
  try {
    const page = await esbuild.build({
      ...COMMON,
      entryPoints: { main: new URL("page/main.ts", HERE).pathname },
      splitting: true,
      chunkNames: "[name]-[hash]",
      plugins: [onlyThisChip],
      metafile: true,
    });
    site.set("licences.txt", await licences(Object.keys(page.metafile.inputs), texts));
    for (const { path, contents } of page.outputFiles) {
      const name = path.slice(1);
      if (!name.startsWith("esp32")) site.set(name, contents); // emptied below, and never requested
    }
    const worker = await esbuild.build({
      ...COMMON,
      entryPoints: { worker: new URL("page/worker.ts", HERE).pathname },
      define: {
        FILES: JSON.stringify(["./", ...site.keys()]),
        VERSION: JSON.stringify(await versionOf(site)),
      },
    });
    site.set("worker.js", worker.outputFiles[0]!.contents);
  } finally {
    await esbuild.stop();
  }
  return site;
}

/** Third-party code inside esptool-js. */
const STUB = `esp-flasher-stub: the program that esptool-js puts into the chip's RAM

Copyright Espressif Systems, https://github.com/espressif/esp-flasher-stub

Licensed under either of the Apache License, Version 2.0 (its text stands at esptool-js), or the MIT license.
`;

/** The licences of this project, of the packages that these files (relative to this one) come from, and others. */
async function licences(files: string[], others: string[]): Promise<Uint8Array> {
  const folders = files.flatMap((file) =>
    file.match(/^.*\/node_modules\/(?:@[^/]+\/)?[^/]+\//) ?? []
  );
  const texts = [`Holdfast\n\n${await Deno.readTextFile(new URL("../../LICENSE", HERE))}`];
  for (const folder of Array.from(new Set(folders.sort()), (folder) => new URL(folder, HERE))) {
    const names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
    const file = names.find((name) => /^licen[cs]e/i.test(name));
    const read = (name: string) => Deno.readTextFile(new URL(name, folder));
    const { name, version, license } = JSON.parse(await read("package.json"));
    texts.push(`${name} ${version}\n\n${file ? await read(file) : `Licence: ${license}\n`}`);
  }
  texts.push(STUB, ...others);
  return new TextEncoder().encode(texts.join(`\n${"-".repeat(80)}\n\n`));
}

/** A name for these files, which changes with their contents. */
async function versionOf(site: Site): Promise<string> {
  const all = new Blob(
    [...site].flatMap(([name, bytes]) => [name, bytes as Uint8Array<ArrayBuffer>]),
  );
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await all.arrayBuffer()));
  return digest.toHex().slice(0, 12);
}

/**
 * Leaves out the parts of esptool-js for other chips, two thirds of its size: such chips are refused before any of it
 * would be used.
 */
const onlyThisChip: esbuild.Plugin = {
  name: "only this chip",
  setup(build) {
    const replace = (filter: RegExp, contents: string, loader: esbuild.Loader = "js") =>
      build.onLoad({ filter }, () => ({ contents, loader }));
    replace(/esptool-js\/lib\/targets\/stub_flasher\/esp32.*\.json$/, "{}", "json");
    replace(/esptool-js\/lib\/targets\/esp32.*\.js$/, "export {};");
    replace(
      /esptool-js\/lib\/targets\/index\.js$/,
      `import { ESP8266ROM } from "./esp8266.js";
       export const CHIP_DEFS = { esp8266: new ESP8266ROM() };
       export const ROM_LIST = Object.values(CHIP_DEFS);`,
    );
    // It parses images to change their headers, which we never do.
    replace(
      /esptool-js\/lib\/image\/index\.js$/,
      `export function loadFirmwareImage() { throw new Error("left out by build.ts"); }`,
    );
  },
};

/** Measures a page. Each file is compressed by itself, as it is sent. */
export async function weigh(site: Site): Promise<Weight> {
  const weight: Weight = { entry: 0, loader: 0 };
  const text = new TextDecoder();
  const early = new Set(["index.html", "style.css", "icon.svg", "main.js"]);
  // Static imports of the entry are loaded with it.
  for (const name of early) {
    if (!name.endsWith(".js")) continue;
    for (const [, chunk] of text.decode(site.get(name)).matchAll(/(?:from|import)"\.\/([^"]+)"/g)) {
      early.add(chunk!);
    }
  }
  for (const [name, bytes] of site) {
    const size = await compressed(bytes);
    if (early.has(name)) weight.entry += size;
    else if (name.endsWith(".js") && name !== "worker.js") weight.loader += size;
  }
  return weight;
}

async function compressed(bytes: Uint8Array): Promise<number> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const gzip = stream.pipeThrough(new CompressionStream("gzip"));
  return (await new Response(gzip).arrayBuffer()).byteLength;
}
