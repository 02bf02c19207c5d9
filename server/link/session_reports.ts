/** What sessions tell beside messages. */

/** Is told what devices say and do. */
export interface SessionReports {
  /** A device itself has logged a line. Its ack waits for the commit, as a message's; a server that is killed before
   * may be told again. */
  logged(device: string, line: string): void;
  /** A device's firmware has said something: a text that starts with %x02. Its ack waits for the commit, too, and what is
   * changed now in the record is in the same one. */
  told(device: string, text: string): void;
  /** A message of an application's to the device was withdrawn: an older server took it, and it starts with %x02, which
   * is no application's now. */
  notWritten(device: string, text: string): void;
  /** A device has begun a new stream of messages: it was started, or knows nothing any more. */
  booted(device: string): void;
}

/** Nobody is told. */
export const NOBODY: SessionReports = { logged() {}, told() {}, notWritten() {}, booted() {} };
