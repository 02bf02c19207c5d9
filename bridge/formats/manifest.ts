/**
 * The list of files that `deno task firmware` has built, and where in the flash they go. It writes
 * `manifest.json` beside the images; flashing tools read it. Runs in a browser, too.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";

/** Sizes of flash that modules have. */
export const flashSizes = { "1MB": 0x100000, "4MB": 0x400000 } as const;

/** Name of a size of flash. */
export type FlashSize = keyof typeof flashSizes;

/** A file, and its place in the flash. */
export interface Part {
  name: string;
  /** Its first byte in the flash, at the start of a sector. */
  offset: number;
  /** In bytes. */
  size: number;
  /** Of the file, as 64 hex digits. */
  sha256: string;
  /** Its name, in the folder of the manifest. */
  file: string;
}

/** The contents of `manifest.json`. */
export interface Manifest {
  name: string;
  version: string;
  /** The target in `bridge/esp8266/targets/` that the firmware is for. */
  board: string;
  flavour: string;
  /** Name of the application that is compiled into the firmware; then it takes no other. */
  aot?: string;
  chip: "ESP8266";
  /** Parts for every module. */
  parts: Part[];
  /**
   * Parts for one size of flash. A part here replaces the one with the same name in `parts`. See {@linkcode partsFor}.
   */
  flash: Partial<Record<FlashSize, Part[]>>;
  /** The device gets one of them; all have the same place. */
  applications: Part[];
  /** The sector that `settings.ts` writes. */
  settings: { offset: number; size: number };
}

/** Bytes of a sector, the smallest piece of flash that can be erased. No two parts share one. */
const SECTOR = 4096;

/** The parts for a module with this much flash, without application and settings, by their offsets. */
export function partsFor({ parts, flash }: Manifest, size: FlashSize): Part[] {
  const special = flash[size];
  if (special === undefined) {
    const known = Object.keys(flash).join(" or ") || "no size at all";
    throw new LocalError("BAD_ARGUMENT", `the firmware is for ${known} of flash, not for ${size}`);
  }
  const names = new Set(special.map(({ name }) => name));
  const common = parts.filter(({ name }) => !names.has(name));
  return [...common, ...special].sort((a, b) => a.offset - b.offset);
}

/** Reads the text of a manifest. @throws {LocalError} BAD_ARGUMENT, which says what is wrong */
export function readManifest(text: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new LocalError("BAD_ARGUMENT", "the manifest is not JSON", { cause });
  }
  const top = record(json, "it");
  const manifest: Manifest = {
    name: string(top.name, "name"),
    version: string(top.version, "version"),
    board: string(top.board, "board"),
    flavour: string(top.flavour, "flavour"),
    chip: top.chip === "ESP8266" ? top.chip : wrong("chip", `"ESP8266"`, top.chip),
    parts: partList(top.parts, "parts"),
    flash: {},
    applications: partList(top.applications, "applications"),
    settings: area(top.settings, "settings"),
  };
  if (top.aot !== undefined) {
    manifest.aot = string(top.aot, "aot");
    if (manifest.applications.length > 0) {
      wrong("applications", "empty, as the firmware contains one (aot)", top.applications);
    }
  }
  for (const [size, parts] of Object.entries(record(top.flash, "flash"))) {
    if (!Object.hasOwn(flashSizes, size)) {
      wrong("flash", `an object with ${Object.keys(flashSizes).join(" and ")}`, size);
    }
    manifest.flash[size as FlashSize] = partList(parts, `flash.${size}`);
  }
  checkPlaces(manifest);
  return manifest;
}

/** The text of a manifest: equal manifests have equal texts. @throws {LocalError} BAD_ARGUMENT if it is wrong */
export function writeManifest(manifest: Manifest): string {
  const text = JSON.stringify(manifest, undefined, 2) + "\n";
  readManifest(text);
  return text;
}

