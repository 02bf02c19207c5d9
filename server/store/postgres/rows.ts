/** Collects what differs in devices, and makes one statement for each kind of row, however many rows there are. */
import type { Change, DeadLetter, Noted, Outgoing, RowWriter, SqlInput } from "../store.ts";
import { failure } from "../../link/outcome.ts";
import { FORGOTTEN } from "../ledger.ts";
import { toElement } from "./text.ts";

/** A statement and its parameters. */
export interface Asked {
  readonly sql: string;
  readonly params?: readonly SqlInput[];
}

type Cell = number | string | null;

/** Rows for one statement, by columns: each becomes an array. */
class Bulk implements Asked {
  readonly #columns: string[][];
  length = 0;

  constructor(readonly sql: string, columns: Columns) {
    this.#columns = Object.keys(columns).map(() => []);
  }

  add(...row: Cell[]): void {
    this.length++;
    for (const [i, cell] of row.entries()) {
      this.#columns[i]!.push(typeof cell === "string" ? toElement(cell) : String(cell)); // the text "null" is safe, too
    }
  }

  get params(): string[] {
    return this.#columns.map((column) => `{${column.join()}}`);
  }
}

/** Columns and their types. */
type Columns = Readonly<Record<string, "bigint" | "text">>;

const N = "bigint";
const T = "text";

/** Arrays of parameters, the first of which is `$first`, as a table `r`. */
function table(columns: Columns, first = 1): string {
  const arrays = Object.values(columns).map((type, i) => `$${first + i}::${type}[]`);
  return `unnest(${arrays.join(", ")}) AS r (${Object.keys(columns).join(", ")})`;
}

/** @param keys How many of the first columns are the key: a row with the same key is replaced. */
function insert(name: string, columns: Columns, keys = 0): string {
  const names = Object.keys(columns);
  const set = names.slice(keys).map((column) => `${column} = excluded.${column}`).join(", ");
  const then = `ON CONFLICT (${names.slice(0, keys).join(", ")}) DO UPDATE SET ${set}`;
  return `INSERT INTO holdfast_${name} (${names.join(", ")})
    SELECT * FROM ${table(columns)} ${keys === 0 ? "" : then}`;
}

/** @param which Condition that compares the row `t` with the row `r` of these columns. */
function remove(name: string, columns: Columns, which: string): string {
  return `DELETE FROM holdfast_${name} AS t USING ${table(columns)}
    WHERE t.device = r.device AND ${which}`;
}

/** Columns of a device's row besides its number, id and token. */
const POSITIONS = {
  tx_epoch: N,
  tx_next: N,
  tx_sent: N,
  next_id: N,
  rx_epoch: N,
  rx_next: N,
  connects: N,
  processed: N,
} as const;

const KEPT = { device: N, token: N, ...POSITIONS } as const;
const MADE = { device: N, id: T, token: N, process: N, ...POSITIONS } as const;
const OWNED = { device: N, token: N } as const;
const BEFORE = { device: N, before: N } as const;
const MESSAGE = { device: N, number: N, text: T } as const;
const WRITTEN = {
  device: N,
  number: N,
  id: N,
  text: T,
  overtakes: N,
  qos: N,
  written: N,
  expires: N,
  is_doubtful: N,
  sender: T,
} as const;
const TAKEN = { device: N, number: N } as const;
const REPLY = { process: N, number: N, text: T } as const;

/** Writes outcomes for the processes that posted, if they still exist. */
const REPLIED = `
  WITH told AS (
    INSERT INTO holdfast_notes (process, note, number, text)
    SELECT p.process, nextval('holdfast_tokens'), r.number, r.text
    FROM ${table(REPLY)} JOIN holdfast_processes AS p ON p.process = r.process
    RETURNING process
  )
  SELECT pg_notify('holdfast_' || process, '') FROM told`;
const HEARD = { device: N, id: N, hash: N, position: N, connection: N } as const;
const LETTER = { ...MESSAGE, error: T, date: N } as const;
const MEMO = { device: N, key: T, text: T } as const;

