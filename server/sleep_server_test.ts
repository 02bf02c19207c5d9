/** A device that sleeps, on a clock that the test controls: it is reported as overdue after its time, and not before. */
import { assert, assertEquals } from "@std/assert";
import { ManualServer } from "../tests/support/manual_server.ts";
import { SlowStore } from "../tests/support/slow_store.ts";
import { StreamBoard } from "../tests/support/stream_board.ts";
import { LocalError } from "./protocol/errors.ts";
import { MemoryStore } from "./store/memory.ts";

const DATE = 1_700_000_000_000;
const MINUTE = 60_000;

/** The log entries about the device since the last call. */
function news(scene: ManualServer): string[] {
  return scene.log.splice(0).filter((entry) => /asleep|overdue|connected|warning|log/.test(entry));
}

/** A board that has told a server with this store that it sleeps for this many seconds, and has disconnected. */
async function asleep(seconds: number, store = new MemoryStore()) {
  const scene = await ManualServer.start({ store });
  const board = new StreamBoard(scene, "1", DATE);
  await board.connect();
  await board.says(`\x02s ${seconds}`);
  await board.leave();
  return { scene, board, store, device: await scene.server.device("1") };
}

Deno.test("a device that sleeps is not reported as overdue until its time and a margin have passed", async () => {
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
  await board.leave(); // it has not announced a sleep this time
  assertEquals(news(scene), ["disconnected 1 LOST"]);
});

Deno.test("a device that announces its sleep together with its hello sleeps, too", async () => {
  await using scene = await ManualServer.start();
  const board = new StreamBoard(scene, "1", DATE);
  await board.says("21");
  await board.says("\x02s 600");
  await board.connect();
  await board.leave();
  assertEquals(news(scene), ["connected 1", "asleep 1"]);
});

Deno.test("a device that sleeps too long is reported as overdue, once", async () => {
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

Deno.test("a device is reported as overdue only when that is safe: a server killed before reports it after its restart", async () => {
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

Deno.test("a server that restarts meanwhile knows that the device sleeps, and when it is overdue", async () => {
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

Deno.test("a device that became overdue while no server ran is reported at the start", async () => {
  const { scene, store } = await asleep(60);
  await scene[Symbol.asyncDispose]();
  await scene.platform.advance(60 * MINUTE);
  await using second = await ManualServer.start({ store }, scene.platform);
  await scene.platform.advance(1);
  assertEquals(news(second), ["overdue 1"]);
});

Deno.test("messages to a device that sleeps wait for it, and expire at their deadline", async () => {
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

Deno.test("a device that cancels its sleep is reported as lost like any other", async () => {
  await using scene = await ManualServer.start();
  const board = new StreamBoard(scene, "1", DATE);
  await board.connect();
  await board.says("\x02s 600");
  await board.says("\x02s 0");
  await board.leave();
  assertEquals(news(scene), ["connected 1", "disconnected 1 LOST"]);
});

Deno.test("a device that stays connected longer than it wanted to sleep is not asleep when it is lost", async () => {
  await using scene = await ManualServer.start({ timeout: 3_600_000 });
  const board = new StreamBoard(scene, "1", DATE);
  await board.connect();
  await board.says("\x02s 1");
  await scene.platform.advance(MINUTE);
  await board.leave();
  assertEquals(news(scene), ["connected 1", "disconnected 1 LOST"]);
  assertEquals((await scene.server.device("1")).asleepUntil, undefined);
});

Deno.test("an invalid time to sleep for is ignored, and logged", async () => {
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
