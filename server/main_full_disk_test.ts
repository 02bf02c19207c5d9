/** `server/main.ts` on a disk that is full when it starts. */
import { assertEquals, assertMatch } from "@std/assert";
import { start } from "../tests/support/main_process.ts";
import { smallDiskTest } from "../tests/support/small_disk.ts";
import { until } from "../tests/support/wait.ts";

/** A server with all that needs the store before a device connects: a link, and the tables of bridge and page. */
function serve(folder: string) {
  return start(
    ...["--open", "--store", `${folder}/server.db`, "--web", "0"],
    ...["--connect", "button/pressed=lamp/on", "--mqtt", "mqtt://127.0.0.1:9"],
  );
}

smallDiskTest(
  "a server that starts on a full disk shows its page, can be stopped, and recovers when there is room",
  async ({ folder, fill, empty }) => {
    {
      await using first = start("--open", "--store", `${folder}/server.db`);
      await first.port();
      first.kill("SIGTERM");
      assertEquals((await first.ended).code, 0);
    }
    fill();
    {
      await using second = serve(folder);
      assertEquals((await second.logs("store")).code, "STORE_FAILED");
      const { address } = await second.logs("page");
      const health = await fetch(new URL("/healthz", address));
      assertEquals([health.status, (await health.json()).store.ok], [503, false]);
      second.kill("SIGTERM");
      assertEquals((await second.ended).code, 1);
      assertMatch(second.stderr, /make room on its disk/);
    }
    await using third = serve(folder);
    await third.logs("page");
    empty();
    await until(() => third.log.some(({ event }) => event === "broker"), {
      what: () => `the bridge in ${third.stderr}`,
    });
    third.kill("SIGTERM");
    assertEquals((await third.ended).code, 0);
  },
);
