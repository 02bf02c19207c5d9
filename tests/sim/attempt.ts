/** Writes and transactions of an application on the server, as the books record them. */
import type { WriteOptions } from "../../server/link/outbox.ts";
import type { Books } from "./books.ts";
import type { Message } from "./promises.ts";
import type { Transfer } from "./transfers.ts";

/** How a message is written. */
export interface Sending extends WriteOptions {
  qos: boolean;
  wait: boolean;
}

export interface Answering extends Sending {
  /** It answers a message that was seen. */
  isAnswer: boolean;
}

/** A message to a device, as the books record it. */
export interface Entry {
  books: Books;
  message: Message;
}

/** The parts of a transaction. */
export interface Attempt {
  transfer: Transfer;
  entries: Entry[];
}

/** Codes with which a transaction may fail. In a fleet only the store knows which devices there are. */
export const FAILURES: ReadonlySet<string> = new Set([
  "BAD_TEXT",
  "FENCED",
  "FORGOTTEN",
  "OUTBOX_FULL",
  "UNKNOWN_DEVICE",
]);
