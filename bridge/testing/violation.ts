/** Something that was promised did not hold. */
export class Violation extends Error {
  override name = "Violation";
  /** The first one in this world: it counts, though the product may have caught what was thrown through it. */
  static first: Violation | undefined;

  constructor(message: string) {
    super(message);
    Violation.first ??= this;
  }
}
