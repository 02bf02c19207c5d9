/** The bridge's rows in the server's store. */
import type { SqlRow, Transaction } from "../../server/mod.ts";
import { byteLength } from "../../server/protocol/lines.ts";
import type { Kept } from "./mqtt_session.ts";
import { endOfIds } from "./outgoing.ts";
import { GIVEN_UP, RELEASED, type Schema, SENT, WAITING } from "./schema.ts";
import type { InFlight, Publication, Task } from "./tasks.ts";

/**
 * Replaces the state that waits and keeps its place, so that a state that changes fast does not wait for ever behind the
 * others.
 */
const OR_REPLACE = `ON CONFLICT (topic) WHERE retain = 1 AND stage = ${WAITING}
  DO UPDATE SET payload = excluded.payload`;

/** Loads the tables when the bridge starts. @param own The bridge's own filters, which are added. */
export async function load(
  tx: Transaction,
  schema: Schema,
  own: readonly string[],
): Promise<Kept & { clientId: string }> {
  const session = await tx.get(`SELECT client_id FROM mqtt_session`);
  const underWay = `stage IN (${SENT}, ${RELEASED})`;
  const rows = await tx.all(`SELECT * FROM mqtt_out WHERE ${underWay} ORDER BY seq`);
  const end = endOfIds(Number(rows[0]?.seq ?? 0));
  const taken = await tx.all(`SELECT packet FROM mqtt_in`);
  const filters = await tx.all(schema.filters);
  keepFilters(tx, own);
  return {
    clientId: String(session!.client_id),
    inFlight: rows.map((row): InFlight => ({
      ...toPublication(row),
      isReleased: Number(row.stage) === RELEASED,
    })).filter(({ seq }) => seq < end), // later ones wait for their ids
    taken: taken.map(({ packet }) => Number(packet)),
    filters: filters.map(({ filter, is_granted }) => ({
      filter: String(filter),
      isGranted: Number(is_granted) === 1,
    })),
  };
}

/** Topic filters that a broker may have, oldest first. */
export async function knownFilters(tx: Transaction, schema: Schema): Promise<string[]> {
  const rows = await tx.all(schema.filters);
  return rows.map(({ filter }) => String(filter));
}

/** Whether a broker ever had the session. */
export async function isKnown(tx: Transaction): Promise<boolean> {
  return Number((await tx.get(`SELECT is_known FROM mqtt_session`))!.is_known) === 1;
}

/** Makes all servers announce their devices again. */
export function beginRound(tx: Transaction): void {
  tx.run(`UPDATE mqtt_session SET round = round + 1`);
}

/** A message to publish. */
export type Message = Omit<Publication, "seq">;

/** A publication as it is stored. */
export interface Row extends Publication {
  /** When it was added, in ms since 1970. */
  readonly since: number;
  /** If false, it waits and may be replaced; if several servers add publications, its `seq` may change as well. */
  readonly isSent: boolean;
  /** Its place in the queue. */
  readonly place: number;
}

/**
 * Adds a publication; a state (retained) replaces one that waits.
 *
 * @param since In ms since 1970.
 * @param window If nothing waits and fewer are under way, it is `sent` at once. 0: it waits.
 */
export function publish(
  tx: Transaction,
  { publish: sql, hasWindow }: Schema,
  { topic, payload, retain, properties }: Message,
  { since, window }: { since: number; window: number },
): void {
  tx.run(
    retain ? `${sql} ${OR_REPLACE}` : sql,
    topic,
    payload,
    retain ? 1 : 0,
    properties ?? null,
    since,
    ...hasWindow ? [window] : [],
  );
}

/** All states of a device were added again in this round. */
export function endRound(tx: Transaction, device: string): void {
  tx.run(
    `UPDATE mqtt_devices SET round = (SELECT round FROM mqtt_session) WHERE device = ?`,
    device,
  );
}

/** SQL for a round in which another server has announced a device: the device's own server has missed that round. */
export const ANNOUNCED_BY_ANOTHER = `-1 - (SELECT round FROM mqtt_session)`;

