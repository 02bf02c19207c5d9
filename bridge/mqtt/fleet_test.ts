/** Several servers with a bridge on one PostgreSQL: which one announces a device's availability. No broker runs. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { openSession, type Postgres, withPostgres } from "../../tests/support/postgres.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError, PostgresStore, Server, type Transaction } from "../../server/mod.ts";
import { Client } from "../host/mod.ts";
import { markUnannounced, publishAgain, Unattended } from "./absent.ts";
import { MqttBridge, type MqttOptions } from "./mod.ts";

/** A lease so long that nobody loses it by being slow, in ms. */
const LONG = 60_000;

/** Transactions that wait until they are let go. */
class Gate {
  #open = Promise.withResolvers<void>();
  /** The transactions that have waited. */
  #ended: Promise<unknown>[] = [];
  isClosed = false;

  close(): void {
    this.isClosed = true;
    this.#open = Promise.withResolvers();
  }

  async transact(server: Server, use: Parameters<Server["transaction"]>[0]): Promise<void> {
    if (!this.isClosed) return await server.transaction(use);
    const ended = this.#open.promise.then(() => server.transaction(use));
    this.#ended.push(ended);
    await ended;
  }

  /** Lets all go. @returns when they have ended, in whatever way */
  async open(): Promise<void> {
    this.isClosed = false;
    this.#open.resolve();
    await Promise.allSettled(this.#ended);
  }
}

class Rig implements AsyncDisposable {
  readonly schema: string;
  readonly #stack = new AsyncDisposableStack();

  constructor(readonly database: Postgres) {
    this.schema = database.schema();
  }

  /** @param bridge Options of its bridge; undefined: it has none. @param statementTimeout In ms. */
  async server(
    bridge?: Partial<MqttOptions>,
    gate = new Gate(),
    statementTimeout = 5000,
  ): Promise<{ server: Server; close(): Promise<void> }> {
    await using stack = new AsyncDisposableStack();
    const store = stack.adopt(
      new PostgresStore(this.database.url(this.schema), { statementTimeout }),
      (it) => it.close(),
    );
    const mqtt = bridge && stack.use(
      new MqttBridge({ hostname: "127.0.0.1", port: 1, lease: LONG, offlineAfter: 0, ...bridge }),
    );
    const observe = mqtt && { observe: mqtt.observe };
    const server = stack.use(
      await Server.listen({ hostname: "127.0.0.1", port: 0, open: true, store, ...observe }),
    );
    await mqtt?.start(gated(server, gate));
    stack.defer(() => mqtt?.close());
    const all = this.#stack.use(stack.move());
    return { server, close: () => all.disposeAsync() };
  }

  /** A device that has a link to a server. */
  async device(id: string, server: Server): Promise<Client> {
    const client = this.#stack.use(new Client({ id, port: server.port }));
    const isThere = () => server.known(id)?.connected && server.known(id)!.server === server.name;
    await until(() => isThere(), { what: `${id} to be there` });
    return client;
  }

  sql(text: string): string {
    return this.database.sql(text, this.schema);
  }

  /** For a condition that is awaited: see `Postgres.query`. */
  query(text: string): Promise<string> {
    return this.database.query(text, this.schema);
  }

  /** What the tables say of a device. */
  row(column: "state" | "server", id: string): string {
    return this.sql(`SELECT ${column} FROM mqtt_devices WHERE device = '${id}'`);
  }

  /** Waits until this is stored for the broker as the availability of a device. */
  tells(id: string, state: string): Promise<void> {
    return this.publishes(`holdfast/${id}/availability`, state);
  }

  /** Waits until this is stored for the broker at a topic. */
  async publishes(topic: string, payload: string): Promise<void> {
    const sql = `SELECT payload FROM mqtt_out WHERE topic = '${topic}'`;
    let told = "";
    const what = () => `${topic} to be told ${payload}, not ${told}`;
    await until(async () => (told = await this.query(sql)) === payload, { what });
  }

  /** Sets until when others take a server for alive. @param time Offset from now, in SQL. */
  lives(server: string, time: string): void {
    this.sql(`UPDATE mqtt_servers SET alive_until = now() ${time} WHERE server = '${server}'`);
  }

