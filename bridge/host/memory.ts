/** The state of a client that outlives its process, and the interface of its storage. */
import type { Progress } from "./handout.ts";

/** A message that a client has accepted but its server has not acknowledged. */
export interface KeptMessage {
  /** Counted from the beginning of the stream; it never wraps. */
  readonly number: number;
  /** In UTF-8. */
  readonly text: Uint8Array;
  /** Its deadline, in whole ms on the clock of the memory; undefined: none. */
  readonly expires?: number;
}

/** A clock that continues from process to process, in whole ms, as it was at a commit. */
export interface KeptClock {
  /** The time on this clock. */
  readonly time: number;
  /** The date then, in ms since 1970; at the next start it tells how long no process ran. */
  readonly date: number;
}

/** Messages that a client has yet to send to its server. */
export interface KeptOutbox {
  /** Epoch of the stream. */
  readonly epoch: number;
  /** Number of the oldest message that the server may not have. */
  readonly first: number;
  /** Number of the next message. Numbers before it are never used again. */
  readonly next: number;
  /** In the order of their numbers. Messages with missing numbers were withdrawn. */
  readonly messages: readonly KeptMessage[];
}

/** The contents of a memory. */
export interface Remembered {
  /** How much of the server's stream is processed. */
  readonly progress: Progress;
  /** Messages under way to the server. */
  readonly outbox: KeptOutbox;
  /** The clock of the messages' deadlines, at the last commit. */
  readonly clock: KeptClock;
}

/** A change that must become safe in one step. */
export interface MemoryChange {
  /** Replaces the old progress. */
  readonly progress: Progress;
  /** Replaces the old clock. */
  readonly clock: KeptClock;
  /** These three replace those of `KeptOutbox`. Messages before `first` must be forgotten. */
  readonly epoch: number;
  /** See `KeptOutbox`. */
  readonly first: number;
  /** See `KeptOutbox`. */
  readonly next: number;
  /** Numbers of further messages to forget: they were withdrawn or refused. */
  readonly withdrawn: readonly number[];
  /** Messages to keep in addition. */
  readonly written: readonly KeptMessage[];
}

/** Keeps one client's state beyond the end of its process. */
export interface ClientMemory {
  /** Its contents when it was opened; undefined if nothing was ever committed. */
  readonly kept: Remembered | undefined;
  /**
   * Makes all of this safe, or nothing. Called at most once in a turn of the event loop. After it has returned, the
   * client tells the server and its application.
   *
   * @throws {Error} if it fails. The client tries again when there is more to keep.
   */
  commit(change: MemoryChange): void;
  /** Called when the client has ended. */
  close(): void;
}
