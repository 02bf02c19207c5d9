/** Reads the folder of descriptions that the command line names. */
import { join } from "node:path";
import {
  type Description,
  LONGEST_DESCRIPTION,
  parseDescription,
} from "../channels/description.ts";
import { checkDescribed } from "../channels/descriptions.ts";
import { LocalError } from "../protocol/errors.ts";

const SUFFIX = ".json";

/** Most UTF-8 bytes of a UTF-16 code unit. */
const BYTES = 3;

/**
 * Reads the descriptions in a folder: `kitchen.json` describes the application kitchen, `kitchen@3.json` its version 3.
 * Other files and folders are ignored.
 *
 * @throws {LocalError} BAD_ARGUMENT, with the file and the place in it
 */
export function readDescriptions(folder: string): Record<string, Description> {
  const names = about(folder, () => Array.from(Deno.readDirSync(folder), ({ name }) => name))
    .filter((name) => name.endsWith(SUFFIX) && !name.startsWith(".")).sort();
  const all = names.map((file): [string, Description] => {
    const path = join(folder, file);
    return about(path, () => {
      const whose = file.slice(0, -SUFFIX.length);
      checkDescribed(whose);
      return [whose, parseDescription(read(path))];
    });
  });
  return Object.fromEntries(all);
}

function read(path: string): string {
  const { isFile, size } = Deno.statSync(path);
  if (!isFile) throw badArgument("this is not a file");
  if (size > LONGEST_DESCRIPTION * BYTES) {
    throw badArgument(`it may have at most ${LONGEST_DESCRIPTION} characters`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (error) {
    throw error instanceof TypeError ? badArgument("this is not UTF-8") : error;
  }
}

/** Adds the path to errors. */
function about<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const what = error instanceof LocalError
      ? error.message
      : `it cannot be read: ${error.message}`;
    throw badArgument(`the description ${JSON.stringify(path)}: ${what}`);
  }
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
