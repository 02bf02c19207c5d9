/**
 * The retained topics that the bridge has published, so that they can be removed from the broker when their device
 * is forgotten, even while the bridge does not run, or after its prefix has changed.
 */
import type { Transaction } from "../../server/mod.ts";

/** A retained topic that the bridge has published. */
export interface Retained {
  readonly topic: string;
  /** Its device; "": the bridge itself. */
  readonly device: string;
  /** What was last published, if the bridge needs that; otherwise "". */
  readonly kept: string;
}

/** A topic was published. Writes nothing if it is already known. */
export function remember(tx: Transaction, topic: string, device: string): void {
  tx.run(
    `INSERT INTO mqtt_retained (topic, device) VALUES (?, ?) ON CONFLICT DO NOTHING`,
    topic,
    device,
  );
}

/** A topic was published: keeps what was published, too. */
export function keepPayload(tx: Transaction, { topic, device, kept }: Retained): void {
  tx.run(
    `INSERT INTO mqtt_retained VALUES (?, ?, ?)
      ON CONFLICT (topic) DO UPDATE SET kept = excluded.kept`,
    topic,
    device,
    kept,
  );
}

/** A topic was removed. */
export function forgetTopic(tx: Transaction, topic: string): void {
  tx.run(`DELETE FROM mqtt_retained WHERE topic = ?`, topic);
}

/** What was last published to a topic; "" if nothing, or if that was not kept. */
export async function keptOf(tx: Transaction, topic: string): Promise<string> {
  return String(
    (await tx.get(`SELECT kept FROM mqtt_retained WHERE topic = ?`, topic))?.kept ?? "",
  );
}

/** Topics of a device with what was published last, as far as that was kept. */
export async function keptTopics(tx: Transaction, device: string): Promise<Retained[]> {
  const rows = await tx.all(
    `SELECT topic, kept FROM mqtt_retained WHERE device = ? AND kept <> ''`,
    device,
  );
  return rows.map(({ topic, kept }) => ({ topic: String(topic), device, kept: String(kept) }));
}

/** The topics of a device; without one, all. */
export async function topicsOf(
  tx: Transaction,
  device?: string,
): Promise<Omit<Retained, "kept">[]> {
  const rows = device === undefined
    ? await tx.all(`SELECT topic, device FROM mqtt_retained`)
    : await tx.all(`SELECT topic, device FROM mqtt_retained WHERE device = ?`, device);
  return rows.map(({ topic, device }) => ({ topic: String(topic), device: String(device) }));
}
