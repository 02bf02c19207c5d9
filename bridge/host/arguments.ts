/**
 * Options shared by the command lines that run a device. Each function throws LocalError
 * BAD_ARGUMENT.
 *
 * @module
 */
import { LocalError } from "./mod.ts";

/** The value of an option that is a number. */
export function toNumber(name: string, text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw badArgument(`${name} takes a number, not "${text}"`);
  return Number(text);
}

/** The value of --dialect. */
export function toDialect(text: string): 1 | 2 {
  if (text === "1" || text === "2") return text === "1" ? 1 : 2;
  throw badArgument(`--dialect takes 1 or 2, not "${text}"`);
}

/** The key that --key or --key-file gives, as text; undefined without them. */
export function toKey(key: string | undefined, file: string | undefined): string | undefined {
  if (key !== undefined && file !== undefined) {
    throw badArgument("give only one of --key and --key-file");
  }
  if (file === undefined) return key;
  try {
    return Deno.readTextFileSync(file).trim();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw badArgument(`${file} cannot be read: ${cause.message}`);
  }
}

export function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}

/** Whether the error is about the user's arguments. */
export function isUsersFault(error: unknown): error is Error {
  if (error instanceof LocalError) return true;
  // `parseArgs` throws these.
  return error instanceof TypeError && "code" in error &&
    `${error.code}`.startsWith("ERR_PARSE_ARGS");
}
