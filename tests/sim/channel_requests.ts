/** The books of requests: each must have one outcome, the right one. */
import { FaultError } from "../../server/protocol/fault.ts";
import type { Marked, Value } from "../../server/protocol/channel_lines.ts";
import type { LocalError } from "../../server/protocol/errors.ts";
import type { Books } from "./books.ts";
import { type From, NOBODY } from "./channel_settings.ts";
import { type Message } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** One request to a device. */
export interface Request {
  readonly value: number;
  readonly expires: number;
  readonly from: From;
  /** It was posted for the process that has the device. */
  isPosted: boolean;
  /** Somebody has published it at a broker, which sends it until the server has it, and maybe again. */
  isPublished: boolean;
  mayRepeat: boolean;
  /** The device's answers, if any. */
  readonly answers: Set<unknown>;
  readonly faults: Set<string>;
  /** The newest one that it was written with. */
  tag: string | undefined;
  /** When the first answer was processed, in ms, and how many were: a device that has died may answer again. */
  answeredAt: number;
  timesAnswered: number;
  /** Nobody waits for it any more: it has an outcome, or its caller has ended. */
  isOver: boolean;
  /** It was not written, and will not be unless a broker sends it again. */
  isRefused: boolean;
  /** The server has lost the device; an outcome from just before may still be reported. */
  isLost: boolean;
}

/** The caller's server has lost the device or ended, so the outcome of the request is open. */
const LOST: ReadonlySet<string> = new Set(["CLOSED", "FENCED", "FORGOTTEN"]);

/** The device to which the requests are made. */
interface Addressee {
  readonly id: string;
  readonly books: Books;
  /** A number that nobody else uses. */
  count(): number;
}

export class RequestBooks {
  readonly #requests = new Map<unknown, Request>(); // by value
  readonly #byTag = new Map<string, Request>();

  constructor(readonly of: Addressee) {}

  /** @param deadline In ms from now. */
  begins(deadline: number, from = NOBODY): Request {
    const value = this.of.count();
    const request: Request = {
      value,
      expires: this.of.books.now() + deadline,
      from,
      isPosted: false,
      isPublished: false,
      mayRepeat: false,
      answers: new Set(),
      faults: new Set(),
      tag: undefined,
      answeredAt: Infinity,
      timesAnswered: 0,
      isOver: false,
      isRefused: false,
      isLost: false,
    };
    this.#requests.set(value, request);
    return request;
  }

  /** It is in the store, posted for the process that has the device. */
  posted(value: unknown): void {
    const request = this.#requests.get(value);
    if (!request) throw new Violation(`${this.of.id}: nobody has asked ${value}`);
    if (request.isRefused) throw this.#violation(request, "was refused, and is posted");
    if (request.isPosted && !request.mayRepeat) throw this.#violation(request, "is posted again");
    request.isPosted = true;
  }

  /** It is in the store. @returns its deadline */
  written({ tag, value }: Extract<Marked, { mark: "ask" }>, text: string): number {
    const request = this.#requests.get(Number(value));
    if (!request) throw new Violation(`${this.of.id}: nobody has asked ${text}`);
    if (request.isRefused) throw this.#violation(request, "was refused, and is written");
    if ((request.tag ?? tag) !== tag && !request.mayRepeat) {
      throw this.#violation(request, "is asked a second time");
    }
    request.tag = tag;
    this.#byTag.set(tag, request);
    return request.expires;
  }

  /** The device's application has it. */
  seen(name: string, tag: string, value: unknown): Request {
    const request = this.#byTag.get(tag);
    if (!request || request.value !== value) {
      throw new Violation(`nobody has asked ${name}.${tag}`);
    }
    return request;
  }

  /** The device's answer was processed. */
  processed(tag: string): void {
    const request = this.#byTag.get(tag);
    if (!request) return;
    request.answeredAt = Math.min(request.answeredAt, this.of.books.now());
    request.timesAnswered++;
  }

