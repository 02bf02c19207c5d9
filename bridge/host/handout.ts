import { createHash } from "node:crypto";
import type { Position } from "./core.ts";

/** How far a client has got. */
export interface Progress {
  /** The core's. */
  position: Position;
  /** Of the message at that position, if the application is done with it: it is not to be handed out again
   * when the server sends it. 0: there is none. */
  processed: bigint;
  /** The message before that position, if the application has it and is not done with it: it counts as taken. */
  held?: string;
}

/**
 * The message that an application was handed and may still be busy with. It is processed, and only then taken
 * from the core and acknowledged, when the application asks for the next one. Meanwhile its connection may end. Then
 * it counts as taken, and is kept itself: the server learns from the next hello that it has arrived, and a process that
 * follows hands it out. If the application is done with it just then, it may be brought again; or another message
 * may be under its number, from an old copy of the server's store. So it is known by what it says as well.
 */
export class Handout {
  #position: Position | undefined;
  #digest = 0n;
  #isDone = false;
  /** The message that the application has not finished. */
  #text: string | undefined;
  #isHeld = false;
  /** What an earlier process had so. */
  #left: string | undefined;

  /** @param kept What an earlier process has left. */
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
   * @returns whether the application has it already, and is done with it. Otherwise it gets it now.
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
   * @returns what an earlier process was not done with: that is the next one
   */
  asked(): string | undefined {
    const left = this.#left;
    this.#left = undefined;
    if (left !== undefined) return left;
    this.#isDone = true;
    this.#text = undefined;
    return undefined;
  }

  /** The connection is gone. @returns whether the message at this position is held, and counts as taken */
  holds(position: Position): boolean {
    if (this.#text === undefined || this.#isHeld || !this.isAt(position)) return false;
    return this.#isHeld = true;
  }

  /** Whether the application has had the message at that position: it was not taken from the core. */
  isAt({ epoch, next }: Position): boolean {
    return this.#position?.epoch === epoch && this.#position.next === next;
  }

  /** What to keep when the core is at that position. */
  progress(position: Position): Progress {
    const processed = this.#isDone && this.isAt(position) ? this.#digest : 0n;
    const held = this.#isHeld && this.#text !== undefined ? { held: this.#text } : {};
    return { position, processed, ...held };
  }
}

/** 64 bits, not 0. */
function digestOf(text: string): bigint {
  return createHash("sha256").update(text).digest().readBigUInt64BE() || 1n;
}
