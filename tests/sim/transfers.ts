/** The books of transactions: the parts of one must become safe in one commit, or never. */
import { Violation } from "../../bridge/testing/violation.ts";

/** One transaction of an application. */
export class Transfer {
  readonly #parts = new Set<string>();
  readonly #safe = new Set<string>();
  /** Parts that are dropped. */
  readonly #forgiven = new Set<string>();
  #failed = false;

  constructor(readonly name: string, readonly owner: Transfers) {}

  /** @param part A name that no other transaction has. */
  add(part: string): void {
    this.#parts.add(part);
    this.owner.add(part, this);
  }

  /** This part is dropped if the transaction becomes safe in the current commit, or has no part that can be seen. */
  forgive(part: string): void {
    this.#forgiven.add(part);
  }

  safe(part: string): void {
    if (this.#failed) throw new Violation(`${this.name} has failed, but ${part} is safe`);
    if (this.#safe.size === 0) this.#forgiven.clear(); // that was before
    this.#safe.add(part);
  }

  /** Its application is told that it has failed. */
  fail(): void {
    if (this.#safe.size > 0) {
      throw new Violation(`${this.name} is said to have failed, and is safe`);
    }
    this.#failed = true;
  }

  get #missing(): string[] {
    return [...this.#parts.difference(this.#safe).difference(this.#forgiven)];
  }

  get isWhole(): boolean {
    return this.#missing.length === 0;
  }

  /** Its application is told that it is safe. */
  told(): void {
    if (!this.isWhole) throw new Violation(`${this.name} is said to be safe, and is not`);
  }

  describe(): string {
    return `${this.name} is safe, but not its ${this.#missing.join(", ")}`;
  }
}

export class Transfers {
  readonly #byPart = new Map<string, Transfer>();
  readonly #touched = new Set<Transfer>();
  /** Parts whose receivers are forgotten in the current commit. */
  readonly #forgiven = new Set<string>();

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

  /**
   * All messages to a device are dropped: it is forgotten in the current commit. A transaction that becomes safe only
   * later must be whole, as the device may be known again by then.
   *
   * @param messages To the device that is forgotten
   */
  forgiveAll(id: string, messages: Iterable<{ text: string; safe: boolean }>): void {
    for (const { text, safe } of messages) if (!safe) this.#forgiven.add(`${id}\0${text}`);
  }

  /** The commit is done. */
  committed(): void {
    for (const part of this.#forgiven) this.#byPart.get(part)?.forgive(part);
    this.#forgiven.clear();
    for (const transfer of this.#touched) {
      if (!transfer.isWhole) throw new Violation(transfer.describe());
    }
    this.#touched.clear();
  }
}
