/** The books of requests from a broker to devices: each request must get one answer. See `mqtt_books.ts`. */
import { valueOf } from "../../server/protocol/channel_lines.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { FaultError } from "../../server/protocol/fault.ts";
import type { Request } from "./channel_requests.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { ThingBooks } from "./thing_books.ts";

/** A request that was published. */
export interface Asked {
  readonly books: ThingBooks;
  readonly request: Request;
  /** It has gone to the bridge. */
  isGone: boolean;
  /** The bridge has acknowledged it. */
  isTaken: boolean;
  isAnswered: boolean;
  /** There may have been no room for an answer, and the server may have died before it reported that. */
  isUnsaid: boolean;
}

/** Reasons why the device was not asked, which may occur at any time. */
const NOT_ASKED = ["BROKER_BEHIND", "CLOSED", "FENCED", "FORGOTTEN", "UNKNOWN_DEVICE"];

export class AskedBooks {
  readonly #asked = new Map<string, Asked>(); // by correlation data
  /** Answers that do not say to which request they belong: MQTT 3.1.1. */
  readonly #unknown = new Map<ThingBooks, Unknown>();
  /** Number of requests without an answer because too much waits. */
  #excused = 0;
  /** The broker has gone back to an earlier state: messages are lost, or come again. */
  #isLoose = false;

  /**
   * @param marks Whether answers name their request: MQTT 5.
   * @param isTight Whether there may be no room for an answer.
   * @param isShared Whether the device may be at another server, so that its answer takes longer.
   */
  constructor(readonly marks: boolean, readonly isTight: boolean, readonly isShared: boolean) {}

  /** Somebody publishes one. */
  begins(books: ThingBooks, deadline: number): Asked {
    const request = books.requests.begins(deadline);
    request.isPublished = true;
    const before = { isGone: false, isTaken: false, isAnswered: false, isUnsaid: false };
    const asked = { books, request, ...before };
    this.#asked.set(`${books.id} ${request.value}`, asked);
    return asked;
  }

  /** An answer comes. */
  comes(books: ThingBooks, { text, correlation, isAgain }: Answer): void {
    if (this.marks && correlation === undefined) {
      throw new Violation(`${books.id}: ${text} does not say what it answers`);
    }
    const value = valueOf(text);
    const error = typeof value === "object" && value ? String((value as Fault).error) : undefined;
    const asked = correlation === undefined
      ? [...this.#asked.values()].find((it) => it.books === books && it.request.answers.has(value))
      : this.#asked.get(`${books.id} ${correlation}`);
    if (!asked && correlation === undefined && error !== undefined) {
      return this.#comesUnknown(books, isAgain);
    }
    if (!asked?.isGone) throw new Violation(`${books.id}: ${text} answers nobody`);
    if (asked.isAnswered && !this.#isLoose) {
      if (isAgain()) return;
      throw new Violation(`${books.id}: ${asked.request.value} is answered twice, with ${text}`);
    }
    asked.isAnswered = true;
    if (this.#isLoose) return;
    if (error === undefined) books.requests.answered(asked.request, value);
    else this.#fails(asked, error);
  }

  /** There is no answer, for this reason. */
  #fails({ books, books: { requests }, request }: Asked, code: string): void {
    if (NOT_ASKED.includes(code)) return requests.ends(request);
    if (code === code.toLowerCase()) {
      requests.failed(request, new FaultError(code as "busy", ""));
      return;
    }
    if (code !== "EXPIRED" && code !== "UNDECIDED") {
      const why = new LocalError(code as LocalError["code"], "");
      const isKnown = requests.failed(request, why, this.isShared ? Infinity : 0);
      if (!isKnown) throw new Violation(`${books.id}: a request is answered with ${code}`);
      return;
    }
    const isLost = request.isLost; // the server that should ask has ended
    requests.ends(request);
    const isOver = request.expires - 2 <= books.books.now();
    if (!isOver && !(isLost && code === "UNDECIDED")) {
      throw new Violation(`${books.id}: request ${request.value} is ${code} too early`);
    }
  }

  /** Checks that there are no more answers than requests. */
  #comesUnknown(books: ThingBooks, isAgain: () => boolean): void {
    const { length: open } = [...this.#asked.values()].filter((it) =>
      it.books === books && it.isGone && !it.isAnswered
    );
    const { came, isNew } = this.#unknown.get(books) ?? { came: 0, isNew: 0 };
    const unknown = { came: Math.min(came + 1, open), isNew: isAgain() ? isNew : isNew + 1 };
    this.#unknown.set(books, unknown);
    if (unknown.isNew <= open || this.#isLoose) return;
    throw new Violation(`${books.id}: there are more answers than requests`);
  }

  /** The bridge warns that it cannot publish an answer. */
  excuse(): void {
    this.#excused++;
  }

  /** A request that the server has taken but not sent to its device is never sent. */
  serverDied(): void {
    for (const asked of this.#asked.values()) {
      const { request, isGone, isTaken } = asked;
      if (isTaken && request.tag === undefined) request.isRefused = true;
      if (isGone && !isTaken && this.isTight) asked.isUnsaid = true;
    }
  }

  /** The broker has gone back to an earlier state, and has yet to send these. */
  wentBack(flights: readonly Asked[]): void {
    this.#isLoose = true;
    for (const asked of flights) {
      asked.isTaken = false;
      asked.request.isRefused = false;
      asked.request.mayRepeat = true;
    }
  }

  unfinished(): string | undefined {
    if (this.#isLoose) return undefined;
    const open = [...this.#asked.values()].filter((it) =>
      it.isTaken && !it.isAnswered && !it.isUnsaid
    );
    let unknown = this.#excused;
    for (const { came } of this.#unknown.values()) unknown += came;
    if (open.length <= unknown) return undefined;
    return `${open[0]!.books.id}: request ${open[0]!.request.value} is not answered`;
  }
}

/** Answers to a device's requests that may be to any of them. */
interface Unknown {
  /** Requests that they may answer. */
  readonly came: number;
  /** Answers that cannot be repeats: there are no more of these than requests. */
  readonly isNew: number;
}

/** An answer as it arrives at the broker. */
interface Answer {
  readonly text: string;
  /** Correlation data of the request, if the answer has it. */
  readonly correlation: string | undefined;
  /** Whether it may be a repeat. */
  isAgain(): boolean;
}

/** In place of an answer. */
interface Fault {
  error?: string;
}
