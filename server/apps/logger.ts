/**
 * Writes readings into a table of the store (`--store FILE`): each once, with the time at which it was taken, even if
 * it waited through an outage. The device's side is `client-as/examples/logger.ts`.
 */
import { channels, type Handler } from "../mod.ts";

const log: Handler = (value, { thing, tx, channel, at }) => {
  tx.run("CREATE TABLE IF NOT EXISTS readings (device TEXT, channel TEXT, value REAL, at TEXT)");
  const time = at?.toISOString() ?? null; // unknown if the device has restarted meanwhile
  tx.run("INSERT INTO readings VALUES (?, ?, ?, ?)", thing.id, channel, Number(value), time);
};

export default channels({ temp: { report: log }, adc: { report: log } });
