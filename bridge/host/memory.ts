/** What a client keeps beyond the end of its process, and what keeps it. */
import type { Progress } from "./handout.ts";

/** A message that a client has accepted, and its server has not acknowledged. */
export interface KeptMessage {
  /** Counted from the beginning of the stream, and never from 0 again. */
  readonly number: number;
  /** In UTF-8. */
  readonly text: Uint8Array;
  /** From when on it is not to be delivered any more, in whole ms on the clock of the memory; undefined: never. */
  readonly expires?: number;
}

/** A clock that goes on from process to process, in whole ms, as it stood at a commit. */
export interface KeptClock {
  /** What it said. */
  readonly time: number;
  /** The date then, in ms since 1970. What it says at the next start is how long nobody was here. */
  readonly date: number;
}

/** Messages that a client has still to send to its server. */
export interface KeptOutbox {
  /** Names the stream, as the server knows it. */
  readonly epoch: number;
  /** Number of the oldest message that the server may not have. */
  readonly first: number;
  /** Number of the next message. None before it is ever given to another message. */
  readonly next: number;
  /** In the order of their numbers. Missing numbers were withdrawn. */
  readonly messages: readonly KeptMessage[];
}

/** What a memory holds. */
export interface Remembered {
  /** How much of the server's stream is processed. */
  readonly progress: Progress;
  /** What is on its way to the server. */
  readonly outbox: KeptOutbox;
  /** For `KeptMessage.expires`. */
  readonly clock: KeptClock;
}

/** What is to become safe in one step. */
export interface MemoryChange {
  /** Replaces what was there. */
  readonly progress: Progress;
  /** Likewise. */
  readonly clock: KeptClock;
  /** These three replace those of `KeptOutbox`. Messages before `first` must be forgotten. */
  readonly epoch: number;
  /** See `KeptOutbox`. */
  readonly first: number;
  /** See `KeptOutbox`. */
  readonly next: number;
  /** Numbers of messages to forget as well: the server cannot take them. */
  readonly withdrawn: readonly number[];
  /** Messages to keep in addition. */
  readonly written: readonly KeptMessage[];
}

/** Keeps what one client must not forget, beyond the end of its process. */
export interface ClientMemory {
  /** What it held when it was opened; undefined if nothing was ever committed. */
  readonly kept: Remembered | undefined;
  /**
   * Makes all of this safe, or nothing of it. Called at most once in a turn of the event loop. When it has returned,
   * the client lets the server and its application know.
   *
   * @throws {Error} if that was not possible. The client tries again when there is more to keep.
   */
  commit(change: MemoryChange): void;
  /** The client has ended. */
  close(): void;
}
