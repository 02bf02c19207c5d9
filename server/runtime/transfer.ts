import type { Post } from "../store/fleet.ts";
import type { Statement, Work } from "../store/store.ts";

/** An application's transaction on its way into a commit. */
export interface Transfer extends Work {
  readonly statements: readonly Statement[];
  readonly posts?: readonly Post[];
  /** In one lane none overtakes another; undefined: it has no statements, and waits for nobody. See `Executions`. */
  readonly lane?: object;
  /** Whether it changes the record of this device. */
  changes(device: string): boolean;
  /** Changes the records as the transaction wants it. @throws {LocalError} and nothing has changed */
  apply(): void;
  /** Takes back what `apply` did; nothing else has changed since. */
  undo(): void;
  /** It is safe. Records may be changed from here. */
  done(): void;
  /** Nothing of it has happened. */
  failed(error: unknown): void;
}
