/** What is to be done with a device that another process has: what its mail says, and how that is done. */
import { checkChannel, textOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { checkExpiry } from "../protocol/expiry.ts";
import { checkText } from "../protocol/lines.ts";
import type { Post } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Statement } from "../store/store.ts";
import type { Deed, SetOptions, TransactionWriteOptions } from "../store/transaction.ts";
import type { Transfer } from "./turn.ts";

/** What mail says, as JSON. Times are counted from when it was posted. */
export type Errand =
  | { readonly write: string; readonly options: TransactionWriteOptions }
  | { readonly set: string; readonly value: unknown; readonly options: SetOptions };

/** @param lineBytes Longest text that a device takes, as far as is known here. @throws {LocalError} BAD_TEXT; BAD_ARGUMENT */
export function checkErrand(errand: Errand, lineBytes: number): void {
  if ("write" in errand) {
    checkText(errand.write, lineBytes);
    checkExpiry(errand.options.expires, true);
  } else {
    checkChannel(errand.set);
    textOf(errand.value);
  }
}

/** Reads mail. undefined: it is of a process that knows more than this one, or of none of ours. */
export function parseErrand(text: string): Errand | undefined {
  let errand: unknown;
  try {
    errand = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof errand !== "object" || errand === null) return undefined;
  const { write, set, options } = errand as Record<string, unknown>;
  if (typeof options !== "object" || options === null) return undefined;
  return typeof write === "string" || typeof set === "string" ? errand as Errand : undefined;
}

/** Part of a transaction: mail is posted with it. Nothing here changes by it. */
export class Posting implements Deed {
  readonly device: Deed["device"];
  readonly post: Post;

  /** @param number See `Post`. */
  constructor(id: string, errand: Errand, number: number) {
    this.device = { id, isForgotten: false, closed: undefined };
    this.post = { device: id, text: JSON.stringify(errand), number };
  }

  apply(): void {}
  undo(): void {}
  done(): void {}
}

/** Does what mail says, and ends that mail in the same commit. */
export class ErrandTransfer implements Transfer {
  readonly statements: readonly Statement[] = [];

  /**
   * @param number The mail's.
   * @param deed undefined: it only ends.
   * @param done Told when it is safe.
   * @param failed Told why nothing of it has happened.
   */
  constructor(
    readonly ledger: Ledger,
    readonly number: number,
    readonly deed: Deed | undefined,
    readonly over: () => void,
    readonly failed: (error: unknown) => void,
  ) {}

  changes(device: string): boolean {
    return device === this.ledger.id;
  }

  apply(): void {
    if (this.ledger.removed) throw new LocalError("FORGOTTEN", "the device was forgotten");
    this.deed?.apply();
    this.ledger.takeMail(this.number);
  }

  undo(): void {
    this.ledger.leaveMail(this.number);
    this.deed?.undo();
  }

  done(): void {
    this.deed?.done();
    this.over();
  }
}
