/** Messages since the server was started. */
export interface MessageCounts {
  /** From the device, accepted. */
  received: number;
  /** From the device, processed by the application. */
  processed: number;
  /** From the device, set aside as dead letters. */
  dead: number;
  /** To the device, accepted with qos. */
  written: number;
  /** To the device, acknowledged by it. */
  delivered: number;
  /** To the device, withdrawn at their deadlines. */
  expired: number;
}

export function noMessages(): MessageCounts {
  return { received: 0, processed: 0, dead: 0, written: 0, delivered: 0, expired: 0 };
}
