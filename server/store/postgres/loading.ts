/** Reads devices from the database. */
import { LocalError } from "../../protocol/errors.ts";
import type { Acquired, Kept, Mail } from "../fleet.ts";
import type { DeviceState, KnownDevice, SqlRow } from "../store.ts";
import type { Answer, Wire } from "./wire.ts";
import { fromText, toArray } from "./text.ts";

/** A device as it is in the database. */
export interface Loaded {
  readonly id: string;
  /** The device's number. */
  readonly device: number;
  readonly token: number;
  readonly looks: number;
  readonly mail: Mail[];
  /** Whether this process has the device; only set for a look. */
  readonly isOurs: boolean;
  /** @throws {LocalError} STORE_UNUSABLE: rows contradict each other */
  read(): DeviceState;
}

/** Living processes. */
const ALIVE = "SELECT process FROM holdfast_processes WHERE alive_until > clock_timestamp()";

/**
 * Takes charge of devices, in an order that avoids deadlocks. The processes that had them are notified.
 *
 * @param which Condition for the devices.
 */
const taking = (which: string) => `
  WITH mine AS (
    SELECT device, process FROM holdfast_devices WHERE id = ANY($1) AND ${which}
    ORDER BY device FOR NO KEY UPDATE
  ), taken AS (
    UPDATE holdfast_devices AS t SET token = nextval('holdfast_tokens'), process = $2
    FROM mine WHERE t.device = mine.device RETURNING t.*, mine.process AS former
  ), told AS (
    INSERT INTO holdfast_notes (process, note, id, token)
    SELECT p.process, nextval('holdfast_tokens'), t.id, t.token
    FROM taken AS t JOIN holdfast_processes AS p ON p.process = t.former WHERE t.former <> $2
  )
  SELECT *, CASE WHEN former <> $2 THEN pg_notify('holdfast_' || former, '') END AS told FROM taken`;

const TAKE = taking("true");

/** Devices that no living process has. */
const ADOPT = taking(`(process IS NULL OR process = $2 OR process NOT IN (${ALIVE}))`);

/** Looks at a device; the look is counted unless this process has it. */
const LOOK = `
  UPDATE holdfast_devices
  SET looks = looks + CASE WHEN process = $2 AND token = $3 THEN 0 ELSE 1 END
  WHERE id = ANY($1) RETURNING *, process = $2 AND token = $3 AS is_ours`;

/** Devices that no living process has, and for which something waits. */
export const ORPHANS = `
  SELECT id FROM (
    SELECT device FROM holdfast_inbox UNION SELECT device FROM holdfast_outbox UNION SELECT device FROM holdfast_mail
  ) AS waits JOIN holdfast_devices AS d USING (device)
  WHERE process IS NULL OR process NOT IN (${ALIVE})
  ORDER BY device LIMIT $1`;

/** Mail in the form in which it is returned. */
export const MAIL = `SELECT device, number, text, sender,
  (extract(epoch FROM clock_timestamp() - posted) * 1000)::bigint AS age FROM holdfast_mail`;

const ROWS = {
  inbox: `SELECT device, number, text FROM holdfast_inbox`,
  outbox: `SELECT * FROM holdfast_outbox`,
  heard: `SELECT * FROM holdfast_heard`,
  dead_letters: `SELECT * FROM holdfast_dead_letters`,
  memos: `SELECT * FROM holdfast_memos`,
  mail: MAIL,
} as const;

/** Rows of those devices, in the order in which they came. */
const of = (rows: string, order: string) =>
  `${rows} WHERE device IN (SELECT device FROM holdfast_devices WHERE id = ANY($1)) ORDER BY device, ${order}`;

/**
 * Taking a device need not wait for the disk: if it is lost in a crash of the database, nothing depends on it, because
 * any later commit would have made it durable too.
 */
const AT_ONCE = "; SET LOCAL synchronous_commit = off";

/** Options for reading devices. */
export interface Asking {
  readonly ids: readonly string[];
  readonly process: number;
  /** Takes charge of all of them; or only of those that no process has; or of none, and counts the look. */
  readonly how: "take" | "adopt" | { readonly looksWith: number | undefined };
}

/**
 * Takes charge of devices for a process, and reads them in the same transaction, so that it reads what the former
 * owner has left.
 *
 * @param clock `now` on the process's clock, `offset` from that to the database's; in ms.
 * @returns those that the database knows, and a token for each one that it does not
 * @throws {Error} the database's
 */
export async function take(
  wire: Wire,
  { ids, process, how }: Asking,
  clock: { now: number; offset: number },
): Promise<{ known: Loaded[]; tokens: number[] }> {
  const list = [toArray(ids)];
  const answers = await Promise.all([
    wire.ask(`BEGIN ISOLATION LEVEL READ COMMITTED${typeof how === "object" ? "" : AT_ONCE}`),
    typeof how === "object"
      ? wire.ask(LOOK, [...list, process, how.looksWith ?? null])
      : wire.ask(how === "take" ? TAKE : ADOPT, [...list, process]),
    wire.ask(of(ROWS.inbox, "number"), list),
    wire.ask(of(ROWS.outbox, "number"), list),
    wire.ask(of(ROWS.heard, "id"), list),
    wire.ask(of(ROWS.dead_letters, "number"), list),
    wire.ask(of(ROWS.memos, "key"), list),
    wire.ask(of(ROWS.mail, "number"), list),
    wire.ask("SELECT nextval('holdfast_tokens') AS token FROM generate_series(1, $1::int)", [
      ids.length,
    ]),
    wire.ask("COMMIT"),
  ]);
  const [, devices, inbox, outbox, heard, letters, memos, mail, tokens] = answers;
  const rows = { devices, inbox, outbox, heard, letters, memos, mail };
  return {
    known: toDevices(rows, clock),
    tokens: tokens!.rows.map(({ token }) => Number(token)),
  };
}

