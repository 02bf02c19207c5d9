/** Several servers with a bridge on one PostgreSQL: who has the connection to the broker, and in which order rows go out. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LocalError, PostgresStore, Server, type Transaction } from "../../server/mod.ts";
import { ManualPlatform } from "../../tests/support/manual_platform.ts";
import { openSession, withPostgres } from "../../tests/support/postgres.ts";
import { until } from "../../tests/support/wait.ts";
import { leftBehind, markGone, markLeft } from "./absent.ts";
import { Lease } from "./lease.ts";
import {
  beginRound,
  behind,
  count,
  endRound,
  keep,
  load,
  markSent,
  missedRound,
  publish,
} from "./rows.ts";
import { createTables, type Schema } from "./schema.ts";

/** A lease so long that nobody loses it by being slow, in ms. */
const LONG = 60_000;

/** A server's transactions on a database that others use, too. */
class Tables implements AsyncDisposable {
  schema!: Schema;

  private constructor(readonly server: Server, readonly store: PostgresStore) {}

  static async start(url: string): Promise<Tables> {
    const store = new PostgresStore(url, { statementTimeout: LONG });
    const server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
    const tables = new Tables(server, store);
    await tables.run(async (tx) => {
      tables.schema = await createTables(tx, "one", 1);
    });
    return tables;
  }

  run(use: (tx: Transaction) => Promise<void> | void, order?: object): Promise<void> {
    return this.server.transaction(use, order && { order });
  }

  publish(topic: string, payload: string, retain = false): Promise<void> {
    return this.run((tx) => {
      publish(tx, this.schema, { topic, payload, retain }, { since: 1, window: 0 });
    });
  }

  /** The rows after `seq`, in brackets if they wait. */
  async behind(seq: number, most = 9): Promise<string[]> {
    let found: string[] = [];
    await this.run(async (tx) => {
      const rows = await behind(tx, this.schema, seq, most);
      found = rows.map(({ seq, payload, isSent }) => isSent ? `${seq} ${payload}` : `(${payload})`);
    });
    return found;
  }

