/** A fault that the user of the build can fix: a missing tool, a wrong input. */
export class BuildError extends Error {
  override name = "BuildError";
}
