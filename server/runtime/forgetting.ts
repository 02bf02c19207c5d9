/** Forgets a device in the store. */
import type { Cleared } from "../link/session.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Transfer } from "./transfer.ts";

/** Changes that become safe together with the end of a device. */
export interface AlsoForgotten {
  apply(dropped: Cleared): void;
  undo(): void;
}

/** The caller that forgets the device, and handles the result. */
export interface Forgetting extends Pick<Transfer, "failed"> {
  /** @throws {LocalError} it must not be forgotten any more */
  check?(): void;
  done(dropped: Cleared): void;
  readonly also?: AlsoForgotten | undefined;
}

/** The error for whatever waits for a device that is forgotten. It names the device, for callers that ask several. */
export function forgottenError(device: string, message: string): LocalError {
  const error = new LocalError("FORGOTTEN", message);
  error.device = device;
  return error;
}

/** Forgets a device in the store. */
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
