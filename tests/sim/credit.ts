import { Violation } from "../../bridge/testing/violation.ts";

/** Lines that were sent in one direction and not acknowledged. */
export class Credit {
  #lines: { id: number; bytes: number }[] = [];
  #bytes = 0;

  constructor(readonly who: string, readonly messages: number, readonly bytes: number) {}

  sent(id: number, bytes: number): void {
    this.#lines.push({ id, bytes });
    this.#bytes += bytes;
    if (this.#lines.length > this.messages || this.#bytes > this.bytes) {
      throw new Violation(
        `${this.who} sent ${this.#lines.length} messages, ${this.#bytes} bytes ahead of the acks: ` +
          `${this.messages} and ${this.bytes} are allowed`,
      );
    }
  }

  acknowledged(id: number): void {
    const last = this.#lines.findIndex((line) => line.id === id);
    for (const { bytes } of this.#lines.splice(0, last + 1)) this.#bytes -= bytes;
  }
}
