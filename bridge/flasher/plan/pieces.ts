/** Turns the user's choices into pieces of flash: loads them, and checks them as far as possible without the board. */
import { LocalError } from "../../../server/protocol/errors.ts";
import { APPLICATION_MOST, APPLICATION_OFFSET } from "../../formats/application.ts";
import { decodeImage, type FlashMode, flashModes } from "../../formats/image.ts";
import { type FlashSize, flashSizes, type Part, partsFor } from "../../formats/manifest.ts";
import type { ChipFacts } from "../chip/chip.ts";
import { FlashError } from "../chip/errors.ts";
import { inspectApplication, toApplication } from "./application.ts";
import { fetchPart, type Firmware } from "./firmware.ts";
import { parseAddress, type Piece } from "./plan.ts";

/** A file chosen on this computer; `File` is one. */
export interface LocalFile {
  name: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

export type FirmwareChoice =
  | { kind: "built"; firmware: Firmware }
  /** With the addresses as they were typed. */
  | { kind: "files"; files: { file: LocalFile; address: string }[] }
  | { kind: "keep" };

export type ApplicationChoice =
  | { kind: "built"; firmware: Firmware; part: Part }
  | { kind: "file"; file: LocalFile | undefined }
  /** The application is part of the firmware. */
  | { kind: "within" }
  | { kind: "keep" };

/** Where the settings are, for a firmware without a manifest. */
export const SETTINGS_AREA = { offset: 0xfa000, size: 4096 };

/**
 * Sets the mode in the image in which the ROM reads the flash. The flash inside an ESP8285 has two pins less, and can
 * be read as DOUT only, whatever is chosen. The byte is in the header, which no checksum covers. The user's own files
 * stay as they are.
 */
export function forChip(
  pieces: Piece[],
  firmware: FirmwareChoice,
  { name }: Pick<ChipFacts, "name">,
  chosen: FlashMode = "dout",
): Piece[] {
  if (firmware.kind !== "built") return pieces;
  const mode = flashModes.indexOf(name === "ESP8285" ? "dout" : chosen);
  return pieces.map((piece) => {
    if (piece.offset !== 0 || piece.data[2] === mode) return piece;
    const data = piece.data.slice();
    data[2] = mode;
    return { ...piece, name: `${piece.name} for ${flashModes[mode]!.toUpperCase()}`, data };
  });
}

/** Something on the board that is kept when all of its flash is erased: it is read before. */
export interface Kept {
  name: string;
  offset: number;
  size: number;
}

/**
 * Parts of the flash to keep although it is erased.
 *
 * @throws {FlashError} BAD_PLAN for firmware: erasing it and keeping it do not go together
 */
export function keptThroughErase(
  firmware: FirmwareChoice,
  application: ApplicationChoice,
  settings: boolean,
): Kept[] {
  if (firmware.kind === "keep") {
    throw new FlashError(
      "BAD_PLAN",
      "erasing the whole flash would erase the firmware that you want to keep",
    );
  }
  const kept: Kept[] = [];
  if (settings) kept.push({ name: "settings, kept", ...settingsArea(firmware) });
  if (application.kind === "keep" && firmware.kind === "built") {
    const offset = firmware.firmware.manifest.applications[0]?.offset ?? APPLICATION_OFFSET;
    kept.push({ name: "application, kept", offset, size: APPLICATION_MOST });
  }
  return kept;
}

/** The sector of the settings. */
export function settingsArea(choice: FirmwareChoice): { offset: number; size: number } {
  return choice.kind === "built" ? choice.firmware.manifest.settings : SETTINGS_AREA;
}

/** Parts of the firmware in words. */
const PARTS: Record<string, string> = {
  boot: "firmware, first part",
  code: "firmware, second part",
  "rf-calibration": "radio calibration",
  "init-data": "radio defaults",
  system: "system area",
};

/**
 * Loads what was chosen.
 *
 * @throws {FlashError} NOT_CHOSEN, NO_FILE, BAD_IMAGE or BAD_PLAN
 */
export async function loadPieces(
  firmware: FirmwareChoice,
  application: ApplicationChoice,
  flashBytes: number,
  get?: (address: string) => Promise<Response>,
): Promise<Piece[]> {
  const pieces: Piece[] = [];
  if (firmware.kind === "built") {
    const { manifest } = firmware.firmware;
    for (const part of refusing("BAD_PLAN", () => partsFor(manifest, layoutFor(flashBytes)))) {
      const data = await fetchPart(firmware.firmware, part, get);
      pieces.push({ name: PARTS[part.name] ?? part.name, offset: part.offset, data });
    }
  } else if (firmware.kind === "files") pieces.push(...await localFiles(firmware.files));
  for (const { name, offset, data } of pieces) if (offset === 0) checkBoot(name, data);

  if (application.kind === "file") {
    if (!application.file) throw new FlashError("NOT_CHOSEN", "no application file is chosen");
    const { name } = application.file;
    const bytes = await bytesOf(application.file);
    inspectApplication(bytes, name);
    const data = toApplication(bytes, name);
    const offset = firmware.kind === "built"
      ? firmware.firmware.manifest.applications[0]?.offset ?? APPLICATION_OFFSET
      : APPLICATION_OFFSET;
    pieces.push({ name: `application ${name}`, offset, data });
  } else if (application.kind === "built") {
    const { part } = application;
    const data = toApplication(await fetchPart(application.firmware, part, get), part.file);
    pieces.push({ name: `application ${part.name}`, offset: part.offset, data });
  }
  return pieces;
}

/**
 * The chip's ROM checks the checksum of what it loads, and restarts endlessly if it is wrong; esptool-js does not check
 * it.
 */
function checkBoot(name: string, data: Uint8Array): void {
  try {
    decodeImage(data as Uint8Array<ArrayBuffer>);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new FlashError("BAD_IMAGE", `${name}: ${error.message}`, 0, { cause: error });
  }
}

/** The layout for the largest flash size that is not larger than this one. */
function layoutFor(bytes: number): FlashSize {
  const fitting = Object.entries(flashSizes).filter(([, size]) => size <= bytes);
  const name = fitting.sort(([, a], [, b]) => a - b).at(-1)?.[0] as FlashSize | undefined;
  if (name) return name;
  throw new FlashError(
    "BAD_PLAN",
    `the flash has ${bytes >> 10} KB, and the firmware needs 1 MB at least`,
  );
}

async function localFiles(files: { file: LocalFile; address: string }[]): Promise<Piece[]> {
  if (files.length === 0) throw new FlashError("NOT_CHOSEN", "no firmware file is chosen");
  const pieces: Piece[] = [];
  for (const { file, address } of files) {
    const offset = parseAddress(address);
    if (offset === undefined) {
      const typed = address.trim() === "" ? "nothing" : JSON.stringify(address);
      throw new FlashError(
        "BAD_PLAN",
        `${typed} is no address for ${file.name}: write one like 0x10000`,
      );
    }
    pieces.push({ name: file.name, offset, data: await bytesOf(file) });
  }
  return pieces;
}

/** @throws {FlashError} NO_FILE: it was moved or changed since it was chosen */
export async function bytesOf(file: LocalFile): Promise<Uint8Array> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (cause) {
    throw new FlashError("NO_FILE", `${file.name} cannot be read; choose it again`, undefined, {
      cause,
    });
  }
}

function refusing<T>(code: FlashError["code"], action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new FlashError(code, error.message, undefined, { cause: error });
  }
}