  /** Marks the waiting rows as sent, up to the one with this payload. */
  async mark(payload: string): Promise<void> {
    await this.run(async (tx) => {
      const rows = await behind(tx, this.schema, 0, 99);
      markSent(tx, this.schema, rows.find((row) => row.payload === payload)!.place);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    await this.store.close();
  }
}

/** One server's lease, by a clock that the test controls. */
class Holder {
  readonly clock = new ManualPlatform();
  readonly said: string[] = [];
  readonly lease: Lease;
  #seen = 0;
  #looks = 0;

  /** @param transaction How it makes its transactions. */
  constructor(
    tables: Tables,
    ms: number,
    transaction: Tables["run"] = (...it) => tables.run(...it),
  ) {
    this.lease = new Lease({
      clock: this.clock,
      transaction,
      begins: () => void this.said.push("begins"),
      ends: () => void this.said.push("ends"),
      saw: () => void this.#seen++,
      fails: (error) => void this.said.push(String(error)),
    }, ms);
    this.lease.start();
  }

  /** Waits until it has looked once more. */
  async look(): Promise<void> {
    if (this.#looks++ > 0) await this.clock.advance(100); // the first time it does so by itself
    await until(() => this.#seen >= this.#looks, { what: "a look at the lease" });
  }
}

withPostgres("the bridge's tables in PostgreSQL", (server) => {
  const freshSchema = () => server().schema();

  /** Ends the time of whoever has the lease. */
  const expire = (name: string) => server().sql("UPDATE mqtt_lease SET until = '-infinity'", name);

  Deno.test("PostgreSQL: two servers make the bridge's tables at the same time", async () => {
    const url = server().url(freshSchema());
    const all = await Promise.all([1, 2, 3].map(() => Tables.start(url)));
    const { clientId } = await loaded(all[0]!);
    assertEquals(clientId, "one");
    for (const tables of all) await tables[Symbol.asyncDispose]();
  });

  Deno.test("PostgreSQL: a row that becomes safe late, with an earlier number, goes out, too", async () => {
    const name = freshSchema();
    await using tables = await Tables.start(server().url(name));
    await tables.publish("a", "0");
    await tables.publish("a", "1");
    // Its transaction has its number by now, and is not safe yet.
    const late = server().sql("SELECT nextval(pg_get_serial_sequence('mqtt_out', 'place'))", name);
    await tables.publish("b", "2");
    assertEquals(await tables.behind(0), ["(0)", "(1)", "(2)"]);
    await tables.mark("2");
    assertEquals(await tables.behind(0), ["1 0", "2 1", "3 2"]);
    server().sql(
      `INSERT INTO mqtt_out (place, topic, payload, retain, since) OVERRIDING SYSTEM VALUE
        VALUES (${late}, 'c', 'late', 0, 1)`,
      name,
    );
    assertEquals(await tables.behind(3), ["(late)"]);
    await tables.mark("late");
    assertEquals(await tables.behind(3), ["4 late"]);
    assertEquals(await tables.behind(1, 2), ["2 1", "3 2"]);
  });

  Deno.test("PostgreSQL: a state that waits is replaced, one that was sent stays", async () => {
    await using tables = await Tables.start(server().url(freshSchema()));
    await tables.publish("state", "1", true);
    await tables.publish("event", "x");
    await tables.publish("state", "2", true);
    assertEquals(await tables.behind(0), ["(2)", "(x)"]);
    await tables.mark("2");
    await tables.publish("state", "3", true);
    assertEquals(await tables.behind(0), ["1 2", "(x)", "(3)"]);
    await tables.run((tx) => keep(tx, { does: "release", packet: 1, seq: 1 }));
    const { inFlight } = await loaded(tables);
    assertEquals(inFlight.map(({ seq, isReleased }) => [seq, isReleased]), [[1, true]]);
    await tables.run((tx) => keep(tx, { does: "complete", packet: 1, seq: 1, topic: "state" }));
    let amount: unknown;
    await tables.run(async (tx) => void (amount = await count(tx)));
    assertEquals(amount, { rows: 2, bytes: "eventxstate3".length });
  });

  Deno.test("PostgreSQL: one server has the lease; when it falls silent, another one gets it, and the first one's transactions fail", async () => {
    const name = freshSchema();
    await using one = await Tables.start(server().url(name));
    await using other = await Tables.start(server().url(name));
    const first = new Holder(one, LONG);
    await first.look();
    assertEquals(first.said, ["begins"]);
    const second = new Holder(other, LONG);
    await second.look();
    assertEquals(second.said, []);
    await first.lease.transact((tx) => keep(tx, deliver(1)));
    // The first one has been silent for long, and its clock has stood still: it believes that it has the lease.
    expire(name);
    await second.look();
    assertEquals([first.said, second.said], [["begins"], ["begins"]]);
    const fenced = await assertRejects(
      () => first.lease.transact((tx) => keep(tx, deliver(2))),
      LocalError,
    );
    assertEquals([fenced.code, first.said], ["FENCED", ["begins", "ends"]]);
    await second.lease.transact((tx) => keep(tx, deliver(3)));
    assertEquals((await loaded(one)).taken, [1, 3]);
    second.lease.close();
    assertEquals(second.said, ["begins", "ends"]);
    await other.run(() => {}, second.lease); // after the one that gives the lease back
    await first.look();
    assertEquals(first.said, ["begins", "ends", "begins"], "it was given back at once");
    first.lease.close();
  });

  Deno.test("PostgreSQL: a transaction that was begun before its server lost the lease fails, though the server has it again", async () => {
    const name = freshSchema();
    await using one = await Tables.start(server().url(name));
    await using other = await Tables.start(server().url(name));
    const first = new Holder(one, LONG);
    await first.look();
    const read = Promise.withResolvers<void>();
    const stale = first.lease.transact(async (tx) => {
      await read.promise; // what it has read by now counts for its whole transaction
      keep(tx, deliver(1));
    });
    expire(name);
    const second = new Holder(other, LONG);
    await second.look();
    await second.lease.transact((tx) => keep(tx, deliver(2)));
    second.lease.close();
    await other.run(() => {}, second.lease); // after the one that gives the lease back
    await first.look();
    assertEquals(first.said, ["begins", "ends", "begins"]);
    read.resolve();
    assertEquals((await assertRejects(() => stale, LocalError)).code, "FENCED");
    assertEquals([(await loaded(one)).taken, first.said.length], [[2], 3]);
    first.lease.close();
  });

  Deno.test("PostgreSQL: the lease is renewed while another transaction of the server takes long", async () => {
    const name = freshSchema();
    await using tables = await Tables.start(server().url(name));
    const holder = new Holder(tables, LONG);
    await holder.look();
    const slow = tables.run((tx) => tx.run("SELECT pg_sleep(60)"));
    slow.catch(() => {}); // it is checked below
    const sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    const sleeps = () => server().query(`SELECT pid ${sleeping}`);
    await until(sleeps, { what: "it to be amid its transaction" });
    const end = async () => {
      const [row] = await tables.store.query("SELECT until FROM mqtt_lease", [], "one");
      return String(row!.until);
    };
    const before = await end();
    await holder.clock.advance(LONG / 5);
    await until(() => holder.clock.advance(100).then(end).then((end) => end > before), {
      what: "the lease to be renewed",
    });
    assert(await sleeps());
    server().sql(`SELECT pg_cancel_backend(pid) ${sleeping}`);
    await assertRejects(() => slow, Error, "user request");
    assertEquals(holder.said, ["begins"]);
    holder.lease.close();
    await tables.run(() => {}, holder.lease); // after the one that gives it back
  });

  Deno.test("PostgreSQL: nobody gets the lease during a transaction that relies on it", async () => {
    const name = freshSchema();
    await using one = await Tables.start(server().url(name));
    await using other = await Tables.start(server().url(name));
    const first = new Holder(one, LONG);
    await first.look();
    expire(name);
    const lock = await openSession(server().url(name));
    await lock.ask("SELECT pg_advisory_lock(1)");
    const slow = first.lease.transact((tx) => {
      first.lease.guard(tx);
      tx.run("SELECT pg_advisory_xact_lock(1)");
      keep(tx, deliver(1));
    });
    const waiting = (event: string) =>
      `SELECT pid FROM pg_stat_activity
      WHERE wait_event_type = 'Lock' AND wait_event ${event} 'advisory'`;
    await until(() => server().query(waiting("=")), { what: "it to be amid its transaction" });
    const second = new Holder(other, LONG);
    await until(() => server().query(waiting("<>")), { what: "the other one to wait" });
    assertEquals(second.said, []);
    await lock.close();
    await second.look();
    assertEquals(second.said, ["begins"]);
    assertEquals((await loaded(other)).taken, [1], "it was safe before");
    await slow;
    first.lease.close();
    second.lease.close();
  });

  Deno.test("PostgreSQL: the server that announced a device last announces that it is gone; for a dead server, another one does", async () => {
    const name = freshSchema();
    await using tables = await Tables.start(server().url(name));
    const there = (device: string, who: string) =>
      tables.run((tx) => tx.run(tables.schema.tellDevice, device, "online", 0, who));
    const gone = (device: string, who: string) => {
      const message = { topic: device, payload: "offline", retain: true };
      return tables.run((tx) => {
        markGone(tx, message, { device, state: "offline", sleep: 0 }, who, 1);
      });
    };
    const left = async () => {
      let found: string[] = [];
      await tables.run(async (tx) => {
        found = (await leftBehind(tx)).map(({ device, server }) => `${device} at ${server}`);
      });
      return found;
    };
    server().sql(
      `INSERT INTO mqtt_servers VALUES ('dead', now() - interval '1 minute'), ('alive', now() + interval '1 hour')`,
      name,
    );
    for (const device of ["stays", "moves", "left"]) await there(device, "dead");
    await there("moves", "alive");
    assertEquals((await left()).sort(), ["left at dead", "stays at dead"]);
    await there("stays", "alive"); // just now
    await gone("stays", "dead");
    await gone("moves", "dead");
    assertEquals(await tables.behind(0), []);
    await gone("left", "dead");
    await gone("moves", "alive");
    assertEquals(await tables.behind(0), ["(offline)", "(offline)"]);
    assertEquals(await left(), []);
    const states =
      "SELECT string_agg(device || ' ' || state, ', ' ORDER BY device) FROM mqtt_devices";
    assertEquals(server().sql(states, name), "left offline, moves offline, stays online");
  });

  Deno.test("PostgreSQL: a server leaves the broker alone before its time is up for the others", async () => {
    await using tables = await Tables.start(server().url(freshSchema()));
    const holder = new Holder(tables, LONG);
    await holder.look();
    assertEquals(holder.said, ["begins"]);
    holder.lease.close();
    await tables.run(() => {});
    const ended = assertRejects(() => holder.lease.transact(() => {}), LocalError);
    assert((await ended).message.includes("another server"));
    const other = new Holder(tables, LONG);
    await other.look();
    assertEquals(other.said, ["begins"], "it was given back at once");
    await other.clock.advance(48_000);
    assertEquals(other.said.slice(0, 2), ["begins", "ends"]);
    other.lease.close();
  });

  Deno.test("PostgreSQL: a server whose time is up while it renews the lease gets it with another token", async () => {
    const name = freshSchema();
    await using tables = await Tables.start(server().url(name));
    const token = () => server().sql("SELECT token FROM mqtt_lease", name);
    const renewing = Promise.withResolvers<void>();
    const database = Promise.withResolvers<void>();
    let isSlow = false;
    const holder = new Holder(tables, LONG, (use) =>
      tables.run(async (tx) => {
        let changes = false;
        const run: Transaction["run"] = (...statement) => {
          changes = true;
          tx.run(...statement);
        };
        await use({ get: (...query) => tx.get(...query), run } as Transaction);
        if (!isSlow || !changes) return;
        renewing.resolve();
        await database.promise;
      }));
    await holder.look();
    assertEquals([holder.said, token()], [["begins"], "1"]);
    isSlow = true;
    let isRenewing = false;
    renewing.promise.then(() => isRenewing = true);
    const passes = async (isThere: () => boolean) => {
      await holder.clock.advance(100);
      return isThere();
    };
    await until(() => passes(() => isRenewing), { what: "the lease to be renewed" });
    await holder.clock.advance(40_000); // too long since the first renewal, but not since this one
    assertEquals(holder.said, ["begins", "ends"]);
    database.resolve();
    await until(() => passes(() => holder.said.length > 2), { what: "it to have the lease again" });
    assertEquals([holder.said.at(-1), token()], ["begins", "2"]);
    holder.lease.close();
    await tables.run(() => {});
  });

  Deno.test("PostgreSQL: devices that a server missed in a round are announced again, as are those that were announced as gone while it was paused", async () => {
    const name = freshSchema();
    await using tables = await Tables.start(server().url(name));
    const there = (device: string, who: string) =>
      tables.run((tx) => tx.run(tables.schema.tellDevice, device, "online", 0, who));
    for (const device of ["moved", "stays", "paused"]) await there(device, "one");
    await there("moved", "other");
    const missed = async (who: string) => {
      let found: string[] = [];
      await tables.run(async (tx) => {
        found = (await missedRound(tx, who)).map(({ device, state }) => `${device} ${state}`);
      });
      return found;
    };
    assertEquals(await missed("one"), []);
    await tables.run((tx) => {
      beginRound(tx);
      for (const device of ["stays", "paused"]) endRound(tx, device);
    });
    assertEquals([await missed("one"), await missed("other")], [[], ["moved online"]]);
    const message = { topic: "paused", payload: "offline", retain: true };
    await tables.run((tx) => {
      markLeft(tx, message, { device: "paused", state: "offline", sleep: 0 }, "one", 1);
    });
    assertEquals(await missed("one"), ["paused offline"]);
  });
});

const deliver = (packet: number) => ({
  does: "deliver" as const,
  packet,
  qos: 2 as const,
  topic: "x",
  payload: new Uint8Array(),
  isRetained: false,
  isCut: false,
});

async function loaded(tables: Tables): Promise<Awaited<ReturnType<typeof load>>> {
  let kept: Awaited<ReturnType<typeof load>>;
  await tables.run(async (tx) => void (kept = await load(tx, tables.schema, [])));
  return kept!;
}
