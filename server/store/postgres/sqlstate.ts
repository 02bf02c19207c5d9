/** What PostgreSQL's errors mean for us, by their SQLSTATE. */

/** The SQLSTATE of an error; undefined if it is not the database's. */
export function sqlstate(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return typeof code === "string" && severity !== undefined ? code : undefined;
}

/** Whether the transaction can be tried again because it conflicted with another one. */
export function isConflict(error: unknown): boolean {
  return ["40001", "40P01"].includes(sqlstate(error) ?? "");
}

/** Whether a statement has waited for a lock for `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return sqlstate(error) === "55P03";
}

/** Whether a key of this table already exists. */
export function isTaken(error: unknown, table: string): boolean {
  return sqlstate(error) === "23505" && (error as { table_name?: unknown }).table_name === table;
}

/** Whether the error has ended the connection. */
export function isFatal(error: unknown): boolean {
  return sqlstate(error) !== undefined && (error as { severity?: unknown }).severity !== "ERROR";
}

/** Whether our own check in a statement has failed: see `FENCE`. */
export function isFence(error: unknown): boolean {
  return sqlstate(error) === "22012";
}

/** Whether a statement tried to write on a read-only connection. */
export function isWrite(error: unknown): boolean {
  return sqlstate(error) === "25006";
}

/** Classes of errors that come from the database's state, not from the statement. */
const TROUBLES = ["08", "25006", "53", "57P", "58", "F0", "XX"];

/** Whether the database is the reason, not the statement: then it is worth another attempt. */
export function isTrouble(error: unknown): boolean {
  const code = sqlstate(error);
  if (code === undefined || isFatal(error)) return true;
  return code !== WRONG_COUNT && TROUBLES.some((trouble) => code.startsWith(trouble));
}

/** Used, among others, for a statement with too many or too few parameters. */
const WRONG_COUNT = "08P01";

/** Whether the administrator must act: waiting does not help. */
export function isSetup(error: unknown): boolean {
  return /^(28|3D|3F|42501)/.test(sqlstate(error) ?? "");
}

/** What to do about errors, by class or code. */
const FIXES: Readonly<Record<string, string>> = {
  "28": "check user and password: PGUSER, PGPASSWORD or PGPASSFILE, pg_hba.conf",
  "3D000": "create the database first: createdb",
  "3F000": "its search_path names no existing schema",
  "42501": "its user needs more rights: on the schema, CREATE and USAGE",
  "53100": "make room on the database's disk",
  "53200": "the database is out of memory",
  "53300": "the database has no connections left: raise max_connections, or end others",
  "55P03": "another session holds a lock that is needed",
  "57014": "it took longer than statement_timeout",
  "57P03": "it is starting or recovering: wait",
};

/** The message of the database or the network, and what to do about it. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = sqlstate(error) ?? "";
  const fix = FIXES[code] ?? FIXES[code.slice(0, 2)];
  const { message } = error;
  return fix === undefined ? message : `${message}; ${fix}`;
}
