import { LocalError } from "../protocol/errors.ts";

/** Whether `parseArgs` threw this: a TypeError with a code, about what the user has typed. */
export function isArgumentError(error: unknown): error is Error {
  return error instanceof TypeError && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
}

/** The error for bad arguments. @param command The command whose help the message points to. */
export function badArgument(command: string, message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", `${message} (see ${command} --help)`);
}
