/** Implements `store/fleet.ts` for several servers on one database. */
import {
  type Acquired,
  type Answer,
  type Around,
  type Beat,
  type Fleet,
  type Kept,
  type Look,
  type Lost,
  type Sight,
} from "../fleet.ts";
import type { StoreHost } from "./host.ts";
import type { Line } from "./line.ts";
import { MAIL, ORPHANS, read, take, toAcquired, toMail } from "./loading.ts";
import { Sights } from "./sights.ts";
import { fromText } from "./text.ts";
import type { Wire } from "./wire.ts";

/** Most items of each kind in a beat. */
const MOST = 100;

/** After this time a dead process is forgotten: if it comes back, it must join as a new one. */
const BURIED = "1 day";

/** What it needs from the store. */
export interface FleetMeans {
  /** The connection for all queries. */
  readonly line: Line;
  /** Opens a connection that receives notifications on these channels. */
  listen(channels: readonly string[], heard: () => void): Promise<Wire>;
  /** Runs a function, and adds to errors what to do about them. */
  explaining<T>(act: () => Promise<T>): Promise<T>;
}

export class PostgresFleet implements Fleet {
  readonly #host: StoreHost;
  readonly #means: FleetMeans;
  #listening: Wire | undefined;
  #opening: Promise<void> | undefined;
  #heard: () => void = () => {};
  readonly #sights = new Sights();

  constructor(host: StoreHost, means: FleetMeans, readonly lease: number) {
    this.#host = host;
    this.#means = means;
  }

  sender(number: number): string {
    return `${this.#host.process} ${number}`;
  }

  async join(heard: () => void): Promise<void> {
    this.#heard = heard;
    await this.#means.explaining(async () => {
      const wire = await this.#means.line.wire();
      await this.#transact(wire, [
        [
          `DELETE FROM holdfast_processes WHERE alive_until < now() - interval '${BURIED}'
          AND process <> $1`,
          [this.#host.process],
        ],
        [
          "DELETE FROM holdfast_notes WHERE process NOT IN (SELECT process FROM holdfast_processes)",
          [],
        ],
        [ALIVE, [this.#host.process, this.lease]],
      ]);
      await this.#listen();
    });
  }

  beat(seen: readonly number[]): Promise<Beat> {
    return this.#means.explaining(async () => {
      const wire = await this.#means.line.wire();
      const { process } = this.#host;
      const [, , notes, mail, orphans] = await this.#transact(wire, [
        [ALIVE, [process, this.lease]],
        ["DELETE FROM holdfast_notes WHERE process = $1 AND note = ANY($2::bigint[])", [
          process,
          `{${seen.join()}}`,
        ]],
        ["SELECT * FROM holdfast_notes WHERE process = $1 ORDER BY note LIMIT $2", [process, MOST]],
        [
          `SELECT m.*, d.id FROM (${MAIL}) AS m JOIN holdfast_devices AS d ON d.device = m.device
          WHERE d.process = $1 ORDER BY m.number LIMIT $2`,
          [process, MOST],
        ],
        [ORPHANS, [MOST]],
      ]);
      // Not awaited: without hints it beats all the same.
      this.#listen().catch(() => {});
      const lost: Lost[] = [];
      const answers: Answer[] = [];
      for (const { note, id, token, number, text } of notes!.rows) {
        if (id !== null) {
          lost.push({ note: Number(note), device: fromText(String(id)), token: Number(token) });
        } else {
          answers.push({
            note: Number(note),
            number: Number(number),
            text: fromText(String(text)),
          });
        }
      }
      return {
        lost,
        answers,
        mail: mail!.rows.map((row) => toMail(fromText(String(row.id)), row)),
        orphans: orphans!.rows.map(({ id }) => fromText(String(id))),
      };
    });
  }

  look(id: string, token: number | undefined): Promise<Look> {
    return this.#means.explaining(async () => {
      const wire = await this.#means.line.wire();
      const { process, time } = this.#host;
      const asking = { ids: [id], process, how: { looksWith: token } };
      const { known: [it] } = await take(wire, asking, time);
      if (!it) return { isOurs: false, state: undefined, looks: 0 };
      return { isOurs: it.isOurs, state: it.isOurs ? undefined : it.read(), looks: it.looks };
    });
  }

  read(ids: readonly string[]): Promise<ReadonlyMap<string, Kept>> {
    return this.#means.explaining(async () => read(await this.#means.line.wire(), ids));
  }

  adopt(id: string): Promise<Acquired | undefined> {
    return this.#means.explaining(async () => {
      const wire = await this.#means.line.wire();
      const { process, time, devices } = this.#host;
      const { known: [it] } = await take(wire, { ids: [id], process, how: "adopt" }, time);
      if (!it) return undefined;
      devices.set(id, it.device);
      return toAcquired(it);
    });
  }

  exchange(name: string, sights: readonly Sight[]): Promise<Around> {
    return this.#means.explaining(async () => {
      const wire = await this.#means.line.wire();
      const { process, time: { now } } = this.#host;
      return await this.#sights.exchange(wire, process, { name, sights, now });
    });
  }

  leave(): Promise<void> {
    return this.#means.explaining(async () => {
      const wire = await this.#means.line.wire();
      const { process } = this.#host;
      await this.#transact(wire, [
        ["DELETE FROM holdfast_processes WHERE process = $1", [process]],
        ["DELETE FROM holdfast_notes WHERE process = $1", [process]],
        ["DELETE FROM holdfast_servers WHERE process = $1", [process]],
        ["UPDATE holdfast_devices SET process = NULL WHERE process = $1", [process]],
        ["SELECT pg_notify('holdfast', '')", []],
      ]);
      await this.close();
    });
  }

  /** Stops listening. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => {});
    await this.#listening?.close();
  }

  /** Starts listening, unless it does already. */
  #listen(): Promise<void> {
    if (this.#listening?.isOpen || this.#host.isClosed) return Promise.resolve();
    return this.#opening ??= this.#open().finally(() => this.#opening = undefined);
  }

  async #open(): Promise<void> {
    const channels = ["holdfast", `holdfast_${this.#host.process}`];
    this.#listening = await this.#means.listen(channels, () => this.#heard());
    this.#heard(); // notifications may have been missed meanwhile
  }

  async #transact(wire: Wire, asked: readonly [sql: string, params: (string | number)[]][]) {
    const [, ...answers] = await Promise.all([
      wire.ask("BEGIN ISOLATION LEVEL READ COMMITTED"),
      ...asked.map(([sql, params]) => wire.ask(sql, params)),
      wire.ask("COMMIT"),
    ]);
    return answers;
  }
}

/** Marks a process as alive, also one that was forgotten. */
const ALIVE = `
  INSERT INTO holdfast_processes (process, gate, batch, alive_until)
  VALUES ($1, 0, 0, clock_timestamp() + $2::bigint * interval '1 millisecond')
  ON CONFLICT (process) DO UPDATE SET alive_until = excluded.alive_until`;
