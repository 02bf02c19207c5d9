/** The application area: a header, and the .wasm that the firmware runs in place. */
import { crc32 } from "../../esp8266/crc32.ts";
import { FlashError } from "../chip/errors.ts";

/** Bytes of the area. */
export const AREA = 40 * 1024;
const HEADER = 48;
const NAME = 32;
const MAGIC = new TextEncoder().encode("HFAP");
const WASM = [0x00, 0x61, 0x73, 0x6d];

/**
 * What goes into the application area: `file` as it is if it has the header already, else, if it is a
 * .wasm, behind a header.
 *
 * @param fileName names it: `main.wasm` becomes `main`
 * @throws {FlashError} BAD_IMAGE
 */
export function toApplication(file: Uint8Array, fileName: string): Uint8Array {
  if (startsWith(file, MAGIC)) return checkApplication(file, fileName);
  if (!startsWith(file, WASM)) {
    throw new FlashError("BAD_IMAGE", `${fileName} is neither a .wasm nor an application's image`);
  }
  const area = new Uint8Array(Math.ceil((HEADER + file.length) / 4) * 4).fill(0xff);
  checkFits(area, fileName);
  const view = new DataView(area.buffer);
  area.set(MAGIC);
  view.setUint16(4, 1, true);
  view.setUint16(6, HEADER, true);
  view.setUint32(8, file.length, true);
  view.setUint32(12, crc32(file), true);
  area.fill(0, 16, HEADER);
  new TextEncoder().encodeInto(
    fileName.replace(/\.wasm$/i, ""),
    area.subarray(16, 16 + NAME - 1),
  );
  area.set(file, HEADER);
  return area;
}

/** @throws {FlashError} BAD_IMAGE if the firmware would not run it */
function checkApplication(image: Uint8Array, fileName: string): Uint8Array {
  const bad = (what: string) => new FlashError("BAD_IMAGE", `${fileName}: ${what}`);
  if (image.length < HEADER) throw bad("its header is cut off");
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (view.getUint16(4, true) !== 1) throw bad("it is of a version that is not known here");
  const start = view.getUint16(6, true);
  const wasm = image.subarray(start, start + view.getUint32(8, true));
  if (start < HEADER || wasm.length !== view.getUint32(8, true)) throw bad("its end is missing");
  if (crc32(wasm) !== view.getUint32(12, true)) throw bad("its checksum is wrong: it is damaged");
  checkFits(image, fileName);
  return image;
}

function checkFits(image: Uint8Array, fileName: string): void {
  if (image.length > AREA) {
    throw new FlashError(
      "BAD_IMAGE",
      `${fileName} needs ${image.length} bytes, and an application has ${AREA} at most`,
    );
  }
}

function startsWith(bytes: Uint8Array, start: ArrayLike<number>): boolean {
  return Array.from(start).every((byte, at) => bytes[at] === byte);
}