  /** Does what a bridge does when its broker has forgotten everything. */
  brokerForgets(): void {
    this.sql("DELETE FROM mqtt_out; UPDATE mqtt_session SET round = round + 1");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** Whose first query of `mqtt_requests`, with which a bridge begins to lead, has no answer until `lost` is called. */
class LostQuery extends Gate {
  readonly #answer = Promise.withResolvers<never>();
  /** The transaction with that query. */
  asking: Promise<unknown> | undefined;

  override transact(server: Server, use: Parameters<Server["transaction"]>[0]): Promise<void> {
    const all = (tx: Transaction): Transaction["all"] => (sql, ...params) => {
      if (this.asking || !sql.includes("mqtt_requests")) return tx.all(sql, ...params);
      this.asking = ended.catch(() => {});
      return this.#answer.promise;
    };
    const get = (tx: Transaction, key: keyof Transaction) => {
      return key === "all" ? all(tx) : (tx[key] as () => unknown).bind(tx);
    };
    const ended = server.transaction(async (tx) => {
      await undefined; // until `ended` is set
      await use(new Proxy(tx, { get: (tx, key) => get(tx, key as keyof Transaction) }));
    });
    return ended;
  }

  async lost(): Promise<void> {
    this.#answer.reject(new Error("the connection to the database was lost"));
    await this.asking;
    await new Promise((resolve) => setTimeout(resolve, 0)); // until its caller has heard of it
  }
}

/** The server as a bridge sees it, whose transactions go through a gate. */
function gated(server: Server, gate: Gate): Server {
  return new Proxy(server, {
    get(target, key) {
      if (key === "transaction") {
        return (use: Parameters<Server["transaction"]>[0]) => gate.transact(target, use);
      }
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("devices without a server are announced as gone once, when their time is up, and again after they had a server", () => {
  const unattended = new Unattended();
  const patience = (id: string) => id === "quick" ? 0 : 100;
  const look = (now: number, ...ids: string[]) => unattended.look(ids, now, patience);
  assertEquals(look(0, "quick", "slow"), ["quick"]);
  assertEquals(look(99, "quick", "slow"), []);
  assertEquals(look(100, "quick", "slow"), ["slow"]);
  assertEquals(look(200, "slow"), []);
  assertEquals(look(300, "quick", "slow"), ["quick"]);
});

withPostgres("availability at several servers", (server) => {
  Deno.test("PostgreSQL: a late announcement of a device that a server has lost changes nothing; the device's server announces that it is gone", async () => {
    await using rig = new Rig(server());
    const gate = new Gate();
    const { server: former } = await rig.server({}, gate);
    const { server: present } = await rig.server({});
    gate.close();
    const first = await rig.device("a", former);
    await first.close();
    const second = await rig.device("a", present);
    await rig.tells("a", "online");
    const told = rig.row("server", "a");
    const shown = () => former.known("a")?.server === present.name;
    await until(shown, { what: "the former server to know who has it" });
    await gate.open();
    assertEquals([rig.row("server", "a"), rig.row("state", "a")], [told, "online"]);
    await second.close();
    await rig.tells("a", "offline");
  });

  Deno.test("PostgreSQL: a server that has lost the lease and has it again does not drop it when its first attempt to lead fails at last", async () => {
    await using rig = new Rig(server());
    const query = new LostQuery();
    const { server: it } = await rig.server({}, query);
    const codes: unknown[] = [];
    it.events.subscribe((event) => {
      if (event.event === "broker" || event.event === "warning") codes.push(event.code);
    });
    await until(() => query.asking !== undefined, { what: "it to begin to lead" });
    rig.sql("UPDATE mqtt_lease SET server = 'another', token = token + 1, until = '-infinity'");
    const connects = () => codes.at(-1) !== undefined && codes.at(-1) !== "STANDBY";
    await until(connects, { what: "it to lead again, and miss the broker" });
    const token = rig.sql("SELECT token FROM mqtt_lease");
    codes.length = 0;
    await query.lost();
    assert(!codes.includes("STANDBY") && !codes.includes("MQTT_FAILED"), `${codes}`);
    assertEquals(rig.sql("SELECT token FROM mqtt_lease"), token);
  });

  Deno.test("PostgreSQL: if a server removes a forgotten device's topics late, the server to which it came back announces it again", async () => {
    await using rig = new Rig(server());
    const gate = new Gate();
    const { server: former } = await rig.server({}, gate);
    const { server: present } = await rig.server({});
    const first = await rig.device("a", former);
    await rig.tells("a", "online");
    const before = rig.row("server", "a");
    gate.close();
    await first.close();
    await former.forget("a");
    await rig.device("a", present);
    await until(() => rig.row("server", "a") !== before, { what: "the new server to tell of it" });
    const told = rig.row("server", "a");
    await gate.open();
    assertEquals([rig.row("server", "a"), rig.row("state", "a")], [told, "online"]);
    await rig.tells("a", "online");
  });

  Deno.test("PostgreSQL: nothing is kept of a device that has moved and was forgotten at its new server", async () => {
    await using rig = new Rig(server());
    const gate = new Gate();
    const { server: present } = await rig.server({}, gate);
    const { server: former } = await rig.server({});
    await (await rig.device("a", former)).close();
    await rig.tells("a", "offline");
    gate.close(); // the server that has it next does not tell of it
    await (await rig.device("a", present)).close();
    await until(() => former.known("a")?.server === present.name, { what: "it to have moved" });
    await present.forget("a");
    await until(() => rig.row("state", "a") === "", { what: "its row to be deleted" });
    await gate.open();
    assertEquals(rig.row("state", "a"), "");
  });

  Deno.test("PostgreSQL: a server that others took for dead announces its devices again", async () => {
    await using rig = new Rig(server());
    await rig.server({});
    const { server: paused } = await rig.server({});
    await rig.device("a", paused);
    await rig.tells("a", "online");
    const name = rig.row("server", "a");
    rig.lives(name, "- interval '1 hour'");
    await until(() => rig.row("state", "a") === "offline", { what: "it to be told offline" });
    rig.lives(name, "+ interval '1 hour'");
    await rig.tells("a", "online");
    // The other one may have begun to mark it as gone before that; then it is announced once more.
    await until(() => rig.row("server", "a") === name && rig.row("state", "a") === "online", {
      what: "it to be told online",
    });
    await rig.tells("a", "online");
  });

  Deno.test("PostgreSQL: a device that is away when the first bridge starts is announced as offline, and as online when it connects", async () => {
    await using rig = new Rig(server());
    const before = await rig.server();
    await (await rig.device("a", before.server)).close();
    await before.close(); // no server has it now
    await rig.server({});
    const { server: other } = await rig.server({});
    await rig.tells("a", "offline");
    const client = await rig.device("a", other);
    await rig.tells("a", "online");
    await client.close();
    await rig.tells("a", "offline");
  });

  Deno.test("PostgreSQL: after a broker has lost its state, a device without a server is announced again, also by its next server", async () => {
    await using rig = new Rig(server());
    const { server: other } = await rig.server({}); // it has the connection
    const first = await rig.server({});
    rig.brokerForgets();
    const client = await rig.device("a", first.server);
    await client.write("=temp 21.5", { qos: true, wait: true });
    await rig.publishes("holdfast/a/temp", "21.5");
    const sql = "SELECT kept FROM mqtt_retained WHERE topic = 'holdfast/a/diagnostics'";
    const diagnostics = await until(() => rig.query(sql), { what: "its diagnostics to be told" });
    await client.close();
    await rig.tells("a", "offline");
    await until(() => other.known("a"), { what: "the other server to see it" });
    await first.close();
    rig.lives(rig.row("server", "a"), "- interval '1 hour'");
    await until(() => other.known("a") && other.known("a")!.server === undefined, {
      what: "no server to have it",
    });
    rig.brokerForgets();
    await rig.publishes("holdfast/a/temp", "21.5");
    await rig.publishes("holdfast/a/diagnostics", diagnostics);
    await rig.tells("a", "offline");
    rig.sql("DELETE FROM mqtt_out");
    const round = "SELECT d.round - n.round FROM mqtt_devices AS d, mqtt_session AS n";
    assert(Number(rig.sql(round)) < 0, "its next server has missed the round");
    await rig.device("a", other);
    await rig.publishes("holdfast/a/temp", "21.5");
    await until(async () => await rig.query(round) === "0", {
      what: "its server to have told of it",
    });
  });

  Deno.test("PostgreSQL: an old state of a device is not published again if another server has published a newer one", async () => {
    await using rig = new Rig(server());
    const { server: one } = await rig.server({});
    await rig.device("a", one);
    await rig.tells("a", "online");
    const round = "SELECT round FROM mqtt_devices WHERE device = 'a'";
    const before = rig.sql(round);
    await one.transaction((tx) => {
      const stale = { device: "a", server: "a dead one" };
      const topic = "holdfast/a/availability";
      publishAgain(tx, [{ topic, payload: "offline", retain: true }], stale, 1);
    });
    await rig.tells("a", "online");
    assertEquals(rig.sql(round), before);
  });

  Deno.test("PostgreSQL: a device that no server has is announced as offline only if nobody has announced it", async () => {
    await using rig = new Rig(server());
    const { server: one } = await rig.server({});
    await rig.device("announced", one);
    await rig.tells("announced", "online");
    await one.transaction((tx) => {
      for (const device of ["announced", "unannounced"]) {
        const topic = `holdfast/${device}/availability`;
        const gone = { device, state: "offline", sleep: 0 } as const;
        markUnannounced(tx, { topic, payload: "offline", retain: true }, gone, "other", 1);
      }
    });
    const rows =
      "SELECT string_agg(device || ' ' || state, ', ' ORDER BY device) FROM mqtt_devices";
    assertEquals(rig.sql(rows), "announced online, unannounced offline");
    await rig.tells("unannounced", "offline");
    await rig.tells("announced", "online");
  });

  Deno.test("PostgreSQL: a bridge whose tables another session keeps locked does not start, and says why", async () => {
    await using rig = new Rig(server());
    await rig.server({}); // makes the tables
    const other = await openSession(server().url(rig.schema));
    await other.ask("BEGIN");
    await other.ask("LOCK TABLE mqtt_session IN SHARE MODE"); // it may be read
    const error = await assertRejects(() => rig.server({}, new Gate(), 400), LocalError);
    assertEquals(error.code, "STORE_FAILED");
    assertStringIncludes(error.message, "MQTT cannot be started: the database says: canceling");
    await other.close();
  });
});
