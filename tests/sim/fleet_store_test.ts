/** The model of a database behaves like PostgreSQL. */
import { assertEquals, assertRejects } from "@std/assert";
import { Clock } from "../../bridge/testing/clock.ts";
import { SimPlatform } from "../../bridge/testing/platform.ts";
import { Process } from "../../bridge/testing/process.ts";
import { Random } from "../../bridge/testing/random.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import type { Positions } from "../../server/link/record.ts";
import { emptyRows } from "./disk.ts";
import { FleetDisk } from "./fleet_disk.ts";
import { FleetStore, type FleetStoreWorld } from "./fleet_store.ts";

/** A server's connection to a database that knows the device B. */
function connect() {
  const clock = new Clock();
  const world = { clock, random: new Random(1), entered() {}, failed() {} };
  const wiring = { clockAhead: 0, dateAhead: 0, gather: 0 };
  const platform = new SimPlatform(new Process(world), wiring as SimPlatform["wiring"]);
  const disk = new FleetDisk(1000);
  disk.join("one", 0, () => {});
  const meet = () => void disk.devices.set("B", emptyRows({ processed: 0 } as Positions, 0));
  meet();
  const watcher = new Proxy({} as FleetStoreWorld, { get: () => () => {} });
  const way = { cutUntil: -1, deafUntil: -1, failsUntil: -1 };
  const store = new FleetStore("one", disk, watcher, platform, way, () => 0);
  const post = { device: "B", text: "{}", number: 1 };
  const works = [{ statements: [], posts: [post] }];
  const run = async <T>(answer: Promise<T>) => {
    while (clock.step(Infinity));
    return await answer;
  };
  return {
    disk,
    forget: () => disk.remove("B", watcher),
    meet,
    execute: () => run(store.executeAhead(works)),
    commit: (execution: Awaited<ReturnType<FleetStore["executeAhead"]>>) =>
      run(store.commit({ execution, works: [], changes: () => [] })),
  };
}

Deno.test("a commit fails if something was posted ahead of it for a device that was forgotten since", async () => {
  const { disk, execute, commit } = connect();
  await commit(await execute());
  assertEquals(disk.hasMail("B"), true);
  for (const comesBack of [false, true]) {
    const stage = connect();
    const execution = await stage.execute();
    stage.forget();
    if (comesBack) stage.meet();
    const { code } = await assertRejects(() => stage.commit(execution), LocalError);
    assertEquals([code, stage.disk.hasMail("B")], ["STORE_FAILED", false]);
  }
});
