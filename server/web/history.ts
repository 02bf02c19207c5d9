/**
 * When devices had a link, and when the server ran, for the timeline. It is bounded, and kept in the store's database,
 * if it has one, so that it survives the server. All times are ms since 1970.
 */
import type { ServerEvent } from "../observe/events.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Clock } from "../transport/platform.ts";
import { isOwn, type Watched } from "./fleet.ts";

/** Most links of a device: the last ones. */
const MOST_LINKS = 500;

/** Reasons for the end of a link: the device sleeps; it did not come back from sleep in time. */
const ASLEEP = "ASLEEP";
const OVERDUE = "OVERDUE";

/** How long links are kept, in ms. */
const LONGEST = 8 * 24 * 3600 * 1000;

/** How often the history is written, in ms. */
export interface HistoryPace {
  /** Delay before changes are written. */
  readonly soon: number;
  /** Interval between two notes that the server runs: links of a killed server may seem shorter by this. */
  readonly heartbeat: number;
}

const PACE: HistoryPace = { soon: 2000, heartbeat: 60_000 };

/** The id for the server's own times; no device has it. */
const SERVER = "";

const TABLE = `CREATE TABLE IF NOT EXISTS web_links (
  device TEXT NOT NULL,
  began BIGINT NOT NULL,
  ended BIGINT,
  code TEXT,
  boot TEXT,
  PRIMARY KEY (device, began)
)`;

const KEEP = `INSERT INTO web_links VALUES (?, ?, ?, ?, ?) ON CONFLICT (device, began)
  DO UPDATE SET ended = excluded.ended, code = excluded.code, boot = excluded.boot`;

/** A period in which a device had a link. */
export interface LinkTime {
  readonly from: number;
  /** Undefined: it still has it. */
  readonly to?: number;
  /**
   * Why it ended, as in the log: SILENT, for example; ASLEEP: no outage follows; OVERDUE: the device did not come back
   * from sleep in time.
   */
  readonly code?: string;
  /**
   * If the device restarted before this link, the reason that it gives, such as `watchdog`, or "". Undefined: it did
   * not restart.
   */
  readonly boot?: string;
}

/** The part of `Server` that is needed here. */
export interface Recorded extends Watched {
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void>;
}

type Links = Map<string, LinkTime[]>;

export class History {
  readonly #server: Recorded;
  readonly #clock: Clock;
  readonly #pace: HistoryPace;
  readonly #links: Links = new Map(); // by device, oldest first
  readonly #changed = new Map<string, Map<number, LinkTime>>();
  /** Whether the store has a database, and the notes of an earlier server were read from it. */
  #isDurable = false;
  /**
   * Until the notes are read: devices that the server knew at the start, which another server may have taken over
   * since.
   */
  readonly #known: Set<string>;
  /** Until then: devices that the server has forgotten. */
  readonly #forgotten = new Set<string>();
  /** Until then: devices that slept at the start, and whether they are asleep or overdue. */
  readonly #slept = new Map<string, typeof ASLEEP | typeof OVERDUE>();
  /** Devices that have restarted, and have not connected yet. */
  readonly #booted = new Set<string>();
  readonly #unsubscribe: () => void;
  #cancelWrite: (() => void) | undefined;
  #cancelBeat: (() => void) | undefined;
  /** Resolves when the notes of an earlier server were read; while the store fails, that takes until it works again. */
  readonly read: Promise<void>;

  /** Starts to take notes, and to read those of an earlier server. */
  constructor(server: Recorded, clock: Clock, pace = PACE) {
    this.#server = server;
    this.#clock = clock;
    this.#pace = pace;
    this.#begin(SERVER, clock.date());
    this.#known = new Set(server.devices.map(({ id }) => id));
    for (const { id, connected, since, asleepUntil } of server.devices.filter(isOwn)) {
      if (connected) this.#begin(id, since.getTime());
      else if (asleepUntil) this.#slept.set(id, ASLEEP);
    }
    this.#unsubscribe = server.events.subscribe((event) => this.#take(event));
    this.#beat();
    this.read = this.#read();
    this.read.catch(() => {}); // the callers that wait for it handle the error
  }

