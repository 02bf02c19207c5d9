/** Statements for works of applications. */
import { LocalError } from "../../protocol/errors.ts";
import { MOST_MAIL, type Post } from "../fleet.ts";
import type { Work } from "../store.ts";
import { toChange } from "./guard.ts";
import type { Asked } from "./rows.ts";
import { toArray } from "./text.ts";
import type { Wire } from "./wire.ts";

export const BEGIN: Asked = { sql: "BEGIN ISOLATION LEVEL READ COMMITTED" };

/** The statements of a work. @throws {LocalError} BAD_ARGUMENT */
export function statementsOf({ statements }: Work): Asked[] {
  return statements.map(({ sql, params }) => ({ sql: toChange(sql), params }));
}

/** Writes a work's posts, in a savepoint. @returns why nothing was posted @throws {Error} from the database */
export async function tryPost(wire: Wire, posts: readonly Post[], process: number) {
  const [, error] = await Promise.all([
    wire.ask("SAVEPOINT holdfast_work"),
    post(wire, posts, process),
  ]);
  if (error !== undefined) await wire.ask("ROLLBACK TO holdfast_work");
  await wire.ask("RELEASE holdfast_work");
  return error;
}

/** Writes posts for devices that other processes have. @returns why it cannot */
export async function post(wire: Wire, posts: readonly Post[], process: number) {
  if (posts.length === 0) return undefined;
  const { rows } = await wire.ask(POST, [
    toArray(posts.map(({ device }) => device)),
    toArray(posts.map(({ text }) => text)),
    toArray(posts.map(({ number }) => `${process} ${number}`)),
  ]);
  for (const [i, { device: id }] of posts.entries()) {
    const { device, waiting } = rows[i]!;
    if (device !== null && Number(waiting) <= MOST_MAIL) continue;
    const error = device === null
      ? new LocalError("UNKNOWN_DEVICE", `no device has ever connected as ${JSON.stringify(id)}`)
      : new LocalError("OUTBOX_FULL", `${MOST_MAIL} things wait for device ${JSON.stringify(id)}`);
    error.device = id;
    return error;
  }
  return undefined;
}

/**
 * Returns for each post, in order, how much waits for its device, this post included. Locks the devices against being
 * forgotten, so that whoever forgets one finds its mail.
 */
const POST = `
  WITH d AS (
    SELECT device, id, process FROM holdfast_devices WHERE id = ANY($1) ORDER BY device FOR KEY SHARE
  ), r AS (
    SELECT d.device, d.process, p.text, p.sender, p.at
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS p (id, text, sender, at)
    LEFT JOIN d ON d.id = p.id ORDER BY p.at
  ), posted AS (
    INSERT INTO holdfast_mail (device, number, text, sender)
    SELECT device, nextval('holdfast_tokens'), text, sender
    FROM (SELECT * FROM r WHERE device IS NOT NULL ORDER BY at) AS known
  )
  SELECT device, (SELECT count(*) FROM holdfast_mail AS m WHERE m.device = r.device)
      + count(*) OVER (PARTITION BY device) AS waiting,
    pg_notify('holdfast_' || coalesce(process, 0), '') AS told
  FROM r ORDER BY at`;
