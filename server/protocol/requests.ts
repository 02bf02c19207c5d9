/** Requests of one end that wait for the other's answer: each has one outcome. The same at both ends. */
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

/** Requests that wait at once. */
const MOST = 1000;

/** In ms: no timer takes longer. */
const LONGEST_DEADLINE = 2 ** 31 - 1;

/** How a request is made. */
export interface RequestOptions {
  /** Time in which it must be answered, in ms from now: 1 to 2,147,483,647. Default 10,000. */
  deadline?: number;
}

/** An answer, or a fault in its place. */
export type Answer = Extract<Marked, { mark: "answer" | "fault" }>;

/** Whom is asked, and how. */
export interface Asked {
  /** What it is called, for people: "the device". */
  readonly name: string;
  /** Added to a tag. */
  readonly firstTag: number;
  /** Delivers a line until this many ms have passed, or rejects. */
  write(line: string, deadline: number): Promise<unknown>;
  /** Calls back in this many ms. @returns forgets it */
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
  // Begins anywhere, so that answers to an earlier process's requests do not match this one's.
  #last = crypto.getRandomValues(new Uint32Array(1))[0]!;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  /**
   * @throws {LocalError} BAD_ARGUMENT; OUTBOX_FULL: too many wait; UNANSWERED: it is there, and was not answered in time;
   * FAULT; what `write` throws
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

  /** There is an answer. @returns whether somebody waits for it */
  answered(answer: Answer): boolean {
    const { name: channel, tag = "" } = answer;
    const pending = this.#pending?.get(tag);
    if (pending?.channel !== channel) return false; // too late, or an earlier process has asked
    if (answer.mark === "answer") pending.resolve(valueOf(answer.value));
    else pending.reject(new FaultError(answer.code, answer.words, channel));
    return true;
  }

  /** Tells those who wait. */
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
