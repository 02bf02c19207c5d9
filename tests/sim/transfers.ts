/** The books of transactions: the parts of one must become safe in one commit, or never. */
import { Violation } from "../../bridge/testing/violation.ts";

/** One transaction of an application. */
export class Transfer {
  readonly #parts = new Set<string>();
  readonly #safe = new Set<string>();
  #failed = false;

  constructor(readonly name: string, readonly owner: Transfers) {}

  /** @param part A name that no other transaction has. */
  add(part: string): void {
    this.#parts.add(part);
    this.owner.add(part, this);
  }

  forgive(part: string): void {
    this.#parts.delete(part);
  }

  safe(part: string): void {
    if (this.#failed) throw new Violation(`${this.name} has failed, but ${part} is safe`);
    this.#safe.add(part);
  }

  /** Its application is told that it has failed. */
  fail(): void {
    if (this.#safe.size > 0) {
      throw new Violation(`${this.name} is said to have failed, and is safe`);
    }
    this.#failed = true;
  }

  get isWhole(): boolean {
    return this.#safe.size === this.#parts.size;
  }

  /** Its application is told that it is safe. */
  told(): void {
    if (!this.isWhole) throw new Violation(`${this.name} is said to be safe, and is not`);
  }

  describe(): string {
    const missing = [...this.#parts].filter((part) => !this.#safe.has(part));
    return `${this.name} is safe, but not its ${missing.join(", ")}`;
  }
}

export class Transfers {
  readonly #byPart = new Map<string, Transfer>();
  readonly #touched = new Set<Transfer>();

  begin(name: string): Transfer {
    return new Transfer(name, this);
  }

  add(part: string, transfer: Transfer): void {
    this.#byPart.set(part, transfer);
  }

  /** The current commit makes this safe, which may belong to a transaction. */
  safe(part: string): void {
    const transfer = this.#byPart.get(part);
    if (!transfer) return;
    transfer.safe(part);
    this.#touched.add(transfer);
  }

  /** The receiver of this message is forgotten in the same commit. */
  forgive(part: string): void {
    this.#byPart.get(part)?.forgive(part);
  }

  /** All messages to it are dropped. @param messages To the device that is forgotten */
  forgiveAll(id: string, messages: Iterable<{ text: string; safe: boolean }>): void {
    for (const { text, safe } of messages) if (!safe) this.forgive(`${id}\0${text}`);
  }

  /** The commit is done. */
  committed(): void {
    for (const transfer of this.#touched) {
      if (!transfer.isWhole) throw new Violation(transfer.describe());
    }
    this.#touched.clear();
  }
}