/** Makes the server that has a device announce it again, as if it had missed the round. */
export function missRound(tx: Transaction, device: string): void {
  tx.run(`UPDATE mqtt_devices SET round = -1 WHERE device = ?`, device);
}

/** A device that its server must announce again. */
export interface Missed {
  readonly device: string;
  /** Its last announced state. */
  readonly state: string;
}

/**
 * Devices of a server that were not announced in this round, because they have come from another server meanwhile, or
 * because another one has marked them as gone: see `markLeft`.
 */
export async function missedRound(tx: Transaction, server: string): Promise<Missed[]> {
  const rows = await tx.all(
    `SELECT d.device, d.state FROM mqtt_devices AS d, mqtt_session AS n
      WHERE d.server = ? AND d.round < n.round LIMIT ${MOST_MISSED}`,
    server,
  );
  return rows.map(({ device, state }) => ({ device: String(device), state: String(state) }));
}

/** Most devices of one query. */
const MOST_MISSED = 1000;

/** A retained message about a device. Without a payload it is its availability, as its row says by then. */
export type StateMessage = Pick<Message, "topic"> & Partial<Message>;

/** Adds a state of a device, if this server is the one that announced it last when the transaction becomes safe. */
export function publishOfOwn(
  tx: Transaction,
  { topic, payload }: StateMessage,
  { device, server, since }: { device: string; server: string; since: number },
): void {
  tx.run(
    `WITH own AS (SELECT state FROM mqtt_devices WHERE device = ? AND server = ? FOR UPDATE)
      INSERT INTO mqtt_out (topic, payload, retain, since) SELECT ?::text, coalesce(?::text, state), 1, ?::bigint FROM own
      ${OR_REPLACE}`,
    device,
    server,
    topic,
    payload ?? null,
    since,
  );
}

/** Adds a device's will or welcome, if its row meets this condition when the transaction becomes safe. */
export function publishOf(
  tx: Transaction,
  device: string,
  said: "will" | "welcome",
  { where, since }: { where: string; since: number },
): void {
  tx.run(
    `INSERT INTO mqtt_out (topic, payload, retain, since)
      SELECT json_extract(${said}, '$.topic'), json_extract(${said}, '$.payload'),
        json_extract(${said}, '$.retain'), ?
      FROM mqtt_devices WHERE device = ? AND ${said} IS NOT NULL AND ${where} ${OR_REPLACE}`,
    since,
    device,
  );
}

/** Marks waiting publications, up to this one, as `sent`: they cannot change any more. */
export function markSent(tx: Transaction, schema: Schema, last: Row["place"]): void {
  const [mark, ...then] = schema.markSent;
  tx.run(mark!, last);
  for (const sql of then) tx.run(sql);
}

/** The oldest publications after one that are `sent` or wait. Waiting ones come after all others. */
export async function behind(
  tx: Transaction,
  { behind: sql, isShared }: Schema,
  seq: number,
  most: number,
): Promise<Row[]> {
  const found = await tx.all(sql, seq, most, ...isShared ? [most] : []);
  found.sort((one, other) => Number(one.seq === null) - Number(other.seq === null));
  let last = Number(found[0]?.last);
  const rows = found.map((row) => ({
    ...toPublication({ ...row, seq: row.seq ?? ++last }),
    since: Number(row.since),
    isSent: Number(row.stage) === SENT,
    place: Number(row.place),
  }));
  return rows.slice(0, most);
}

/** Whether a publication to a topic waits or is under way. */
export async function isUnderWay(tx: Transaction, topic: string): Promise<boolean> {
  return await tx.get(`SELECT 1 FROM mqtt_out WHERE topic = ? LIMIT 1`, topic) !== undefined;
}

