/**
 * Two families of errors. A {@link LocalError} is this program's fault or its user's: a bad argument, a
 * full buffer, a call after `close`. A {@link PeerError} says what the other end of a connection did
 * wrong; it never escapes into the application, but ends that one connection and is logged.
 */

/** What both families have: a `code` for programs beside the `message` for people. */
export abstract class HoldfastError<Code extends string = string> extends Error {
  /** Says what is wrong. @param code For programs; `message` is for people. */
  constructor(readonly code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** What can be wrong on this side. */
export type LocalCode =
  | "BACKUP_FAILED" // the disk for it is full, for example
  | "BAD_ARGUMENT" // of a call or on the command line
  | "BAD_TEXT" // a newline inside, empty, too long, or not well-formed Unicode
  | "CLOSED" // the server or client was closed
  | "CLEARED" // the message was dropped by `Device.clear`
  | "DEPLOY_REFUSED" // the device does not take this application, with the reason
  | "ELSEWHERE" // another server that shares the store has the device, and this is done there alone
  | "EXPIRED" // the message was not delivered in time, and never will be
  | "FAULT" // the other end has answered a request with a fault
  | "FELL_BACK" // the device has tried an application, and gone back to the one before
  | "FENCED" // somebody else has taken charge of this device
  | "FORGOTTEN" // the device was forgotten, by `Server.forget` or to make room
  | "GIVEN_UP" // a deploy was given up, or another one has taken its place
  | "INBOX_FULL" // there is no room for a dead letter
  | "NOT_OPEN" // the server was not told who may connect
  | "NOT_BUILT" // the .wasm to be loaded is missing
  | "OUTBOX_FULL"
  | "STORE_FAILED" // a full disk, for example: nothing is accepted until it works again
  | "STORE_UNUSABLE" // not a store of ours, or a damaged one
  | "UNANSWERED" // a request was delivered, and not answered in time
  | "UNDECIDED" // the message was sent, and nobody can say whether it was delivered; it is not sent again
  | "UNKNOWN_DEVICE" // the server has no device of this id
  | "UNSUPPORTED"; // the device knows nothing of deploys

/** Our fault, or our user's. */
export class LocalError extends HoldfastError<LocalCode> {
  /** As it is printed. */
  override name = "LocalError";
  /** Where several devices are concerned, the one with which it cannot be. */
  declare device?: string;
}

/** What can be wrong on the other side. */
export type PeerCode =
  | "BAD_GREETING" // dialect 2's, malformed
  | "BAD_HELLO" // empty, control characters, bad UTF-8
  | "BAD_LINE" // a line that starts with no two lower-case hex digits
  | "BAD_POSITION" // an ack, or a position, for what was never sent
  | "BAD_PROOF" // the keys differ
  | "BAD_SEAL" // a record that was changed, repeated, left out, or made without the key
  | "BAD_UTF8"
  | "CREDIT" // more was sent than the receiver had room for
  | "GAP" // a message is missing
  | "HELLO_TOO_LONG"
  | "LATE" // no ack came for `timeout` after a message's time was up: the next connection says what has become of it
  | "LINE_TOO_LONG"
  | "LOST" // closed or reset by the other end or the network
  | "NOT_ADMITTED" // by keys, --stock or --open
  | "NO_ADDRESS" // the server's name cannot be looked up
  | "NO_ANSWER" // no TCP connection in time
  | "NO_GREETING" // connected, but nothing was heard in time
  | "NO_HELLO" // connected, but no hello came in time
  | "REFUSED" // by the server, with its reason
  | "SILENT" // nothing was heard for `timeout`
  | "STALE_GREETING" // the device was welcomed, but what the welcome said was true no longer when it answered
  | "STALLED" // the other end takes nothing from its socket
  | "TOO_MANY_CONNECTIONS"
  | "TOO_MANY_DEVICES";

/** What goes with a `PeerError`. */
export interface PeerErrorOptions extends ErrorOptions {
  /** Advice for those who set up the other end, where its settings seem to be at fault: what is wrong, and what to do. */
  advice?: string;
}

/** The other end's fault, or the network's. */
export class PeerError extends HoldfastError<PeerCode> {
  /** As it is printed. */
  override name = "PeerError";
  /** What the other end seems to be, if not one of ours, and what to do about it. */
  readonly advice: string | undefined;

  /** Says what is wrong. @param code For programs; `message` is for people. */
  constructor(code: PeerCode, message: string, options?: PeerErrorOptions) {
    super(code, message, options);
    this.advice = options?.advice;
  }
}
