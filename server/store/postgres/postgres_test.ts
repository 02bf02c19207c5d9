/** A `PostgresStore`: opening, refusals, values, devices and connections. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { makeCertificate } from "../../../tests/support/certificate.ts";
import { openSession, withPostgres } from "../../../tests/support/postgres.ts";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { locate } from "../../../tests/support/tools.ts";
import { LocalError } from "../../protocol/errors.ts";
import { PostgresStore } from "./postgres.ts";
import { migrate } from "./schema.ts";

/** The error with which opening a store fails. */
async function refusal(url: string): Promise<{ code: string; message: string }> {
  const store = new PostgresStore(url);
  try {
    const { code, message } = await assertRejects(() => store.list(), LocalError);
    return { code, message };
  } finally {
    await store.close();
  }
}

withPostgres("postgres store: opening, refusing", (server) => {
  const test = (name: string, fn: (url: string, schema: string) => Promise<void>) =>
    Deno.test(`postgres store: ${name}`, async () => {
      const schema = server().schema();
      await fn(server().url(schema), schema);
    });

  test("stores that open at the same time create the tables once", async (url) => {
    const stores = Array.from({ length: 5 }, () => new PostgresStore(url));
    assertEquals(await Promise.all(stores.map((store) => store.list())), stores.map(() => []));
    for (const store of stores) await store.close();
  });

  test(
    "a store of a newer Holdfast is refused with its version, and not changed",
    async (url, schema) => {
      const store = new PostgresStore(url);
      await store.list();
      await store.close();
      server().sql("UPDATE holdfast_store SET version = 7", schema);
      const { code, message } = await refusal(url);
      assertEquals(code, "STORE_UNUSABLE");
      assertStringIncludes(message, "newer Holdfast (schema 7; this one knows 2)");
      assertEquals(server().sql("SELECT version FROM holdfast_store", schema), "7");
    },
  );

  test("a connection is closed only when all statements have their answer, including those that the driver holds back", async (url) => {
    const wire = await openSession(url);
    const sum = async (y: number) =>
      (await wire.ask(`SELECT $1::int + ${y} AS sum`, [1])).rows[0]!.sum;
    const sums = Promise.all([1, 2, 3].map((y) => sum(y).catch(String)));
    await wire.close();
    assertEquals([wire.waiting, await sums], [0, [2, 3, 4]]);
    await assertRejects(() => wire.ask("SELECT 4"), Error, "the connection was closed");
  });

  test("several processes migrate an older store once", async (url, schema) => {
    const open = () => openSession(url);
    const wires = await Promise.all([open(), open(), open()]);
    await migrate(wires[0]!, "", []);
    const steps = [["CREATE TABLE holdfast_new (x BIGINT)"], [
      "INSERT INTO holdfast_new VALUES (1)",
    ]];
    await Promise.all(wires.map((wire) => migrate(wire, "", steps)));
    assertEquals(server().sql("SELECT count(*), sum(x) FROM holdfast_new", schema), "1|1");
    assertEquals(server().sql("SELECT version FROM holdfast_store", schema), "3");
    const broken = [...steps, ["UPDATE holdfast_new SET x = 2", "GARBAGE"]];
    await assertRejects(() => migrate(wires[0]!, "", broken), Error, "GARBAGE");
    assertEquals(
      server().sql("SELECT x FROM holdfast_new", schema),
      "1",
      "all of a step, or nothing",
    );
    for (const wire of wires) await wire.close();
  });

  test(
    "a wrong database, user or encoding is refused, with what to do",
    async (url, schema) => {
      const with_ = (from: string, to: string) => refusal(url.replace(from, to));
      const none = await with_("/postgres?", "/nothing?");
      assertEquals(none.code, "STORE_UNUSABLE");
      assertStringIncludes(none.message, "createdb");
      const stranger = await with_("postgres@", "stranger@");
      assertEquals(stranger.code, "STORE_UNUSABLE");
      assertStringIncludes(stranger.message, "PGPASSFILE");
      const nowhere = await with_(`:${server().port}`, ":1");
      assertEquals(nowhere.code, "STORE_FAILED");
      server().sql(`CREATE DATABASE ${schema} TEMPLATE template0 ENCODING 'SQL_ASCII'`);
      const ascii = await with_("/postgres?", `/${schema}?`);
      assertStringIncludes(ascii.message, "createdb --encoding UTF8");
    },
  );

  test("a missing or wrong password is refused, and no message contains it", async () => {
    server().sql("CREATE ROLE keeper LOGIN PASSWORD 'secret'");
    const hba = `${server().folder}/data/pg_hba.conf`;
    const rules = Deno.readTextFileSync(hba);
    Deno.writeTextFileSync(hba, `host all keeper all scram-sha-256\n${rules}`);
    server().sql("SELECT pg_reload_conf()");
    const url = (password: string) =>
      `postgres://keeper${password}@127.0.0.1:${server().port}/postgres`;
    for (const password of ["", ":wrong"]) {
      const { code, message } = await refusal(url(password));
      assertEquals(code, "STORE_UNUSABLE");
      assert(!message.includes("wrong"), message);
    }
    // It may connect, but not create tables, which is the next error.
    assertStringIncludes((await refusal(url(":secret"))).message, "CREATE and USAGE");
    assertEquals(new PostgresStore(url(":secret")).hasPassword, true);
  });

  test("values of all types can be written and read", async (url) => {
    const store = new PostgresStore(url);
    const driver = await StoreDriver.on(store);
    const columns = "a BIGINT, b DOUBLE PRECISION, c BIGINT, d TEXT, e BYTEA, f BOOLEAN, g JSONB";
    driver.transact([{ sql: `CREATE TABLE v (${columns}, h TIMESTAMPTZ)`, params: [] }]);
    const values = [null, 1.5, 2n ** 53n + 1n, `"'\\é\u{1F600}`, new Uint8Array([0, 255])];
    driver.transact([{
      sql: "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      params: [...values, 1, '{"x":[1]}', "2026-01-02 03:04:05+00"],
    }]);
    assertEquals((await driver.commit()).size, 0);
    const [row] = await store.query("SELECT *, count(*) OVER () AS n FROM v", [], "one");
    assertEquals(Object.values(row!), [
      ...values,
      1,
      '{"x": [1]}',
      "2026-01-02 03:04:05+00",
      1,
    ]);
    await assertRejects(() => store.query("SELECT ?::bigint", ["x"], "all"), Error);
    await assertRejects(() => store.query("SELECT ?", [undefined as never], "all"), LocalError);
    await assertRejects(() => store.query("SELECT ?::text", ["a", "b"], "all"), Error);
    assertEquals(
      await store.query("SELECT 1 AS x WHERE ? = 1", [1], "all"),
      [{ x: 1 }],
      "the store still works",
    );
    await store.close();
  });

  test("a work with a wrong parameter is refused, and no other", async (url) => {
    const store = new PostgresStore(url);
    const driver = await StoreDriver.on(store);
    driver.transact([{ sql: "CREATE TABLE t (x BIGINT)", params: [] }]);
    const insert = (...params: (number | string)[]) =>
      driver.transact([{ sql: "INSERT INTO t VALUES (?)", params }]);
    const [good, ...bad] = [insert(1), insert("x"), insert(1, 2), insert(), insert("\0")];
    const refused = await driver.commit();
    assertEquals([refused.has(good), bad.map((work) => refused.has(work))], [
      false,
      bad.map(() => true),
    ]);
    assertEquals((await store.query("SELECT x FROM t", [], "all")).length, 1);
    await store.close();
  });

  test("of two processes, only the one that acquired a device last can change it", async (url) => {
    const [a, b] = [new PostgresStore(url), new PostgresStore(url)];
    const old = await StoreDriver.on(a);
    (await old.begin("1")).receive("x");
    (await old.begin("2")).receive("x");
    await old.commit();
    const mine = await StoreDriver.on(b);
    old.record("1").receive("no");
    old.transact([{ sql: "CREATE TABLE no (x TEXT)", params: [] }]);
    const error = await assertRejects(() => old.commit(), LocalError);
    assertEquals([error.code, error.device], ["FENCED", "1"]);
    await assertRejects(() => a.query("SELECT * FROM no", [], "all"), Error, "no");
    mine.record("1").receive("y");
    await mine.commit();
    assertEquals((await StoreDriver.on(a)).record("1").inbox, ["x", "y"]);
    for (const store of [a, b]) await store.close();
  });

  test(
    "a device whose rows contradict each other is refused, and no other",
    async (url, schema) => {
      const store = new PostgresStore(url);
      const driver = await StoreDriver.on(store);
      for (const id of ["1", "2"]) {
        const record = await driver.begin(id);
        for (const text of ["a", "b", "c"]) record.receive(text);
      }
      await driver.commit();
      server().sql(
        "DELETE FROM holdfast_inbox WHERE number = 1 AND device = (SELECT min(device) FROM holdfast_devices)",
        schema,
      );
      const [one, two] = await Promise.allSettled(["1", "2"].map((id) => store.acquire(id)));
      assertEquals([one!.status, two!.status], ["rejected", "fulfilled"]);
      assertEquals((one as PromiseRejectedResult).reason.code, "STORE_UNUSABLE");
      await store.close();
    },
  );

  test(
    "a closed store refuses everything, and leaves nothing in the database",
    async (url, schema) => {
      const store = new PostgresStore(url);
      await store.list();
      assertEquals(server().sql("SELECT count(*) FROM holdfast_processes", schema), "1");
      await store.close();
      await store.close();
      assertEquals(server().sql("SELECT count(*) FROM holdfast_processes", schema), "0");
      for (const act of [() => store.list(), () => store.acquire("1")]) {
        assertEquals((await assertRejects(act, LocalError)).code, "STORE_FAILED");
      }
      assertThrows(() => store.check("SELECT 1"), LocalError);
    },
  );
});

