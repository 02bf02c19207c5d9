import { describeStore } from "../../../tests/support/store_conformance.ts";
import { SqliteStore } from "./sqlite.ts";

/** A clock that stands still, so that times are read back exactly. */
const clock = { now: () => 1_000_000, date: () => 1_800_000_000_000 };

/** A store whose commits can be made to fail after the works are executed and some rows are written. */
class TestStore extends SqliteStore {
  constructor(path: string) {
    super(path, { durability: "normal", clock });
  }

  breaks(): () => void {
    this.execute(`CREATE TEMP TRIGGER broken BEFORE INSERT ON holdfast_devices
      BEGIN SELECT RAISE(ABORT, 'broken'); END`);
    return () => this.execute("DROP TRIGGER broken");
  }
}

describeStore("sqlite store", () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  return {
    open: () => new TestStore(`${folder}/holdfast.db`),
    breaks: (store) => (store as TestStore).breaks(),
    remove: () => Deno.removeSync(folder, { recursive: true }),
  };
}, { hasDatabase: true, canFail: true });
