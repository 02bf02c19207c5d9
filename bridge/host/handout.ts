import type { Position } from "./core.ts";

/** How far a client has got with the server's messages. */
export interface Progress {
  /** The core's position; the next one if the application is done with the message there. */
  position: Position;
  /** The message before that position, if the application has it but is not done with it: it counts as taken. */
  held?: string;
}

/**
 * The message that was handed to the application, which may still be busy with it. It counts as processed when the
 * application asks for the next one; only then is it taken from the core and acknowledged. If its connection ends before
 * that, it counts as taken, too: the server learns from the next hello that it has arrived. While the application is not
 * done with it, the message itself is kept, and a later process hands it out.
 */
export class Handout {
  /**
   * Where the core still offers the message. Once it was taken, a server on an old copy of its store may give that number
   * to another one.
   */
  #position: Position | undefined;
  /** The message that the application has not finished; undefined: it is done with the one that it was handed. */
  #text: string | undefined;
  #isHeld = false;
  /** The message that an earlier process had not finished. */
  #left: string | undefined;

  /** @param kept The progress that an earlier process has kept. */
  constructor(kept?: Progress) {
    this.#text = this.#left = kept?.held;
    this.#isHeld = this.#left !== undefined;
  }

  /**
   * The core offers the message at `position`; the application asks for one.
   *
   * @returns whether the application already had it and is done with it: then the core takes it. Otherwise the
   * application gets it now.
   */
  offered(position: Position, text: string): boolean {
    const isDone = this.isAt(position);
    this.#position = isDone ? undefined : position;
    if (isDone) return true;
    this.#text = text;
    this.#isHeld = false;
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
    this.#text = undefined;
    return undefined;
  }

  /** The connection has ended. @returns whether the message at this position counts as taken */
  endsAt(position: Position): boolean {
    const isTaken = this.isAt(position);
    if (isTaken) this.#isHeld = true;
    this.#position = undefined;
    return isTaken;
  }

  /** Whether the application had the message at that position, which was not taken from the core. */
  isAt({ epoch, next }: Position): boolean {
    return this.#position?.epoch === epoch && this.#position.next === next;
  }

  /** The progress to keep when the core is at that position. */
  progress(position: Position): Progress {
    const { epoch, next } = position;
    const isDone = this.#text === undefined && this.isAt(position);
    const held = this.#isHeld && this.#text !== undefined ? { held: this.#text } : {};
    return { position: isDone ? { epoch, next: next + 1 >>> 0 } : position, ...held };
  }
}
