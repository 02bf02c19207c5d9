/** What an application on the server tries, for the books. */
import type { WriteOptions } from "../../server/link/outbox.ts";
import type { Books } from "./books.ts";
import type { Message } from "./promises.ts";
import type { Transfer } from "./transfers.ts";

/** How a message is sent. */
export interface Sending extends WriteOptions {
  qos: boolean;
  wait: boolean;
}

export interface Answering extends Sending {
  /** It answers one that was seen. */
  isAnswer: boolean;
}

/** A message to a device, as the books have it. */
export interface Entry {
  books: Books;
  message: Message;
}

/** What a transaction consists of. */
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
