/**
 * Marks devices as gone if several servers have a bridge on the same tables.
 *
 * The server that has a device publishes its state, in transactions that are fenced by the device
 * (`Transaction.fence`). A row says which server did so last. A server that has lost the device may mark it as gone if
 * it is still the one in the row, because the new server may not have met it yet. For devices of a dead server, and for
 * those that no server has and nobody has announced, the server with the connection to the broker marks them as gone.
 * It also publishes their states again, in a round: a server that has taken such a device by then has missed that
 * round, and publishes the newer state.
 */
import type { Transaction } from "../../server/mod.ts";
import type { AvailabilityState } from "./availability.ts";
import { ANNOUNCED_BY_ANOTHER, type Message, publishOfOwn, type StateMessage } from "./rows.ts";

/** A device that is gone, and what is published about it. */
export interface Gone {
  readonly device: string;
  readonly state: AvailabilityState;
  /** How long it may sleep, in ms. */
  readonly sleep: number;
}

/** Marks a device as gone, if this is still the server that announced it last. @param since In ms since 1970. */
export function markGone(
  tx: Transaction,
  message: Message,
  { device, state, sleep }: Gone,
  server: string,
  since: number,
): void {
  publishOfOwn(tx, message, { device, server, since });
  tx.run(
    `UPDATE mqtt_devices SET state = ?, sleep = ? WHERE device = ? AND server = ?`,
    state,
    sleep,
    device,
    server,
  );
}

/**
 * The same for a device of a dead server. If that server was only paused, the device has missed the round, and is
 * announced again.
 */
export function markLeft(...[tx, message, gone, server, since]: Parameters<typeof markGone>): void {
  markGone(tx, message, gone, server, since);
  tx.run(
    `UPDATE mqtt_devices SET round = ${ANNOUNCED_BY_ANOTHER}
      WHERE device = ? AND server = ? AND round = (SELECT round FROM mqtt_session)`,
    gone.device,
    server,
  );
}

/** The same for a device that no server has, if nobody has announced it. @param server This server */
export function markUnannounced(
  ...[tx, message, gone, server, since]: Parameters<typeof markGone>
): void {
  // First, so that a concurrent announcement waits for this one, or wins.
  tx.run(
    `INSERT INTO mqtt_devices (device, state, sleep, server) VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING`,
    gone.device,
    gone.state,
    server,
  );
  markGone(tx, message, gone, server, since);
}

/** Devices that no server has, and since when, in ms. */
export class Unattended {
  #since = new Map<string, number>();
  readonly #told = new Set<string>();

  /** Checks all devices. @returns those that have been without a server for as long as `patience` says, each once */
  look(ids: readonly string[], now: number, patience: (id: string) => number): string[] {
    this.#since = new Map(ids.map((id) => [id, this.#since.get(id) ?? now]));
    for (const id of this.#told) if (!this.#since.has(id)) this.#told.delete(id);
    const due = ids.filter((id) => {
      return !this.#told.has(id) && now >= this.#since.get(id)! + patience(id);
    }).slice(0, MOST);
    for (const id of due) this.#told.add(id);
    return due;
  }
}

/** A device that nobody has announced in this round. */
export interface Unannounced {
  readonly device: string;
  /** The server that announced it last. */
  readonly server: string;
}

/** Devices that nobody has announced in this round, and that a dead server or this one announced last. */
export async function unannouncedInRound(tx: Transaction, own: string): Promise<Unannounced[]> {
  const rows = await tx.all(
    `SELECT d.device, d.server FROM mqtt_session AS n, mqtt_devices AS d
        LEFT JOIN mqtt_servers AS s ON s.server = d.server
      WHERE d.round <> n.round AND d.round <> ${ANNOUNCED_BY_ANOTHER}
        AND (d.server = ? OR s.server IS NULL OR s.alive_until < clock_timestamp())
        AND d.server IS NOT NULL LIMIT ${MOST}`,
    own,
  );
  return rows.map(({ device, server }) => ({ device: String(device), server: String(server) }));
}

/** Publishes the states of such a device, if nobody else has announced it when the transaction becomes safe. */
export function publishAgain(
  tx: Transaction,
  states: readonly StateMessage[],
  { device, server }: Unannounced,
  since: number,
): void {
  for (const state of states) publishOfOwn(tx, state, { device, server, since });
  tx.run(
    `UPDATE mqtt_devices SET round = ${ANNOUNCED_BY_ANOTHER} WHERE device = ? AND server = ?`,
    device,
    server,
  );
}

/** A device that a dead server has announced. */
export interface Left {
  readonly device: string;
  readonly server: string;
  /** How long it may sleep, in ms. */
  readonly sleep: number;
  /** How long the server has been dead, in ms. */
  readonly age: number;
}

/** Devices of dead servers that are not marked as gone. */
export async function leftBehind(tx: Transaction): Promise<Left[]> {
  const rows = await tx.all(
    `SELECT d.device, d.server, d.sleep,
        floor(extract(epoch FROM clock_timestamp() - s.alive_until) * 1000)::bigint AS age
      FROM mqtt_devices AS d JOIN mqtt_servers AS s ON s.server = d.server
      WHERE d.state <> 'offline' AND s.alive_until < clock_timestamp() LIMIT ${MOST}`,
  );
  return rows.map(({ device, server, sleep, age }) => ({
    device: String(device),
    server: String(server),
    sleep: Number(sleep),
    age: Number(age),
  }));
}

/** Most devices of one query: a server may have left thousands. */
const MOST = 1000;
