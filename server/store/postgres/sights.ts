/** What servers on one database let each other see of their devices: rows that are shown to people, and nothing else. */
import type { Around, Shown, Sight } from "../fleet.ts";
import type { SqlRow } from "../store.ts";
import { fromText, toArray, toElement, toText } from "./text.ts";
import type { Wire } from "./wire.ts";

/**
 * `version` grows with each row that a server writes: others ask for what is newer than the last one they have seen of
 * it. A row without a text is of a device that was forgotten; it goes after an hour.
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

/** Rows of one server that are read at a time. */
const MOST = 500;

/** Who has not looked for so long looks at everything, in ms: rows of forgotten devices may have gone meanwhile. */
const FRESH = 30 * 60_000;

/** Exchanges between two in which old rows go. */
const CLEANING = 600;

const NAME = `
  INSERT INTO holdfast_servers (process, name) VALUES ($1, $2)
  ON CONFLICT (process) DO UPDATE SET name = excluded.name WHERE holdfast_servers.name <> excluded.name`;

const CLEAN = [
  `DELETE FROM holdfast_sights WHERE text IS NULL AND shown < clock_timestamp() - interval '1 hour'`,
  "DELETE FROM holdfast_servers WHERE process NOT IN (SELECT process FROM holdfast_processes)",
];

/** In the order of their ids: no two servers wait for each other. */
const SHOW = `
  INSERT INTO holdfast_sights (id, version, token, text, process)
  SELECT id, version, token, text, $5 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
    AS r (id, version, token, text) ORDER BY id
  ON CONFLICT (id) DO UPDATE SET process = excluded.process, version = excluded.version,
    token = excluded.token, text = excluded.text, shown = excluded.shown
  WHERE holdfast_sights.token <= excluded.token`;

/** Names of those who are alive. */
const SERVERS = `
  SELECT p.process, coalesce(s.name, '') AS name
  FROM holdfast_processes AS p LEFT JOIN holdfast_servers AS s ON s.process = p.process
  WHERE p.alive_until > clock_timestamp()`;

/** What the others have written since. */
const NEWS = `
  SELECT n.* FROM holdfast_servers AS s
  LEFT JOIN unnest($2::bigint[], $3::bigint[]) AS k (process, version) ON k.process = s.process
  CROSS JOIN LATERAL (
    SELECT id, process, version, token, text FROM holdfast_sights AS t
    WHERE t.process = s.process AND t.version > coalesce(k.version, 0) ORDER BY t.version LIMIT ${MOST}
  ) AS n WHERE s.process <> $1 ORDER BY n.process, n.version`;

/** All devices that there are, and were lately; those of which nobody has shown anything as well. */
const ALL = `
  SELECT id, process, version, token, text FROM holdfast_sights WHERE process <> $1
  UNION ALL
  SELECT id, NULL, NULL, token, NULL FROM holdfast_devices AS d
  WHERE NOT EXISTS (SELECT FROM holdfast_sights AS t WHERE t.id = d.id)`;

export class Sights {
  /** The last version that was seen of each server; undefined: nothing was seen yet. */
  #seen: Map<number, number> | undefined;
  #lookedAt = -Infinity;
  #version = 0;
  #count = 0;

  /** One transaction. @param now In ms, on a clock that never goes back. */
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
      seen
        ? wire.ask(NEWS, [
          process,
          `{${[...seen.keys()].join()}}`,
          `{${[...seen.values()].join()}}`,
        ])
        : wire.ask(ALL, [process]),
      wire.ask("COMMIT"),
    ]);
    const [servers, news] = answers.slice(-3);
    this.#lookedAt = now;
    this.#note(news!.rows);
    return {
      isAll: seen === undefined,
      shown: news!.rows.map(toShown),
      servers: new Map(
        servers!.rows.map(({ process, name }) => [Number(process), fromText(String(name))]),
      ),
    };
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

  #note(rows: readonly SqlRow[]): void {
    const seen = this.#seen ??= new Map();
    for (const { process, version } of rows) {
      if (process === null) continue;
      const number = Number(process);
      seen.set(number, Math.max(seen.get(number) ?? 0, Number(version)));
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
