/** Something that whoever builds can put right: a tool that is missing, an input that is wrong. */
export class BuildError extends Error {
  override name = "BuildError";
}
