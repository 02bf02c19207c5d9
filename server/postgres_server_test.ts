/** A server whose database is away, slow, full, out of connections, or replaced by another one. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { openSession, POSTGRES, Postgres, withPostgres } from "../tests/support/postgres.ts";
import type { RawPeer } from "../tests/support/raw.ts";
import { Scene } from "../tests/support/scene.ts";
import { smallDiskTest } from "../tests/support/small_disk.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";
import type { Wire } from "./store/postgres/wire.ts";
import { type Device, LocalError, PostgresStore } from "./mod.ts";

/** A server on a database, and a device that keeps its link up. */
class Rig implements AsyncDisposable {
  #said = 0;

  private constructor(
    readonly scene: Scene,
    readonly store: PostgresStore,
    readonly device: Device,
    readonly peer: RawPeer,
  ) {}

  static async start(url: string, statementTimeout = 500): Promise<Rig> {
    const store = new PostgresStore(url, { statementTimeout });
    const scene = await Scene.start({ store, timeout: 4000 });
    const [device, peer] = await scene.device("1");
    peer.keepAlive(200);
    return new Rig(scene, store, device, peer);
  }

  /** The device sends a message that cannot be made safe: it gets only keepalives, and writes are refused. */
  async isHeldUp(): Promise<void> {
    const { scene, peer, device } = this;
    const acks = peer.lines.length;
    await peer.say(`${(this.#said++).toString(16).padStart(2, "0")}held up\n`);
    // On a slow machine a heartbeat may have failed before, and this failure is not logged once more.
    await until(() => scene.codes("store").at(-1) === "STORE_FAILED", {
      what: "the store to fail",
    });
    const { length } = peer.heard;
    await until(() => peer.heard.length > length + 3, { what: "keepalives" });
    assertEquals(peer.lines.length, acks, "nothing is acknowledged");
    const error = await assertRejects(() => device.write("no"), LocalError);
    assertEquals(error.code, "STORE_FAILED");
  }

