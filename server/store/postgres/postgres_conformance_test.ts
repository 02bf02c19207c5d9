import { withPostgres } from "../../../tests/support/postgres.ts";
import { describeStore } from "../../../tests/support/store_conformance.ts";
import { PostgresStore } from "./postgres.ts";

/** A clock that stands still, so that times are read back exactly. */
const clock = { now: () => 1_000_000, date: () => 1_800_000_000_000 };

/** Makes commits fail after the works are executed and some rows are written. */
const BREAK = `
  CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'disk_full'; END $$;
  CREATE TRIGGER broken BEFORE INSERT OR UPDATE ON holdfast_devices
    FOR EACH ROW WHEN (true) EXECUTE FUNCTION break()`;

const MEND = "DROP TRIGGER broken ON holdfast_devices; DROP FUNCTION break()";

withPostgres("postgres store: what every store must do", (server) => {
  describeStore("postgres store", () => {
    const schema = server().schema();
    return {
      open: () => new PostgresStore(server().url(schema), { clock }),
      breaks() {
        server().sql(BREAK, schema);
        return () => void server().sql(MEND, schema);
      },
      remove: () => void server().sql(`DROP SCHEMA ${schema} CASCADE`),
    };
  }, { hasDatabase: true, canFail: true });
});