const { paths: { openssl } } = locate({ openssl: "openssl" });

if (openssl !== undefined) {
  withPostgres("postgres store: TLS", (server) => {
    Deno.test("postgres store: over TLS, the certificate is checked as sslmode says", async () => {
      const { cert, key } = await makeCertificate(openssl, { altName: "DNS:localhost" });
      const folder = `${server().folder}/data`;
      for (const [name, text] of [["server.crt", cert], ["server.key", key]] as const) {
        Deno.writeTextFileSync(`${folder}/${name}`, text, { mode: 0o600 });
        server().own(`${folder}/${name}`);
      }
      Deno.writeTextFileSync(`${server().folder}/root.crt`, cert);
      const url = (mode: string, host = "localhost") =>
        `postgres://postgres@${host}:${server().port}/postgres?sslmode=${mode}` +
        `&sslrootcert=${server().folder}/root.crt`;
      assertStringIncludes((await refusal(url("require"))).message, "does not support TLS");
      assertEquals(await encrypted(url("prefer")), 0);
      server().sql("ALTER SYSTEM SET ssl = on");
      await server().stop("fast");
      await server().start();
      for (const mode of ["prefer", "require", "verify-ca", "verify-full"]) {
        assertEquals(await encrypted(url(mode)), 1, mode);
      }
      assertEquals(await encrypted(url("disable")), 0);
      assertEquals(await encrypted(url("verify-ca", "127.0.0.1")), 1);
      assertEquals((await refusal(url("verify-full", "127.0.0.1"))).code, "STORE_FAILED");
      const other = await makeCertificate(openssl, { altName: "DNS:localhost" });
      Deno.writeTextFileSync(`${server().folder}/root.crt`, other.cert);
      assertEquals((await refusal(url("verify-ca"))).code, "STORE_FAILED");
    });
  });
}

/** Whether the database sees TLS: 1 or 0. */
async function encrypted(url: string): Promise<unknown> {
  const store = new PostgresStore(url);
  try {
    const sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    return (await store.query(sql, [], "one"))[0]!.ssl;
  } finally {
    await store.close();
  }
}
