/** What goes into the application area: a .wasm behind a header, or a file that has the header already. */
import { LocalError } from "../../../server/protocol/errors.ts";
import { APPLICATION_MOST, encodeApplication } from "../../formats/application.ts";
import { crc32 } from "../../formats/crc32.ts";
import { checkModule, type ModuleFacts } from "../../../server/protocol/module.ts";
import { FlashError } from "../chip/errors.ts";

const HEADER = 48;
const NAME = 32;
const MAGIC = new TextEncoder().encode("HFAP");
const WASM = [0x00, 0x61, 0x73, 0x6d];

/**
 * The bytes for the application area: `file` as it is if it has the header, else, if it is a .wasm, behind
 * one.
 *
 * @param fileName names it: `main.wasm` becomes `main`
 * @throws {FlashError} BAD_IMAGE if the firmware would not run it
 */
export function toApplication(file: Uint8Array, fileName: string): Uint8Array {
  if (startsWith(file, MAGIC)) return checkApplication(file, fileName);
  if (!startsWith(file, WASM)) {
    throw new FlashError(
      "BAD_IMAGE",
      `${fileName} is neither a .wasm nor an application's image: choose the file that “deno task build” has made`,
    );
  }
  try {
    return encodeApplication(shortName(fileName), file);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new FlashError("BAD_IMAGE", error.message, undefined, { cause: error });
  }
}

/**
 * What is in a file of one's own, if the firmware can run it: a .wasm, or an application's image.
 *
 * @throws {FlashError} BAD_IMAGE, which says what is wrong with it
 */
export function inspectApplication(file: Uint8Array, fileName: string): ModuleFacts {
  const image = toApplication(file, fileName);
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const start = view.getUint16(6, true);
  try {
    return checkModule(image.slice(start, start + view.getUint32(8, true)), APPLICATION_MOST - 48);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new FlashError("BAD_IMAGE", `${fileName}: ${error.message}`, undefined, { cause: error });
  }
}

/** As much of a file's name as there is room for, in whole characters. */
function shortName(fileName: string): string {
  const base = fileName.replace(/\.wasm$/i, "") || "application";
  const { read } = new TextEncoder().encodeInto(base, new Uint8Array(NAME));
  return base.slice(0, read);
}

function checkApplication(image: Uint8Array, fileName: string): Uint8Array {
  const bad = (what: string) => new FlashError("BAD_IMAGE", `${fileName}: ${what}`);
  if (image.length < HEADER) throw bad("its header is cut off");
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (view.getUint16(4, true) !== 1) throw bad("it is of a version that is not known here");
  const start = view.getUint16(6, true);
  const wasm = image.subarray(start, start + view.getUint32(8, true));
  if (start < HEADER || wasm.length !== view.getUint32(8, true)) throw bad("its end is missing");
  if (crc32(wasm) !== view.getUint32(12, true)) throw bad("its checksum is wrong: it is damaged");
  if (image.length > APPLICATION_MOST) {
    throw bad(`it has ${image.length} bytes, and there is room for ${APPLICATION_MOST}`);
  }
  return image;
}

function startsWith(bytes: Uint8Array, start: ArrayLike<number>): boolean {
  return Array.from(start).every((byte, at) => bytes[at] === byte);
}
