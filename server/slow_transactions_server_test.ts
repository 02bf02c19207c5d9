/** Slow transactions of applications in PostgreSQL: they wait for a lock that the test holds. */
import { assertEquals, assertRejects } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { openSession, type Postgres, withPostgres } from "../tests/support/postgres.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { type Device, type LocalError, PostgresStore, type Transaction } from "./mod.ts";
import type { Wire } from "./store/postgres/wire.ts";

const LOCK = "SELECT pg_advisory_xact_lock(4711)";

/** A server whose application keeps each line in a table; a line "slow …" waits for the test's lock in its transaction. */
class Rig implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  /** The outcomes of the lines' transactions: "safe", or the error's code. */
  readonly events: string[] = [];

  private constructor(
    readonly database: Postgres,
    readonly schema: string,
    readonly wire: Wire,
  ) {}

  static async start(database: Postgres): Promise<Rig> {
    const schema = database.schema();
    database.sql("CREATE TABLE log (line TEXT)", schema);
    const wire = await openSession(database.url(schema), {}, 120_000);
    await wire.ask("SELECT pg_advisory_lock(4711)");
    return new Rig(database, schema, wire);
  }

  async server(lease = 60_000): Promise<Scene> {
    const options = { statementTimeout: 120_000, lease };
    const store = new PostgresStore(this.database.url(this.schema), options);
    this.#stack.defer(() => store.close());
    const app = async (device: Device) => {
      for (;;) {
        await device.consume((line, tx) => this.keep(device, line, tx)).then(
          () => this.events.push("safe"),
          (error: LocalError) => {
            this.events.push(error.code);
            throw error;
          },
        );
      }
    };
    return this.#stack.use(await Scene.start({ store, app, timeout: 10_000 }));
  }

  keep(device: Device, line: string, tx: Transaction): void {
    if (line.startsWith("slow")) tx.run(LOCK);
    tx.run("INSERT INTO log VALUES (?)", `${device.id} ${line}`);
    tx.write(device.id, `re ${line}`);
  }

  client(id: string, port: number): Client {
    return this.#stack.use(new Client({ id, port }));
  }

  get lines(): string {
    return this.database.sql("SELECT string_agg(line, ', ' ORDER BY line) FROM log", this.schema);
  }

  /** Waits until this many transactions wait for the lock. */
  async waits(count = 1): Promise<void> {
    const sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";
    await until(async () => await this.database.query(sql) === `${count}`, {
      what: "the lock to be waited for",
    });
  }

  async unlock(): Promise<void> {
    await this.wire.ask("SELECT pg_advisory_unlock_all()");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.wire.close(); // and with it the lock
    await this.#stack.disposeAsync();
  }
}

withPostgres("slow transactions", (server) => {
  Deno.test("slow transactions: while one is open, all devices' messages are acknowledged and processed", async () => {
    await using rig = await Rig.start(server());
    const { server: { port } } = await rig.server();
    const [slow, other] = [rig.client("a", port), rig.client("b", port)];
    await slow.write("slow");
    await rig.waits();
    for (let i = 0; i < 5; i++) await other.write(`${i}`);
    await slow.write("behind it"); // the link of its own device, too
    for (let i = 0; i < 5; i++) assertEquals(await other.readline(), `re ${i}`);
    assertEquals(rig.lines, "b 0, b 1, b 2, b 3, b 4");
    await rig.unlock();
    assertEquals([await slow.readline(), await slow.readline()], ["re slow", "re behind it"]);
    await until(() => rig.events.length === 7);
    assertEquals(rig.lines, "a behind it, a slow, b 0, b 1, b 2, b 3, b 4");
  });

  Deno.test("slow transactions: one whose device another server takes is undone, and only the other server's counts", async () => {
    await using rig = await Rig.start(server());
    const [near, far] = [await rig.server(), await rig.server()];
    const client = rig.client("a", near.server.port);
    await client.write("slow");
    await rig.waits();
    await client.close();
    const moved = rig.client("a", far.server.port);
    await moved.ready();
    await rig.waits(2); // there it is processed again
    await until(() => rig.events.length > 0, { what: "the first server to notice" });
    assertEquals([rig.events.splice(0), rig.lines], [["FENCED"], ""]);
    await rig.unlock();
    assertEquals(await moved.readline(), "re slow");
    assertEquals(rig.lines, "a slow");
  });

  Deno.test("slow transactions: one whose connection is lost is executed again, on another one", async () => {
    await using rig = await Rig.start(server());
    const { server: { port } } = await rig.server();
    const [slow, other] = [rig.client("a", port), rig.client("b", port)];
    await slow.write("slow");
    await rig.waits();
    const pid = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'";
    const first = rig.database.sql(pid);
    rig.database.sql(`SELECT pg_terminate_backend(${first})`);
    await other.write("0");
    assertEquals(await other.readline(), "re 0");
    await until(async () => !["", first].includes(await rig.database.query(pid)), {
      what: "another attempt",
    });
    await rig.unlock();
    assertEquals(await slow.readline(), "re slow");
    assertEquals(rig.lines, "a slow, b 0");
  });

  Deno.test("slow transactions: a server that is closed does not wait for them, and the next one processes the message", async () => {
    await using rig = await Rig.start(server());
    const { server: first } = await rig.server();
    const client = rig.client("a", first.port);
    const transaction = assertRejects(() =>
      first.transaction((tx) => {
        tx.run(LOCK);
        tx.run("INSERT INTO log VALUES ('never')");
      })
    );
    await client.write("slow");
    await rig.waits(2);
    await first.close();
    assertEquals((await transaction as LocalError).code, "CLOSED");
    assertEquals(rig.lines, "");
    await client.close();
    await rig.unlock();
    const { server: second } = await rig.server();
    const again = rig.client("a", second.port);
    assertEquals(await again.readline(), "re slow");
    assertEquals(rig.lines, "a slow");
  });
});
