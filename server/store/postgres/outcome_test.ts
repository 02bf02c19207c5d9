/** Commits whose outcome is unknown. */
import { assertEquals, assertRejects } from "@std/assert";
import { Client } from "../../../bridge/host/mod.ts";
import { openSession, type Postgres, withPostgres } from "../../../tests/support/postgres.ts";
import { FaultProxy } from "../../../tests/support/proxy.ts";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { until } from "../../../tests/support/wait.ts";
import type { Device } from "../../device.ts";
import { LocalError } from "../../protocol/errors.ts";
import { Server } from "../../server.ts";
import { PostgresStore } from "./postgres.ts";

const decoder = new TextDecoder();

/** A store behind a proxy that the test controls. */
class Scene implements AsyncDisposable {
  readonly schema: string;
  readonly stalls: LocalError[] = [];
  store!: PostgresStore;
  driver!: StoreDriver;
  #commits = 0;
  /** Called once, when the next COMMIT passes on its way up, or its answer on the way down. */
  #catches: { way: "up" | "down"; act: () => void } | undefined;

  private constructor(readonly server: Postgres, readonly proxy: FaultProxy) {
    this.schema = server.schema();
  }

  /** @param statementTimeout so long that the database ends no transaction of a process that stood still for a while */
  static async start(server: Postgres, statementTimeout = 60_000): Promise<Scene> {
    const proxy = await FaultProxy.start({ target: { port: server.port } });
    const scene = new Scene(server, proxy);
    const url = server.url(scene.schema, { port: proxy.port });
    scene.store = new PostgresStore(url, { statementTimeout });
    scene.store.watchStalls((error) => scene.stalls.push(error));
    scene.driver = await StoreDriver.on(scene.store);
    (await scene.driver.begin("1")).receive("first");
    scene.driver.transact([{ sql: "CREATE TABLE log (line TEXT)", params: [] }]);
    await scene.driver.commit();
    proxy.onBytes = ({ direction, bytes }) => scene.#see(direction, decoder.decode(bytes));
    return scene;
  }

  #see(direction: "up" | "down", text: string): void {
    const { way, act } = this.#catches ?? {};
    if (direction !== way || !/COMMIT(?!TED)/.test(text)) return; // not READ COMMITTED
    this.#catches = undefined;
    act!();
  }

  /** Calls `act` when the next COMMIT goes up to the database, or its answer comes down. */
  onCommit(way: "up" | "down", act: () => void): void {
    this.#catches = { way, act };
  }

  /** Everything that one commit can make safe: a received message, a processed one, rows of the application. */
  change(line: string): void {
    this.driver.record("1").receive(line);
    this.driver.transact(
      [{ sql: "INSERT INTO log VALUES (?)", params: [line] }],
      this.driver.processing("1"),
    );
  }

  get lines(): string {
    return this.server.sql("SELECT string_agg(line, ' ' ORDER BY line) FROM log", this.schema);
  }

  /** The states in the database, as another process would read them. */
  async stored(): Promise<unknown> {
    const store = new PostgresStore(this.server.url(this.schema));
    try {
      return (await StoreDriver.on(store)).states();
    } finally {
      await store.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.proxy.close();
    this.server.sql(`DROP SCHEMA ${this.schema} CASCADE`);
  }
}

