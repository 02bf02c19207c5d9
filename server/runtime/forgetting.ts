/** A device is taken out of the store. */
import type { Cleared } from "../link/session.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Transfer } from "./transfer.ts";

/** What becomes safe together with the end of a device. */
export interface AlsoForgotten {
  apply(dropped: Cleared): void;
  undo(): void;
}

/** Who has it forgotten, and does with it what follows from that. */
export interface Forgetting extends Pick<Transfer, "failed"> {
  /** @throws {LocalError} it is not to be forgotten any more */
  check?(): void;
  done(dropped: Cleared): void;
  readonly also?: AlsoForgotten | undefined;
}

/** What waits for a device fails with this when the device is forgotten. Who asks several devices is told which one. */
export function forgottenError(device: string, message: string): LocalError {
  const error = new LocalError("FORGOTTEN", message);
  error.device = device;
  return error;
}

/** Takes a device out of the store. */
export function forgetting(
  device: { readonly ledger: Ledger; readonly inbox: number; readonly outbox: number },
  { check, done, failed, also }: Forgetting,
): Transfer {
  const { ledger } = device;
  let dropped: Cleared;
  return {
    statements: [],
    changes: (id) => id === ledger.id,
    apply() {
      check?.();
      dropped = { inbox: device.inbox, outbox: device.outbox };
      ledger.remove();
      also?.apply(dropped);
    },
    undo() {
      also?.undo();
      ledger.keep();
    },
    done: () => done(dropped),
    failed,
  };
}
