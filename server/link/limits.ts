import { LocalError } from "../protocol/errors.ts";

/** Limits on everything that a stranger could make grow. */
export interface Limits {
  /** Longest hello in bytes; in dialect 2 it needs 91, the name, and up to 129 for metadata. Default 320. */
  helloBytes: number;
  /** Longest text of a message in bytes, in both directions. Default 16,384. */
  lineBytes: number;
  /** Messages from one device that wait for the application. A full inbox stops acks and reading. Default 1,000. */
  inbox: number;
  /** Messages to one device that wait for their ack. A full outbox refuses further ones. Default 1,000. */
  outbox: number;
  /** How long the oldest message to one device may wait for its ack, in ms. While it is older, further ones are refused;
   * the message is not dropped. With a store on disk the time runs on through restarts. Default: for ever. */
  outboxAge: number;
  /** Text in the inbox, in the outbox, and in the dead letters of one device, each in UTF-16 units. Default 1 Mi. */
  queueText: number;
  /** Text in the queues of all devices together, and in all dead letters, in UTF-16 units; each message counts 100 more.
   * Beyond it, a queue that is not empty takes nothing: `write` throws OUTBOX_FULL, and a device keeps its messages. If
   * there are keys or stock devices, all other devices may use half of it. Of several servers on one store, each counts
   * its own devices. One that moves to another server brings all that waits for it. Default 256 Mi. */
  totalText: number;
  /** Failures of an application with one message before it becomes a dead letter, if `deadLetters` is set. Default 5. */
  attempts: number;
  /** Dead letters of one device. If there is no room, a failing message holds up those behind it. Default 100. */
  deadLetters: number;
  /** Connections at one time. When there are more, the oldest whose greeting is not complete makes room for a new one.
   * If there are keys or stock devices, each of these has its place, and all other devices share half of the rest.
   * Default 2,000. */
  connections: number;
  /** Devices that neither have a key nor are listed as stock, as each needs a record. When there are more, the one that
   * has been away longest makes room for a new one, see `forgetAfter`. Default 10,000. */
  devices: number;
  /** How long such a device must have been away, without queued messages, before it may be forgotten to make room, in
   * ms. The time starts again with the server. Default 3,600,000: an hour. */
  forgetAfter: number;
}

/** The default limits. */
export const defaultLimits: Readonly<Limits> = {
  helloBytes: 320,
  lineBytes: 16 * 1024,
  inbox: 1000,
  outbox: 1000,
  outboxAge: Infinity,
  queueText: 1024 * 1024,
  totalText: 256 * 1024 * 1024,
  attempts: 5,
  deadLetters: 100,
  connections: 2000,
  devices: 10_000,
  forgetAfter: 3_600_000,
};

/** @throws {LocalError} BAD_ARGUMENT */
export function checkLimits(limits: Partial<Limits>): void {
  for (const [name, value] of Object.entries(limits)) {
    checkNumber(`limits.${name}`, value, 1, 2 ** 31);
  }
}

/** @throws {LocalError} BAD_ARGUMENT */
export function checkNumber(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new LocalError("BAD_ARGUMENT", `${name} must be ${least} to ${most}, not ${value}`);
}
