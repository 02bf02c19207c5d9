import { LocalError } from "../protocol/errors.ts";
import { MemoryStore } from "./memory.ts";
import type { Durability } from "./sqlite/database.ts";
import type { StoreClock } from "./sqlite/mark.ts";
import { PostgresStore } from "./postgres/postgres.ts";
import { isPostgres } from "./postgres/conninfo.ts";
import { SqliteStore } from "./sqlite/sqlite.ts";
import type { Store } from "./store.ts";

/**
 * Opens a store: the path of a file, the URL of a PostgreSQL database, ":memory:", or a store itself.
 *
 * @throws {LocalError} STORE_UNUSABLE; BAD_ARGUMENT: a malformed URL, or a durability that PostgreSQL does not
 * support
 */
export function openStore(
  store: string | Store,
  durability: Durability | undefined,
  clock: StoreClock,
): Store {
  if (typeof store !== "string") return store;
  if (store === ":memory:") return new MemoryStore();
  if (isPostgres(store)) {
    if (durability === "normal") {
      // With less, after a crash of the database alone, this process would know more than the database.
      const message = "PostgreSQL supports only full";
      throw new LocalError("BAD_ARGUMENT", `durability normal is for SQLite: ${message}`);
    }
    return new PostgresStore(store, { clock: { now: () => clock.now() } });
  }
  return new SqliteStore(store, { clock, ...(durability ? { durability } : {}) });
}
