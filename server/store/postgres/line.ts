/** A connection that is opened when needed, and replaced when it has broken. */
import { LocalError } from "../../protocol/errors.ts";
import type { Wire } from "./wire.ts";

export class Line {
  #opening: Promise<Wire> | undefined;
  #wire: Wire | undefined;
  #closed = false;
  readonly #open: () => Promise<Wire>;

  constructor(open: () => Promise<Wire>) {
    this.#open = open;
  }

  /** Number of statements that wait there. */
  get waiting(): number {
    return this.#wire?.waiting ?? 0;
  }

  /** The open connection. @throws what opening it throws; LocalError CLOSED */
  async wire(): Promise<Wire> {
    if (this.#closed) throw closed();
    if (this.#wire?.isOpen) return this.#wire;
    this.#opening ??= this.#open().finally(() => this.#opening = undefined);
    const wire = await this.#opening;
    if (this.#closed) {
      wire.cut(closed());
      throw closed();
    }
    return this.#wire = wire;
  }

  /** @param last Called before it is closed, if it is open. */
  async close(last: (wire: Wire) => Promise<unknown> = () => Promise.resolve()): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {}); // the callers that wait for it handle the error
    if (!this.#wire?.isOpen) return;
    try {
      await last(this.#wire);
    } catch {
      // It is being closed anyway.
    }
    await this.#wire.close();
  }
}

function closed(): LocalError {
  return new LocalError("CLOSED", "the store was closed");
}