  async #read(): Promise<void> {
    const kept = await load(this.#server, this.#clock.date() - LONGEST);
    if (kept) this.#follow(kept);
  }

  /** Puts an earlier server's notes before those made meanwhile. */
  #follow(kept: Links): void {
    // A killed server could not note that its links ended.
    const killed = kept.get(SERVER)?.at(-1)?.to ?? 0;
    const own = [...this.#links];
    for (const [id, links] of kept) {
      const isKnown = id === SERVER || this.#known.has(id) || this.#server.known(id) !== undefined;
      if (!isKnown) this.#forget(id); // the server has forgotten it, and was killed before that was noted here
      if (this.#forgotten.has(id)) continue;
      this.#links.set(id, links);
      this.#end(id, killed, this.#slept.get(id) ?? "LOST");
      if (id !== SERVER) this.#addUnseen(id, killed);
    }
    for (const [id, links] of own) {
      if (this.#links.get(id) === links) {
        for (const link of links) this.#note(id, link);
        continue;
      }
      for (const { from, to, code, boot } of links) {
        this.#begin(id, from, boot);
        if (to !== undefined) this.#end(id, to, code);
      }
    }
    this.#known.clear();
    this.#forgotten.clear();
    this.#slept.clear();
    this.#isDurable = true;
  }

  /**
   * A killed server may not have noted the last link of a device, nor that it ended in a sleep. The store knows whether
   * the device sleeps. If that differs from the notes, a very short link stands for what was not noted.
   */
  #addUnseen(id: string, killed: number): void {
    const { code, to } = this.#links.get(id)!.at(-1)!;
    const slept = this.#slept.get(id);
    const known = slept ?? (code === ASLEEP ? "LOST" : code);
    if (known === code) return;
    if (code === ASLEEP && known === OVERDUE) return this.#overdue(id);
    const at = Math.max(killed, to!);
    this.#begin(id, at);
    this.#end(id, at, known);
  }

  /** Links of a device, oldest first. */
  of(device: string): readonly LinkTime[] {
    return this.#links.get(device) ?? [];
  }

  /** When the server ran, oldest first. */
  get served(): readonly LinkTime[] {
    return this.of(SERVER);
  }

