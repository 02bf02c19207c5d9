import { LocalError } from "../protocol/errors.ts";
import { MemoryStore } from "./memory.ts";
import type { Durability } from "./sqlite/database.ts";
import type { StoreClock } from "./sqlite/mark.ts";
import { PostgresStore } from "./postgres/postgres.ts";
import { isPostgres } from "./postgres/conninfo.ts";
import { SqliteStore } from "./sqlite/sqlite.ts";
import type { Store } from "./store.ts";

/**
 * The store that is meant: the path of a file, the URL of a PostgreSQL database, ":memory:", or itself.
 *
 * @throws {LocalError} STORE_UNUSABLE; BAD_ARGUMENT: a malformed URL, or a durability that PostgreSQL does not have
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
      // After a crash of the database alone, this process would know what the database does not.
      const message = "a commit to PostgreSQL is durable, or the server goes on with what is gone";
      throw new LocalError("BAD_ARGUMENT", `durability normal is for SQLite: ${message}`);
    }
    return new PostgresStore(store, { clock: { now: () => clock.now() } });
  }
  return new SqliteStore(store, { clock, ...(durability ? { durability } : {}) });
}
