/** The images of `deno task firmware`, as the page finds them under `firmware/`. */
import { type Manifest, partsFor, readManifest } from "../formats/manifest.ts";
import type { Site } from "./build.ts";

/** Where `deno task firmware` puts them: a folder for each board and flavour. */
export const IMAGES = new URL("../esp8266/build/", import.meta.url);

/**
 * Reads what is there at the moment: `index.json`, the list of folders, and each with its manifest and files.
 * Without images, the list is empty. A folder whose manifest cannot be read is passed on as it is: the
 * page says what is wrong with it.
 */
export async function readImages(folder: URL = IMAGES): Promise<Site> {
  const site: Site = new Map();
  const names: string[] = [];
  for (const name of await foldersIn(folder)) {
    const files = await filesIn(new URL(`${encodeURIComponent(name)}/`, folder));
    const manifest = files.get("manifest.json");
    if (manifest === undefined) continue; // being built, or something else
    names.push(name);
    for (const [file, bytes] of files) site.set(`firmware/${name}/${file}`, bytes);
    site.set(`firmware/${name}/manifest.json`, withEspWebTools(manifest));
  }
  site.set("firmware/index.json", encode(names.sort()));
  return site;
}

/**
 * Adds to the manifest what ESP Web Tools (esphome.github.io/esp-web-tools) expects. It does not distinguish sizes of
 * flash, so it gets the parts for 4 MB, and the first application. Settings come by Improv-Serial.
 */
export function withEspWebTools(bytes: Uint8Array): Uint8Array {
  let manifest: Manifest;
  try {
    manifest = readManifest(new TextDecoder().decode(bytes));
  } catch {
    return bytes; // the page says what is wrong
  }
  if (manifest.flash["4MB"] === undefined) return bytes;
  const parts = [...partsFor(manifest, "4MB"), ...manifest.applications.slice(0, 1)];
  return encode({
    ...manifest,
    new_install_prompt_erase: true,
    builds: [{
      chipFamily: manifest.chip,
      parts: parts.map(({ file, offset }) => ({ path: file, offset })),
    }],
  });
}

function encode(content: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(content, undefined, 2)}\n`);
}

async function foldersIn(folder: URL): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}

/** The files that a manifest may name. Other files of the build are not served. */
async function filesIn(folder: URL): Promise<Site> {
  const files: Site = new Map();
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && /\.(bin|json)$/.test(name)) {
      files.set(name, await Deno.readFile(new URL(name, folder)));
    }
  }
  return files;
}
