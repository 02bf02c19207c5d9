/** What is to be done with a device that another process has: what its mail says, and how that is done. */
import { checkChannel, textOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { checkExpiry } from "../protocol/expiry.ts";
import { checkText } from "../protocol/lines.ts";
import type { WriteOptions } from "../link/outbox.ts";
import { DONE, failure } from "../link/outcome.ts";
import type { Post } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Statement } from "../store/store.ts";
import type { Deed, SetOptions } from "../store/transaction.ts";
import type { Transfer } from "./transfer.ts";

/** What mail says, as JSON. Times are counted from when it was posted. */
export type Errand = (Writing | Setting | Clearing | Forgetting) & {
  /** Whoever has posted it waits for what comes of it. */
  readonly answers?: true;
};

export interface Writing {
  readonly write: string;
  readonly options: WriteOptions;
  /** The message is a request of this tag: whoever has posted it is told the answer as well. */
  readonly asks?: string;
}

export interface Setting {
  readonly set: string;
  readonly value: unknown;
  readonly options: SetOptions;
}

/** As `Device.clear`. */
export interface Clearing {
  readonly clear: true;
}

/** As `Server.forget`. */
export interface Forgetting {
  readonly forget: true;
}

/** @param lineBytes Longest text that a device takes, as far as is known here. @throws {LocalError} BAD_TEXT; BAD_ARGUMENT */
export function checkErrand(errand: Errand, lineBytes: number): void {
  if ("write" in errand) {
    const { qos = true, expires } = errand.options;
    checkText(errand.write, lineBytes);
    checkExpiry(expires, qos);
  } else if ("set" in errand) {
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
  const { write, set, options, clear, forget } = errand as Record<string, unknown>;
  if (clear === true || forget === true) return errand as Errand;
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

/** Something that was posted, on its way into a commit. */
export class PostTransfer implements Transfer {
  readonly statements: readonly Statement[] = [];
  readonly posts: readonly Post[];

  /** @param failed Told why it was not posted. */
  constructor({ post }: Posting, readonly failed: (error: unknown) => void) {
    this.posts = [post];
  }

  changes(): boolean {
    return false;
  }

  apply(): void {}
  undo(): void {}
  done(): void {}
}

/** Reasons for which mail waits: they pass, or another process has the device. */
const WAITS: ReadonlySet<string> = new Set(["CLOSED", "FENCED", "OUTBOX_FULL", "STORE_FAILED"]);

/** Whether mail can never be done, as it has failed with this. */
export function isFinal(error: unknown): error is LocalError {
  return error instanceof LocalError && !WAITS.has(error.code);
}

/** Mail as it is done. */
export interface Taken {
  /** The mail's. */
  readonly number: number;
  /** What it says, or why that can never be done. */
  readonly what: Deed | LocalError;
  /** Who waits for what comes of it; undefined: nobody. */
  readonly to: string | undefined;
  /** Whether it is done when that is safe: who waits is told then. If not, what waits of it tells later. */
  readonly isDone: boolean;
  /** Called before anything changes. @throws {LocalError} it must wait */
  check(): void;
  /** Told whether it has changed the record. */
  applied(isApplied: boolean): void;
  /** It is safe that it has ended. @param error Why nothing else of it has happened; undefined: it has */
  over(error: LocalError | undefined): void;
  /** Nothing of it has happened; perhaps it may later. */
  failed(error: unknown): void;
}

/** Does what mail says, and ends that mail in the same commit; if it can never be done, that alone. */
export class ErrandTransfer implements Transfer {
  readonly statements: readonly Statement[] = [];
  #error: LocalError | undefined;
  #isTold = false;

  constructor(readonly ledger: Ledger, readonly taken: Taken) {}

  changes(device: string): boolean {
    return device === this.ledger.id;
  }

  apply(): void {
    if (this.ledger.removed) throw new LocalError("FENCED", "the device was forgotten");
    const { ledger, taken: { number, to, isDone } } = this;
    this.taken.check();
    this.#error = this.#try();
    ledger.takeMail(number);
    this.#isTold = to !== undefined && (isDone || this.#error !== undefined);
    if (this.#isTold) ledger.replied(to!, this.#error ? failure(this.#error) : DONE);
    this.taken.applied(true);
  }

  /** @returns why it can never be done @throws {LocalError} it cannot now */
  #try(): LocalError | undefined {
    const { what } = this.taken;
    if (what instanceof LocalError) return what;
    try {
      what.apply();
      return undefined;
    } catch (error) {
      if (isFinal(error)) return error;
      throw error;
    }
  }

  undo(): void {
    const { ledger, taken: { number, what } } = this;
    this.taken.applied(false);
    if (this.#isTold) ledger.unreplied();
    ledger.leaveMail(number);
    if (!this.#error) (what as Deed).undo();
  }

  done(): void {
    if (!this.#error) (this.taken.what as Deed).done();
    this.taken.over(this.#error);
  }

  failed(error: unknown): void {
    this.taken.failed(error);
  }
}
