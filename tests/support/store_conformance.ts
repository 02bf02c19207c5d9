/**
 * Tests for every store, wherever it keeps devices.
 *
 * ```ts ignore
 * describeStore("memory", () => {
 *   const store = new MemoryStore();
 *   return { open: () => store, isLive: true };
 * });
 * ```
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DeviceState, newState, WITHDRAWN } from "../../server/link/record.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { type Random, randomTest } from "./random.ts";
import { describeDatabase } from "./store_database.ts";
import { keepsLetters } from "./store_letters.ts";
import { keepsMemos, keepsMemosOfTransactions } from "./store_memos.ts";
import { StoreModel } from "./store_model.ts";
import { type StorePlace, StoreRig } from "./store_place.ts";

/** Features that not every store has. */
export interface StoreTraits {
  /** Applications have tables in it. */
  hasDatabase?: boolean;
  /** Its places have `breaks`. */
  canFail?: boolean;
}

/** Registers tests of a store, each of which gets a new place. */
export function describeStore(
  name: string,
  make: () => StorePlace,
  { hasDatabase = false, canFail = false }: StoreTraits = {},
): void {
  const within = async (fn: (rig: StoreRig) => Promise<void>) => {
    const place = make();
    try {
      const rig = new StoreRig(place);
      assertEquals(rig.store.database !== undefined, hasDatabase);
      await fn(rig);
      await rig.store.close();
    } finally {
      place.remove?.();
    }
  };
  const test = (about: string, fn: (rig: StoreRig) => Promise<void>) =>
    Deno.test(`${name}: ${about}`, () => within(fn));

  test("a device is not known before a change of it was committed", async (rig) => {
    const driver = await rig.driver();
    await driver.acquire("1");
    assertEquals(await rig.list(), []);
    await driver.commit();
    assertEquals((await rig.reopened()).ledgers.size, 0);
    const again = await rig.driver();
    const record = await again.acquire("1");
    assertEquals(record.inbox, []);
    record.receive("a");
    await again.commit();
    assertEquals(await rig.list(), [{ id: "1", inbox: 1, outbox: 0 }]);
    assertEquals((await rig.reopened()).record("1").inbox, ["a"]);
  });

  test("a change that was undone leaves no device behind", async (rig) => {
    const driver = await rig.driver();
    const record = await driver.begin("1");
    record.write("a", { overtakes: false, qos: true }, 0);
    record.unwrite();
    await driver.commit();
    assertEquals(await rig.list(), []);
    record.receive("b");
    await driver.commit();
    assertEquals((await rig.reopened()).states(), driver.states());
  });

  test("it lists how many messages wait", async (rig) => {
    const driver = await rig.driver();
    for (const [id, inbox, outbox] of [["a", 3, 0], ["ü\u{1F600}", 0, 2], ["c", 0, 0]] as const) {
      const record = await driver.acquire(id);
      record.change({ connects: 1 });
      for (let i = 0; i < inbox; i++) record.receive("in");
      for (let i = 0; i < outbox; i++) record.write("out", { overtakes: false, qos: true }, 0);
    }
    await driver.commit();
    driver.record("a").process();
    driver.record("ü\u{1F600}").settle();
    await driver.commit();
    const expected = [
      { id: "a", inbox: 2, outbox: 0 },
      { id: "c", inbox: 0, outbox: 0 },
      { id: "ü\u{1F600}", inbox: 0, outbox: 1 },
    ];
    assertEquals(await rig.list(), expected);
    await rig.reopened();
    assertEquals(await rig.list(), expected);
  });

  test("texts come back unchanged", async (rig) => {
    const texts = ["\0x\0y", "\u{1F600}\ufeff", "\ufeffBOM", `"'\\;--`, "\x01\x7f\u2028"]
      .concat("é".repeat(9000), " ", "%s $1 ?");
    const driver = await rig.driver();
    const record = await driver.begin("1");
    for (const text of texts) {
      record.receive(text);
      record.write(text, { overtakes: false, qos: true }, 0);
    }
    record.withdraw(record.outbox[1]!);
    await driver.commit();
    const again = await rig.reopened();
    assertEquals(again.states(), driver.states());
    assertEquals(again.record("1").inbox, texts);
    assertEquals(again.record("1").outbox[1]!.text, WITHDRAWN);
  });

  test("dead letters are kept, retried and dropped, each with its commit", keepsLetters);

  test("memos are kept, replaced and dropped, and go with their device", keepsMemos);

  test(
    "memos that a transaction changes are safe with it, or undone if it is refused",
    keepsMemosOfTransactions,
  );

  test("numbers go on beyond 2^32, and have room for 2^53", async (rig) => {
    const most = Number.MAX_SAFE_INTEGER;
    for (const [id, sent] of [["a", 2 ** 32 - 3], ["b", 2 ** 45 - 3], ["c", most - 10]] as const) {
      let driver = await rig.driver();
      const fresh = newState(sent, { txEpoch: 2 ** 32 - 1, rxNext: 2 ** 32 - 1, processed: sent });
      await driver.acquire(id, fresh);
      driver.record(id).hear(10, "x");
      for (let i = 0; i < 8; i++) {
        const record = driver.record(id);
        record.receive(`from ${i}`);
        record.write(`to ${i}`, { overtakes: false, qos: true }, 0);
        if (i > 2) record.process();
        if (i > 3) record.settle();
        await driver.commit();
        const before = driver.states();
        driver = await rig.reopened();
        assertEquals(driver.states(), before);
      }
      const { positions, sent: written } = driver.record(id).state;
      assertEquals([written, positions.txNext, positions.processed], [
        sent + 8,
        Number(BigInt(sent + 8) % 2n ** 32n),
        sent + 5,
      ]);
      assertEquals(driver.record(id).outbox.map(({ text }) => text), [
        "to 4",
        "to 5",
        "to 6",
        "to 7",
      ]);
    }
  });

  test("a message that comes and goes between two commits leaves no trace", async (rig) => {
    const driver = await rig.driver();
    const record = await driver.begin("1");
    for (let i = 0; i < 3; i++) {
      record.receive(`${i}`);
      record.process();
      record.write(`${i}`, { overtakes: false, qos: true }, 0);
      record.settle();
      await driver.commit();
    }
    assertEquals((await rig.reopened()).states(), driver.states());
  });

  test("messages are safe after the commit, and not before", async (rig) => {
    const driver = await rig.driver();
    const record = await driver.begin("1");
    record.receive("a");
    assertEquals(record.safe, 0);
    await driver.commit();
    assertEquals(record.safe, 1);
    record.receive("b");
    record.process();
    assertEquals(record.safe, 0);
    await driver.commit();
    assertEquals([record.safe, record.inbox], [1, ["b"]]);
    assertEquals((await rig.reopened()).record("1").safe, 1);
  });

  test("repeats in dialect 1 are recognised after a restart", async (rig) => {
    let driver = await rig.driver();
    (await driver.begin("1")).change({ connects: 3 });
    for (const [id, text] of ["boot", "one", "two"].entries()) driver.record("1").hear(id, text);
    await driver.commit();
    driver = await rig.reopened();
    const { duplicates, positions: { connects } } = driver.record("1");
    assert(duplicates.isRepeat(1, "one", connects));
    assert(duplicates.isRepeat(2, "two", connects + 1));
    assert(!duplicates.isRepeat(2, "zwei", connects));
    driver.record("1").change({ connects: 4 });
    driver.record("1").hear(0, "booted");
    await driver.commit();
    driver = await rig.reopened();
    assert(!driver.record("1").duplicates.isRepeat(1, "one", 3), "id 00 has made it forget that");
    assert(driver.record("1").duplicates.isRepeat(0, "booted", 4));
  });

  test("transactions without statements change several devices at once", async (rig) => {
    const driver = await rig.driver();
    for (const id of ["1", "2"]) (await driver.begin(id)).receive(`from ${id}`);
    await driver.commit();
    driver.transact([], driver.processing("1"), driver.writing("2", "x"), driver.writing("1", "y"));
    driver.transact([], driver.processing("2"));
    assertEquals((await driver.commit()).size, 0);
    const [one, two] = ["1", "2"].map((id) => driver.record(id));
    assertEquals([one!.inbox, two!.inbox, one!.outbox.length, two!.outbox.length], [[], [], 1, 1]);
    assertEquals((await rig.reopened()).states(), driver.states());
  });

  test("the owner of an acquired state may change it", async (rig) => {
    const driver = await rig.driver();
    const record = await driver.begin("1");
    record.receive("a");
    record.write("b", { overtakes: false, qos: true }, 0);
    record.hear(1, "a");
    record.setMemo("m", "a");
    await driver.commit();
    const before = driver.states();
    const spoil = async () => {
      const state: DeviceState = (await rig.store.acquire("1")).state!;
      state.positions.connects++;
      state.inbox.push("c");
      state.outbox[0]!.text = "c";
      state.heard.pop();
      state.memos!.pop();
    };
    await spoil();
    assertEquals((await rig.driver()).states(), before);
    await rig.reopened();
    await spoil();
    assertEquals((await rig.driver()).states(), before);
  });

  test("a former owner's commit is refused as a whole", async (rig) => {
    const old = await rig.driver();
    for (const id of ["1", "2"]) (await old.begin(id)).receive("a");
    await old.commit();
    const { token } = await rig.store.acquire("2");
    const mine = await rig.store.acquire("2");
    assert(mine.token > token);
    for (const id of ["1", "2", "3"]) {
      (old.ledgers.get(id)?.record ?? await old.begin(id)).receive("b");
    }
    const error = await assertRejects(() => old.commit(), LocalError);
    assertEquals(error.code, "FENCED");
    assertEquals((error as LocalError & { device?: unknown }).device, "2");
    assertEquals((await rig.store.list()).some(({ id }) => id === "3"), false);
    const now = await rig.driver();
    assertEquals(now.record("2").inbox, ["a"]);
    now.record("2").receive("c");
    await now.commit();
    assertEquals((await rig.reopened()).record("2").inbox, ["a", "c"]);
  });

  test("of two owners of an unknown device only one can commit", async (rig) => {
    const drivers = [await rig.driver(), await rig.driver()];
    for (const [i, driver] of drivers.entries()) (await driver.begin("1")).receive(`${i}`);
    const losers: number[] = [];
    for (const [i, driver] of drivers.entries()) {
      await driver.commit().catch(({ code }) => {
        assertEquals(code, "FENCED");
        losers.push(i);
      });
    }
    assertEquals(losers.length, 1);
    assertEquals((await rig.reopened()).record("1").inbox, [`${1 - losers[0]!}`]);
  });

  test("a device that is removed is not known, and comes back as a new one", async (rig) => {
    const driver = await rig.driver();
    for (const id of ["1", "2"]) {
      const record = await driver.begin(id);
      record.receive(`from ${id}`);
      record.write(`to ${id}`, { overtakes: false, qos: true }, 0);
      record.hear(1, "a");
    }
    await driver.commit();
    driver.ledgers.get("1")!.remove();
    driver.record("2").process();
    await driver.commit();
    driver.record("1").receive("late"); // it has no owner any more
    await driver.commit();
    const left = [{ id: "2", inbox: 0, outbox: 1 }];
    assertEquals(await rig.list(), left);
    const state = driver.states()["2"]!;
    assertEquals((await rig.reopened()).states(), { "2": state });
    const again = await rig.driver();
    const record = await again.begin("1");
    assertEquals([record.inbox, record.outbox, record.state.heard], [[], [], []]);
    record.receive("new");
    await again.commit();
    assertEquals((await rig.reopened()).record("1").inbox, ["new"]);
    assertEquals((await rig.driver()).states()["2"], state);
  });

  test("a removal can be taken back before its commit, and one of an unknown device does nothing", async (rig) => {
    const driver = await rig.driver();
    const [one, two] = [await driver.begin("1"), await driver.begin("2")];
    one.receive("a");
    await driver.commit();
    for (const id of ["1", "2"]) driver.ledgers.get(id)!.remove();
    driver.ledgers.get("1")!.keep();
    one.receive("b");
    two.receive("c");
    await driver.commit();
    assertEquals((await rig.reopened()).ledgers.size, 1);
    assertEquals((await rig.driver()).record("1").inbox, ["a", "b"]);
  });

  test("a former owner cannot remove a device", async (rig) => {
    const old = await rig.driver();
    (await old.begin("1")).receive("a");
    await old.commit();
    await rig.store.acquire("1");
    old.ledgers.get("1")!.remove();
    assertEquals((await assertRejects(() => old.commit(), LocalError)).code, "FENCED");
    assertEquals(await rig.list(), [{ id: "1", inbox: 1, outbox: 0 }]);
  });

  test("closing commits nothing", async (rig) => {
    const driver = await rig.driver();
    (await driver.begin("1")).receive("a");
    driver.transact([], driver.processing("1"));
    assertEquals((await rig.reopened()).ledgers.size, 0);
  });

  test("1000 devices in one commit", async (rig) => {
    const driver = await rig.driver();
    const ids = Array.from({ length: 1000 }, (_, i) => `device ${i}`);
    for (const id of ids) (await driver.begin(id)).receive(`hello from ${id}`);
    await driver.commit();
    for (const id of ids) {
      driver.record(id).process();
      driver.record(id).receive("2");
    }
    await driver.commit();
    const again = await rig.reopened();
    assertEquals(again.ledgers.size, ids.length);
    for (const id of ids) assertEquals(again.record(id).inbox, ["2"]);
  });

  if (canFail) {
    test("a failing commit leaves nothing, and the next one stores everything", async (rig) => {
      const driver = await rig.driver();
      const record = await driver.begin("1");
      for (const text of ["a", "b", "c"]) record.receive(text);
      await driver.commit();
      const before = driver.states();
      const mends = rig.place.breaks!(rig.store);
      driver.transact([], driver.processing("1"), driver.writing("1", "x"));
      for (let i = 0; i < 3; i++) {
        record.receive(`${i}`);
        (driver.ledgers.get("2")?.record ?? await driver.begin("2")).write("x", {
          overtakes: false,
          qos: true,
        }, 0);
        const error = await assertRejects(() => driver.commit(), LocalError);
        assertEquals(error.code, "STORE_FAILED");
        assertEquals([record.safe, record.inbox.length, record.outbox.length], [3, 4 + i, 0]);
      }
      mends();
      assertEquals(await rig.list(), [{ id: "1", inbox: 3, outbox: 0 }]);
      assertEquals((await driver.commit()).size, 0);
      assertEquals([record.safe, record.outbox.length], [5, 1]);
      assertEquals(await rig.list(), [
        { id: "1", inbox: 5, outbox: 1 },
        { id: "2", inbox: 0, outbox: 3 },
      ]);
      assertEquals(before["1"]!.inbox, ["a", "b", "c"]);
      assertEquals((await rig.reopened()).states(), driver.states());
    });

    test("a device whose first commit has failed is not known", async (rig) => {
      const driver = await rig.driver();
      await driver.begin("1");
      const mends = rig.place.breaks!(rig.store);
      (await driver.begin("2")).receive("a");
      await assertRejects(() => driver.commit(), LocalError);
      mends();
      driver.changed.clear(); // it is dropped
      driver.record("1").receive("b");
      await driver.commit();
      assertEquals(await rig.list(), [{ id: "1", inbox: 1, outbox: 0 }]);
      assertEquals((await rig.store.acquire("2")).state, undefined);
    });
  }

  if (hasDatabase) describeDatabase(test);

  randomTest(
    `${name}: after any changes, failures and restarts it has the same as a plain model`,
    10,
    (random) => within((rig) => changeAtRandom(rig, random)),
  );
}

