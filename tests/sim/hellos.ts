/** The checker of the milliseconds in a device's hellos. */
import { Violation } from "../../bridge/testing/violation.ts";

export class Hellos {
  /** The device's milliseconds when it began each greeting, by connection. */
  readonly #begun = new WeakMap<object, number>();

  constructor(readonly id: string) {}

  /** A connection of the device is open, and its greeting begins. @param ms Its milliseconds now */
  begins(connection: object, ms: number): void {
    this.#begun.set(connection, ms);
  }

  /**
   * The server has admitted the device on this connection. The greeting may have taken any time: a hello waits while
   * the server accepts no connections, and a frozen device answers late.
   *
   * @param ms The milliseconds that the server reports of it
   */
  admitted(connection: object | undefined, ms: number): void {
    const begun = connection && this.#begun.get(connection);
    if (ms === begun) return;
    throw new Violation(
      `${this.id} is reported with ms=${ms}, and began its greeting at ${begun} ms`,
    );
  }
}
