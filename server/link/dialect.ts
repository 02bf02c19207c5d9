import type { DeviceRecord, Outgoing } from "./record.ts";
import { RoundTrip } from "./round_trip.ts";

/** The part of a `Session` that differs between the dialects: one connection, from its hello on. */
export abstract class Dialect {
  /** Output that waits for the socket: greetings, acks, messages. */
  output = "";
  /** Advice for the error when a line has no id: what the other end seems to be. */
  advice: string | undefined;
  /** Times this connection's messages until their acks. */
  readonly roundTrip = new RoundTrip();
  /** See `underWay`. */
  protected next = 0;

  /** @param settled Called for every message that the device has, and for every one that leaves the outbox. */
  constructor(
    protected readonly record: DeviceRecord,
    protected readonly settled: (message: Outgoing) => void,
  ) {}

  /** How many messages of the outbox, from its front, are under way. */
  get underWay(): number {
    return this.next;
  }

  /** Whether the greeting said what the device has. */
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

  /** Called after changes: gives messages that are about to be sent what must be safe first. */
  prepare(): void {}

  /** Adds to the output what must be sent now. */
  abstract transmit(now: number): void;

  /** When `transmit` must be called at the latest. */
  abstract deadline(): number;
}

/** The start of a peer's line, escaped for a log. */
export function quote(line: string): string {
  if (line.charCodeAt(0) <= 4) return "part of a greeting"; // it may hold a proof
  return JSON.stringify(line.length > 40 ? `${line.slice(0, 40)}…` : line);
}