/** A device's positions, in the order of `POSITIONS`. */
function positionsOf({ state: { positions: it, sent } }: Change): number[] {
  const { txEpoch, txSent, nextId, rxEpoch, rxNext, connects, processed } = it;
  return [txEpoch, sent, txSent, nextId, rxEpoch, rxNext, connects, processed];
}

const count = (columns: Columns) => Object.keys(columns).length;

/**
 * Writes the positions of known devices, forgets others, and notes the batch; fails with a division by zero if a device
 * has another token, or the process another gate. Only from here on rows are locked: the statements of applications,
 * which may take long, come before.
 */
const FENCE = `
  WITH gate AS (
    UPDATE holdfast_processes SET batch = $1 WHERE process = $2 AND gate = $3 RETURNING 1
  ), kept AS (
    UPDATE holdfast_devices AS t
    SET ${Object.keys(POSITIONS).map((it) => `${it} = r.${it}`).join(", ")}
    FROM ${table(KEPT, 5)} WHERE t.device = r.device AND t.token = r.token RETURNING 1
  ), gone AS (
    DELETE FROM holdfast_devices AS t USING ${table(OWNED, 5 + count(KEPT))}
    WHERE t.device = r.device AND t.token = r.token RETURNING 1
  )
  SELECT 1 / CASE WHEN (SELECT count(*) FROM gate) = 1
    AND (SELECT count(*) FROM kept) + (SELECT count(*) FROM gone) = $4::bigint THEN 1 ELSE 0 END`;

/** Those of a list of devices that another process has. */
export const FENCED = `
  SELECT r.device FROM ${table(OWNED)} LEFT JOIN holdfast_devices AS t ON t.device = r.device
  WHERE t.token IS DISTINCT FROM r.token ORDER BY r.device`;

/** Tables with rows of devices. */
const CHILDREN = ["inbox", "outbox", "heard", "dead_letters", "memos"] as const;

/** Answers and deletes mail for devices that are forgotten, for senders that still exist. */
const UNDONE = `
  WITH gone AS (
    DELETE FROM holdfast_mail WHERE device = ANY($1::bigint[])
    RETURNING split_part(sender, ' ', 1)::bigint AS process, split_part(sender, ' ', 2)::bigint AS number
  ), told AS (
    INSERT INTO holdfast_notes (process, note, number, text)
    SELECT p.process, nextval('holdfast_tokens'), gone.number, $2
    FROM gone JOIN holdfast_processes AS p ON p.process = gone.process
    RETURNING process
  )
  SELECT pg_notify('holdfast_' || process, '') FROM told`;

/** The number of a process's commit, and the gate that it has to pass. */
export interface BatchNumber {
  readonly gate: number;
  readonly batch: number;
}

