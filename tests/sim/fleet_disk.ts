/** The modelled database of a fleet: besides the devices' rows it has leases, processes, and notes to them. */
import {
  type Answer,
  type Around,
  type Beat,
  type Kept,
  type Lost,
  type Mail,
  MOST_MAIL,
  type Post,
  type Reply,
  type Shown,
  type Sight,
} from "../../server/store/fleet.ts";
import { FORGOTTEN } from "../../server/store/ledger.ts";
import type { Acquired, Change } from "../../server/store/store.ts";
import { failure } from "../../server/link/outcome.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { Disk, type DiskWatcher } from "./disk.ts";
import { PostgresTables } from "./postgres.ts";

/** Called with a process's actions on devices. */
export interface FleetWatcher extends DiskWatcher {
  /** A process takes a device. @param from The process that had it */
  taken(id: string, by: string, from: string | undefined): void;
  /** A device has greeted a process that does not have it. @param isKnown To the store */
  lookedAt(id: string, by: string, isKnown: boolean): void;
  /** Mail is posted. */
  posted(post: Post): void;
  /** Mail ends in the current commit, which carries it out. @param text As in `Post` */
  mailEnds(id: string, text: string): void;
}

export interface Lease {
  process: string | undefined;
  token: number;
  looks: number;
}

interface ProcessRow {
  aliveUntil: number;
  lost: Lost[];
  answers: Answer[];
  /** Number of its last commit that was executed; and up to which number no further commit will be executed. */
  committed: number;
  barred: number;
  hint: () => void;
}

/** What a process shows the others about a device. */
interface SightRow extends Sight {
  /** The process's number. */
  readonly process: number;
  /** Grows with each row that the process shows. */
  readonly version: number;
}

interface MailRow {
  number: number;
  device: string;
  text: string;
  from: string;
  postedAt: number;
}

/** The most that a heartbeat brings of each kind: the model's limits are low. */
const MOST = 3;

export class FleetDisk extends Disk {
  override readonly tables = new PostgresTables();
  readonly leases = new Map<string, Lease>();
  readonly #processes = new Map<string, ProcessRow>();
  readonly #sights = new Map<string, SightRow>();
  /** The names of all processes so far, in order. */
  readonly #names: string[] = [];
  readonly #labels = new Map<string, string>();
  #mail: MailRow[] = [];
  #numbers = 0;
  /** Until when some transactions of applications take up to `slowTransaction`, in ms. */
  slowTransactionsUntil = -Infinity;
  slowTransaction = 0;
  /** Until when some process may only get errors here, in ms. */
  troubledUntil = -Infinity;

  /** @param lease In ms. */
  constructor(readonly lease: number) {
    super();
  }

  override get troubleEnd(): number {
    const slow = this.slowTransactionsUntil + this.slowTransaction;
    return Math.max(super.troubleEnd, this.troubledUntil + this.lease, slow);
  }

  /** Whether no posted mail is waiting to be taken. */
  get isQuiet(): boolean {
    return this.#mail.length === 0;
  }

  hasMail(id: string): boolean {
    return this.#mail.some(({ device }) => device === id);
  }

  join(name: string, now: number, hint: () => void): void {
    const row = { lost: [], answers: [], committed: 0, barred: 0, hint };
    this.#processes.set(name, { ...row, aliveUntil: now + this.lease });
  }

