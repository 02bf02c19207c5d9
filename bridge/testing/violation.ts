/** A promise that was broken. */
export class Violation extends Error {
  override name = "Violation";
  /** The first one in this world: it counts even if the product has caught the exception. */
  static first: Violation | undefined;

  constructor(message: string) {
    super(message);
    Violation.first ??= this;
  }
}
