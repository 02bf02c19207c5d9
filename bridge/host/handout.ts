import { createHash } from "node:crypto";
import type { Position } from "./core.ts";

/** How far a client has got. */
export interface Progress {
  /** The core's. */
  position: Position;
  /** Of the message at that position, if the application is done with it: it is not to be handed out again
   * when the server sends it. 0: there is none. */
  processed: bigint;
}

/**
 * The message that an application was handed and may still be busy with. It is processed, and only then taken
 * from the core and acknowledged, when the application asks for the next one. Meanwhile its connection may end,
 * and another one bring it again; or bring another message under its number, from an old copy of the server's
 * store. So it is known by what it says as well.
 */
export class Handout {
  #position: Position | undefined;
  #digest = 0n;
  #isDone = false;

  /** @param kept What an earlier process has left. */
  constructor(kept?: Progress) {
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
    this.#isDone = false;
    return false;
  }

  /** The application asks for the next message: it is done with the one that it has. */
  asked(): void {
    this.#isDone = true;
  }

  /** Whether the application has had the message at that position: it was not taken from the core. */
  isAt({ epoch, next }: Position): boolean {
    return this.#position?.epoch === epoch && this.#position.next === next;
  }

  /** What is to be kept when the core is at that position. */
  progress(position: Position): Progress {
    const processed = this.#isDone && this.isAt(position) ? this.#digest : 0n;
    return { position, processed };
  }
}

/** 64 bits, not 0. */
function digestOf(text: string): bigint {
  return createHash("sha256").update(text).digest().readBigUInt64BE() || 1n;
}
