/** Views of devices that servers on one database publish to each other: rows that are only shown to people. */
import type { Around, Shown, Sight } from "../fleet.ts";
import type { SqlRow } from "../store.ts";
import { fromText, toArray, toElement, toText } from "./text.ts";
import type { Wire } from "./wire.ts";

/**
 * `version` grows with each row that a server writes: others read what is newer than the last one they have seen of
 * it. A row without a text is of a forgotten device; it is deleted after an hour.
 */
export const SIGHTS: readonly string[] = [
  `CREATE TABLE holdfast_servers (
    process BIGINT PRIMARY KEY,
    name TEXT NOT NULL
  )`,
  `CREATE TABLE holdfast_sights (
    id TEXT PRIMARY KEY,
    process BIGINT NOT NULL,
    version BIGINT NOT NULL,
    token BIGINT NOT NULL,
    text TEXT,
    shown TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
  )`,
  "CREATE INDEX holdfast_sights_news ON holdfast_sights (process, version)",
];

/** Most rows of one server that are read at a time. */
const MOST = 500;

/**
 * Time in ms without a read after which a process reads everything: rows of forgotten devices may have been deleted
 * meanwhile.
 */
const FRESH = 30 * 60_000;

/** Old rows are deleted in one of this many exchanges. */
const CLEANING = 600;

const NAME = `
  INSERT INTO holdfast_servers (process, name) VALUES ($1, $2)
  ON CONFLICT (process) DO UPDATE SET name = excluded.name WHERE holdfast_servers.name <> excluded.name`;

const CLEAN = [
  `DELETE FROM holdfast_sights WHERE text IS NULL AND shown < clock_timestamp() - interval '1 hour'`,
  "DELETE FROM holdfast_servers WHERE process NOT IN (SELECT process FROM holdfast_processes)",
];

/** In the order of their ids, which avoids deadlocks. */
const SHOW = `
  INSERT INTO holdfast_sights (id, version, token, text, process)
  SELECT id, version, token, text, $5 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
    AS r (id, version, token, text) ORDER BY id
  ON CONFLICT (id) DO UPDATE SET process = excluded.process, version = excluded.version,
    token = excluded.token, text = excluded.text, shown = excluded.shown
  WHERE holdfast_sights.token <= excluded.token`;

/** Names of living servers. */
const SERVERS = `
  SELECT p.process, coalesce(s.name, '') AS name
  FROM holdfast_processes AS p LEFT JOIN holdfast_servers AS s ON s.process = p.process
  WHERE p.alive_until > clock_timestamp()`;

/**
 * Query for what the others have written since. It contains the numbers literally, so that it is planned for the
 * present rows: a plan made while there were few rows would read all of them.
 */
function newsSince(seen: ReadonlyMap<number, number>): string {
  const each = Array.from(
    seen,
    ([process, version]) =>
      `(SELECT id, process, version, token, text FROM holdfast_sights
      WHERE process = ${process} AND version > ${version} ORDER BY version LIMIT ${MOST})`,
  );
  return each.length === 0 ? "SELECT 1 WHERE false" : each.join(" UNION ALL ");
}

/** All devices that exist or were lately forgotten, with those that no process has published. */
const ALL = `
  SELECT id, process, version, token, text FROM holdfast_sights WHERE process <> $1
  UNION ALL
  SELECT id, NULL, NULL, token, NULL FROM holdfast_devices AS d
  WHERE NOT EXISTS (SELECT FROM holdfast_sights AS t WHERE t.id = d.id)`;

export class Sights {
  /** The last version seen of each living server; undefined: nothing was read yet. */
  #seen: Map<number, number> | undefined;
  #lookedAt = -Infinity;
  #version = 0;
  #count = 0;

  /** One transaction. @param now In ms, on a monotonic clock. */
  async exchange(
    wire: Wire,
    process: number,
    { name, sights, now }: { name: string; sights: readonly Sight[]; now: number },
  ): Promise<Around> {
    if (now - this.#lookedAt > FRESH) this.#seen = undefined;
    const seen = this.#seen;
    const cleaning = !seen || ++this.#count % CLEANING === 0 ? CLEAN : [];
    const showing = sights.length === 0 ? [] : [wire.ask(SHOW, this.#rows(sights, process))];
    const [, , ...answers] = await Promise.all([
      wire.ask("BEGIN ISOLATION LEVEL READ COMMITTED"),
      wire.ask(NAME, [process, toText(name)]),
      ...cleaning.map((sql) => wire.ask(sql)),
      ...showing,
      wire.ask(SERVERS),
      seen ? wire.ask(newsSince(seen)) : wire.ask(ALL, [process]),
      wire.ask("COMMIT"),
    ]);
    const [alive, news] = answers.slice(-3);
    const servers = new Map(
      alive!.rows.map(({ process, name }) => [Number(process), fromText(String(name))]),
    );
    this.#lookedAt = now;
    this.#note(news!.rows, [...servers.keys()].filter((other) => other !== process));
    return { isAll: seen === undefined, shown: news!.rows.map(toShown), servers };
  }

  #rows(sights: readonly Sight[], process: number): (string | number)[] {
    return [
      toArray(sights.map(({ device }) => device)),
      `{${sights.map(() => ++this.#version).join()}}`,
      `{${sights.map(({ token }) => token).join()}}`,
      `{${sights.map(({ text }) => text === undefined ? "null" : toElement(text)).join()}}`,
      process,
    ];
  }

  /** @param others Living servers. A dead one writes nothing more; if it comes back, it is read from its start. */
  #note(rows: readonly SqlRow[], others: readonly number[]): void {
    const before = this.#seen;
    const seen = this.#seen = new Map(others.map((it) => [it, before?.get(it) ?? 0]));
    for (const { process, version } of rows) {
      const last = seen.get(Number(process));
      if (last !== undefined) seen.set(Number(process), Math.max(last, Number(version)));
    }
  }
}

function toShown({ id, process, token, text }: SqlRow): Shown {
  return {
    device: fromText(String(id)),
    process: process === null ? undefined : Number(process),
    token: Number(token),
    text: text === null ? undefined : fromText(String(text)),
  };
}
