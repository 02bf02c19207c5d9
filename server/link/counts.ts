/** Messages since the server was started. */
export interface MessageCounts {
  /** Of the device, accepted. */
  received: number;
  /** Of the device, done with by the application. */
  processed: number;
  /** Of the device, given up: dead letters. */
  dead: number;
  /** To the device, accepted with qos. */
  written: number;
  /** To the device, acknowledged by it. */
  delivered: number;
  /** To the device, withdrawn as their time was up. */
  expired: number;
}

export function noMessages(): MessageCounts {
  return { received: 0, processed: 0, dead: 0, written: 0, delivered: 0, expired: 0 };
}
