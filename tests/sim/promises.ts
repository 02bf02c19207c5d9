/**
 * The promises, as they are checked. A stream is one device's messages in one direction. The following holds for each
 * message, for every seed and every fault; the table has all exceptions.
 *
 * Always:
 * - nothing arrives that was not written, nor at the wrong end or from the wrong device;
 * - a message with qos arrives once; one without, at most once;
 * - in order: all of them, but to a device in dialect 1, where one that waits arrives after all earlier ones
 *   that have qos, and others may overtake;
 * - a message reported as arrived is there: the other application has it, or the server's store;
 * - what was refused, or belongs to a transaction that has failed, is never seen; a transaction's messages and
 *   statements become safe all at once;
 * - nothing is sent to a device or acknowledged that a killed server would lose;
 * - when all faults have ended, everything accepted arrives, and its writer is told.
 *
 * `silence.ts` checks the promises about the link itself: a dead end is noticed in time, a living one is not taken for
 * dead, and each end keeps the link alive.
 *
 * | what happens                                | what is weaker then, and for which messages            |
 * | ------------------------------------------- | ------------------------------------------------------ |
 * | device boots                                | what it wrote and was not told of may be missing: but   |
 * |                                             | never one before another that arrives (order holds)    |
 * | a chip sleeps, and its memory is kept        | nothing                                                |
 * | a host's client is killed, its memory is kept | what it has committed there arrives all the same, once;  |
 * |                                             | what it has not is as above                            |
 * | a host's memory is full                      | what is refused for that never arrives                 |
 * | device boots without memory, or in dialect 1 | what it has seen, with qos, and the server does not     |
 * |                                             | safely know of, may come once more                     |
 * | device dies before its application acts on  | nothing: the message comes again, and is seen once     |
 * | a message that it has                       |                                                        |
 * | device dies between seeing a message and    | that one message, if it has qos, may come once more    |
 * | keeping the position                        |                                                        |
 * | the same on a host with memory, before it   | that one message, if it has qos or the memory holds    |
 * | has asked for the next one                  | it, must come once more                                |
 * | a host without memory, or one that asks for | it may miss the message that it was handed last        |
 * | several messages at once, dies              |                                                        |
 * | server killed, application without `consume` | what was handed out, but not yet safely processed, may  |
 * |                                             | come once more                                         |
 * | application on the server fails             | what it was handed last may come once more             |
 * | application fails with a message so often   | that message may be given up: then nobody sees it any  |
 * | as it may                                   | more                                                   |
 * | server killed                               | what its application wrote that was not yet safe: gone, |
 * |                                             | and it was never sent, nor was anybody told otherwise   |
 * | server killed                               | a line of the log that was not yet safe may be logged  |
 * |                                             | once more                                              |
 * | another server takes the device for a while | as if the server was killed, for this device           |
 * | server killed while it holds a message that | it is withdrawn when the device comes back, and nobody |
 * | its device turns out to have no room for    | is left to be told                                     |
 * | old copy of the server's store put back     | (and a device that can show it has it said, `older.ts`) |
 * |                                             | what the copy holds, seen or on its way, may come once |
 * |                                             | more, for each time that happens, until the server     |
 * |                                             | knows that it has arrived. What the lost one held, and |
 * |                                             | the copy does not: as below                            |
 * | operator clears a device                    | what waits in the server then, either way, never comes; |
 * |                                             | to the device, what was sent of it may have arrived     |
 * | operator has the server forget a device     | as if the server's store was lost, for this device      |
 * | server's store lost                         | to the device: what was not seen may be missing. From   |
 * |                                             | it: what it was not told of may come once more, and     |
 * |                                             | what it was told of, and nobody had seen, may be missing |
 */

import { byteLength } from "../../server/protocol/lines.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** One message in the books. */
export interface Message {
  readonly text: string;
  /** Size of the text as it is sent. */
  bytes: number;
  /** Its place in the stream; -1: none yet. */
  index: number;
  /** Boot of the writer; to the device: the value of `Books.stores` for the store that got it. */
  epoch: number;
  readonly qos: boolean;
  readonly waits: boolean;
  /** It may overtake others, because it was sent at once while they were waiting. */
  readonly loose: boolean;
  /** How often the other application has seen it. */
  seen: number;
  /** How many more times it may be seen. */
  repeats: number;
  /** How many of these are because it was written again: each of them may also expire. */
  extra: number;
  /** An old copy that was put back holds it: it may come after newer ones. */
  copied: boolean;
  /** The store that had it was lost before it was seen. If its writer was told that it arrived, it is lost. */
  lost: boolean;
  /** It need not arrive any more. */
  excused: boolean;
  /** It must not arrive any more. */
  gone: boolean;
  /** It is a dead letter. */
  isDeadLetter: boolean;
  /** The operator had it dropped, and it is not on its way. */
  dropped: boolean;
  /** It may be one of several that the operator had dropped: see `Dropped`. */
  doubtful: boolean;
  /** The server's store has it, or had it. */
  safe: boolean;
  /** Since when, in ms; Infinity: never. */
  safeAt: number;
  /** Time after which it must not be sent, in ms; Infinity: never. */
  expires: number;
  /** To the device: see `Books`. */
  readonly since: number;
  /** To the device: it has arrived, according to the store. */
  settled: boolean;
  /** To the device: how often the device had lost its position when it last saw this. */
  memory: number;
  /** Its writer was told. */
  told: boolean;
  /** From the device: it was in its client's memory, and must arrive even if its writer has ended. */
  kept: boolean;
  /** From the device: its client's memory has it now; to the device: that memory holds it for the application. */
  held: boolean;
}

