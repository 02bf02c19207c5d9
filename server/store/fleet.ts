/**
 * What several server processes on one store need of it. A store that only one process can use has none.
 *
 * **Leases.** At any time one process at most has a device: a row says which, with the token of `Store.acquire`. Tokens
 * decide, and nothing else does. `Store.acquire` gives a device to the process that asks, whoever had it. Every commit
 * checks the token of each change in it, in its own transaction, so a process that has lost a device can change nothing
 * of it; what it acknowledges and sends follows from commits.
 *
 * **Beats.** A process that has not beaten for `lease` ms is dead, by the store's clock: others may adopt its devices.
 * One that was only slow, paused or cut off finds out by its next beat or commit what it has lost, and goes on with the
 * rest.
 *
 * **Mail.** What is to be done with a device that another process has is posted to it: a row, in the transaction in which
 * it is decided. The process that has the device takes it: the row goes in the commit that does what it says. What comes
 * of it is a row for the process that has posted it. When a device is forgotten its mail goes with it, and those who have
 * posted are told FORGOTTEN.
 *
 * **Sights.** What a process lets the others see of its devices is a row for each, written again when it has changed, and
 * read by the others now and then. Nothing follows from it but what people are shown.
 *
 * **Hints.** Notifications only have a process beat sooner. Nothing follows from one, and nothing depends on it.
 *
 * As for any store, a commit resolves or rejects only when it is certain which of the two it is. Where a connection to a
 * database is lost amid COMMIT, the store finds out itself (a row that only this commit has written, read when the
 * transaction can be under way no longer), and `commit` takes as long as that takes.
 *
 * @module
 */
import type { DeviceState } from "../link/record.ts";

/** A device that the server has taken charge of. */
export interface Acquired {
  /** undefined if the store does not know the device. The caller may keep and change it. */
  state: DeviceState | undefined;
  /**
   * Grows each time that the device is acquired. A change that carries an older one is refused. If several have acquired a
   * device that the store does not know, only one of them can commit.
   */
  token: number;
  /** Of a store with a fleet: mail that waits for the device, read in the same transaction, in the order of its numbers. */
  mail?: readonly Mail[];
  /** Of a store with a fleet: see `Look.looks`. */
  looks?: number;
}

/** Most mail that waits for one device. More is refused with OUTBOX_FULL. */
export const MOST_MAIL = 64;

/** Something to be done with a device that another process has. Part of a `Work`: it is posted, or nothing of the work. */
export interface Post {
  /** Of the device. */
  readonly device: string;
  /** The order, as the process that takes it reads it. */
  readonly text: string;
  /** Names it among the posts of this process, for its answer. */
  readonly number: number;
}

/** A post that waits for the process that has the device. */
export interface Mail {
  /** Names it among all mail of the store, and grows from each that a process posts to its next. */
  readonly number: number;
  /** Of the device. */
  readonly device: string;
  /** As it was posted. */
  readonly text: string;
  /** For how long it has waited, in ms, by the store's clock. */
  readonly age: number;
  /** Where its answer goes, for the store to understand. */
  readonly from: string;
}

/** What has come of mail, for the process that has posted it. */
export interface Reply {
  /** The mail's `from`. */
  readonly to: string;
  /** The outcome, as the process that took it words it. */
  readonly text: string;
}

/** What a change of a device does to its mail, in the same commit. */
export interface MailChange {
  /** Numbers of mail whose rows go. All are of this device. */
  readonly taken: readonly number[];
  /** Rows for the processes that posted. A process that has ended gets none. */
  readonly replies: readonly Reply[];
}

/** Another process has taken a device from this one. */
export interface Lost {
  /** Names the note, among those of `Beat.lost` and `Beat.answers`. */
  readonly note: number;
  /** Its id. */
  readonly device: string;
  /** The other process's token. A process with a greater one has the device again. */
  readonly token: number;
}

/** The answer to a post of this process. */
export interface Answer {
  /** Names the note, among those of `Beat.lost` and `Beat.answers`. */
  readonly note: number;
  /** The post's. */
  readonly number: number;
  /** See `Reply`. */
  readonly text: string;
}