/** One run of a server, beside a model. */
async function changeAtRandom(rig: StoreRig, random: Random): Promise<void> {
  const { place } = rig;
  const hasDatabase = rig.store.database !== undefined;
  const ids = ["a", "b", "c"];
  let driver = await rig.driver();
  for (const id of ids) await driver.begin(id, random.pick([0, 2 ** 32 - 9, 2 ** 40]), 5);
  let committed = driver.states();
  let models = ids.map((id) => [id, new StoreModel(driver.states()[id]!)] as const);
  const commit = async () => {
    await driver.commit();
    for (const [id, model] of models) model.committed(driver.record(id));
    committed = driver.states();
  };
  for (let turn = 0; turn < 60; turn++) {
    for (let i = random.int(0, 30); i > 0; i--) {
      const [id, model] = random.pick(models);
      model.change(driver.record(id), random);
    }
    for (let i = random.int(0, 3); i > 0; i--) {
      const [id, model] = random.pick(models);
      model.transact(driver, id, random, hasDatabase);
    }
    if (place.breaks && random.once(5)) {
      for (const [id, model] of models) model.connect(driver.record(id));
      const mends = place.breaks(rig.store);
      await assertRejects(() => driver.commit(), LocalError);
      for (const [id, model] of models) model.check(driver.record(id), "after a failure");
      mends();
    }
    if (random.once(5)) continue; // the next commit has the changes of both turns
    if (place.isLive || random.once(2)) await commit();
    if (!random.once(8)) continue;
    driver = await rig.reopened();
    for (const id of ids) {
      if (!driver.ledgers.has(id)) await driver.acquire(id, structuredClone(committed[id]!));
    }
    assertEquals(driver.states(), committed);
    models = ids.map((id) => [id, new StoreModel(driver.states()[id]!)] as const);
  }
}