/** As `Fleet.read`: a consistent snapshot. @throws {Error} the database's */
export async function read(
  wire: Wire,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Kept>> {
  const list = [toArray(ids)];
  const [, devices, letters, memos] = await Promise.all([
    wire.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
    wire.ask("SELECT device, id FROM holdfast_devices WHERE id = ANY($1)", list),
    wire.ask(of(ROWS.dead_letters, "number"), list),
    wire.ask(of(ROWS.memos, "key"), list),
    wire.ask("COMMIT"),
  ]);
  const [lettersOf, memosOf] = [letters, memos].map(({ rows }) => {
    return Map.groupBy(rows, ({ device }) => device);
  });
  return new Map(devices.rows.map(({ device, id }) => [
    fromText(String(id)),
    toKept(lettersOf!.get(device) ?? [], memosOf!.get(device) ?? []),
  ]));
}

function toKept(letters: readonly SqlRow[], memos: readonly SqlRow[]): Kept {
  return {
    deadLetters: letters.map(({ number, text, error, date }) => ({
      number: Number(number),
      text: fromText(String(text)),
      error: fromText(String(error)),
      date: Number(date),
    })),
    memos: memos.map(({ key, text }) => [fromText(String(key)), fromText(String(text))]),
  };
}

type Tables = Record<
  "devices" | "inbox" | "outbox" | "heard" | "letters" | "memos" | "mail",
  Answer
>;

function toDevices(tables: Tables, { now, offset }: { now: number; offset: number }): Loaded[] {
  const grouped = (table: keyof Tables) => Map.groupBy(tables[table].rows, ({ device }) => device);
  const [inboxes, outboxes] = [grouped("inbox"), grouped("outbox")];
  const [heard, letters, memos] = [grouped("heard"), grouped("letters"), grouped("memos")];
  const mail = grouped("mail");
  return tables.devices.rows.map((row) => {
    const device = Number(row.device);
    const rowsOf = (of: ReadonlyMap<unknown, SqlRow[]>) => of.get(device) ?? [];
    const id = fromText(String(row.id));
    return {
      id,
      device,
      token: Number(row.token),
      looks: Number(row.looks),
      isOurs: row.is_ours === 1,
      mail: rowsOf(mail).map((it) => toMail(id, it)),
      read: () => ({
        ...queues(row, rowsOf(inboxes), rowsOf(outboxes), { now, offset }),
        heard: rowsOf(heard).map(({ id, hash, position, connection }) => [Number(id), {
          hash: Number(hash),
          position: Number(position),
          connection: Number(connection),
        }]),
        ...toKept(rowsOf(letters), rowsOf(memos)),
      }),
    };
  });
}

function queues(
  row: SqlRow,
  inbox: readonly SqlRow[],
  outbox: readonly SqlRow[],
  { now, offset }: { now: number; offset: number },
): Pick<DeviceState, "positions" | "sent" | "inbox" | "outbox"> {
  const [processed, sent] = [Number(row.processed), Number(row.tx_next)];
  checkNumbers(row, inbox, processed);
  checkNumbers(row, outbox, sent - outbox.length);
  return {
    positions: {
      txEpoch: Number(row.tx_epoch),
      txNext: sent % 2 ** 32,
      txSent: Number(row.tx_sent),
      nextId: Number(row.next_id),
      rxEpoch: Number(row.rx_epoch),
      rxNext: Number(row.rx_next),
      connects: Number(row.connects),
      processed,
    },
    sent,
    inbox: inbox.map(({ text }) => fromText(String(text))),
    outbox: outbox.map((message) => ({
      seq: Number(message.number) % 2 ** 32,
      id: message.id === null ? undefined : Number(message.id),
      text: fromText(String(message.text)),
      overtakes: message.overtakes === 1,
      qos: message.qos === 1,
      written: Math.min(Number(message.written) - offset, now),
      expires: message.expires === null ? undefined : Number(message.expires) - offset,
      isDoubtful: message.is_doubtful === 1,
      ...(message.sender !== null && { from: String(message.sender) }),
    })),
  };
}

/** @param device Id of the device. */
export function toMail(device: string, { number, text, sender, age }: SqlRow): Mail {
  return {
    number: Number(number),
    device,
    text: fromText(String(text)),
    age: Number(age),
    from: String(sender),
  };
}

/** Checks that a queue has no gaps, and begins where the device's positions say. */
function checkNumbers(row: SqlRow, queue: readonly SqlRow[], first: number): void {
  const wrong = queue.find(({ number }, i) => Number(number) !== first + i);
  if (!wrong) return;
  const message = `the store is damaged: a message of device ${JSON.stringify(row.id)} is missing`;
  throw new LocalError("STORE_UNUSABLE", message);
}

/** All devices, in the order in which they came. */
export async function list(wire: Wire): Promise<KnownDevice[]> {
  const { rows } = await wire.ask(`
    SELECT id,
      (SELECT count(*) FROM holdfast_inbox AS i WHERE i.device = d.device) AS inbox,
      (SELECT count(*) FROM holdfast_outbox AS o WHERE o.device = d.device) AS outbox
    FROM holdfast_devices AS d ORDER BY device`);
  return rows.map(({ id, inbox, outbox }) => ({
    id: fromText(String(id)),
    inbox: Number(inbox),
    outbox: Number(outbox),
  }));
}

/** The form in which the server gets it. @throws {LocalError} STORE_UNUSABLE: see `Loaded.read` */
export function toAcquired({ token, mail, looks, read }: Loaded): Acquired {
  return { state: read(), token, mail, looks };
}
