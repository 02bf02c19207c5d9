/** Deadlines of messages, and the errors for their writers: the same at both ends. */
import { LocalError } from "./errors.ts";

/** Longest deadline of a message, in ms: a year. */
export const LONGEST_EXPIRY = 365 * 24 * 3_600_000;

/** @param expires In ms; undefined: for ever. @throws {LocalError} BAD_ARGUMENT */
export function checkExpiry(expires: number | undefined, qos: boolean): void {
  if (expires === undefined) return;
  if (!Number.isInteger(expires) || expires < 1 || expires > LONGEST_EXPIRY) {
    const message = `expires must be 1 to ${LONGEST_EXPIRY}, not ${expires}`;
    throw new LocalError("BAD_ARGUMENT", message);
  }
  if (qos) return;
  throw new LocalError("BAD_ARGUMENT", "a message without qos never waits: leave out expires");
}

/** The error for a message's writer. @param peer The other end */
export function explainFate(
  fate: "EXPIRED" | "UNDECIDED",
  peer: "device" | "server",
): LocalError {
  const message = fate === "EXPIRED"
    ? "the message was not delivered in time, and never will be"
    : `the message was sent, and the ${peer} cannot say whether it has it; it is not sent again`;
  return new LocalError(fate, message);
}