/** Makes a task safe, except for the effects of its message. */
export function keep(tx: Transaction, task: Task): void {
  switch (task.does) {
    case "deliver":
      if (task.qos === 2) {
        tx.run(`INSERT INTO mqtt_in VALUES (?) ON CONFLICT DO NOTHING`, task.packet);
      }
      return;
    case "forget":
      return tx.run(`DELETE FROM mqtt_in WHERE packet = ?`, task.packet);
    case "release":
      return tx.run(`UPDATE mqtt_out SET stage = ${RELEASED} WHERE seq = ?`, task.seq);
    case "complete":
      return tx.run(`DELETE FROM mqtt_out WHERE seq = ?`, task.seq);
    case "resume":
      tx.run(`UPDATE mqtt_session SET is_known = 1`);
      if (task.isPresent) return;
      tx.run(`DELETE FROM mqtt_in`);
      tx.run(`UPDATE mqtt_out SET stage = ${SENT} WHERE stage = ${RELEASED}`);
      return tx.run(`UPDATE mqtt_filters SET is_granted = 0`);
    case "subscribe":
      return keepFilters(tx, task.filters);
    case "subscribed":
      return grant(tx, task.granted, 1);
    case "unsubscribe":
      return grant(tx, task.filters, 0);
    case "unsubscribed":
      for (const filter of task.filters) {
        tx.run(`DELETE FROM mqtt_filters WHERE filter = ?`, filter);
      }
  }
}

function grant(tx: Transaction, filters: readonly string[], isGranted: 0 | 1): void {
  for (const filter of filters) {
    tx.run(`UPDATE mqtt_filters SET is_granted = ? WHERE filter = ?`, isGranted, filter);
  }
}

function keepFilters(tx: Transaction, filters: readonly string[]): void {
  for (const filter of filters) {
    tx.run(`INSERT INTO mqtt_filters (filter) VALUES (?) ON CONFLICT DO NOTHING`, filter);
  }
}

/** A number of publications and their bytes. */
export interface Amount {
  readonly rows: number;
  readonly bytes: number;
}

const AMOUNT = `count(*) AS n,
  coalesce(sum(octet_length(topic) + octet_length(payload)
    + coalesce(octet_length(properties), 0)), 0) AS bytes`;

export async function count(tx: Transaction): Promise<Amount> {
  const { n, bytes } = (await tx.get(`SELECT ${AMOUNT} FROM mqtt_out`))!;
  return { rows: Number(n), bytes: Number(bytes) };
}

const EVENT_WAITS = `stage = ${WAITING} AND retain = 0`;

/** Marks waiting events that were added by then as given up. Sent ones are not affected. */
export function giveUp(tx: Transaction, by: number): void {
  tx.run(`UPDATE mqtt_out SET stage = ${GIVEN_UP} WHERE ${EVENT_WAITS} AND since <= ?`, by);
}

/** What was given up. */
export interface GivenUp extends Amount {
  /** When the oldest waiting publication was added, in ms since 1970; likewise the oldest event. */
  readonly oldest: number | undefined;
  readonly oldestEvent: number | undefined;
}

/** Deletes what was given up. */
export async function takeGivenUp(tx: Transaction): Promise<GivenUp> {
  const gone = `stage = ${GIVEN_UP}`;
  const { n, bytes } = (await tx.get(`SELECT ${AMOUNT} FROM mqtt_out WHERE ${gone}`))!;
  if (Number(n) > 0) tx.run(`DELETE FROM mqtt_out WHERE ${gone}`);
  return {
    rows: Number(n),
    bytes: Number(bytes),
    oldest: await oldest(tx, `stage = ${WAITING}`),
    oldestEvent: await oldest(tx, EVENT_WAITS),
  };
}

async function oldest(tx: Transaction, which: string): Promise<number | undefined> {
  const { since } = (await tx.get(`SELECT min(since) AS since FROM mqtt_out WHERE ${which}`))!;
  return since === null ? undefined : Number(since);
}

export function bytesOf({ topic, payload, properties = "" }: Omit<Message, "retain">): number {
  return byteLength(topic) + byteLength(payload) + byteLength(properties);
}

function toPublication({ seq, topic, payload, retain, properties }: SqlRow): Publication {
  return {
    seq: Number(seq),
    topic: String(topic),
    payload: String(payload),
    retain: Number(retain) === 1,
    ...(properties !== null && { properties: String(properties) }),
  };
}
