import type { Position } from "./core.ts";

/**
 * The message that an application was handed and may still be busy with. It is processed, and only then taken
 * from the core, acknowledged and counted in what outlives the process, when the application asks for the
 * next one. Meanwhile its connection may end, and another one bring it again.
 */
export class Handout {
  #position: Position | undefined;
  #text = "";

  /**
   * The core offers the message at `position`; the application asks for one.
   *
   * @returns whether the application has it already, and is done with it. Otherwise it gets it now.
   */
  offered(position: Position, text: string): boolean {
    // A server on an old copy of its store may give the same number to another message.
    if (this.#isAt(position) && this.#text === text) return true;
    this.#position = position;
    this.#text = text;
    return false;
  }

  /**
   * The application asks for the next message.
   *
   * @param position The core's.
   * @returns what to keep in its place, if there is a message that is done with, but not yet taken
   */
  asked(position: Position): Position | undefined {
    if (!this.#isAt(position)) return undefined; // it was taken, or the server's stream is another one
    return { epoch: position.epoch, next: (position.next + 1) >>> 0 };
  }

  #isAt({ epoch, next }: Position): boolean {
    return this.#position?.epoch === epoch && this.#position.next === next;
  }
}
