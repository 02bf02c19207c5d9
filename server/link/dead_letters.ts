/** Messages from a device that were given up, as its application fails with them again and again. */
import { LocalError } from "../protocol/errors.ts";
import type { Session } from "./session.ts";

/** Characters that are kept of why a message was given up. */
const ERROR = 200;

/**
 * The oldest message becomes a dead letter.
 *
 * @param error Why.
 * @param date In ms since 1970.
 * @returns false: there are too many, or the queues of all devices are full, and nothing has changed
 */
export function bury(session: Session, error: string, date: number): boolean {
  const { record, limits } = session;
  const letters = record.state.deadLetters ?? [];
  const held = letters.reduce((sum, { text }) => sum + text.length, 0);
  if (letters.length >= limits.deadLetters || held >= limits.queueText) return false;
  if (!session.share.mayKeep(record.inbox[0]!)) return false;
  session.gaveUp(record.bury(error.slice(0, ERROR), date));
  return true;
}

/**
 * A dead letter is one no more.
 *
 * @param number Its number.
 * @param revives It comes to the end of the inbox again.
 * @throws {LocalError} BAD_ARGUMENT: there is no such letter; INBOX_FULL
 */
export function exhume(session: Session, number: number, revives: boolean): void {
  const { record } = session;
  const letter = record.state.deadLetters?.find((letter) => letter.number === number);
  if (!letter) throw noLetter(number);
  if (revives && session.isFull) {
    throw new LocalError(
      "INBOX_FULL",
      "the inbox is full: try again when its application has processed some messages",
    );
  }
  record.exhume(letter, revives);
  session.exhumed(letter.text, revives);
}

/** The device has no dead letter of this number. */
export function noLetter(number: number): LocalError {
  return new LocalError("BAD_ARGUMENT", `there is no dead letter ${number}`);
}
