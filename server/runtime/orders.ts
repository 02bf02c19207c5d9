/** Orders for devices that another process has: their form as mail, and how they are carried out. */
import { checkChannel, textOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { checkExpiry } from "../protocol/expiry.ts";
import { parseObject } from "../protocol/json.ts";
import { checkText } from "../protocol/lines.ts";
import { noLetter } from "../link/dead_letters.ts";
import type { DeployOptions } from "../firmware/deploy.ts";
import type { InRollout } from "../firmware/deploy_state.ts";
import type { WriteOptions } from "../link/outbox.ts";
import { DONE, failure, type Outcome } from "../link/outcome.ts";
import type { Post } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Statement } from "../store/store.ts";
import type { Operation, SetOptions } from "../store/transaction.ts";
import type { Transfer } from "./transfer.ts";

/** An order: the contents of mail, as JSON. Times are relative to when it was posted. */
export type Order = (Writing | Setting | Clearing | Forgetting | Act) & {
  /** Set if the process that posted it waits for the outcome. */
  readonly answers?: true;
};

export interface Writing {
  readonly write: string;
  readonly options: WriteOptions;
  /** Set if the message is a request, to its tag: its sender also gets the answer. */
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

/** An order that is carried out at once, without a message, so it needs no room. */
export type Act = Deploying | GivingUp | Reviving | Discarding;

/** As `Device.deploy`. */
export interface Deploying {
  /** The .wasm, in base64url. */
  readonly deploy: string;
  readonly options: Pick<DeployOptions, "name" | "version" | "older" | "again">;
  /** Set if the sender also gets the end of the deploy. */
  readonly follows?: true;
  /** The rollout that it belongs to. */
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

/** A caller that waits for the outcome of a post. */
export interface Asker {
  /** Called again if the device answers after it has accepted the message. */
  told(outcome: Outcome): void;
  /** The order was not posted. */
  failed(error: unknown): void;
}

/** @param lineBytes Longest text that a device is known here to accept. @throws {LocalError} BAD_TEXT; BAD_ARGUMENT */
export function checkOrder(order: Order, lineBytes: number): void {
  if ("write" in order) {
    const { qos = true, expires } = order.options;
    checkText(order.write, lineBytes);
    checkExpiry(expires, qos);
  } else if ("set" in order) {
    checkChannel(order.set);
    textOf(order.value);
  } else if ("revive" in order || "discard" in order) {
    const number = "revive" in order ? order.revive : order.discard;
    if (!Number.isSafeInteger(number)) throw noLetter(number);
  }
}

/** Parses mail. undefined: a newer version wrote it, or something else. */
export function parseOrder(text: string): Order | undefined {
  const order = parseObject(text);
  if (!order) return undefined;
  const { options, ...words } = order as Record<string, unknown>;
  if ([words.clear, words.forget, words.giveUp].includes(true)) return order as Order;
  if ([words.revive, words.discard].some(Number.isSafeInteger)) return order as Order;
  if (typeof options !== "object" || options === null) return undefined;
  const isKnown = [words.write, words.set, words.deploy].some((it) => typeof it === "string");
  return isKnown ? order as Order : undefined;
}

/** Whether an order is carried out at once. */
export function isAct(order: Order): order is Extract<Order, Act> {
  return ["deploy", "giveUp", "revive", "discard"].some((word) => word in order);
}

/** A part of a transaction that posts mail. It changes nothing in this process. */
export class Posting implements Operation {
  readonly device: Operation["device"];
  readonly post: Post;

  /** @param number See `Post`. */
  constructor(id: string, order: Order, number: number) {
    this.device = { id, isForgotten: false, closed: undefined };
    this.post = { device: id, text: JSON.stringify(order), number };
  }

  apply(): void {}
  undo(): void {}
  done(): void {}
}

/** A post on its way into a commit. */
export class PostTransfer implements Transfer {
  readonly statements: readonly Statement[] = [];
  readonly posts: readonly Post[];

  /** @param failed Called with the reason if it was not posted. */
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

/** Errors for which mail waits: they pass, or another process has the device. */
const WAITS: ReadonlySet<string> = new Set(["CLOSED", "FENCED", "OUTBOX_FULL", "STORE_FAILED"]);

/** Whether mail that has failed with this error can never be carried out. */
export function isFinal(error: unknown): error is LocalError {
  return error instanceof LocalError && !WAITS.has(error.code);
}

/** Mail that is being carried out. */
export interface Taken {
  /** Number of the mail. */
  readonly number: number;
  /** Its operation, or why it can never be carried out. */
  readonly what: Operation | LocalError;
  /** Who waits for the outcome; undefined: nobody. */
  readonly to: string | undefined;
  /**
   * Whether it is complete when that is safe, so the outcome is sent then. If not, the message or request that it has
   * become reports it later.
   */
  readonly isDone: boolean;
  /** Called before anything changes. @throws {LocalError} it must wait */
  check(): void;
  /** Called with whether it has changed the record. */
  applied(isApplied: boolean): void;
  /** Its end is safe. @param error Why it had no effect; undefined: it had */
  over(error: LocalError | undefined): void;
  /** It had no effect; it may be tried again. */
  failed(error: unknown): void;
}

/** Carries out mail, and deletes it in the same commit; if it can never be carried out, only deletes it. */
export class OrderTransfer implements Transfer {
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

  /** @returns why it can never be carried out @throws {LocalError} it cannot be carried out now */
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
    if (!this.#error) (what as Operation).undo();
  }

  done(): void {
    if (!this.#error) (this.taken.what as Operation).done();
    this.taken.over(this.#error);
  }

  failed(error: unknown): void {
    this.taken.failed(error);
  }
}
