/** What a store notes in its file, to notice lost logs and to know the age of messages; damaged files. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { image, restore } from "../../../tests/support/crash.ts";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { LocalError } from "../../protocol/errors.ts";
import { boot } from "../../transport/boot.ts";
import type { Boot } from "../../transport/platform.ts";
import { SqliteStore } from "./sqlite.ts";

function markTest(name: string, fn: (path: string) => Promise<void>): void {
  Deno.test(`sqlite store: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      await fn(`${folder}/holdfast.db`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** Opens the store. @returns its warning that it is older than it was */
async function olderIn(path: string): Promise<string | undefined> {
  const store = new SqliteStore(path);
  await store.close();
  return store.older;
}

markTest("a log that is lost after any commit is noticed, once", async (path) => {
  const store = new SqliteStore(path);
  const driver = await StoreDriver.on(store);
  const record = await driver.acquire("1");
  for (let step = 0; step < 3; step++) {
    for (const lost of [false, true]) {
      const copy = `${path}-${step}-${lost}`;
      restore(copy, image(path));
      if (lost) Deno.removeSync(`${copy}-wal`);
      assertEquals((await olderIn(copy))?.match(/-wal\) is missing/)?.length, lost ? 1 : undefined);
      assertEquals(await olderIn(copy), undefined, "it is reported once");
    }
    record.receive(`${step}`);
    await driver.commit();
  }
  await store.close();
  assertEquals(await olderIn(path), undefined, "a closed store has no log to lose");
});

markTest("an emptied log counts as lost", async (path) => {
  const store = new SqliteStore(path);
  const { db } = image(path);
  restore(`${path}-copy`, { db, log: new Uint8Array(0) });
  assert(await olderIn(`${path}-copy`));
  await store.close();
});

for (
  const [what, file, log] of [
    ["zeros", new Uint8Array(8192), 0],
    ["a few zeros", new Uint8Array(10), 0],
    ["the beginning of a store", new TextEncoder().encode("SQLite format 3\0"), 0],
    ["no bytes, with a log", new Uint8Array(0), 100],
  ] as const
) {
  markTest(`a file of ${what} counts as damaged, and is not changed`, async (path) => {
    await Deno.writeFile(path, file);
    if (log > 0) await Deno.writeFile(`${path}-wal`, new Uint8Array(log));
    const { code, message } = assertThrows(() => new SqliteStore(path), LocalError);
    assertEquals(code, "STORE_UNUSABLE");
    assertStringIncludes(message, "is damaged");
    assertEquals(Deno.readFileSync(path), new Uint8Array(file));
    if (log > 0) assertEquals(Deno.statSync(`${path}-wal`).size, log);
  });
}

const DAY = 86_400_000;

/** A computer, on which processes open the store. */
class Computer {
  date = 1_700_000_000_000;
  #boot: Boot = { id: "first", uptime: 5000 };
  #now = 100;

  constructor(readonly path: string, readonly knowsBoot: boolean) {}

  pass(ms: number): void {
    this.date += ms;
    this.#boot.uptime += ms;
    this.#now += ms;
  }

  restart(off: number): void {
    this.date += off;
    this.#boot = { id: `after ${this.#boot.id}`, uptime: 1000 };
  }

  /** Opens the store in a new process, with a clock of its own. */
  open(): SqliteStore {
    this.#now = 7;
    const clock = { now: () => this.#now, date: () => this.date };
    const boot = () => ({ ...this.#boot });
    return new SqliteStore(this.path, { clock: this.knowsBoot ? { ...clock, boot } : clock });
  }

  /** How long the first message of device "1" has waited. */
  async age(store: SqliteStore): Promise<number> {
    const { state } = await store.acquire("1");
    return this.#now - state!.outbox[0]!.written;
  }

  async ageInNext(): Promise<number> {
    const store = this.open();
    const age = await this.age(store);
    await store.close();
    return age;
  }

  /** Writes a message to device "1". */
  async write(store: SqliteStore): Promise<StoreDriver> {
    const driver = await StoreDriver.on(store);
    (await driver.acquire("1")).write("x", { overtakes: false, qos: true }, this.#now);
    await driver.commit();
    return driver;
  }
}

for (const step of [200 * DAY, -200 * DAY]) {
  const kind = step > 0 ? "forward" : "back";

  markTest(
    `ages survive a date that is set ${kind} while the store is closed`,
    async (path) => {
      const computer = new Computer(path, true);
      const store = computer.open();
      await computer.write(store);
      await store.close();
      computer.pass(4000);
      computer.date += step;
      computer.pass(6000);
      assertEquals(await computer.ageInNext(), 10_000);
      assertEquals(await computer.ageInNext(), 10_000, "and in the next one");
    },
  );

  for (const knowsBoot of [true, false]) {
    const where = knowsBoot ? "" : ", where the uptime is unknown";
    markTest(
      `ages survive a date that is set ${kind} while the server runs${where}`,
      async (path) => {
        const computer = new Computer(path, knowsBoot);
        const store = computer.open();
        const driver = await computer.write(store);
        computer.pass(4000);
        computer.date += step;
        computer.pass(6000);
        driver.record("1").receive("anything");
        await driver.commit();
        restore(`${path}-killed`, image(path));
        assertEquals(await computer.age(store), 10_000);
        await store.close();
        computer.restart(3000);
        assertEquals(await computer.ageInNext(), 13_000, "the computer was off for 3 s");
        const killed = new Computer(`${path}-killed`, knowsBoot);
        killed.date = computer.date;
        killed.restart(0);
        assertEquals(await killed.ageInNext(), 13_000, "a kill makes no difference");
      },
    );
  }
}

markTest("where the uptime is unknown, the date shows how old messages are", async (path) => {
  const computer = new Computer(path, false);
  const store = computer.open();
  await computer.write(store);
  await store.close();
  computer.pass(10_000);
  assertEquals(await computer.ageInNext(), 10_000);
  computer.date -= DAY;
  assertEquals(await computer.ageInNext(), 10_000, "a date that went back shows nothing");
});

markTest(
  "after a restart of the machine, the date shows how old messages are",
  async (path) => {
    const computer = new Computer(path, true);
    const store = computer.open();
    await computer.write(store);
    await store.close();
    computer.restart(3000);
    computer.pass(DAY); // by now it has run for longer than before
    assertEquals(await computer.ageInNext(), 3000 + DAY);
  },
);

markTest(
  "messages keep their deadlines, and whether they are in doubt",
  async (path) => {
    const clock = { now: () => 1000, date: () => 1_700_000_000_000 };
    const store = new SqliteStore(path, { clock });
    const driver = await StoreDriver.on(store);
    const record = await driver.acquire("1");
    for (const expires of [1500, Infinity]) {
      const manner = { overtakes: false, qos: true, ...(expires < Infinity && { expires }) };
      record.write(`${expires}`, manner, 1000);
    }
    record.doubt(record.outbox[0]!);
    await driver.commit();
    await store.close();
    const again = new SqliteStore(path, { clock });
    const { state } = await again.acquire("1");
    assertEquals(
      state!.outbox.map(({ text, expires, isDoubtful }) => [text, expires, isDoubtful]),
      [
        ["1500", 1500, true],
        ["Infinity", undefined, false],
      ],
    );
    await again.close();
  },
);

Deno.test("on Linux the machine's uptime is known, and increases", () => {
  if (Deno.build.os !== "linux") return;
  const [first, second] = [boot()!, boot()!];
  assertEquals(first.id, second.id);
  assert(first.uptime > 0 && second.uptime >= first.uptime);
});
