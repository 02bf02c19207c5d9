/** Reads devices from the database. */
import { LocalError } from "../../protocol/errors.ts";
import type { DeviceState, KnownDevice, SqlRow } from "../store.ts";
import type { Answer, Wire } from "./wire.ts";
import { fromText, toArray } from "./text.ts";

/** A device as the database has it. */
export interface Loaded {
  readonly id: string;
  /** The device's number. */
  readonly device: number;
  readonly token: number;
  /** @throws {LocalError} STORE_UNUSABLE: rows contradict each other */
  read(): DeviceState;
}

/** Takes charge of devices, in an order of which two at a time cannot wait for each other. */
const TAKE = `
  WITH mine AS (
    SELECT device FROM holdfast_devices WHERE id = ANY($1) ORDER BY device FOR UPDATE
  )
  UPDATE holdfast_devices AS t SET token = nextval('holdfast_tokens'), process = $2
  FROM mine WHERE t.device = mine.device RETURNING t.*`;

const ROWS = {
  inbox: `SELECT device, number, text FROM holdfast_inbox`,
  outbox: `SELECT * FROM holdfast_outbox`,
  heard: `SELECT * FROM holdfast_heard`,
  dead_letters: `SELECT * FROM holdfast_dead_letters`,
  memos: `SELECT * FROM holdfast_memos`,
} as const;

/** Rows of those devices, in the order in which they came. */
const of = (rows: string, order: string) =>
  `${rows} WHERE device IN (SELECT device FROM holdfast_devices WHERE id = ANY($1)) ORDER BY device, ${order}`;

/**
 * Takes charge of devices for a process, and reads them; all in one transaction, so what is read is what the former
 * owner has left.
 *
 * @param clock `now` on the process's clock, `offset` from that to the database's; in ms.
 * @returns those that the database knows, and a token for each one that it does not
 * @throws {Error} the database's
 */
export async function take(
  wire: Wire,
  ids: readonly string[],
  process: number,
  clock: { now: number; offset: number },
): Promise<{ known: Loaded[]; tokens: number[] }> {
  const list = [toArray(ids)];
  const answers = await Promise.all([
    wire.ask("BEGIN ISOLATION LEVEL READ COMMITTED"),
    // What is lost of it with the database's machine was not used: a commit after it would have kept it.
    wire.ask("SET LOCAL synchronous_commit = off"),
    wire.ask(TAKE, [...list, process]),
    wire.ask(of(ROWS.inbox, "number"), list),
    wire.ask(of(ROWS.outbox, "number"), list),
    wire.ask(of(ROWS.heard, "id"), list),
    wire.ask(of(ROWS.dead_letters, "number"), list),
    wire.ask(of(ROWS.memos, "key"), list),
    wire.ask("SELECT nextval('holdfast_tokens') AS token FROM generate_series(1, $1::int)", [
      ids.length,
    ]),
    wire.ask("COMMIT"),
  ]);
  const [, , devices, inbox, outbox, heard, letters, memos, tokens] = answers;
  const rows = { devices, inbox, outbox, heard, letters, memos };
  return {
    known: toDevices(rows, clock),
    tokens: tokens!.rows.map(({ token }) => Number(token)),
  };
}

type Tables = Record<"devices" | "inbox" | "outbox" | "heard" | "letters" | "memos", Answer>;

function toDevices(tables: Tables, { now, offset }: { now: number; offset: number }): Loaded[] {
  const grouped = (table: keyof Tables) => Map.groupBy(tables[table].rows, ({ device }) => device);
  const [inboxes, outboxes] = [grouped("inbox"), grouped("outbox")];
  const [heard, letters, memos] = [grouped("heard"), grouped("letters"), grouped("memos")];
  return tables.devices.rows.map((row) => {
    const device = Number(row.device);
    const rowsOf = (of: ReadonlyMap<unknown, SqlRow[]>) => of.get(device) ?? [];
    return {
      id: fromText(String(row.id)),
      device,
      token: Number(row.token),
      read: () => ({
        ...queues(row, rowsOf(inboxes), rowsOf(outboxes), { now, offset }),
        heard: rowsOf(heard).map(({ id, hash, position, connection }) => [Number(id), {
          hash: Number(hash),
          position: Number(position),
          connection: Number(connection),
        }]),
        deadLetters: rowsOf(letters).map(({ number, text, error, date }) => ({
          number: Number(number),
          text: fromText(String(text)),
          error: fromText(String(error)),
          date: Number(date),
        })),
        memos: rowsOf(memos).map(({ key, text }) => [
          fromText(String(key)),
          fromText(String(text)),
        ]),
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
    })),
  };
}

/** A queue has no gaps, and begins where the device's positions say. */
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
