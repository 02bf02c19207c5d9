/**
 * Restricts applications' statements, to keep mistakes away from the store's own tables and transactions. It is not a
 * security boundary: an application has the rights of the store's user.
 */
import { LocalError } from "../../protocol/errors.ts";

/** Strings, quoted names, comments, dollar-quoted texts. */
const QUOTED = new RegExp(
  [
    /(?<![\w"])[eE]'(?:[^'\\]|\\[^]|'')*'/, // with backslash escapes
    /'(?:[^']|'')*'/,
    /"(?:[^"]|"")*"/,
    /--[^\n]*/,
    /\/\*[^]*?(?:\*\/|$)/,
    /\$(?<tag>[A-Za-z_]\w*|)\$[^]*?\$\k<tag>\$/,
  ].map(({ source }) => source).join("|"),
  "g",
);

/** The start of statements that only read. */
const READS = /^[\s(]*(?:select|with|values|table|show|explain)\b/i;

/** Statements about the connection or its transaction, or that cannot be in one. */
const RESERVED = new RegExp(
  "^\\s*(?:$|abort|begin|checkpoint|close|cluster|commit|copy|deallocate|declare|discard|do|end|execute|fetch" +
    "|listen|load|lock|move|prepare|reindex|release|reset|rollback|savepoint|set|start|unlisten|vacuum" +
    "|(?:create|drop|alter)\\s+(?:database|subscription|system|tablespace)|drop\\s+owned)(?!\\w)",
  "i",
);

/** Statements that create or change something with our prefix. A name after a dot may be that of a column. */
const OURS =
  /\b(?:into|update|delete\s+from|truncate|table|view|index|sequence|trigger|on|to|exists)\s+(?:only\s+)?(?:"?\w+"?\s*\.\s*)?"?holdfast_\w*"?(?!["\w\s]*\.)/i;

/** Statements that were checked, and their form for PostgreSQL. */
class Known {
  readonly #sql = new Map<string, string>();

  constructor(readonly check: (sql: string, bare: string) => void) {}

  /** @throws {LocalError} BAD_ARGUMENT */
  of(sql: string): string {
    const known = this.#sql.get(sql);
    if (known !== undefined) return known;
    const bare = sql.replaceAll(QUOTED, (text) => text.startsWith('"') ? text : " ");
    if (/;[\s;]*[^\s;]/.test(bare)) throw badArgument("give each call one statement, not several");
    this.check(sql, bare);
    const result = numbered(sql);
    if (this.#sql.size >= MOST) this.#sql.delete(this.#sql.keys().next().value!);
    this.#sql.set(sql, result);
    return result;
  }
}

/** Most statements of a kind that are kept. */
const MOST = 500;

const changes = new Known((sql, bare) => {
  if (RESERVED.test(bare) || OURS.test(bare)) {
    throw refusal(
      sql,
      "only change its own tables, whose names do not start with holdfast_",
    );
  }
});

const queries = new Known((sql, bare) => {
  if (!READS.test(bare)) throw refusal(sql, "only query");
});

/** @returns a statement for a transaction, with `$1` … for each `?` @throws {LocalError} BAD_ARGUMENT */
export function toChange(sql: string): string {
  return changes.of(sql);
}

/** @returns a query, likewise @throws {LocalError} BAD_ARGUMENT */
export function toQuery(sql: string): string {
  return queries.of(sql);
}

/** Each `?` is the next parameter, and `??` the operator `?`; a statement without a `?` is unchanged. */
function numbered(sql: string): string {
  let n = 0;
  let result = "";
  let from = 0;
  const plain = (text: string) =>
    text.replaceAll(/\?\??/g, (mark) => mark === "??" ? "?" : `$${++n}`);
  for (const { 0: quoted, index } of sql.matchAll(QUOTED)) {
    result += plain(sql.slice(from, index)) + quoted;
    from = index + quoted.length;
  }
  return result + plain(sql.slice(from));
}

function refusal(sql: string, what: string): LocalError {
  return badArgument(`${sql.trim().slice(0, 60)}: here an application's SQL may ${what}`);
}

/** The same error if the database has refused a statement that would change something. */
export function noQuery(sql: string, cause: unknown): LocalError {
  return new LocalError("BAD_ARGUMENT", refusal(sql, "only query").message, { cause });
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
