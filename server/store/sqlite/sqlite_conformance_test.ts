import { describeStore } from "../../../tests/support/store_conformance.ts";
import { SqliteStore } from "./sqlite.ts";

/** Stops, so that times come back exactly. */
const clock = { now: () => 1_000_000, date: () => 1_800_000_000_000 };

/** On a disk that can be written or not. */
class TestStore extends SqliteStore {
  constructor(path: string) {
    super(path, { durability: "normal", clock });
  }

  allowWriting(allowed: boolean): void {
    this.execute(`PRAGMA query_only = ${allowed ? "OFF" : "ON"}`);
  }
}

describeStore("sqlite store", () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  return {
    open: () => new TestStore(`${folder}/holdfast.db`),
    breaks(store) {
      (store as TestStore).allowWriting(false);
      return () => (store as TestStore).allowWriting(true);
    },
    remove: () => Deno.removeSync(folder, { recursive: true }),
  };
}, { hasDatabase: true, canFail: true });
