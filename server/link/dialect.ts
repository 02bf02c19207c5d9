import type { DeviceRecord, Outgoing } from "./record.ts";
import { RoundTrip } from "./round_trip.ts";

/** What differs between the dialects: one connection's share of a `Session`, from its hello on. */
export abstract class Dialect {
  /** Waits for the socket: greetings, acks, messages. */
  output = "";
  /** Goes with the error when a line has no id: what the other end seems to be. */
  advice: string | undefined;
  /** Between this connection's messages and their acks. */
  readonly roundTrip = new RoundTrip();
  /** See `underWay`. */
  protected next = 0;

  /** @param settled Told of every message that the device has, and of every one that leaves the outbox. */
  constructor(
    protected readonly record: DeviceRecord,
    protected readonly settled: (message: Outgoing) => void,
  ) {}

  /** How many messages of the outbox, the oldest ones, are on their way. */
  get underWay(): number {
    return this.next;
  }

  /** Whether its greeting has told what the device has. */
  readonly isTold: boolean = false;

  /** Whether the device's firmware takes messages of its own. */
  readonly takesFirmware: boolean = false;

  /** A message line has arrived. @throws {PeerError} if it cannot be the next one */
  abstract check(line: string): void;

  /** Takes a checked message. Returns false if it needs room in the inbox and the inbox is full. */
  abstract accept(line: string, hasRoom: boolean): boolean;

  /** An ack has arrived. @throws {PeerError} */
  abstract acknowledged(id: number, now: number): void;

  /** Sends a message without qos. Returns whether that is possible now. */
  abstract sendOnce(text: string, now: number): boolean;

  /** Something has changed: what is going to be sent gets all that must be safe before it is. */
  prepare(): void {}

  /** Adds to the output what must be sent now. */
  abstract transmit(now: number): void;

  /** When `transmit` must be called at the latest. */
  abstract deadline(): number;
}

/** The first bytes of a peer's line for a log, on one line. */
export function quote(line: string): string {
  if (line.charCodeAt(0) <= 4) return "part of a greeting"; // it may hold a proof
  return JSON.stringify(line.length > 40 ? `${line.slice(0, 40)}…` : line);
}