/** Describes a file for a manifest. */
export async function describePart(
  name: string,
  offset: number,
  file: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Part> {
  return { name, offset, size: bytes.length, sha256: await sha256(bytes), file };
}

/** @throws {LocalError} BAD_ARGUMENT if these are not the bytes that the manifest describes */
export async function checkPart(part: Part, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  if (bytes.length !== part.size) {
    throw new LocalError(
      "BAD_ARGUMENT",
      `${part.file} has ${bytes.length} bytes, but its manifest says ${part.size}: build it again`,
    );
  }
  if (await sha256(bytes) !== part.sha256) {
    throw new LocalError(
      "BAD_ARGUMENT",
      `${part.file} is not the file that its manifest describes (its SHA-256 differs): build it again`,
    );
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Checks that all parts are within the flash and do not overlap. */
function checkPlaces(manifest: Manifest): void {
  const settings = { name: "settings", ...manifest.settings };
  const sizes = Object.keys(manifest.flash) as FlashSize[];
  for (const size of sizes) {
    const parts = partsFor(manifest, size);
    for (const application of manifest.applications) {
      checkDisjoint([...parts, application, settings], size);
    }
    checkDisjoint([...parts, settings], size);
  }
}

function checkDisjoint(
  areas: { name: string; offset: number; size: number }[],
  size: FlashSize,
): void {
  const sorted = areas.toSorted((a, b) => a.offset - b.offset);
  let end = 0;
  let before = "";
  for (const area of sorted) {
    if (area.offset < end) {
      throw new LocalError(
        "BAD_ARGUMENT",
        `the manifest is wrong: ${area.name} would overwrite ${before} in ${size} of flash`,
      );
    }
    before = area.name;
    end = area.offset + Math.ceil(area.size / SECTOR) * SECTOR;
    if (end > flashSizes[size]) {
      throw new LocalError(
        "BAD_ARGUMENT",
        `the manifest is wrong: ${area.name} reaches beyond ${size} of flash`,
      );
    }
  }
}

function partList(value: unknown, where: string): Part[] {
  if (!Array.isArray(value)) return wrong(where, "an array", value);
  const parts = value.map((part, at) => partOf(part, `${where}[${at}]`));
  const names = new Set<string>();
  for (const [at, { name }] of parts.entries()) {
    if (names.has(name)) wrong(`${where}[${at}].name`, "unique", name);
    names.add(name);
  }
  return parts;
}

function partOf(value: unknown, where: string): Part {
  const { name, sha256, file } = record(value, where);
  return {
    name: string(name, `${where}.name`),
    ...area(value, where),
    sha256: typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256)
      ? sha256
      : wrong(`${where}.sha256`, "64 hex digits", sha256),
    // No name leads out of the folder, on any system or in a URL.
    file: typeof file === "string" && /^[0-9A-Za-z_-][0-9A-Za-z._-]*$/.test(file)
      ? file
      : wrong(`${where}.file`, "the name of a file in the same folder", file),
  };
}

function area(value: unknown, where: string): { offset: number; size: number } {
  const { offset, size } = record(value, where);
  const most = flashSizes["4MB"];
  return {
    offset: isInteger(offset, 0, most - SECTOR) && offset % SECTOR === 0
      ? offset
      : wrong(`${where}.offset`, `a multiple of ${SECTOR} in the flash`, offset),
    size: isInteger(size, 1, most) ? size : wrong(`${where}.size`, "a number of bytes", size),
  };
}

function isInteger(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  return wrong(where, "an object", value);
}

function string(value: unknown, where: string): string {
  return typeof value === "string" && value !== "" ? value : wrong(where, "a text", value);
}

function wrong(where: string, what: string, value: unknown): never {
  const shown = JSON.stringify(value)?.slice(0, 40) ?? "nothing";
  throw new LocalError(
    "BAD_ARGUMENT",
    `the manifest is wrong: ${where} must be ${what}, not ${shown}`,
  );
}