/** How a message was written. */
export interface Manner {
  qos: boolean;
  waits: boolean;
  loose?: boolean;
  expires?: number;
  since?: number;
}

/** The messages of one device in one direction. */
export class Stream {
  /** In order, as far as that is known. */
  readonly messages: Message[] = [];
  readonly #byText = new Map<string, Message>();
  readonly #placeless = new Set<Message>(); // accepted, but their place is unknown
  #firstMissing = 0; // all before it were seen, need not be, or belong to an earlier epoch
  #last = -1; // the last one seen since the reader restarted
  #newest = -1; // the newest one seen ever
  #beginnings = 0; // how often a copy's messages may still come from its beginning
  #copiedUntil = 0; // no copy has the messages from here on

  /** @param name Its name in violations. */
  constructor(readonly name: string) {}

  /** How many messages were ever written. */
  get size(): number {
    return this.#byText.size;
  }

  has(text: string): boolean {
    return this.#byText.has(text);
  }

  find(text: string): Message | undefined {
    return this.#byText.get(text);
  }

  all(): Iterable<Message> {
    return this.#byText.values();
  }

  /** Somebody writes a message; `place` gives it its place later, if it gets one. */
  offered(text: string, epoch: number, manner: Manner): Message {
    const { qos, waits, loose = false, expires = Infinity, since = 0 } = manner;
    const message: Message = {
      text,
      bytes: byteLength(text),
      index: -1,
      epoch,
      qos,
      waits,
      loose,
      seen: 0,
      repeats: 0,
      extra: 0,
      copied: false,
      lost: false,
      excused: false,
      gone: false,
      isDeadLetter: false,
      dropped: false,
      doubtful: false,
      safe: false,
      safeAt: Infinity,
      expires,
      since,
      settled: false,
      memory: 0,
      told: false,
      kept: false,
      held: false,
    };
    this.#byText.set(text, message);
    this.#placeless.add(message);
    return message;
  }

  /** The message gets the next place. */
  place(message: Message): void {
    if (message.index >= 0) return;
    message.index = this.messages.length;
    this.messages.push(message);
    this.#placeless.delete(message);
  }

  accepted(text: string, epoch: number, manner: Manner): Message {
    const message = this.offered(text, epoch, manner);
    this.place(message);
    return message;
  }

  /** The reader restarts, and may see the allowed repeats. */
  readerBegins(): void {
    this.#last = -1;
  }

  /**
   * The writer is on an old copy: the copy's messages may come once from its beginning. If that happens again at once,
   * messages of the previous writer may still be on their way, on one connection.
   */
  writerForgets(): void {
    this.#beginnings = Math.min(2, this.#beginnings + 1);
    this.#copiedUntil = this.messages.length;
  }

  /** @param ordered Whether all messages must come in order. */
  seen(text: string, ordered: boolean): Message {
    const message = this.#byText.get(text);
    if (!message) throw this.#violation("was never written", text);
    const { index, epoch } = message;
    if (message.gone) {
      throw this.#violation(
        "was seen, but it was refused, or a killed server had never sent it",
        text,
      );
    }
    if (message.dropped) throw this.#violation("was dropped, and is seen all the same", text);
    if (message.seen > 0) {
      if (message.repeats === 0) throw this.#violation("was seen twice", text);
      message.repeats--;
      message.extra = Math.min(message.extra, message.repeats);
    }
    message.seen++;
    if (message.loose || index < 0) return message;
    if (message.copied && this.#beginnings > 0 && index <= this.#last) {
      this.#beginnings--;
      this.#last = -1;
    }
    // A writer that sends in order has by now sent everything in the copy.
    if (ordered && index >= this.#copiedUntil) this.#beginnings = 0;
    if (message.seen === 1 && !message.copied) {
      const newest = this.messages[this.#newest];
      if (newest && epoch < newest.epoch) {
        throw this.#violation(`came after ${newest.text} of a later boot`, text);
      }
    }
    if (ordered) {
      if (index <= this.#last) {
        throw this.#violation(`came after ${this.messages[this.#last]!.text}`, text);
      }
      this.#last = index;
    }
    this.#newest = Math.max(this.#newest, index);
    if (ordered || (message.waits && message.qos)) {
      const missing = this.#missing(epoch);
      if (missing && missing.index < index) {
        throw this.#violation(`came before ${missing.text}`, text);
      }
    }
    return message;
  }

  /** The first message with qos, from `epoch` on, that should have been seen and was not. */
  #missing(epoch: number): Message | undefined {
    for (;; this.#firstMissing++) {
      const message = this.messages[this.#firstMissing];
      if (!message) return undefined;
      if (isMissing(message, epoch)) return message;
    }
  }

  /** A message that still has to arrive, if any. */
  missing(epoch: number): Message | undefined {
    const missing = this.#missing(epoch);
    if (missing || this.#placeless.size === 0) return missing;
    for (const message of this.#placeless) if (isMissing(message, epoch)) return message;
    return undefined;
  }

  #violation(what: string, text: string): Violation {
    const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    return new Violation(`${this.name}: ${JSON.stringify(short)} ${what}`);
  }
}

/** Whether a message that should arrive has not. @param since Boots before that one do not count */
export function isMissing(message: Message, since: number): boolean {
  const { seen, qos, excused, doubtful, gone, epoch, kept } = message;
  return seen === 0 && qos && !excused && !doubtful && !gone && (epoch >= since || kept);
}
