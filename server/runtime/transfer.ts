import type { Post } from "../store/fleet.ts";
import type { Statement, Work } from "../store/store.ts";

/** An application's transaction on its way into a commit. */
export interface Transfer extends Work {
  readonly statements: readonly Statement[];
  readonly posts?: readonly Post[];
  /**
   * Within a lane none overtakes another; undefined: it has no statements, and waits for no other. See `Executions`.
   */
  readonly lane?: object;
  /** Whether it changes the record of this device. */
  changes(device: string): boolean;
  /** Applies the transaction to the records. @throws {LocalError} and nothing has changed */
  apply(): void;
  /** Undoes `apply`; nothing else has changed since. */
  undo(): void;
  /** It is safe. Records may be changed here. */
  done(): void;
  /** It has failed, without any effect. */
  failed(error: unknown): void;
}
