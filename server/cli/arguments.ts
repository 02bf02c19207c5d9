import { LocalError } from "../protocol/errors.ts";

/** Whether it is what `parseArgs` throws: a TypeError with a code, about what the user has typed. */
export function isArgumentError(error: unknown): error is Error {
  return error instanceof TypeError && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
}

/** What is wrong with the arguments of a command. @param command Whose help tells more. */
export function badArgument(command: string, message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", `${message} (${command} --help tells more)`);
}
