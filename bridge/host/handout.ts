import { createHash } from "node:crypto";
import type { Position } from "./core.ts";

/** How far a client has got with the server's messages. */
export interface Progress {
  /** The core's position. */
  position: Position;
  /** Digest of the message at that position, if the application is done with it: it must not be handed out
   * again when the server sends it. 0: there is none. */
  processed: bigint;
  /** The message before that position, if the application has it but is not done with it: it counts as taken. */
  held?: string;
}

/**
 * The message that was handed to the application, which may still be busy with it. It counts as processed when the
 * application asks for the next one; only then is it taken from the core and acknowledged. If its connection ends before
 * that, it counts as taken, and the message itself is kept: the server learns from the next hello that it has arrived,
 * and a later process hands it out. If the application is done with it just then, the server may send it again; or
 * another message may have its number, from an old copy of the server's store. So it is recognised by its text as well.
 */
export class Handout {
  #position: Position | undefined;
  #digest = 0n;
  #isDone = false;
  /** The message that the application has not finished. */
  #text: string | undefined;
  #isHeld = false;
  /** The message that an earlier process had not finished. */
  #left: string | undefined;

  /** @param kept The progress that an earlier process has kept. */
  constructor(kept?: Progress) {
    this.#text = this.#left = kept?.held;
    this.#isHeld = this.#left !== undefined;
    if (!kept || kept.processed === 0n) return;
    this.#position = kept.position;
    this.#digest = kept.processed;
    this.#isDone = true;
  }

  /**
   * The core offers the message at `position`; the application asks for one.
   *
   * @returns whether the application already had it and is done with it. Otherwise it gets it now.
   */
  offered(position: Position, text: string): boolean {
    const digest = digestOf(text);
    if (this.isAt(position) && this.#digest === digest) return true;
    this.#position = position;
    this.#digest = digest;
    this.#text = text;
    this.#isDone = this.#isHeld = false;
    return false;
  }

  /**
   * The application asks for the next message: it is done with the one that it has.
   *
   * @returns the message that an earlier process had not finished, which is the next one
   */
  asked(): string | undefined {
    const left = this.#left;
    this.#left = undefined;
    if (left !== undefined) return left;
    this.#isDone = true;
    this.#text = undefined;
    return undefined;
  }

  /** The connection has ended. @returns whether the message at this position is held, and counts as taken */
  holds(position: Position): boolean {
    if (this.#text === undefined || this.#isHeld || !this.isAt(position)) return false;
    return this.#isHeld = true;
  }

  /** Whether the application had the message at that position, which was not taken from the core. */
  isAt({ epoch, next }: Position): boolean {
    return this.#position?.epoch === epoch && this.#position.next === next;
  }

  /** The progress to keep when the core is at that position. */
  progress(position: Position): Progress {
    const processed = this.#isDone && this.isAt(position) ? this.#digest : 0n;
    const held = this.#isHeld && this.#text !== undefined ? { held: this.#text } : {};
    return { position, processed, ...held };
  }
}

/** The digest of a text: 64 bits, not 0. */
function digestOf(text: string): bigint {
  return createHash("sha256").update(text).digest().readBigUInt64BE() || 1n;
}
