/** Everything that a stranger could make grow, and how far it may. */
export interface Limits {
  /** Longest hello in bytes: dialect 2's takes 91, the name, and up to 65 of metadata. Default 320. */
  helloBytes: number;
  /** Longest text of a message in bytes, in both directions. Default 16,384. */
  lineBytes: number;
  /** Messages from one device that wait for the application. A full inbox stops acks and reading. Default 1,000. */
  inbox: number;
  /** Messages to one device that wait for their ack. A full outbox refuses further ones. Default 1,000. */
  outbox: number;
  /** Text in either of the two, in UTF-16 units. Default 1 Mi. */
  queueText: number;
  /** Connections at one time, with and without a hello. Default 2,000. */
  connections: number;
  /** Devices ever seen, as each has a record of its own. Default 10,000. */
  devices: number;
}

export const defaultLimits: Readonly<Limits> = {
  helloBytes: 320,
  lineBytes: 16 * 1024,
  inbox: 1000,
  outbox: 1000,
  queueText: 1024 * 1024,
  connections: 2000,
  devices: 10_000,
};
