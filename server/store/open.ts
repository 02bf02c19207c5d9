import { MemoryStore } from "./memory.ts";
import type { Durability } from "./sqlite/database.ts";
import type { StoreClock } from "./sqlite/mark.ts";
import { SqliteStore } from "./sqlite/sqlite.ts";
import type { Store } from "./store.ts";

/** The store that is meant: the path of a file, ":memory:", or itself. @throws {LocalError} STORE_UNUSABLE */
export function openStore(
  store: string | Store,
  durability: Durability | undefined,
  clock: StoreClock,
): Store {
  if (typeof store !== "string") return store;
  if (store === ":memory:") return new MemoryStore();
  return new SqliteStore(store, { clock, ...(durability ? { durability } : {}) });
}
