/** A fault that the one who builds can correct: a missing tool, a wrong input. */
export class BuildError extends Error {
  override name = "BuildError";
}
