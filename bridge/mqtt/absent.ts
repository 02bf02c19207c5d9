/**
 * Devices that are gone, where several servers have a bridge on the same tables. A row says which server has told of a
 * device last. Only that one says that it is gone: it may be at another one by then. What a server that is dead has said
 * is for the one that has the connection to the broker.
 */
import type { Transaction } from "../../server/mod.ts";
import type { AvailabilityState } from "./availability.ts";
import { type Message, publishOfOwn } from "./rows.ts";

/** What is published about a device. */
export interface Gone {
  readonly device: string;
  readonly state: AvailabilityState;
  /** For how long it may sleep, in ms. */
  readonly sleep: number;
}

/** Tells that a device is gone, if this is still the server that has told of it last. @param since In ms since 1970. */
export function tellGone(
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

/** A device that a dead server has announced. */
export interface Left {
  readonly device: string;
  readonly server: string;
  /** For how long it may sleep, in ms. */
  readonly sleep: number;
  /** For how long the server has been dead, in ms. */
  readonly age: number;
}

/** Devices that dead servers have left, and that are not said to be gone. */
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

/** Of one look: a server may have left thousands. */
const MOST = 1000;
