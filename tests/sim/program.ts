/** The program of a device, on a chip or a host. */

/** The next message of a device's application. */
export interface Draft {
  text: string;
  qos: boolean;
  wait: boolean;
  /** Its deadline in ms; Infinity: none. */
  expires: number;
}

/** A program between a boot and its end. */
export interface Program {
  /** The link is up. */
  readonly isUp: boolean;
  /** How often it came up. */
  readonly connects: number;
  /** Nothing is left to write or to report. */
  readonly isIdle: boolean;
  /** It acknowledges a message when it hands it out, so it may miss one. */
  readonly mayMiss: boolean;
  /** Asks it to sleep for this many ms as soon as it can. @returns whether it will */
  sleepSoon?(ms: number): boolean;
  /** Whether it wants to sleep. */
  readonly wantsSleep?: boolean;
  /** The device has died. @param closes The system closed its connections. */
  died(closes: boolean): void;
}
