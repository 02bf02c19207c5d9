/** Dead letters: messages from a device that were set aside because its application keeps failing with them. */
import { LocalError } from "../protocol/errors.ts";
import type { Session } from "./session.ts";

/** Most characters of the error that are kept with a dead letter. */
const ERROR = 200;

/**
 * The oldest message becomes a dead letter.
 *
 * @param error The application's error.
 * @param date In ms since 1970.
 * @returns false: there are too many dead letters, or the queues of all devices are full; nothing
 * has changed
 */
export function addDeadLetter(session: Session, error: string, date: number): boolean {
  const { record, limits } = session;
  const letters = record.state.deadLetters ?? [];
  const held = letters.reduce((sum, { text }) => sum + text.length, 0);
  if (letters.length >= limits.deadLetters || held >= limits.queueText) return false;
  if (!session.share.mayKeep(record.inbox[0]!)) return false;
  session.gaveUp(record.addDeadLetter(error.slice(0, ERROR), date));
  return true;
}

/**
 * Removes a dead letter.
 *
 * @param number Its number.
 * @param revives Whether it goes to the end of the inbox.
 * @throws {LocalError} BAD_ARGUMENT: there is no such letter; INBOX_FULL
 */
export function removeDeadLetter(session: Session, number: number, revives: boolean): void {
  const { record } = session;
  const letter = record.state.deadLetters?.find((letter) => letter.number === number);
  if (!letter) throw noLetter(number);
  if (revives && session.isFull) {
    throw new LocalError(
      "INBOX_FULL",
      "the inbox is full: try again when its application has processed some messages",
    );
  }
  record.removeDeadLetter(letter, revives);
  session.deadLetterRemoved(letter.text, revives);
}

/** The error if the device has no dead letter with this number. */
export function noLetter(number: number): LocalError {
  return new LocalError("BAD_ARGUMENT", `there is no dead letter ${number}`);
}
