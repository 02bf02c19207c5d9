/** `dead-letters` on the command line: for a running server, and for a store that is not in use. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fails, folder, Process, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";
import { controlPath, isListening } from "./control.ts";

/** Fails with every message except "good" until a file exists. */
const APP = `
  export default async function app(device) {
    for (;;) {
      try {
        await device.consume((line, tx) => {
          if (line !== "good" && !mended()) throw new Error(line);
          tx.write(device.id, "took " + line);
        });
      } catch {}
    }
  }
  function mended() {
    try {
      return Deno.statSync(new URL("mended", import.meta.url)).isFile;
    } catch {
      return false;
    }
  }`;

for (const runs of [true, false]) {
  Deno.test(`dead letters are listed, revived and discarded while the server ${runs ? "runs" : "is stopped"}`, async () => {
    using place = folder();
    const store = `${place.path}/holdfast.db`;
    const app = `${place.path}/app.js`;
    Deno.writeTextFileSync(app, APP);
    const begin = async () => {
      const process = start(
        ...["--open", "--store", store, "--app", app, "--timeout", "60000"],
        ...["--dead-letters", "--limit", "attempts=2"],
      );
      const peer = await RawPeer.dial(await process.port());
      await peer.say("1\n\n");
      await until(() => isListening(controlPath(store)));
      return { process, peer };
    };
    const command = async (...args: string[]) => {
      await using process = new Process(["dead-letters", ...args, "--store", store]);
      const { code } = await process.ended;
      return [code, process.stdout + process.stderr] as const;
    };
    let { process, peer } = await begin();
    const stop = async () => {
      process.kill("SIGTERM");
      assertEquals((await process.ended).code, 0);
      await peer[Symbol.asyncDispose]();
    };
    try {
      await peer.say("00bad\n01worse\n02good\n");
      await peer.hears("00took good");
      await peer.say("00\n");
      if (!runs) await stop();
      const [code, said] = await command("list");
      const [bad, worse] = said.trim().split("\n").map((line) => JSON.parse(line));
      assertEquals(
        [code, bad.device, bad.number, bad.text, bad.error],
        [0, "1", 0, "bad", "Error: bad"],
      );
      assertEquals([worse.number, worse.text], [1, "worse"]);
      Deno.writeTextFileSync(`${place.path}/mended`, "");
      assertEquals(await command("discard", "1", "1"), [0, ""]);
      assertEquals(await command("revive", "1", "0"), [0, ""]);
      assertEquals(await command("list"), [0, ""]);
      for (
        const [args, text] of [
          [["revive", "1", "0"], "there is no dead letter 0"],
          [["discard", "1", "99999999999999999999"], "there is no dead letter"],
          [["revive", "2", "0"], 'connected as "2"'],
        ] as const
      ) {
        const [code, said] = await command(...args);
        assertEquals([code, said.includes(text)], [2, true], said);
      }
      if (!runs) ({ process, peer } = await begin());
      await peer.hears("01took bad");
    } finally {
      await process[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
    }
  });
}

Deno.test("wrong arguments of dead-letters are reported, with exit code 2", async () => {
  for (
    const [args, text] of [
      [[], "dead-letters takes list, revive ID NUMBER or discard ID NUMBER"],
      [["bury"], "dead-letters takes list, revive"],
      [["list", "1", "--store", "x"], "dead-letters takes list, revive"],
      [["revive", "1", "--store", "x"], "revive ID NUMBER"],
      [["discard", "1", "2", "3", "--store", "x"], "discard ID NUMBER"],
      [["revive", "1", "x", "--store", "x"], "NUMBER must be a number that list shows"],
      [["revive", "1", "-1", "--store", "x"], "'-1'"],
      [["list"], "dead-letters needs to know the server: give --store FILE"],
      [["list", "--store", "no-such-store.db"], "does not exist"],
    ] as const
  ) {
    const [code, said] = await fails("dead-letters", ...args);
    assertEquals(code, 2);
    assertStringIncludes(said, text);
  }
});
