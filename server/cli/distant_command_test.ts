/** Commands at one server of a fleet, for devices of another. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { folder, Process, run, says } from "../../tests/support/main_process.ts";
import { ModelBoard } from "../../tests/support/model_board.ts";
import { withPostgres } from "../../tests/support/postgres.ts";
import { Client } from "../../bridge/host/mod.ts";
import { until } from "../../tests/support/wait.ts";
import { isListening } from "./control.ts";

const FILE = new URL("../../client-as/build/main.wasm", import.meta.url).pathname;

withPostgres("commands in a fleet", (server) => {
  Deno.test("fleet: commands work at any server as they do at the device's own", async () => {
    using place = folder();
    const store = server().url(server().schema());
    const serve = (name: string) =>
      new Process([
        ...["--host", "127.0.0.1", "--port", "0", "--log", "json", "--open", "--store", store],
        ...["--timeout", "4000"],
        ...["--control", `${place.path}/${name}`],
      ]);
    await using near = serve("near");
    await using far = serve("far");
    const [port] = [await near.port(), await far.port()];
    const at = ["--control", `${place.path}/far`];
    await until(() => isListening(at[1]!));
    using roof = new ModelBoard(port, "roof", { timeout: 4000 });
    await using client = new Client({ id: "1", port, timeout: 4000 });
    await client.write("waits");
    const apps = async () => await says("apps", ...at);
    await until(async () => /roof +up +kitchen/.test(await apps()) && /^1 +up/m.test(await apps()));
    assertMatch(await says("devices", ...at), /^1 +up .* 1 +0 +0 +none/m);

    assertMatch(await says("deploy", "roof", FILE, ...at), /^roof kept main\/\d+\/[\w-]{8}\n$/);
    assertEquals(roof.firmware.trials.length, 1);
    await until(async () => /roof +up +main\/\d+\/\S+ +main\/\d+\/\S+ +kept/.test(await apps()));
    const [code, , why] = await run("deploy", "1", FILE, ...at);
    assertEquals(code, 3, why);
    assertStringIncludes(why, "its hello has no app=");
    roof[Symbol.dispose]();
    await until(async () => /^roof +down/m.test(await apps()));
    const other = ["--name", "other", "--version", "1", "--older"];
    assertMatch(await says("deploy", "roof", FILE, ...other, ...at), /^roof queued other\/1\//);
    assertMatch(await says("deploy", "roof", "--give-up", ...at), /^roof given up other\/1\//);

    assertMatch(await says("clear", "1", ...at), /1/);
    assertEquals(await says("dead-letters", "list", ...at), "");
    await client.close();
    assertMatch(await says("forget", "1", ...at), /forgot/);
    await until(async () => !/^1 /m.test(await says("devices", ...at)));
    const [unknown] = await run("forget", "1", ...at);
    assertEquals(unknown, 2);
  });
});
