/**
 * The tables of programs in the modelled database of a fleet: SQLite, for which PostgreSQL's statements are translated.
 * So the statements of the MQTT bridge run as they are.
 *
 * A commit is executed at one instant, although its statements were tried before. Row numbers are the exception: a
 * transaction draws them when its statements are tried, and may become safe after others.
 */
import type { SqlInput, SqlRow, Work } from "../../server/store/store.ts";
import { CREATE, EFFECT } from "./statements.ts";
import { Tables } from "./tables.ts";

/** A column whose numbers the database draws. */
const IDENTITY = "BIGINT GENERATED ALWAYS AS IDENTITY";

/** PostgreSQL's words, and SQLite's. */
const WORDS: readonly [RegExp, string][] = [
  [/^SELECT pg_advisory_xact_lock\(.*$/, "SELECT 1"],
  // One transaction makes all tables here, so all are there if one is.
  [
    /^SELECT 1 FROM pg_attribute[^]*$/,
    "SELECT 1 FROM sqlite_master WHERE name = 'mqtt_session' AND ? <> ''",
  ],
  [/^ALTER TABLE .* IF NOT EXISTS .*$/, "SELECT 1"],
  [/floor\(extract\(epoch FROM (.+)\) \* 1000\)/g, "($1)"],
  [/::(?:text|bigint)\b/g, ""],
  [/ FOR (?:SHARE|UPDATE)\b/g, ""],
  [/\bgreatest\(/g, "max("],
  [/'-infinity'/g, "-1e15"],
  [/interval '1 millisecond'/g, "1"],
  [/interval '1 day'/g, "86400000"],
  [new RegExp(`${IDENTITY} PRIMARY KEY`, "g"), "INTEGER UNIQUE DEFAULT (next_number())"],
  [new RegExp(IDENTITY, "g"), "INTEGER DEFAULT (next_number())"],
  [/^\(SELECT/, "SELECT * FROM (SELECT"],
  [/UNION ALL \(SELECT/, "UNION ALL SELECT * FROM (SELECT"],
  [/(FROM own)(\s+ON CONFLICT)/, "$1 WHERE true$2"],
];

/** Matches statements that draw a number of the table of publications. */
const DRAWS = /INSERT INTO mqtt_out\b/;

/** SQLSTATE: SQLite has NULL there. */
class DivisionByZero extends Error {
  readonly code = "22012";
}

export class PostgresTables extends Tables {
  /** The time, in ms. */
  now = 0;
  readonly #translated = new Map<string, string>();
  #numbers = 0;
  #drawn: number[] = [];
  #isOpen = false; // a transaction

  constructor() {
    super({
      clock_timestamp: () => this.now,
      next_number: () => this.#drawn.shift() ?? this.#draw(),
    });
  }

  #draw(): number {
    return ++this.#numbers;
  }

  /** Draws the numbers of the rows that a transaction will add. */
  draw(works: readonly Work[]): number[] {
    const adding = works.flatMap(({ statements }) => statements).filter(({ sql }) =>
      DRAWS.test(sql)
    );
    return adding.map(() => this.#draw());
  }

  /** Finds out which works would fail now. @returns why */
  tries(works: readonly Work[], now: number): Map<Work, unknown> {
    this.now = now;
    const failed = this.execute(works, []);
    this.end(false);
    return failed;
  }

  /** Executes works in a transaction. @param drawn Numbers that it has @returns those that have failed, and why */
  execute(works: readonly Work[], drawn: readonly number[]): Map<Work, unknown> {
    const failed = new Map<Work, unknown>();
    this.#drawn = [...drawn];
    for (const work of works) {
      const statements = work.statements.filter(({ sql }) => sql !== EFFECT && sql !== CREATE);
      if (statements.length === 0) continue;
      if (!this.#isOpen) super.run("BEGIN", []);
      this.#isOpen = true;
      super.run("SAVEPOINT work", []);
      try {
        for (const { sql, params } of statements) this.run(sql, params);
      } catch (error) {
        failed.set(work, error);
        super.run("ROLLBACK TO work", []);
      }
      super.run("RELEASE work", []);
    }
    this.#drawn = [];
    return failed;
  }

  /** Commits the transaction or rolls it back. */
  end(isCommitted: boolean): void {
    if (this.#isOpen) super.run(isCommitted ? "COMMIT" : "ROLLBACK", []);
    this.#isOpen = false;
  }

  override run(sql: string, params: readonly SqlInput[]): void {
    const rows = super.query(this.#translate(sql), ...params);
    if (sql.startsWith("SELECT 1 / ") && Object.values(rows[0]!)[0] === null) {
      throw new DivisionByZero("division by zero");
    }
  }

  override query(sql: string, ...params: SqlInput[]): SqlRow[] {
    return super.query(this.#translate(sql), ...params);
  }

  #translate(sql: string): string {
    let translated = this.#translated.get(sql);
    if (translated !== undefined) return translated;
    translated = WORDS.reduce((text, [word, other]) => text.replace(word, other), sql);
    this.#translated.set(sql, translated);
    return translated;
  }
}