  /** Stops taking notes, before the server is closed. While the store fails, that takes until it works again. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#cancelBeat?.();
    const now = this.#clock.date();
    for (const id of this.#links.keys()) this.#end(id, now, "CLOSED");
    await this.read.catch(() => {}); // then nothing is written
    await this.#write();
  }

  #take(event: ServerEvent): void {
    const now = this.#clock.date();
    if (event.event === "booted") this.#boot(event.device);
    else if (event.event === "connected") {
      const boot = this.#booted.delete(event.device) ? reasonIn(event.metadata) : undefined;
      this.#begin(event.device, now, boot);
    } else if (event.event === "disconnected") this.#end(event.device, now, event.code);
    else if (event.event === "asleep") this.#end(event.device, now, ASLEEP);
    else if (event.event === "overdue") this.#overdue(event.device);
    else if (event.event === "forgotten") this.#forget(event.device);
  }

  /** A device has restarted: before its next connection, or in dialect 1 before its present one. */
  #boot(id: string): void {
    const links = this.#links.get(id);
    const last = links?.at(-1);
    if (!last || last.to !== undefined) return void this.#booted.add(id);
    links![links!.length - 1] = { ...last, boot: "" };
    this.#note(id, links!.at(-1)!);
  }

  #begin(id: string, now: number, boot?: string): void {
    const links = this.#links.get(id) ?? [];
    const from = Math.max(now, (links.at(-1)?.from ?? -1) + 1); // the date may have been set back
    this.#end(id, from);
    const link = { from, ...(boot !== undefined && { boot }) };
    links.push(link);
    if (links.length > MOST_LINKS) links.shift();
    this.#links.set(id, links);
    this.#note(id, link);
  }

  #end(id: string, now: number, code?: string): void {
    const links = this.#links.get(id);
    const last = links?.at(-1);
    if (!last || last.to !== undefined) return;
    const ended = { ...last, to: Math.max(now, last.from), ...(code !== undefined && { code }) };
    links![links!.length - 1] = ended;
    this.#note(id, ended);
  }

  /** A device did not come back from its sleep in time: the gap counts as an outage. */
  #overdue(id: string): void {
    const links = this.#links.get(id);
    const last = links?.at(-1);
    if (!last && this.#slept.has(id)) this.#slept.set(id, OVERDUE);
    if (last?.code !== ASLEEP) return;
    links![links!.length - 1] = { ...last, code: OVERDUE };
    this.#note(id, links!.at(-1)!);
  }

  #forget(id: string): void {
    this.#booted.delete(id);
    this.#slept.delete(id);
    this.#links.delete(id);
    this.#changed.set(id, new Map());
    if (!this.#isDurable) this.#forgotten.add(id);
    this.#plan();
  }

  #note(id: string, link: LinkTime): void {
    const changed = this.#changed.get(id) ?? new Map();
    this.#changed.set(id, changed.set(link.from, link));
    this.#plan();
  }

  #plan(): void {
    this.#cancelWrite ??= this.#clock.after(this.#pace.soon, () => void this.#write());
  }

  /** Notes that the server runs, so that the table shows until when it ran, even if it is killed. */
  #beat(): void {
    this.#cancelBeat = this.#clock.after(this.#pace.heartbeat, () => {
      this.#note(SERVER, { ...this.served.at(-1)!, to: this.#clock.date() });
      this.#beat();
    });
  }

  async #write(): Promise<void> {
    this.#cancelWrite?.();
    this.#cancelWrite = undefined;
    const changed = [...this.#changed];
    this.#changed.clear();
    if (!this.#isDurable || changed.length === 0) return;
    const old = this.#clock.date() - LONGEST;
    try {
      await this.#server.transaction((tx) => {
        for (const [device, links] of changed) {
          const first = Math.max(old, this.of(device)[0]?.from ?? Number.MAX_SAFE_INTEGER);
          tx.run(`DELETE FROM web_links WHERE device = ? AND began < ?`, device, first);
          for (const { from, to = null, code = null, boot = null } of links.values()) {
            tx.run(KEEP, device, from, to, code, boot);
          }
        }
      });
    } catch (error) {
      if (!isOver(error)) throw error;
    }
  }
}

/**
 * Whether a transaction failed because the server has ended, perhaps while its store failed; both are reported
 * elsewhere.
 */
export function isOver(error: unknown): boolean {
  return error instanceof LocalError && ["CLOSED", "STORE_FAILED"].includes(error.code);
}

/** Rows of the table since a time; undefined: the store has no tables. */
async function load(server: Recorded, since: number): Promise<Links | undefined> {
  const links: Links = new Map();
  try {
    await server.transaction((tx) => tx.run(TABLE));
    await server.transaction(async (tx) => {
      tx.run(`DELETE FROM web_links WHERE began < ?`, since);
      const sql = `SELECT * FROM web_links WHERE began >= ? ORDER BY device, began`;
      for (const { device, began, ended, code, boot } of await tx.all(sql, since)) {
        const of = links.get(String(device)) ?? [];
        links.set(String(device), of);
        of.push({
          from: Number(began),
          ...(ended !== null && { to: Number(ended) }),
          ...(code !== null && { code: String(code) }),
          ...(boot !== null && { boot: String(boot) }),
        });
      }
    });
  } catch (error) {
    if (error instanceof LocalError && error.code === "BAD_ARGUMENT") return undefined; // no database
    throw error;
  }
  return links;
}

/** Why a device restarted, according to its metadata. */
function reasonIn(metadata = ""): string {
  return metadata.match(/(?:^| )reset=(\S+)/)?.[1] ?? "";
}
