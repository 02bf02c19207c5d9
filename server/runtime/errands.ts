/** Orders for devices that another process has: how mail words them, and how they are carried out. */
import { checkChannel, textOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { checkExpiry } from "../protocol/expiry.ts";
import { checkText } from "../protocol/lines.ts";
import { noLetter } from "../link/dead_letters.ts";
import type { DeployOptions } from "../firmware/deploy.ts";
import type { InRollout } from "../firmware/deployment.ts";
import type { WriteOptions } from "../link/outbox.ts";
import { DONE, failure, type Outcome } from "../link/outcome.ts";
import type { Post } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Statement } from "../store/store.ts";
import type { Deed, SetOptions } from "../store/transaction.ts";
import type { Transfer } from "./transfer.ts";

/** What mail says, as JSON. Times are counted from when it was posted. */
export type Errand = (Writing | Setting | Clearing | Forgetting | Act) & {
  /** The process that has posted it waits for the outcome. */
  readonly answers?: true;
};

export interface Writing {
  readonly write: string;
  readonly options: WriteOptions;
  /** The message is a request with this tag: its sender is told the answer as well. */
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

/** What is done at once where the device is, with no message: it waits for no room. */
export type Act = Deploying | GivingUp | Reviving | Discarding;

/** As `Device.deploy`. */
export interface Deploying {
  /** The .wasm, in base64url. */
  readonly deploy: string;
  readonly options: Pick<DeployOptions, "name" | "version" | "older" | "again">;
  /** Whoever has posted it is told its end as well. */
  readonly follows?: true;
  /** The group with which the device is given it. */
  readonly rollout?: InRollout;
}

/** As `Device.giveUp`. */
export interface GivingUp {
  readonly giveUp: true;
}

/** As `Device.revive`. */
export interface Reviving {
  readonly revive: number;
}

/** As `Device.discard`. */
export interface Discarding {
  readonly discard: number;
}

/** Who waits for what comes of a post. */
export interface Asker {
  /** Called again if the device answers after it has taken the message. */
  told(outcome: Outcome): void;
  /** It was not posted. */
  failed(error: unknown): void;
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
  } else if ("revive" in errand || "discard" in errand) {
    const number = "revive" in errand ? errand.revive : errand.discard;
    if (!Number.isSafeInteger(number)) throw noLetter(number);
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
  const { options, ...words } = errand as Record<string, unknown>;
  if ([words.clear, words.forget, words.giveUp].includes(true)) return errand as Errand;
  if ([words.revive, words.discard].some(Number.isSafeInteger)) return errand as Errand;
  if (typeof options !== "object" || options === null) return undefined;
  const isKnown = [words.write, words.set, words.deploy].some((it) => typeof it === "string");
  return isKnown ? errand as Errand : undefined;
}

/** Whether it is done at once. */
export function isAct(errand: Errand): errand is Extract<Errand, Act> {
  return ["deploy", "giveUp", "revive", "discard"].some((word) => word in errand);
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
