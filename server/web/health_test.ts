/** Whether a server reports correctly that it works, or why it does not. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { folder } from "../../tests/support/main_process.ts";
import { Scene } from "../../tests/support/scene.ts";
import { LocalError } from "../mod.ts";
import { Health, type Healthy } from "./health.ts";

for (const kind of ["file", "memory"] as const) {
  Deno.test(`a working server reports ok, with its store in ${kind}`, async () => {
    using place = folder();
    const store = kind === "file" ? `${place.path}/holdfast.db` : ":memory:";
    await using scene = await Scene.start({ store });
    const stop = new AbortController();
    const health = new Health(scene.server, stop.signal);
    for (let n = 0; n < 2; n++) {
      const { status, store, eventLoop } = await health.look();
      assertEquals([status, store.ok, eventLoop.ok], ["ok", true, true]);
    }
    stop.abort();
  });
}

/** A server whose transactions end as the test says. */
function scripted(transaction: Healthy["transaction"]) {
  const clock = new ManualClock();
  const stop = new AbortController();
  const health = new Health({ timeout: 2000, transaction }, stop.signal, clock);
  return { clock, health, [Symbol.dispose]: () => stop.abort() };
}

Deno.test("while the store commits nothing, the check fails, and all checks share one waiting commit", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let commits = 0;
  using it = scripted(() => (commits++, promise));
  const looks = [it.health.look(), it.health.look()];
  await it.clock.advance(2000);
  for (const { status, store } of await Promise.all(looks)) {
    assertEquals([status, store.ok], ["failing", false]);
    assertStringIncludes(store.message!, "nothing was committed within 2000 ms");
  }
  resolve();
  assertEquals((await it.health.look()).status, "ok");
  assertEquals(commits, 1, "the waiting commit ended late and was reused");
  await it.clock.advance(1000);
  await it.health.look();
  assertEquals(commits, 2);
});

Deno.test("the check of a closed server fails with the reason", async () => {
  using it = scripted(() => Promise.reject(new LocalError("CLOSED", "the server was closed")));
  const { status, store } = await it.health.look();
  assertEquals([status, store], ["failing", { ok: false, message: "the server was closed" }]);
});

Deno.test("a blocked event loop makes the check fail for ten seconds", async () => {
  let stuck = 0;
  const clock = new ManualClock();
  const stop = new AbortController();
  const late = Object.assign(Object.create(clock), { now: () => clock.now() + stuck });
  const health = new Health(
    { timeout: 2000, transaction: () => Promise.resolve() },
    stop.signal,
    late,
  );
  await clock.advance(500);
  stuck = 1500;
  await clock.advance(500);
  const { status, eventLoop } = await health.look();
  assertEquals([status, eventLoop], ["failing", { ok: false, lateMs: 1500 }]);
  await clock.advance(10_000);
  assertEquals((await health.look()).status, "ok");
  stop.abort();
  assertEquals(clock.timers, 0);
});
