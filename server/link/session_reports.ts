/** What sessions report besides messages. */

/** Receives what devices send and do. */
export interface SessionReports {
  /** A device has logged a line. Its ack waits for the commit, like a message's; if the server is killed first, the
   * line may come again. */
  logged(device: string, line: string): void;
  /** A device's firmware has sent a text that starts with %x02. Its ack waits for the commit, too, and changes of the
   * record made now are in that commit. */
  told(device: string, text: string): void;
  /** A message of an application to the device was withdrawn: an older server accepted it, but it starts with %x02,
   * which is reserved now. */
  notWritten(device: string, text: string): void;
  /** A device has begun a new stream of messages: it has restarted, or lost its memory. */
  booted(device: string): void;
}

/** Reports nothing. */
export const NOBODY: SessionReports = { logged() {}, told() {}, notWritten() {}, booted() {} };