export class Rows implements RowWriter {
  readonly #kept = new Bulk("", KEPT);
  readonly #gone = new Bulk("", OWNED);
  readonly #made = new Bulk(insert("devices", MADE), MADE);
  readonly #processed = new Bulk(remove("inbox", BEFORE, "t.number < r.before"), BEFORE);
  readonly #received = new Bulk(insert("inbox", MESSAGE), MESSAGE);
  readonly #settled = new Bulk(remove("outbox", BEFORE, "t.number < r.before"), BEFORE);
  readonly #written = new Bulk(insert("outbox", WRITTEN, 2), WRITTEN);
  readonly #forgotten = new Bulk(remove("heard", { device: N }, "true"), { device: N });
  readonly #heard = new Bulk(insert("heard", HEARD, 2), HEARD);
  readonly #deadLetterRemoved = new Bulk(
    remove("dead_letters", { device: N, number: N }, "t.number = r.number"),
    { device: N, number: N },
  );
  readonly #deadLetterAdded = new Bulk(insert("dead_letters", LETTER), LETTER);
  readonly #dropped = new Bulk(remove("memos", { device: N, key: T }, "t.key = r.key"), {
    device: N,
    key: T,
  });
  readonly #memos = new Bulk(insert("memos", MEMO, 2), MEMO);
  readonly #taken = new Bulk(remove("mail", TAKEN, "t.number = r.number"), TAKEN);
  readonly #replied = new Bulk(REPLIED, REPLY);
  /** Bulks that are separate statements, in their order. */
  readonly #bulks = [this.#made, this.#processed, this.#received, this.#settled, this.#written]
    .concat(
      this.#forgotten,
      this.#heard,
      this.#deadLetterRemoved,
      this.#deadLetterAdded,
      this.#dropped,
      this.#memos,
    )
    .concat(this.#replied);
  readonly #offset: number;
  readonly #process: number;
  #device = 0;
  #wrote = false;
  /** Known devices, by number, whose tokens are checked. */
  readonly known = new Map<number, Change>();
  /** New devices. */
  readonly made: Change[] = [];

  /**
   * @param process The process that has the devices.
   * @param offset From the process's clock to the database's, in ms.
   */
  constructor(process: number, offset: number) {
    this.#process = process;
    this.#offset = offset;
  }

  /** @param device Number of the device; undefined: the store does not know it. */
  add(change: Change, device: number | undefined): void {
    const { id, token, removed, mail } = change;
    this.#device = device ?? token;
    if (device === undefined) {
      this.#wrote = false;
      if (!removed) change.write(this);
      if (!this.#wrote) return; // everything was undone
      this.#made.add(token, id, token, this.#process, ...positionsOf(change));
      this.made.push(change);
      return;
    }
    this.known.set(device, change);
    for (const { to, text } of mail?.replies ?? []) {
      const [process, number] = to.split(" ").map(Number);
      this.#replied.add(process!, number!, text);
    }
    for (const number of mail?.taken ?? []) this.#taken.add(device, number);
    if (removed) {
      this.#gone.add(device, token);
      return;
    }
    this.#kept.add(device, token, ...positionsOf(change));
    change.write(this);
  }

  /** All statements, in this order. */
  statements({ gate, batch }: BatchNumber): Asked[] {
    const fence = {
      sql: FENCE,
      params: [batch, this.#process, gate, this.known.size, ...this.#kept.params]
        .concat(this.#gone.params),
    };
    const [gone] = this.#gone.params;
    const removals = this.#gone.length === 0 ? [] : [
      ...CHILDREN.map((name) => {
        return {
          sql: `DELETE FROM holdfast_${name} WHERE device = ANY($1::bigint[])`,
          params: [gone!],
        };
      }),
      { sql: UNDONE, params: [gone!, JSON.stringify(failure(FORGOTTEN))] },
    ];
    // Mail that is carried out in the same commit as its device's end counts as done.
    const taken = this.#taken.length > 0 ? [this.#taken] : [];
    return [fence, ...taken, ...removals, ...this.#bulks.filter(({ length }) => length > 0)];
  }

  /** The parameters of `FENCED`. */
  get tokens(): string[] {
    const bulk = new Bulk("", OWNED);
    for (const [device, { token }] of this.known) bulk.add(device, token);
    return bulk.params;
  }

  positions(): void {
    this.#wrote = true; // a device's row has its positions, even if they do not differ
  }

  received(number: number, text: string): void {
    this.#received.add(this.#device, number, text);
  }

  processed(before: number): void {
    this.#processed.add(this.#device, before);
  }

  written(
    number: number,
    { id, text, overtakes, qos, written, expires, isDoubtful, from }: Outgoing,
  ): void {
    const time = Math.round(this.#offset + written);
    const end = expires === undefined ? null : Math.round(this.#offset + expires);
    // deno-fmt-ignore
    this.#written.add(
      this.#device, number, id ?? null, text, Number(overtakes), Number(qos), time, end, Number(isDoubtful),
      from ?? null,
    );
  }

  settled(before: number): void {
    this.#settled.add(this.#device, before);
  }

  forgotten(): void {
    this.#forgotten.add(this.#device);
  }

  heard(id: number, { hash, position, connection }: Noted): void {
    this.#heard.add(this.#device, id, hash, position, connection);
  }

  deadLetterAdded({ number, text, error, date }: DeadLetter): void {
    this.#deadLetterAdded.add(this.#device, number, text, error, Math.round(date));
  }

  deadLetterRemoved(number: number): void {
    this.#deadLetterRemoved.add(this.#device, number);
  }

  memo(key: string, text: string | undefined): void {
    if (text === undefined) this.#dropped.add(this.#device, key);
    else this.#memos.add(this.#device, key, text);
  }
}
