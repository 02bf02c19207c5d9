/** Whether it is what `parseArgs` throws: a TypeError with a code, about what the user has typed. */
export function isArgumentError(error: unknown): error is Error {
  return error instanceof TypeError && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
}
