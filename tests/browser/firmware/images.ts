/**
 * Firmware to flash in tests: with a valid format, so that the ROM starts it and the page accepts it, and as large as
 * the real one, but meaningless.
 *
 * @module
 */
import { encodeApplication } from "../../../bridge/formats/application.ts";
import {
  describePart,
  type Manifest,
  type Part,
  partsFor,
  writeManifest,
} from "../../../bridge/formats/manifest.ts";
import { makeImage } from "../chip/image.ts";

/** A manifest and its files. */
export interface Images {
  manifest: Manifest;
  files: Record<string, Uint8Array<ArrayBuffer>>;
}

/** Bytes that compress about as well as code, the same for the same seed. */
export function codeLike(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < length;) {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    const run = 1 + (state >>> 28);
    // Half of it repeats recent bytes, as instructions do.
    const back = 16 + (state >>> 8 & 0x3ff);
    if ((state & 0x10000) !== 0 && at > back) {
      bytes.copyWithin(at, at - back, Math.min(at - back + run, length));
      at += run;
    } else bytes[at++] = state >>> 16;
  }
  return bytes;
}

/** A file in the format of a .wasm. */
export function moduleLike(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const wasm = codeLike(length, seed);
  wasm.set([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  return wasm;
}

/**
 * A firmware as `deno task firmware` would leave it.
 *
 * @param code Bytes outside of RAM; the default is about the real size.
 * @param within whether the application is part of the firmware, so that there is no separate one
 */
export async function makeImages(
  code = 241_884,
  flavour = "wifi",
  within = flavour === "pyboard",
): Promise<Images> {
  const files: Images["files"] = {
    "boot.bin": makeImage(0x40100004, [
      { address: 0x40100000, data: codeLike(24_000, 1) },
      { address: 0x3ffe8000, data: codeLike(936, 2) },
      { address: 0x3ffe83a8, data: codeLike(1308, 3) },
    ]),
    "irom.bin": codeLike(code, 4),
    "blank.bin": new Uint8Array(4096).fill(0xff),
    "init.bin": codeLike(128, 5),
  };
  if (!within) {
    files["main.app.bin"] = encodeApplication("main", moduleLike(4472, 6));
    files["blink.app.bin"] = encodeApplication("blink", moduleLike(1816, 7));
  }
  const part = (name: string, offset: number, file: string) =>
    describePart(name, offset, file, files[file]!);
  const system = (base: number): Promise<Part[]> =>
    Promise.all([
      part("rf-calibration", base, "blank.bin"),
      part("init-data", base + 0x1000, "init.bin"),
      part("system", base + 0x2000, "blank.bin"),
    ]);
  const manifest: Manifest = {
    name: "holdfast",
    version: "0.1.0",
    board: "nonos",
    flavour,
    ...(within ? { aot: flavour === "pyboard" ? "pyboard" : "main" } : {}),
    chip: "ESP8266",
    parts: [await part("boot", 0, "boot.bin"), await part("code", 0x10000, "irom.bin")],
    flash: { "1MB": await system(0xfb000), "4MB": await system(0x3fb000) },
    applications: within ? [] : [
      await part("main", 0xf0000, "main.app.bin"),
      await part("blink", 0xf0000, "blink.app.bin"),
    ],
    settings: { offset: 0xfa000, size: 4096 },
  };
  return { manifest, files };
}

/** Writes them into a folder. */
export async function writeImages({ manifest, files }: Images, folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    await Deno.writeFile(`${folder}/${name}`, bytes);
  }
  await Deno.writeTextFile(`${folder}/manifest.json`, writeManifest(manifest));
}

/**
 * The expected flash of this size with a firmware, an application and settings in it.
 *
 * @param application its name; "": no separate one
 * @param settings undefined: none
 */
export function flashWith(
  images: Images,
  size: "1MB" | "4MB",
  application: string,
  settings: Uint8Array = new Uint8Array(0),
): { at: number; bytes: Uint8Array }[] {
  const { manifest, files } = images;
  const chosen = manifest.applications.filter(({ name }) => name === application);
  return [
    ...[...partsFor(manifest, size), ...chosen].map(({ offset, file }) => ({
      at: offset,
      bytes: files[file]!,
    })),
    { at: manifest.settings.offset, bytes: settings },
  ];
}
