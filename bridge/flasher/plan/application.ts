/** The contents of the application area: a .wasm after a header, or a file that already has the header. */
import { LocalError } from "../../../server/protocol/errors.ts";
import {
  APPLICATION_MOST,
  APPLICATION_NAME,
  decodeSlot,
  encodeApplication,
  forgettingOther,
  WASM_MOST,
} from "../../formats/application.ts";
import { checkModule, type ModuleFacts } from "../../../server/protocol/module.ts";
import { FlashError } from "../chip/errors.ts";

const MAGIC = new TextEncoder().encode("HFAP");
const WASM = [0x00, 0x61, 0x73, 0x6d];

/**
 * The bytes for the application area: `file` if it has the header, or else, if it is a .wasm, a header and `file`;
 * together with what makes the board forget an application that came over the link.
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
  try {
    return checkModule(decodeSlot(image).wasm.slice(), WASM_MOST);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new FlashError("BAD_IMAGE", `${fileName}: ${error.message}`, undefined, { cause: error });
  }
}

/** As much of a file's name as there is room for, in whole characters. */
function shortName(fileName: string): string {
  const base = fileName.replace(/\.wasm$/i, "") || "application";
  const { read } = new TextEncoder().encodeInto(base, new Uint8Array(APPLICATION_NAME));
  return base.slice(0, read);
}

function checkApplication(image: Uint8Array, fileName: string): Uint8Array {
  if (image.length > APPLICATION_MOST) {
    throw new FlashError(
      "BAD_IMAGE",
      `${fileName}: it has ${image.length} bytes, and there is room for ${APPLICATION_MOST}`,
    );
  }
  try {
    decodeSlot(image);
  } catch (cause) {
    if (!(cause instanceof LocalError)) throw cause;
    throw new FlashError("BAD_IMAGE", `${fileName}: ${cause.message}`, undefined, { cause });
  }
  return forgettingOther(image);
}

function startsWith(bytes: Uint8Array, start: ArrayLike<number>): boolean {
  return Array.from(start).every((byte, at) => bytes[at] === byte);
}