/** What there is for a process to do. Each list may be cut short: the rest comes with later beats. */
export interface Beat {
  /** Devices that it had, and others have taken. */
  readonly lost: readonly Lost[];
  /** Mail of devices that it has; of each device in the order of its numbers. */
  readonly mail: readonly Mail[];
  /** To what it has posted. */
  readonly answers: readonly Answer[];
  /** Devices that no living process has, and for which something waits: messages of theirs, messages to them, mail. */
  readonly orphans: readonly string[];
}

/** What is known of a device without taking charge of it. */
export interface Look {
  /** Whether this process has it, with the token that it has named. */
  readonly isOurs: boolean;
  /** The device's; undefined if it is ours, or the store does not know it. The caller may keep and change it. */
  readonly state: DeviceState | undefined;
  /** How often other processes than the one that has the device have looked at it. 0: none, or it is not known. */
  readonly looks: number;
}

/** What there is of a device beside its positions and the messages that wait. */
export type Kept = Pick<DeviceState, "memos" | "deadLetters">;

/** What a process lets the others see of a device that it has. */
export interface Sight {
  /** Its id. */
  readonly device: string;
  /** With which this process has it, or had: what somebody shows who has it since counts for more. */
  readonly token: number;
  /** As the process that has the device words it; undefined: the device was forgotten. */
  readonly text: string | undefined;
}

/** What another process shows of a device, or has shown when it had it. */
export interface Shown {
  /** Its id. */
  readonly device: string;
  /** A key of `Around.servers`, if that process is alive; undefined: no process has ever shown the device. */
  readonly process: number | undefined;
  /** With which that process has it, or had. */
  readonly token: number;
  /** See `Sight`; undefined: it was forgotten, or no process has ever shown it. */
  readonly text: string | undefined;
}

/** What this process can see of the others. */
export interface Around {
  /** Whether `shown` is all that there is, and not only what has changed since the answer before. */
  readonly isAll: boolean;
  /** What others show. It may be cut short: the rest comes with the next answer. */
  readonly shown: readonly Shown[];
  /** The names of the processes that are alive, by numbers of their own; this one is among them. */
  readonly servers: ReadonlyMap<number, string>;
}

/** See the head of this module. Every call is one transaction. @throws {LocalError} STORE_FAILED, from each */
export interface Fleet {
  /** Time without a beat after which a process is dead, in ms. */
  readonly lease: number;
  /** `Reply.to` of an answer to this process, as if it had posted something with this number; once it has entered. */
  sender(number: number): string;
  /**
   * Enters this process, alive from now on. To be called before anything else, once.
   *
   * @param heard Told that a beat may bring something: a device was lost, mail or an answer has come, a process has
   * left. It may be told too often, late or never.
   */
  join(heard: () => void): Promise<void>;
  /**
   * Says that this process is alive for another `lease` ms, and asks what there is to do. One that was dead is alive
   * again, with the devices that nobody has adopted meanwhile.
   *
   * @param seen Notes of `lost` and `answers` that earlier beats have brought: they go.
   */
  beat(seen: readonly number[]): Promise<Beat>;
  /**
   * What there is of a device that greets. If another process has it, or nobody, that is counted: see `Look.looks`.
   *
   * @param token With which this process has it, as far as it knows; undefined: it does not.
   */
  look(id: string, token: number | undefined): Promise<Look>;
  /**
   * What the store has of devices, whoever has them: for people who look at them. Nothing is taken, and no look counted.
   *
   * @returns by ids; of a device that the store does not know, nothing
   */
  read(ids: readonly string[]): Promise<ReadonlyMap<string, Kept>>;
  /**
   * As `Store.acquire`, if no other living process has the device; else undefined, and nothing has changed. A process
   * that does not know what has become of an `acquire` or `adopt` of its own, as that has failed, asks again by this.
   */
  adopt(id: string): Promise<Acquired | undefined>;
  /**
   * Lets the others see devices of this process, and looks at theirs. Called again only when the call before has settled.
   *
   * @param name Of this process, for people.
   */
  exchange(name: string, sights: readonly Sight[]): Promise<Around>;
  /** This process is no more: its devices are nobody's from now on. */
  leave(): Promise<void>;
}