  /** Whether somebody has published the request of this tag. */
  isPublished(tag: string | undefined): boolean {
    return tag !== undefined && this.#byTag.get(tag)?.isPublished === true;
  }

  /** It has an outcome. */
  answered(request: Request, value: Value | undefined): void {
    this.ends(request);
    if (!request.answers.has(value)) {
      throw this.#violation(request, `is answered with ${value}, and the device has not said that`);
    }
    this.#checkSafe(request);
  }

  #checkSafe(request: Request): void {
    if (request.answeredAt === Infinity) {
      throw this.#violation(request, "is answered, and that is not safe");
    }
  }

  /** It has some outcome. */
  ends(request: Request): void {
    if (request.isOver && !request.isLost) throw this.#violation(request, "has two outcomes");
    request.isOver = true;
    request.isLost = false;
  }

  /**
   * @param tellsIn How long it may take until an answer at another server is reported to the caller, in ms.
   * @returns whether this is one of the outcomes that a request may have
   */
  failed(request: Request, error: LocalError, tellsIn = 0): boolean {
    if (LOST.has(error.code)) return false;
    this.ends(request);
    const { books, books: { expiring } } = this.of;
    const message = this.#messageOf(request);
    switch (error.code) {
      case "FAULT":
        if (!request.faults.has((error as FaultError).fault)) {
          throw this.#violation(request, `has ${error}, and the device has not said that`);
        }
        this.#checkSafe(request);
        return true;
      case "EXPIRED":
        if (books.now() < request.expires - 2) throw this.#violation(request, "expires too early");
        if (message) expiring.expired(message, true);
        else request.isRefused = true;
        return true;
      case "UNDECIDED":
        if (message) expiring.expired(message, false);
        return true;
      case "UNANSWERED":
        if (books.now() < request.expires - 2) throw this.#violation(request, "ends too early");
        if (!message || (message.seen === 0 && !message.excused)) {
          throw this.#violation(request, "is said to have been asked, and was not");
        }
        if (request.answeredAt + tellsIn < request.expires - 2) {
          throw this.#violation(request, "was answered, and is called unanswered");
        }
        return true;
      case "CLEARED":
        if (message) books.serverCleared(message);
        return true;
      case "OUTBOX_FULL":
      case "STORE_FAILED":
      case "UNKNOWN_DEVICE":
        if (message) throw this.#violation(request, `was refused, and written: ${error}`);
        request.isRefused = true;
        return true;
      default:
        return false;
    }
  }

  /** The server reports an answer that was not waited for any more. */
  late(tag: string): void {
    const request = this.#byTag.get(tag);
    if (!request || request.isOver || request.expires - 2 < this.of.books.now()) return;
    // The outcome of a published one is known only when the broker reports it.
    if (request.isPublished && (request.timesAnswered > 1 || this.#mayBeDropped(request))) return;
    throw this.#violation(request, "is answered late, and waits");
  }

  /** The message that carries it; undefined: it was never written. */
  #messageOf({ value }: Request): Message | undefined {
    return [...this.of.books.toDevice.all()].find(({ text }) =>
      text.startsWith("?") && text.endsWith(` ${value}`)
    );
  }

  /** Whether an operator may have had it dropped, which is its outcome: CLEARED. */
  #mayBeDropped(request: Request): boolean {
    const message = this.#messageOf(request);
    return message !== undefined && this.of.books.dropped.mayHave(message);
  }

  /** Some callers have ended. */
  ended(isOver: (from: From) => boolean): void {
    for (const request of this.#requests.values()) {
      if (!isOver(request.from)) continue;
      request.isLost ||= request.isPublished || !request.isOver;
      request.isOver = true;
      const isOnItsWay = request.tag !== undefined || request.isPosted;
      if (!isOnItsWay && !request.isPublished) request.isRefused = true;
    }
  }

  #violation({ value }: Request, what: string): Violation {
    return new Violation(`${this.of.id}: request ${value} ${what}`);
  }
}
