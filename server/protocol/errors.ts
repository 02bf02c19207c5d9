/**
 * Two families of errors. A {@link LocalError} is the fault of this program or its user: a bad
 * argument, a full buffer, a call after `close`. A {@link PeerError} is the fault of the other end of a
 * connection; it never reaches the application, but ends that connection and is logged.
 */

/** What both families have: a `code` for programs beside the `message` for people. */
export abstract class HoldfastError<Code extends string = string> extends Error {
  /** Creates an error. @param code For programs; `message` is for people. */
  constructor(readonly code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Codes of errors of this side. */
export type LocalCode =
  | "BACKUP_FAILED" // the disk for it is full, for example
  | "BAD_ARGUMENT" // of a call or on the command line
  | "BAD_TEXT" // a newline inside, empty, too long, or not well-formed Unicode
  | "CLOSED" // the server or client was closed
  | "CLEARED" // the message was dropped by `Device.clear`
  | "DEPLOY_REFUSED" // the device refuses this application, with the reason
  | "ELSEWHERE" // another server that shares the store has the device, and this can only be done there
  | "EXPIRED" // the message was not delivered in time, and never will be
  | "FAULT" // the other end answered a request with a fault
  | "FELL_BACK" // the device tried an application, and fell back to the previous one
  | "FENCED" // another server or client has taken over this device
  | "FORGOTTEN" // the device was forgotten, by `Server.forget` or to make room
  | "GIVEN_UP" // a deploy was given up, or replaced by another one
  | "INBOX_FULL" // there is no room for a dead letter
  | "NOT_OPEN" // no option says who may connect
  | "NOT_BUILT" // the .wasm to be loaded is missing
  | "OUTBOX_FULL"
  | "STORE_FAILED" // a full disk, for example: nothing is accepted until it works again
  | "STORE_UNUSABLE" // not a store of ours, or a damaged one
  | "UNANSWERED" // a request was delivered, but not answered in time
  | "UNDECIDED" // the message was sent, but nobody can tell whether it was delivered; it is not sent again
  | "UNKNOWN_DEVICE" // the server knows no device with this id
  | "UNSUPPORTED"; // the device does not support deploys

/** An error of this program or its user. */
export class LocalError extends HoldfastError<LocalCode> {
  /** The name that is printed. */
  override name = "LocalError";
  /** If several devices are concerned, the one that caused it. */
  declare device?: string;
}

/** Codes of errors of the other side. */
export type PeerCode =
  | "BAD_GREETING" // dialect 2's, malformed
  | "BAD_HELLO" // empty, control characters, bad UTF-8
  | "BAD_LINE" // a line that does not start with two lower-case hex digits
  | "BAD_POSITION" // an ack, or a position, for what was never sent
  | "BAD_PROOF" // the keys differ
  | "BAD_SEAL" // a record that was changed, repeated, left out, or made without the key
  | "BAD_UTF8"
  | "CREDIT" // more was sent than the receiver's credit allowed
  | "GAP" // a message is missing
  | "HELLO_TOO_LONG"
  | "LATE" // no ack came for `timeout` after a message's deadline: the next connection decides its fate
  | "LINE_TOO_LONG"
  | "LOST" // closed or reset by the other end or the network
  | "NOT_ADMITTED" // by keys, --stock or --open
  | "NO_ADDRESS" // the server's name cannot be looked up
  | "NO_ANSWER" // no TCP connection in time
  | "NO_GREETING" // connected, but nothing was heard in time
  | "NO_HELLO" // connected, but no hello came in time
  | "REFUSED" // by the server, with its reason
  | "SILENT" // nothing was heard for `timeout`
  | "STALE_GREETING" // the welcome was outdated when the device answered it
  | "STALLED" // the other end reads nothing from its socket
  | "TOO_MANY_CONNECTIONS"
  | "TOO_MANY_DEVICES";

/** Options of a `PeerError`. */
export interface PeerErrorOptions extends ErrorOptions {
  /** Advice for whoever sets up the other end, if its settings seem to be at fault: what is wrong, and what to do. */
  advice?: string;
}

/** An error of the other end or the network. */
export class PeerError extends HoldfastError<PeerCode> {
  /** The name that is printed. */
  override name = "PeerError";
  /** What the other end seems to be, if it is not one of ours, and what to do about it. */
  readonly advice: string | undefined;

  /** Creates an error. @param code For programs; `message` is for people. */
  constructor(code: PeerCode, message: string, options?: PeerErrorOptions) {
    super(code, message, options);
    this.advice = options?.advice;
  }
}
