/** Several processes on one database: devices, mail and what they show each other. */
import { assertEquals, assertRejects } from "@std/assert";
import { withPostgres } from "../../../tests/support/postgres.ts";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { until } from "../../../tests/support/wait.ts";
import { LocalError } from "../../protocol/errors.ts";
import { MOST_MAIL, type Post } from "../fleet.ts";
import type { Work } from "../store.ts";
import { PostgresStore } from "./postgres.ts";

/** A process on the database. */
class Process {
  readonly store: PostgresStore;
  driver!: StoreDriver;
  hints = 0;

  constructor(url: string) {
    this.store = new PostgresStore(url, { lease: 60_000 });
  }

  static async join(url: string): Promise<Process> {
    const process = new Process(url);
    await process.store.fleet.join(() => void process.hints++);
    return process;
  }

  get fleet() {
    return this.store.fleet;
  }

  beat(seen: number[] = []) {
    return this.fleet.beat(seen);
  }

  /** Acquires these devices, each with a received message. */
  async begin(...ids: string[]): Promise<StoreDriver> {
    this.driver = await StoreDriver.on(this.store);
    for (const id of ids) (await this.driver.begin(id)).receive(`from ${id}`);
    await this.driver.commit();
    return this.driver;
  }

  async post(...posts: Post[]): Promise<unknown> {
    const work: Work = { statements: [], posts };
    const refused = await this.store.commit({ works: [work], changes: () => [] });
    return refused.get(work);
  }
}

