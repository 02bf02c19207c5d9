/**
 * Requests of one end that wait for the other end's answer; each has exactly one outcome. The same code at both ends.
 */
import {
  checkChannel,
  formatMarked,
  type Marked,
  textOf,
  type Value,
  valueOf,
} from "./channel_lines.ts";
import { LocalError } from "./errors.ts";
import { FaultError } from "./fault.ts";

/** Most requests that wait at once. */
const MOST = 1000;

/** Longest deadline in ms: the most that a timer takes. */
const LONGEST_DEADLINE = 2 ** 31 - 1;

/** Options of a request. */
export interface RequestOptions {
  /** Time in which it must be answered, in ms from now: 1 to 2,147,483,647. Default 10,000. */
  deadline?: number;
}

/** An answer, or a fault in its place. */
export type Answer = Extract<Marked, { mark: "answer" | "fault" }>;

/** The end that is asked. */
export interface Asked {
  /** Its name for people: "the device". */
  readonly name: string;
  /** Added to a tag. */
  readonly firstTag: number;
  /** Delivers a line within this many ms, or rejects. */
  write(line: string, deadline: number): Promise<unknown>;
  /** Calls back in this many ms. @returns a function that cancels this */
  after(ms: number, run: () => void): () => void;
}

interface Pending {
  channel: string;
  resolve(value: Value | undefined): void;
  reject(error: LocalError): void;
}

export class Requests {
  readonly #asked: Asked;
  #pending: Map<string, Pending> | undefined;
  // Starts at a random tag, so that answers to an earlier process's requests do not match this one's.
  #last = crypto.getRandomValues(new Uint32Array(1))[0]!;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  /**
   * @throws {LocalError} BAD_ARGUMENT; OUTBOX_FULL: too many requests wait; UNANSWERED: it was delivered, but not
   * answered in time; FAULT; what `write` throws
   */
  async ask(
    channel: string,
    value: unknown,
    { deadline = 10_000 }: RequestOptions,
  ): Promise<Value | undefined> {
    check(channel, deadline);
    const { name, firstTag } = this.#asked;
    const pending = this.#pending ??= new Map();
    if (pending.size >= MOST) {
      throw new LocalError("OUTBOX_FULL", `${MOST} requests already wait for ${name}`);
    }
    this.#last = (this.#last + 1) >>> 0;
    const tag = String(firstTag + this.#last);
    const text = value === undefined ? {} : { value: textOf(value) };
    const line = formatMarked({ mark: "ask", name: channel, tag, ...text });
    const { promise, resolve, reject } = Promise.withResolvers<Value | undefined>();
    pending.set(tag, { channel, resolve, reject });
    let isOver = false;
    let isThere = false;
    const unanswered = () => {
      if (!isOver || !isThere) return;
      reject(new LocalError("UNANSWERED", `${channel}: ${name} did not answer in time`));
    };
    const written = this.#asked.write(line, deadline);
    const cancel = this.#asked.after(deadline, () => {
      isOver = true;
      unanswered();
    });
    written.then(() => {
      isThere = true;
      unanswered();
    }, reject);
    try {
      return await promise;
    } finally {
      cancel();
      pending.delete(tag);
    }
  }

  /** An answer has come. @returns whether a request waits for it */
  answered(answer: Answer): boolean {
    const { name: channel, tag = "" } = answer;
    const pending = this.#pending?.get(tag);
    if (pending?.channel !== channel) return false; // too late, or the request was an earlier process's
    if (answer.mark === "answer") pending.resolve(valueOf(answer.value));
    else pending.reject(new FaultError(answer.code, answer.words, channel));
    return true;
  }

  /** Rejects all requests that wait. */
  close(reason: LocalError): void {
    for (const { reject } of this.#pending?.values() ?? []) reject(reason);
  }
}

function check(channel: string, deadline: number): void {
  checkChannel(channel);
  if (deadline >= 1 && deadline <= LONGEST_DEADLINE) return;
  const message = `deadline must be 1 to ${LONGEST_DEADLINE} ms, not ${deadline}`;
  throw new LocalError("BAD_ARGUMENT", message);
}
