/** What a device of a world runs, chip or host. */

/** What a device's application writes next. */
export interface Draft {
  text: string;
  qos: boolean;
  wait: boolean;
  /** For how long it is of use, in ms; Infinity: always. */
  expires: number;
}

/** What runs on a device between a boot and its end. */
export interface Program {
  /** The link is up. */
  readonly isUp: boolean;
  /** How often it came up. */
  readonly connects: number;
  /** Nothing is left to be written or told. */
  readonly isIdle: boolean;
  /** A message is acknowledged when it is handed out. */
  readonly mayMiss: boolean;
  /** Asks it to sleep for this many ms as soon as it can. @returns whether it will */
  sleepSoon?(ms: number): boolean;
  /** Whether it wants to sleep. */
  readonly wantsSleep?: boolean;
  /** The device is no more. @param closes It was told so. */
  died(closes: boolean): void;
}