withPostgres("postgres store: commits of unknown outcome", (server) => {
  for (const way of ["up", "down"] as const) {
    const when = way === "up" ? "before the database has it" : "after the database has done it";
    Deno.test(`postgres store: the connection is lost at COMMIT, ${when}: all is there, once`, async () => {
      await using scene = await Scene.start(server());
      for (let i = 0; i < 5; i++) {
        scene.onCommit(way, () => scene.proxy.reset());
        scene.change(`${i}`);
        await scene.driver.commit().catch(async (error) => {
          assertEquals([way, error.code], ["up", "STORE_FAILED"]);
          await scene.driver.commit();
        });
        assertEquals(await scene.lines, "0 1 2 3 4".slice(0, 2 * i + 1));
      }
      assertEquals(await scene.stored(), scene.driver.states());
    });
  }

  Deno.test("postgres store: a server whose connection is lost between COMMIT and its answer: each message is processed once, and answered once", async () => {
    const schema = server().schema();
    server().sql("CREATE TABLE log (line TEXT)", schema);
    await using proxy = await FaultProxy.start({ target: { port: server().port } });
    const store = new PostgresStore(server().url(schema, { port: proxy.port }));
    const own = { port: 0, hostname: "127.0.0.1", open: true, store };
    const app = async (device: Device) => {
      for (;;) {
        await device.consume((line, tx) => {
          tx.run("INSERT INTO log VALUES (?)", line);
          tx.write(device.id, `re ${line}`);
        });
      }
    };
    await using stack = new AsyncDisposableStack();
    stack.defer(() => store.close());
    const holdfast = stack.use(await Server.listen({ ...own, app }));
    const client = stack.use(new Client({ id: "1", port: holdfast.port }));
    const answers: string[] = [];
    const reading = (async () => {
      for await (const line of client) answers.push(line);
    })();
    stack.defer(() => client.close().then(() => reading));
    let cuts = 0;
    let isDue = false;
    proxy.onBytes = ({ direction, bytes }) => {
      // The answer to a COMMIT, and the next commit has not gone out.
      if (direction !== "down" || !isDue || !decoder.decode(bytes).includes("COMMIT")) return;
      isDue = false;
      cuts++;
      proxy.reset();
    };
    const lines = Array.from({ length: 10 }, (_, n) => `${n}`);
    const noted = () => server().sql("SELECT string_agg(line, ' ') FROM log", schema);
    for (const line of lines) {
      isDue = true;
      const written = client.write(line).catch(() => {}); // the client is closed first if this test fails
      await until(() => answers.at(-1) === `re ${line}`, { what: () => `${line}; ${noted()}` });
      await written;
    }
    assertEquals([cuts, noted()], [lines.length, lines.join(" ")]);
    assertEquals(answers, lines.map((line) => `re ${line}`));
  });

  Deno.test("postgres store: a COMMIT that reaches the database too late changes nothing", async () => {
    await using scene = await Scene.start(server());
    scene.change("0");
    await scene.driver.commit();
    const other = await openSession(server().url(scene.schema));
    await other.ask("BEGIN");
    // The rows and COMMIT are sent at once, and wait for this.
    await other.ask("LOCK TABLE holdfast_devices IN EXCLUSIVE MODE");
    scene.change("late");
    const sent = new Promise<void>((resolve) => scene.onCommit("up", resolve));
    const failed = assertRejects(() => scene.driver.commit(), LocalError);
    await sent;
    let backend = "";
    const waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    await until(async () => (backend = await server().query(waiting)) !== "", {
      what: "it to wait for the lock",
    });
    scene.proxy.halfOpen(); // the database does not learn that the connection is gone
    assertEquals([(await failed).code, scene.lines], ["STORE_FAILED", "0"]);
    await other.ask("COMMIT");
    await other.close();
    const log = () => server().log.split("\n").filter((line) => line.startsWith(`${backend} `));
    await until(() => log().join().includes("division by zero"), {
      what: "the late commit to fail",
    });
    assertEquals(scene.lines, "0");
    scene.change("again");
    await scene.driver.commit();
    assertEquals(scene.lines, "0 again late", "both were sent again, each is there once");
    assertEquals(await scene.stored(), scene.driver.states());
  });

  Deno.test("postgres store: while its outcome is unknown a commit neither resolves nor rejects, and the stall is reported", async () => {
    await using scene = await Scene.start(server(), 5000); // silence counts as loss after that and 5 s more
    scene.onCommit("down", () => {
      scene.proxy.blackhole("both");
    });
    scene.change("x");
    let isOver = false;
    const committed = scene.driver.commit().finally(() => isOver = true);
    await until(() => scene.stalls.length > 0, { what: "the stall to be told" });
    assertEquals([isOver, scene.stalls[0]!.code], [false, "STORE_FAILED"]);
    assertEquals(scene.lines, "x", "it was done");
    scene.proxy.restore({ drop: true });
    assertEquals((await committed).size, 0);
    assertEquals(scene.lines, "x");
    assertEquals(await scene.stored(), scene.driver.states());
  });
});
