/**
 * What several server processes on one store need from it. A store for a single process has no fleet.
 *
 * **Leases.** At any time at most one process has a device: a row says which, with the token of `Store.acquire`. Only
 * tokens decide. `Store.acquire` gives a device to the caller, whoever had it. Every commit checks the token of each of
 * its changes, in its own transaction, so a process that has lost a device cannot change it; what it acknowledges and
 * sends follows from commits.
 *
 * **Beats.** A process that has not beaten for `lease` ms is dead, by the store's clock: others may adopt its devices.
 * One that was only slow, paused or cut off learns from its next beat or commit what it has lost, and continues with
 * the rest.
 *
 * **Mail.** An order for a device that another process has is posted: it becomes a row, in the transaction in which it
 * is decided. The process that has the device takes it: the commit that carries it out deletes the row. Its outcome is
 * a row for the process that posted it. When a device is forgotten its mail is deleted, and the senders get FORGOTTEN.
 *
 * **Sights.** A process publishes the view of each of its devices as a row, which it updates when it has changed and
 * which the others read now and then. It is only used to show devices to people.
 *
 * **Hints.** Notifications only make a process beat sooner. Nothing depends on them.
 *
 * As with any store, a commit resolves or rejects only when its outcome is certain. If a connection to a database is
 * lost during COMMIT, the store finds out itself (by a row that only this commit writes, read when the transaction can
 * no longer be under way), and `commit` takes as long as that takes.
 *
 * @module
 */
import type { DeviceState } from "../link/record.ts";

/** A device that the server has taken charge of. */
export interface Acquired {
  /** undefined if the store does not know the device. The caller may keep and change it. */
  state: DeviceState | undefined;
  /**
   * Grows each time the device is acquired. A change with an older token is refused. If several processes have acquired
   * a device that the store does not know, only one of them can commit.
   */
  token: number;
  /**
   * In a store with a fleet: mail that waits for the device, read in the same transaction, in the order of its numbers.
   */
  mail?: readonly Mail[];
  /** In a store with a fleet: see `Look.looks`. */
  looks?: number;
}

/** Most mail that waits for one device. More is refused with OUTBOX_FULL. */
export const MOST_MAIL = 64;

/**
 * An order for a device that another process has. Part of a `Work`: if it cannot be posted, nothing of the work
 * happens.
 */
export interface Post {
  /** Id of the device. */
  readonly device: string;
  /** The order, in the form that the other process parses. */
  readonly text: string;
  /** Its number among the posts of this process, for its answer. */
  readonly number: number;
}

/** A post that waits for the process that has the device. */
export interface Mail {
  /** Unique in the store; grows with each post of a process. */
  readonly number: number;
  /** Id of the device. */
  readonly device: string;
  /** As it was posted. */
  readonly text: string;
  /** How long it has waited, in ms, on the store's clock. */
  readonly age: number;
  /** Where its answer goes; only the store interprets this. */
  readonly from: string;
}

/** The outcome of mail, for the process that posted it. */
export interface Reply {
  /** The mail's `from`. */
  readonly to: string;
  /** The outcome, in the words of the process that took it. */
  readonly text: string;
}

/** The effect of a device's change on its mail, in the same commit. */
export interface MailChange {
  /** Numbers of mail to delete. All are for this device. */
  readonly taken: readonly number[];
  /** Outcomes for the processes that posted. A process that has ended gets none. */
  readonly replies: readonly Reply[];
}

/** Another process has taken a device from this one. */
export interface Lost {
  /** Number of the note, among those of `Beat.lost` and `Beat.answers`. */
  readonly note: number;
  /** Id of the device. */
  readonly device: string;
  /** The other process's token. A process whose token is greater has taken the device back. */
  readonly token: number;
}

/** The answer to a post of this process. */
export interface Answer {
  /** Number of the note, among those of `Beat.lost` and `Beat.answers`. */
  readonly note: number;
  /** Number of the post. */
  readonly number: number;
  /** The outcome: see `Reply`. */
  readonly text: string;
}