withPostgres("postgres store: several processes", (server) => {
  const test = (
    name: string,
    fn: (join: () => Promise<Process>, schema: string) => Promise<void>,
  ) =>
    Deno.test(`postgres store: ${name}`, async () => {
      const schema = server().schema();
      const url = server().url(schema);
      const all: Process[] = [];
      try {
        await fn(async () => {
          const process = await Process.join(url);
          all.push(process);
          return process;
        }, schema);
      } finally {
        for (const { store } of all) await store.close();
      }
    });

  test("a process that loses a device gets a hint at once, and the loss in each beat until it confirms it", async (join) => {
    const [a, b] = [await join(), await join()];
    await a.begin("1", "2");
    const { hints } = a;
    const { token, state } = await b.store.acquire("1");
    assertEquals(state!.inbox, ["from 1"]);
    await until(() => a.hints > hints, { what: "the hint" });
    const { lost } = await a.beat();
    assertEquals(lost.map(({ device, token }) => ({ device, token })), [{ device: "1", token }]);
    assertEquals((await a.beat()).lost, lost);
    assertEquals((await a.beat([lost[0]!.note])).lost, []);
    assertEquals((await b.beat()).lost, []);
    a.driver.record("1").receive("late");
    assertEquals((await assertRejects(() => a.driver.commit(), LocalError)).code, "FENCED");
  });

  test(
    "a device of a live process cannot be adopted; a device of a dead one is adopted once",
    async (join, schema) => {
      const [a, b, c] = [await join(), await join(), await join()];
      await a.begin("1", "2");
      a.driver.record("2").process();
      await a.driver.commit();
      assertEquals([await b.fleet.adopt("1"), (await b.beat()).orphans], [undefined, []]);
      assertEquals((await a.fleet.adopt("1"))!.state!.inbox, ["from 1"], "its owner may adopt it");
      // As if it had not beaten for a whole lease.
      server().sql(
        `UPDATE holdfast_processes SET alive_until = now()
        WHERE process = (SELECT process FROM holdfast_devices WHERE id = '1')`,
        schema,
      );
      assertEquals((await b.beat()).orphans, ["1"], "2 has no waiting messages");
      const adopted = await Promise.all([b.fleet.adopt("1"), c.fleet.adopt("1")]);
      assertEquals(adopted.filter((it) => it !== undefined).length, 1);
      const [mine] = adopted.filter((it) => it !== undefined);
      assertEquals(mine!.state!.inbox, ["from 1"]);
      assertEquals((await c.beat()).orphans, []);
      const { lost } = await a.beat();
      assertEquals(lost.at(-1)!.token, mine!.token);
      assertEquals((await a.beat()).orphans, [], "it is alive again");
      assertEquals((await a.fleet.adopt("2"))?.state?.inbox, [], "and adopts its other device");
    },
  );

  test("a process that leaves gives up its lease, and others can adopt its devices at once", async (join) => {
    const [a, b] = [await join(), await join()];
    await a.begin("1");
    const { hints } = b;
    await a.fleet.leave();
    await until(() => b.hints > hints, { what: "the hint" });
    assertEquals((await b.beat()).orphans, ["1"]);
    assertEquals((await b.fleet.adopt("1"))!.state!.inbox, ["from 1"]);
  });

  test("a look at another process's device is counted, and changes nothing else", async (join) => {
    const [a, b] = [await join(), await join()];
    await a.begin("1");
    const token = a.driver.ledgers.get("1")!.token;
    assertEquals(await a.fleet.look("1", token), { isOurs: true, state: undefined, looks: 0 });
    const { isOurs, state, looks } = await b.fleet.look("1", undefined);
    assertEquals([isOurs, state!.inbox, looks], [false, ["from 1"], 1]);
    assertEquals((await b.fleet.look("1", token)).isOurs, false);
    assertEquals((await a.fleet.look("1", token)).looks, 2);
    assertEquals((await a.fleet.look("1", token - 1)).isOurs, false);
    assertEquals(await b.fleet.look("none", undefined), {
      isOurs: false,
      state: undefined,
      looks: 0,
    });
    a.driver.record("1").receive("more");
    await a.driver.commit();
    assertEquals((await b.store.acquire("1")).looks, 3);
  });

  test("any process can read memos and dead letters of devices, which does not count as a look", async (join) => {
    const [a, b] = [await join(), await join()];
    await a.begin("1", "2", "3\0");
    a.driver.record("1").setMemo("key", "text\0");
    a.driver.record("3\0").setMemo("x", "y");
    a.driver.record("2").addDeadLetter("why", 5);
    await a.driver.commit();
    const kept = await b.fleet.read(["3\0", "1", "2", "none"]);
    assertEquals([...kept.keys()].sort(), ["1", "2", "3\0"]);
    assertEquals(kept.get("1"), { memos: [["key", "text\0"]], deadLetters: [] });
    const letter = { number: 0, text: "from 2", error: "why", date: 5 };
    assertEquals(kept.get("2"), { memos: [], deadLetters: [letter] });
    assertEquals(kept.get("3\0")!.memos, [["x", "y"]]);
    assertEquals(await b.fleet.read([]), new Map());
    const { token } = a.driver.ledgers.get("1")!;
    assertEquals((await a.fleet.look("1", token)).looks, 0);
  });

  test("mail waits for the process that has the device, is deleted by its commit, and is answered", async (join) => {
    const [a, b] = [await join(), await join()];
    await a.begin("1");
    const { hints } = a;
    const posts = [7, 8].map((number) => ({ device: "1", text: `do ${number}\0`, number }));
    assertEquals(await b.post(...posts), undefined);
    await until(() => a.hints > hints, { what: "the hint" });
    const { mail } = await a.beat();
    assertEquals(mail.map(({ device, text }) => [device, text]), [["1", "do 7\0"], [
      "1",
      "do 8\0",
    ]]);
    assertEquals(mail.every(({ age }) => age >= 0 && age < 60_000), true);
    assertEquals([mail[0]!.number < mail[1]!.number, (await b.beat()).mail], [true, []]);
    const ledger = a.driver.ledgers.get("1")!;
    const before = b.hints;
    await a.store.commit({
      works: [],
      changes: () => [{
        id: "1",
        token: ledger.token,
        removed: false,
        state: ledger.state,
        mail: {
          taken: [mail[0]!.number],
          replies: [{ to: mail[0]!.from, text: "done" }, { to: "999999 1", text: "to nobody" }],
        },
        write: () => {},
      }],
    });
    await until(() => b.hints > before, { what: "the hint" });
    const { answers } = await b.beat();
    assertEquals(answers.map(({ number, text }) => [number, text]), [[7, "done"]]);
    assertEquals((await b.beat([answers[0]!.note])).answers, []);
    assertEquals((await a.beat()).mail.map(({ text }) => text), ["do 8\0"]);
    const moved = await b.store.acquire("1");
    assertEquals(moved.mail!.map(({ text }) => text), ["do 8\0"], "it goes with the device");
  });

  test("a work with mail for an unknown device, or with too much mail, is refused", async (join) => {
    const a = await join();
    await a.begin("1");
    const posts = (n: number) =>
      Array.from({ length: n }, (_, number) => ({ device: "1", text: "x", number }));
    const unknown = await a.post(...posts(1), { device: "2", text: "x", number: 1 }) as LocalError;
    assertEquals([unknown.code, unknown.device], ["UNKNOWN_DEVICE", "2"]);
    assertEquals(await a.post(...posts(MOST_MAIL)), undefined);
    const full = await a.post(...posts(1)) as LocalError;
    assertEquals([full.code, full.device], ["OUTBOX_FULL", "1"]);
    assertEquals((await a.store.acquire("1")).mail!.length, MOST_MAIL);
    a.driver = await StoreDriver.on(a.store);
    a.driver.ledgers.get("1")!.remove();
    await a.driver.commit();
    await a.begin("1");
    assertEquals((await a.store.acquire("1")).mail, [], "it was deleted with the device");
  });

  test("when a device is forgotten, the senders of its mail and messages are told", async (join) => {
    const [a, b] = [await join(), await join()];
    await a.begin("1");
    assertEquals(await b.post({ device: "1", text: "x", number: 7 }), undefined);
    const ledger = a.driver.ledgers.get("1")!;
    const [mail] = (await a.beat()).mail;
    ledger.record.write("waits", { overtakes: false, qos: true, from: mail!.from }, 0);
    await a.driver.commit();
    ledger.remove();
    await a.driver.commit();
    const { answers } = await b.beat();
    const told = answers.map(({ number, text }) => [number, JSON.parse(text).code]);
    assertEquals(told, [[7, "FORGOTTEN"], [7, "FORGOTTEN"]]);
  });

  test(
    "each other process gets what is shown of a device once, and only the newest owner's",
    async (join, schema) => {
      const [a, b, c] = [await join(), await join(), await join()];
      await a.begin("1", "never shown");
      const sight = (device: string, token: number, text?: string) => ({ device, token, text });
      const look = async (of: Process, ...sights: ReturnType<typeof sight>[]) => {
        const { isAll, shown, servers } = await of.fleet.exchange("me", sights);
        const all = shown.map(({ device, text, process }) =>
          `${device} ${text} ${process === undefined ? "" : servers.get(process)}`.trim()
        );
        return [isAll, ...all.sort()];
      };
      assertEquals(await look(a, sight("1", 5, "old\0"), sight("2", 5, "x")), [
        true,
        "never shown undefined",
      ]);
      assertEquals(await look(b), [true, "1 old\0 me", "2 x me", "never shown undefined"]);
      assertEquals([await look(b), await look(a)], [[false], [false]]);
      await look(c, sight("1", 6, "new"));
      const late = await look(a, sight("1", 5, "late"), sight("2", 5));
      assertEquals(late, [false, "1 new me"]);
      assertEquals(await look(b), [false, "1 new me", "2 undefined me"]);
      assertEquals(await look(a), [false]);
      // A process that has not beaten for a whole lease is dead, and what it shows then is seen when it is alive again.
      const dead =
        "UPDATE holdfast_processes SET alive_until = now() WHERE process = (SELECT process FROM holdfast_sights WHERE id = '1')";
      server().sql(dead, schema);
      assertEquals((await b.fleet.exchange("me", [])).servers.size, 2);
      await look(c, sight("3", 6, "y"));
      assertEquals(await look(b), [false]);
      await c.beat();
      await look(b);
      assertEquals(await look(b), [false, "1 new me", "3 y me"]);
      await c.fleet.leave();
      assertEquals((await b.fleet.exchange("me", [])).servers.size, 2);
    },
  );

  test(
    "a process whose row was deleted keeps the devices that no other process has taken",
    async (join, schema) => {
      const a = await join();
      await a.begin("1");
      server().sql("DELETE FROM holdfast_processes", schema);
      a.driver.record("1").receive("y");
      await a.driver.commit();
      server().sql("DELETE FROM holdfast_processes", schema);
      await a.beat();
      a.driver.record("1").receive("z");
      await a.driver.commit();
      assertEquals((await a.store.acquire("1")).state!.inbox, ["from 1", "y", "z"]);
    },
  );
});