  /** The held-up message arrives, and the link was never lost. */
  async goesOn(): Promise<void> {
    const { scene, peer, device } = this;
    const number = (this.#said - 1).toString(16).padStart(2, "0");
    await until(() => peer.lines.includes(number), { what: `the ack of ${number}` });
    assertEquals(await device.readline(), "held up");
    assertEquals(scene.codes("store").at(-1), undefined, "it works again");
    assertEquals([device.connected, scene.codes("disconnected")], [true, []]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scene[Symbol.asyncDispose]();
    await this.store.close();
  }
}

/** Sends a signal to those processes that still run: psql's own has ended by now. */
function signal(pids: readonly number[], what: Deno.Signal): void {
  for (const pid of pids) {
    try {
      Deno.kill(pid, what);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

withPostgres("a server on PostgreSQL", (server) => {
  const url = () => server().url(server().schema());

  Deno.test("postgres: the database stops hard and starts: links stay, nothing is acknowledged, all goes on by itself", async () => {
    await using rig = await Rig.start(url());
    for (let i = 0; i < 3; i++) {
      await server().stop("immediate");
      try {
        await rig.isHeldUp();
      } finally {
        await server().start(); // the other tests need it
      }
      await rig.goesOn();
    }
  });

  Deno.test("postgres: a database that hangs counts as failed, and is used again when it continues", async () => {
    await using rig = await Rig.start(url());
    const backends = server().sql("SELECT pid FROM pg_stat_activity").split("\n").map(Number);
    const all = [server().pid, ...backends];
    try {
      signal(all, "SIGSTOP");
      await rig.isHeldUp();
    } finally {
      signal(all, "SIGCONT");
    }
    await rig.goesOn();
  });

  Deno.test("postgres: messages wait while the database has no free connection", async () => {
    await using rig = await Rig.start(url());
    const other = `${server().url("public")}&application_name=other`;
    const taken: Wire[] = [];
    const takeAll = async () => {
      const open = async () => taken.push(await openSession(other));
      for (;;) {
        try {
          await open();
        } catch (error) {
          return assertStringIncludes((error as Error).message, "too many clients");
        }
      }
    };
    await takeAll();
    const [first] = taken;
    await first!.ask(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
      WHERE application_name = 'holdfast'`);
    await takeAll();
    await rig.isHeldUp();
    const { message } = rig.scene.log.findLast(({ event }) => event === "store")!;
    assertStringIncludes(message!, "max_connections");
    for (const wire of taken) await wire.close();
    await rig.goesOn();
  });

  Deno.test("postgres: the disk is full, and has room again", async () => {
    // The database raises the error; the next test fills a real disk.
    const schema = server().schema();
    await using rig = await Rig.start(server().url(schema));
    server().sql(
      `CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$;
      CREATE TRIGGER no_space BEFORE INSERT ON holdfast_inbox EXECUTE FUNCTION no_space()`,
      schema,
    );
    await rig.isHeldUp();
    server().sql("DROP TRIGGER no_space ON holdfast_inbox", schema);
    await rig.goesOn();
  });

  smallDiskTest("postgres: the server recovers after a disk was really full", async (disk) => {
    const name = `small${Date.now()}`;
    Deno.mkdirSync(`${disk.folder}/space`);
    server().own(`${disk.folder}/space`);
    server().sql(`CREATE TABLESPACE ${name} LOCATION '${disk.folder}/space'`);
    const schema = server().schema();
    {
      await using rig = await Rig.start(
        `${server().url(schema)}%20-cdefault_tablespace%3D${name}`,
      );
      disk.fill();
      // Existing pages still have room, so this writes until a new page is needed.
      const texts = Array.from({ length: 200 }, () => "x".repeat(4000));
      for (const text of texts) rig.device.write(text).catch(() => {}); // some are refused
      await rig.scene.logs("store", "STORE_FAILED");
      disk.empty();
      await until(() => rig.scene.codes("store").at(-1) === undefined, {
        what: "the store to work again",
      });
    }
    server().sql(`DROP SCHEMA ${schema} CASCADE`);
    server().sql(`DROP TABLESPACE ${name}`);
  });

  Deno.test("postgres: a statement that takes too long fails, and holds up the others no longer", async () => {
    await using rig = await Rig.start(url());
    const { server: it } = rig.scene;
    const slow = it.transaction((tx) => tx.run("SELECT pg_sleep(60)"));
    const error = await assertRejects(() => slow, Error) as Error & { code?: unknown };
    assertEquals(error.code, "57014");
    await it.transaction((tx) => tx.run("CREATE TABLE quick (x BIGINT)"));
    assertEquals(rig.scene.codes("store"), []);
  });

  Deno.test("postgres: a lock that another server keeps while it stands still delays a transaction, and does not fail it", async () => {
    const at = url();
    const statementTimeout = 2000;
    await using rig = await Rig.start(at, statementTimeout);
    const { server: it } = rig.scene;
    await it.transaction((tx) => tx.run("CREATE TABLE t (x BIGINT)"));
    // The database ends the session: longer than a statement may take, but sooner than all attempts wait for the lock.
    const idle = { idle_in_transaction_session_timeout: 1.25 * statementTimeout };
    const other = await openSession(at, idle);
    await other.ask("BEGIN");
    await other.ask("LOCK TABLE t");
    await it.transaction((tx) => tx.run("INSERT INTO t VALUES (1)"));
    assertEquals(await rig.store.query("SELECT x FROM t", [], "all"), [{ x: 1 }]);
    assertEquals(rig.scene.codes("store"), []);
    await other.close();
  });

  Deno.test("postgres: statements that are executed while a commit takes long wait for it, and are not executed again", async () => {
    const at = url();
    await using rig = await Rig.start(at, 60_000);
    const { server: it } = rig.scene;
    await it.transaction((tx) => tx.run("CREATE TABLE t (x BIGINT GENERATED ALWAYS AS IDENTITY)"));
    const other = await openSession(at);
    await other.ask("BEGIN");
    await other.ask("LOCK TABLE holdfast_devices IN EXCLUSIVE MODE");
    await rig.peer.say("00a\n");
    const seen = (what: string) => () =>
      server().query(`SELECT pid FROM pg_stat_activity WHERE ${what}`);
    await until(seen("wait_event_type = 'Lock'"), { what: "the commit to wait" });
    const done = it.transaction((tx) => tx.run("INSERT INTO t DEFAULT VALUES"));
    await until(seen("state = 'idle in transaction' AND query LIKE 'SET CONSTRAINTS%'"), {
      what: "the statement to be executed",
    });
    await other.ask("SELECT pg_sleep(2)");
    await other.ask("ROLLBACK");
    await done;
    assertEquals(await rig.store.query("SELECT x FROM t", [], "all"), [{ x: 1 }]);
    await other.close();
  });

  Deno.test("postgres: a lock that is never released fails the transaction that needs it, and no other", async () => {
    const at = url();
    await using rig = await Rig.start(at);
    const { server: it } = rig.scene;
    await it.transaction((tx) => tx.run("CREATE TABLE t (x BIGINT)"));
    const other = await openSession(at);
    await other.ask("BEGIN");
    await other.ask("LOCK TABLE t");
    const late = it.transaction((tx) => tx.run("INSERT INTO t VALUES (1)"));
    const error = await assertRejects(() => late, Error) as Error & { code?: unknown };
    assertEquals(error.code, "55P03");
    await it.transaction((tx) => tx.run("CREATE TABLE quick (x BIGINT)"));
    assertEquals(rig.scene.codes("store"), []);
    await other.ask("ROLLBACK");
    await other.close();
  });

  Deno.test("postgres: backends are ended while messages come: each is processed once, in order", async () => {
    const store = new PostgresStore(url(), { statementTimeout: 2000 });
    const texts = Array.from({ length: 80 }, (_, i) => `${i}`);
    {
      await using scene = await Scene.start({
        store,
        timeout: 4000,
        async app(device) {
          for (;;) {
            await device.consume((line, tx) => {
              tx.run("INSERT INTO log (line) VALUES (?)", line);
            });
          }
        },
      });
      await scene.server.transaction((tx) =>
        tx.run("CREATE TABLE log (at BIGINT GENERATED ALWAYS AS IDENTITY, line TEXT)")
      );
      await using client = new Client({ id: "1", port: scene.server.port });
      for (const [i, text] of texts.entries()) {
        const written = client.write(text);
        if (i % 4 === 0) {
          server().sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'holdfast' AND (pid + ${i}) % 2 = 0`);
        }
        await written;
      }
      const device = await scene.server.device("1");
      await until(() => device.inbox === 0, {
        what: () =>
          `all to be processed: ${device.inbox} left, ${JSON.stringify(scene.log.slice(-20))}`,
      });
      await scene.server.transaction(() => {}); // after it, the effects of the last message are safe
      const rows = await store.query("SELECT line FROM log ORDER BY at", [], "all");
      assertEquals(rows.map(({ line }) => line), texts);
    }
    await store.close();
  });
});

toolTest("postgres: the primary dies, and the standby takes over", POSTGRES, async (tools) => {
  await using primary = await Postgres.start(tools, ["synchronous_standby_names = '*'"]);
  await using standby = await primary.standby();
  const url = `postgres://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postgres`;
  await using rig = await Rig.start(url);
  await primary.stop("immediate");
  await rig.isHeldUp();
  standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
  standby.sql("SELECT pg_reload_conf()");
  standby.sql("SELECT pg_promote()");
  await rig.goesOn();
});