/** Work for a process. Each list may be incomplete: the rest comes with later beats. */
export interface Beat {
  /** Devices that other processes have taken from it. */
  readonly lost: readonly Lost[];
  /** Mail for devices that it has, for each device in the order of its numbers. */
  readonly mail: readonly Mail[];
  /** Answers to its posts. */
  readonly answers: readonly Answer[];
  /** Devices that no living process has, and for which messages or mail wait. */
  readonly orphans: readonly string[];
}

/** What is known about a device without taking charge of it. */
export interface Look {
  /** Whether this process has it, with the given token. */
  readonly isOurs: boolean;
  /** The device's state; undefined if it is ours, or the store does not know it. The caller may keep and change it. */
  readonly state: DeviceState | undefined;
  /** How often processes other than the owner have looked at it. 0: never, or it is not known. */
  readonly looks: number;
}

/** The parts of a device's state that are shown to people. */
export type Kept = Pick<DeviceState, "memos" | "deadLetters">;

/** A process's view of one of its devices, for the others. */
export interface Sight {
  /** Id of the device. */
  readonly device: string;
  /** The token with which this process has it, or had: the view with the greatest token counts. */
  readonly token: number;
  /** The view, in the words of the device's process; undefined: the device was forgotten. */
  readonly text: string | undefined;
}

/** The view of a device that another process has published. */
export interface Shown {
  /** Id of the device. */
  readonly device: string;
  /** A key of `Around.servers`, if that process is alive; undefined: no process has published the device. */
  readonly process: number | undefined;
  /** The token with which that process has it, or had. */
  readonly token: number;
  /** See `Sight`; undefined: it was forgotten, or no process has published it. */
  readonly text: string | undefined;
}

/** What this process can see of the others. */
export interface Around {
  /** Whether `shown` is everything, not only what has changed since the previous answer. */
  readonly isAll: boolean;
  /** The views of others. The list may be incomplete: the rest comes with the next answer. */
  readonly shown: readonly Shown[];
  /** The names of the living processes, including this one, by number. */
  readonly servers: ReadonlyMap<number, string>;
}

/** See the head of this module. Every call is one transaction. @throws {LocalError} STORE_FAILED, from each */
export interface Fleet {
  /** Time without a beat after which a process is dead, in ms. */
  readonly lease: number;
  /** `Reply.to` for an answer to this process, as if it had posted something with this number. Only after `join`. */
  sender(number: number): string;
  /**
   * Enters this process as alive. Must be called once, before anything else.
   *
   * @param heard Called when a beat may bring something: a device was lost, mail or an answer has come, a process
   * has left. It may be called too often, late or never.
   */
  join(heard: () => void): Promise<void>;
  /**
   * Keeps this process alive for another `lease` ms, and gets its work. One that was dead is alive again, with the
   * devices that nobody has adopted meanwhile.
   *
   * @param seen Notes of `lost` and `answers` from earlier beats, which are deleted.
   */
  beat(seen: readonly number[]): Promise<Beat>;
  /**
   * Reads a device that greets. If another process has it, or nobody, the look is counted: see `Look.looks`.
   *
   * @param token The token with which this process has it, as far as it knows; undefined: it does not have
   * it.
   */
  look(id: string, token: number | undefined): Promise<Look>;
  /**
   * Reads devices, whoever has them, to show them to people. Takes nothing, and counts no look.
   *
   * @returns by id; devices that the store does not know are missing
   */
  read(ids: readonly string[]): Promise<ReadonlyMap<string, Kept>>;
  /**
   * Like `Store.acquire` if no other living process has the device; otherwise undefined, and nothing has changed. A
   * process whose `acquire` or `adopt` has failed with an unknown outcome calls this again.
   */
  adopt(id: string): Promise<Acquired | undefined>;
  /**
   * Publishes views of this process's devices, and reads the others'. Called again only when the previous call has
   * settled.
   *
   * @param name This process's name, for people.
   */
  exchange(name: string, sights: readonly Sight[]): Promise<Around>;
  /** This process leaves: its devices are nobody's from now on. */
  leave(): Promise<void>;
}
