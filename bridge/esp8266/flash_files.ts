/**
 * The files to flash, and the manifest that says where.
 *
 * @module
 */
import { APPLICATION_OFFSET, encodeApplication } from "../formats/application.ts";
import { encodeImage } from "../formats/image.ts";
import {
  describePart,
  type FlashSize,
  flashSizes,
  type Manifest,
  type Part,
  writeManifest,
} from "../formats/manifest.ts";
import { SECTOR_BYTES } from "../formats/settings.ts";
import type { LinkedImages } from "./placement.ts";
import { type BuildOptions, builtIn } from "./target.ts";

const SETTINGS_OFFSET = 0xfa000;
const SECTOR = 4096;

/**
 * Writes the files to flash into the output folder.
 *
 * @param initData the SDK's radio defaults, which it keeps at the end of the flash; undefined: a target without
 * the SDK
 * @returns their paths, by their names; the manifest is "manifest"
 */
export async function writeFlashFiles(
  options: BuildOptions,
  board: string,
  { boot, code, codeOffset }: LinkedImages,
  initData: Uint8Array<ArrayBuffer> | undefined,
): Promise<Record<string, string>> {
  const { out, version, flavour, applications } = options;
  const aot = builtIn(options);
  const files: Record<string, string> = {};
  const write = async (
    name: string,
    offset: number,
    file: string,
    bytes: Uint8Array<ArrayBuffer>,
  ) => {
    await Deno.writeFile(`${out}/${file}`, bytes);
    files[file] = `${out}/${file}`;
    return await describePart(name, offset, file, bytes);
  };
  const bootOf = (size: FlashSize, file: string) =>
    write("boot", 0, file, encodeImage(boot, size, options.flashMode));
  const ends = async (size: FlashSize): Promise<Part[]> => {
    if (initData === undefined) return [];
    const end = flashSizes[size];
    const blank = (name: string, offset: number, sectors: number) =>
      write(name, offset, `blank${sectors}.bin`, new Uint8Array(sectors * SECTOR).fill(0xff));
    return [
      await blank("rf-calibration", end - 5 * SECTOR, 1),
      await write("init-data", end - 4 * SECTOR, "init-data.bin", initData),
      await blank("system", end - 3 * SECTOR, 3),
    ];
  };
  const manifest: Manifest = {
    name: "holdfast",
    version,
    board,
    flavour,
    ...(aot ? { aot: aot.name } : {}),
    chip: "ESP8266",
    parts: [await bootOf("1MB", "boot.bin"), await write("code", codeOffset, "code.bin", code)],
    flash: {
      "1MB": await ends("1MB"),
      // The SDK reads the size of the flash from the image's header.
      "4MB": [await bootOf("4MB", "boot-4MB.bin"), ...await ends("4MB")],
    },
    applications: [],
    settings: { offset: SETTINGS_OFFSET, size: SECTOR_BYTES },
  };
  for (const { name, wasm } of aot ? [] : applications) {
    const area = encodeApplication(name, wasm);
    manifest.applications.push(await write(name, APPLICATION_OFFSET, `${name}.app.bin`, area));
  }
  files.manifest = `${out}/manifest.json`;
  await Deno.writeTextFile(files.manifest, writeManifest(manifest));
  return files;
}
