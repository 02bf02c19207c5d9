/**
 * A client's memory without a file: keeps what was committed, and simulates commits that fail.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import type { ClientMemory, MemoryChange, Remembered } from "../../bridge/host/memory.ts";

/** The state that outlives a client's process. */
export class ClientDisk {
  /** The last committed state. */
  state: Remembered | undefined;
  /** Nothing can be written. */
  full = false;
  commits = 0;
  /** How many processes have it open. */
  users = 0;

  /** Opens it for one process. */
  open(): ClientMemory {
    this.users++;
    return {
      kept: this.state,
      commit: (change) => this.commit(change),
      close: () => void this.users--,
    };
  }

  commit(change: MemoryChange): void {
    if (this.full) throw new LocalError("STORE_FAILED", "the disk is full");
    this.commits++;
    const { progress, clock, epoch, first, next, withdrawn, written } = change;
    const before = this.state?.outbox;
    if (before) check(first >= before.first && next >= before.next, "numbers go back");
    const messages =
      before?.messages.filter(({ number }) => number >= first && !withdrawn.includes(number)) ?? [];
    let last = before?.next ?? 0;
    for (const message of written) {
      const { number, text } = message;
      check(number >= last && number < next, `${number} is given twice, or out of turn`);
      messages.push({ ...message, text: text.slice() });
      last = number + 1;
    }
    const position = { ...progress.position };
    this.state = {
      progress: { ...progress, position },
      outbox: { epoch, first, next, messages },
      clock,
    };
  }
}

function check(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`a client's memory: ${what}`);
}
