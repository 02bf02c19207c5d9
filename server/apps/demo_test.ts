/** The demo applications continue where they were after the store has failed for a while. */
import { assertEquals } from "@std/assert";
import { Scene } from "../../tests/support/scene.ts";
import { until } from "../../tests/support/wait.ts";
import { type App, type Batch, LocalError, MemoryStore } from "../mod.ts";
import { main } from "./main.ts";
import { qos } from "./qos.ts";

/** Fails as long as the test says so. */
class FailingStore extends MemoryStore {
  fails = false;

  override commit(batch: Batch) {
    if (!this.fails) return super.commit(batch);
    return Promise.reject(new LocalError("STORE_FAILED", "no room left on the disk"));
  }
}

const options = { interval: 20, print: () => {} };

for (
  const [name, app] of [["main", main(options)], ["qos", qos(options)]] satisfies [string, App][]
) {
  Deno.test(`${name}: after a store failure it continues sending, with the next numbers`, async () => {
    const store = new FailingStore();
    await using scene = await Scene.start({ store, app });
    const [, peer] = await scene.device("1");
    /** The numbers that it has sent, each of which is acknowledged. */
    const numbers: number[] = [];
    const take = async (count: number) => {
      for (let seen = 0; numbers.length < count;) {
        await until(() => peer.lines.length > seen);
        for (const line of peer.lines.slice(seen)) {
          seen++;
          const [, id, number] = line.match(/^(..)\[(\d+),/) ?? [];
          if (number === undefined || numbers.includes(Number(number))) continue;
          numbers.push(Number(number));
          await peer.say(`${id}\n`);
        }
      }
    };
    await take(3);
    store.fails = true;
    await peer.say("01[7,1,1]\n"); // so that it is noticed
    await scene.logs("store");
    store.fails = false;
    await take(8);
    assertEquals(numbers.slice(0, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
    assertEquals(scene.codes("app_failed"), []);
  });
}
