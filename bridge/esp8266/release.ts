/**
 * A release: a folder for any static web host, with everything that a user with a board and a browser needs, but
 * without a toolchain. The same sources, tools and SDK give the same bytes, wherever they are built.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { buildSite, type Site } from "../flasher/build.ts";
import { readImages } from "../flasher/images.ts";
import { BuildError } from "./errors.ts";
import { firmwareLicences } from "./licences.ts";
import type { Application, BuildOptions, Built } from "./target.ts";

/** Lists every other file of a release with its SHA-256, for `sha256sum -c`. */
const SUMS = "SHA256SUMS";

/** What to release. */
export interface ReleaseOptions {
  /** The folder: empty, missing, or with an earlier release, which is removed. */
  out: string;
  board: string;
  sdk: string | undefined;
  version: string;
  /** The board's builder. */
  build: (options: BuildOptions) => Promise<Built>;
  /** The applications of each flavour. */
  flavours: Record<string, Application[]>;
  say: (line: string) => void;
}

/**
 * Builds everything, and writes it only when all of it is complete.
 *
 * @returns its size, and how many files there are
 * @throws {BuildError}
 */
export async function release(
  options: ReleaseOptions,
): Promise<{ bytes: number; files: string[] }> {
  const { out, board, sdk, version, build, flavours, say } = options;
  const earlier = earlierRelease(out);
  const licences = firmwareLicences(board, sdk);
  const work = await Deno.makeTempDir({ prefix: "holdfast-release-" });
  const files: Site = new Map();
  try {
    for (const [flavour, applications] of Object.entries(flavours)) {
      say(`${board}, ${flavour}`);
      const folder = `${work}/${flavour === "wifi" ? board : `${board}-${flavour}`}`;
      await Deno.mkdir(folder);
      const shared = { version, flavour, applications, say, ...(sdk === undefined ? {} : { sdk }) };
      await build({ ...shared, out: folder, release: true });
    }
    for (const [path, bytes] of await buildSite(licences)) files.set(path, bytes);
    for (const [path, bytes] of await readImages(pathToFileURL(`${work}/`))) files.set(path, bytes);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  files.set("README.txt", new TextEncoder().encode(readme(version, board)));
  files.set(SUMS, new TextEncoder().encode(sums(files)));
  for (const path of earlier) await Deno.remove(`${out}/${path}`);
  let sum = 0;
  for (const [path, bytes] of files) {
    const file = `${out}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(file, bytes);
    sum += bytes.length;
  }
  return { bytes: sum, files: [...files.keys()].sort() };
}

function sums(files: Site): string {
  return [...files].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([path, bytes]) => `${createHash("sha256").update(bytes).digest("hex")}  ${path}\n`)
    .join("");
}

/** The files of an earlier release in that folder. @throws {BuildError} if it contains other files */
function earlierRelease(folder: string): string[] {
  const present = filesIn(folder);
  if (present.length === 0) return [];
  let known: string[] = [];
  if (present.includes(SUMS)) {
    known = Deno.readTextFileSync(`${folder}/${SUMS}`).split("\n").map((line) => line.slice(66));
  }
  const other = present.find((path) => path !== SUMS && !known.includes(path));
  if (other === undefined) return present;
  throw new BuildError(
    `${folder} contains ${other}, which is not part of a release: delete it, or name an empty or new folder`,
  );
}

/** Paths of the files below a folder. */
function filesIn(folder: string, below = ""): string[] {
  let entries;
  try {
    entries = [...Deno.readDirSync(folder + below)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Deno.errors.NotADirectory) {
      throw new BuildError(`${folder} is a file: give the path of a folder`);
    }
    throw error;
  }
  return entries.flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(folder, `${below}/${name}`) : [`${below}/${name}`.slice(1)]
  ).sort();
}

function readme(version: string, board: string): string {
  return `Holdfast ${version} for ESP8266 boards (${board}): a page that flashes them

Put this folder on any web server that has HTTPS; nothing in it runs on the server. Browsers open serial ports
for pages that come over HTTPS, or from the same computer. Open it in a desktop browser that has Web Serial.

  firmware/NAME/manifest.json   one firmware: what goes where in the flash; also for ESP Web Tools
  licences.txt                  the licences and notices of all that is in this folder: leave them in it
  ${SUMS}                    to see that it is complete and unchanged: sha256sum -c ${SUMS}

Espressif's part of the firmware may be used on its ESP8266 only.
`;
}
