/** A device that sleeps, on a server in the hands of a test: it is not missed before its time, and then it is. */
import { assert, assertEquals } from "@std/assert";
import { ManualServer } from "../tests/support/manual_server.ts";
import { SlowStore } from "../tests/support/slow_store.ts";
import { StreamBoard } from "../tests/support/stream_board.ts";
import { LocalError } from "./protocol/errors.ts";
import { MemoryStore } from "./store/memory.ts";

const DATE = 1_700_000_000_000;
const MINUTE = 60_000;

/** What is said of it, without what is the same each time. */
function news(scene: ManualServer): string[] {
  return scene.log.splice(0).filter((entry) => /asleep|overdue|connected|warning|log/.test(entry));
}

/** A board that has told a server with this store that it sleeps for this many seconds, and has gone. */
async function asleep(seconds: number, store = new MemoryStore()) {
  const scene = await ManualServer.start({ store });
  const board = new StreamBoard(scene, "1", DATE);
  await board.connect();
  await board.says(`\x02s ${seconds}`);
  await board.leave();
  return { scene, board, store, device: await scene.server.device("1") };
}

Deno.test("a device that sleeps is not missed until its time and a margin are over", async () => {
  const { scene, board, device } = await asleep(600);
  await using _ = scene;
  assertEquals(news(scene), ["connected 1", "asleep 1"]);
  const until = scene.platform.date() + 600_000;
  assertEquals(device.asleepUntil?.getTime(), until);
  await scene.platform.advance(600_000 + 30_000 + 29_000); // 5 % and 30 s late
  assertEquals(news(scene), []);
  assert(device.asleepUntil);
  await board.connect();
  assertEquals(news(scene), ["connected 1"]);
  assertEquals(device.asleepUntil, undefined);
  await board.leave(); // it has not said anything this time
  assertEquals(news(scene), ["disconnected 1 LOST"]);
});

Deno.test("one that says so with the first that it says sleeps, too", async () => {
  await using scene = await ManualServer.start();
  const board = new StreamBoard(scene, "1", DATE);
  await board.says("21");
  await board.says("\x02s 600");
  await board.connect();
  await board.leave();
  assertEquals(news(scene), ["connected 1", "asleep 1"]);
});

Deno.test("one that is late is an outage, and is said to be one, once", async () => {
  const { scene, board, device } = await asleep(600);
  await using _ = scene;
  news(scene);
  await scene.platform.advance(600_000 + 30_000 + 31_000);
  assertEquals(news(scene), ["overdue 1"]);
  assertEquals(device.asleepUntil, undefined);
  await scene.platform.advance(100 * MINUTE);
  await board.connect();
  assertEquals(news(scene), ["connected 1"]);
});

Deno.test("that one is missed is said when the store has it: a server that is killed before says it in its next life alone", async () => {
  const store = new SlowStore();
  const { scene } = await asleep(600, store);
  await using _ = scene;
  news(scene);
  store.works = false;
  await scene.platform.advance(600_000 + 30_000 + 31_000);
  assertEquals(news(scene), []);
  store.works = true;
  await scene.platform.advance(300);
  assertEquals(news(scene), ["overdue 1"]);
});

Deno.test("a server that is started meanwhile knows that it sleeps, and when it is missed", async () => {
  const { scene, store } = await asleep(600);
  await scene[Symbol.asyncDispose]();
  const { platform } = scene;
  await platform.advance(2 * MINUTE);
  await using second = await ManualServer.start({ store }, platform);
  const device = await second.server.device("1");
  assertEquals(device.asleepUntil!.getTime() - platform.date(), 8 * MINUTE);
  await platform.advance(8 * MINUTE);
  assertEquals(news(second), []);
  await platform.advance(2 * MINUTE);
  assertEquals(news(second), ["overdue 1"]);
});

Deno.test("one that was missed while no server ran is missed at the start", async () => {
  const { scene, store } = await asleep(60);
  await scene[Symbol.asyncDispose]();
  await scene.platform.advance(60 * MINUTE);
  await using second = await ManualServer.start({ store }, scene.platform);
  await scene.platform.advance(1);
  assertEquals(news(second), ["overdue 1"]);
});

Deno.test("what is written to one that sleeps waits for it, and expires in its time", async () => {
  const { scene, board, device } = await asleep(600);
  await using _ = scene;
  const late = device.write("only now", { expires: 1000 }).catch((error: LocalError) => error.code);
  const written = device.write("later");
  let isAwake = false;
  device.ready().then(() => isAwake = true);
  await scene.platform.advance(MINUTE);
  assertEquals(await late, "EXPIRED");
  assert(!isAwake);
  await board.connect();
  assert(isAwake);
  assert(board.heard.some((line) => line.endsWith("later")));
  assert(!board.heard.some((line) => line.endsWith("only now")));
  await board.leave();
  written.catch(() => {});
});

Deno.test("one that has said that it does not sleep after all is missed like any other", async () => {
  await using scene = await ManualServer.start();
  const board = new StreamBoard(scene, "1", DATE);
  await board.connect();
  await board.says("\x02s 600");
  await board.says("\x02s 0");
  await board.leave();
  assertEquals(news(scene), ["connected 1", "disconnected 1 LOST"]);
});

Deno.test("one that has stayed longer than it wanted to sleep does not sleep when it is lost", async () => {
  await using scene = await ManualServer.start({ timeout: 3_600_000 });
  const board = new StreamBoard(scene, "1", DATE);
  await board.connect();
  await board.says("\x02s 1");
  await scene.platform.advance(MINUTE);
  await board.leave();
  assertEquals(news(scene), ["connected 1", "disconnected 1 LOST"]);
  assertEquals((await scene.server.device("1")).asleepUntil, undefined);
});

Deno.test("what is no time to sleep for is passed over, and in the log", async () => {
  await using scene = await ManualServer.start();
  const board = new StreamBoard(scene, "1", DATE);
  await board.connect();
  for (const text of ["s", "s ", "s -1", "s 1.5", "s 600 600", "s 99999999", "s 2147484"]) {
    await board.says(`\x02${text}`);
  }
  await board.leave();
  const said = news(scene);
  assertEquals(said.filter((entry) => entry === "log 1").length, 7);
  assertEquals(said.at(-1), "disconnected 1 LOST");
});