  /**
   * @param seen The last version seen of each process; undefined: none. @returns what is new, and the versions that the
   * caller has seen when this reaches it
   */
  exchange(
    name: string,
    label: string,
    sights: readonly Sight[],
    seen: Map<number, number> | undefined,
    now: number,
  ): { around: Around; seen: Map<number, number> } {
    if (!this.#names.includes(name)) this.#names.push(name);
    const own = this.#names.indexOf(name);
    this.#labels.set(name, label);
    for (const sight of sights) {
      const { device, token } = sight;
      if ((this.#sights.get(device)?.token ?? -1) > token) continue;
      this.#sights.set(device, { ...sight, process: own, version: ++this.#numbers });
    }
    const others = [...this.#sights.values()].filter(({ process }) => process !== own);
    const news = others.filter(({ process, version }) => version > (seen?.get(process) ?? 0))
      .sort((a, b) => a.version - b.version).slice(0, seen ? MOST : undefined);
    const shown: Shown[] = news.map(({ version: _, ...sight }) => sight);
    if (!seen) {
      for (const device of this.devices.keys()) {
        if (!this.#sights.has(device)) {
          shown.push({ device, process: undefined, token: 0, text: undefined });
        }
      }
    }
    const alive = this.#names.entries().filter(([_, it]) => this.isAlive(it, now));
    const servers = new Map(alive.map(([number, it]) => [number, this.#labels.get(it)!] as const));
    const newest = new Map(seen);
    for (const { process, version } of news) newest.set(process, version);
    return { around: { isAll: seen === undefined, shown, servers }, seen: newest };
  }

  leave(name: string): void {
    this.#processes.delete(name);
    for (const lease of this.leases.values()) {
      if (lease.process === name) lease.process = undefined;
    }
    for (const { hint } of this.#processes.values()) hint();
  }

  isAlive(name: string | undefined, now: number): boolean {
    const row = name === undefined ? undefined : this.#processes.get(name);
    return row !== undefined && now < row.aliveUntil;
  }

  beat(name: string, seen: readonly number[], now: number): Beat {
    const row = this.#processes.get(name)!;
    row.aliveUntil = now + this.lease;
    row.lost = row.lost.filter(({ note }) => !seen.includes(note));
    row.answers = row.answers.filter(({ note }) => !seen.includes(note));
    const ours = this.#mail.filter(({ device }) => this.leases.get(device)?.process === name);
    return {
      lost: row.lost.slice(0, MOST),
      answers: row.answers.slice(0, MOST),
      mail: ours.slice(0, MOST).map((it) => aged(it, now)),
      orphans: this.#orphans(now).slice(0, MOST),
    };
  }

  #orphans(now: number): string[] {
    return [...this.devices].filter(([id, { inbox, outbox }]) => {
      const waits = inbox.length > 0 || outbox.length > 0 ||
        this.#mail.some(({ device }) => device === id);
      return waits && !this.isAlive(this.leases.get(id)?.process, now);
    }).map(([id]) => id);
  }

  #leaseOf(id: string): Lease {
    let lease = this.leases.get(id);
    if (!lease) this.leases.set(id, lease = { process: undefined, token: 0, looks: 0 });
    return lease;
  }

  /** @param ahead How far the world's clock is ahead of the process's. */
  look(name: string, id: string, token: number | undefined, ahead: number, watcher: FleetWatcher) {
    const lease = this.#leaseOf(id);
    const isOurs = lease.process === name && lease.token === token;
    const isKnown = this.devices.has(id);
    if (!isOurs && isKnown) lease.looks++;
    if (!isOurs) watcher.lookedAt(id, name, isKnown);
    const state = isOurs ? undefined : this.stateOf(id, ahead);
    return { isOurs, state, looks: lease.looks };
  }

  /** What the store has about devices, for the page. */
  read(ids: readonly string[], ahead: number): Map<string, Kept> {
    const states = ids.map((id) => [id, this.stateOf(id, ahead)] as const);
    return new Map(states.flatMap(([id, state]) => {
      return state
        ? [[id, { memos: state.memos ?? [], deadLetters: state.deadLetters ?? [] }]]
        : [];
    }));
  }

  take(name: string, id: string, ahead: number, now: number, watcher: FleetWatcher): Acquired {
    const lease = this.#leaseOf(id);
    const from = lease.process;
    const token = ++lease.token;
    lease.process = name;
    const former = from === undefined || from === name ? undefined : this.#processes.get(from);
    former?.lost.push({ note: ++this.#numbers, device: id, token });
    former?.hint();
    watcher.taken(id, name, from);
    const mail = this.#mail.filter(({ device }) => device === id).map((it) => aged(it, now));
    return { state: this.stateOf(id, ahead), token, mail, looks: lease.looks };
  }

  /** Like `take`, unless another living process has the device. */
  adopt(name: string, id: string, ahead: number, now: number, watcher: FleetWatcher) {
    const { process } = this.#leaseOf(id);
    if (process !== name && this.isAlive(process, now)) return undefined;
    return this.take(name, id, ahead, now, watcher);
  }

  /** The first change of a device that another process has by now. */
  fenced(changes: Iterable<Pick<Change, "id" | "token">>): string | undefined {
    for (const { id, token } of changes) {
      if (token !== this.#leaseOf(id).token) return id;
    }
    return undefined;
  }

  /** Whether a commit may be executed: nobody was told that it never will be. */
  mayExecute(name: string, number: number): boolean {
    const row = this.#processes.get(name);
    return row !== undefined && number > row.barred;
  }

  executed(name: string, number: number): void {
    this.#processes.get(name)!.committed = number;
  }

  /** Says whether a commit whose answer was lost was executed. If it was not, it never will be. */
  decide(name: string, number: number): boolean {
    const row = this.#processes.get(name)!;
    row.barred = number;
    return row.committed === number;
  }

  /** Why nothing can be posted. */
  refuses({ device }: Post): LocalError | undefined {
    const unknown = !this.devices.has(device);
    const waiting = this.#mail.filter((mail) => mail.device === device).length;
    if (!unknown && waiting < MOST_MAIL) return undefined;
    const error = unknown
      ? new LocalError("UNKNOWN_DEVICE", "the store does not know it")
      : new LocalError("OUTBOX_FULL", "too much mail waits for it");
    error.device = device;
    return error;
  }

  post(name: string, post: Post, now: number, watcher: FleetWatcher): void {
    const { device, text, number } = post;
    const from = `${name} ${number}`;
    this.#mail.push({ number: ++this.#numbers, device, text, from, postedAt: now });
    this.hint(this.leases.get(device)?.process);
    watcher.posted(post);
  }

  /** Applies a change's effect on mail. */
  sort(
    { id, mail, removed }: Pick<Change, "id" | "mail" | "removed">,
    watcher: FleetWatcher,
  ): void {
    const isTaken = (it: MailRow) => it.device === id && (mail?.taken.includes(it.number) ?? false);
    for (const { text } of this.#mail.filter(isTaken)) watcher.mailEnds(id, text);
    this.#mail = this.#mail.filter((it) => !isTaken(it));
    if (removed) {
      const text = JSON.stringify(failure(FORGOTTEN));
      for (const { device, from } of this.#mail) {
        if (device === id) this.#answer({ to: from, text });
      }
      this.#mail = this.#mail.filter(({ device }) => device !== id);
    }
    for (const reply of mail?.replies ?? []) this.#answer(reply);
  }

  #answer({ to, text }: Reply): void {
    const [name = "", number] = to.split(" ");
    const row = this.#processes.get(name);
    row?.answers.push({ note: ++this.#numbers, number: Number(number), text });
    this.hint(name);
  }

  hint(name: string | undefined): void {
    if (name !== undefined) this.#processes.get(name)?.hint();
  }
}

function aged({ postedAt, ...mail }: MailRow, now: number): Mail {
  return { ...mail, age: now - postedAt };
}
