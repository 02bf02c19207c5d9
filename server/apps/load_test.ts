/** Applications of a command line: one, or several that share each device. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fails, folder, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { LocalError } from "../mod.ts";
import { loadApps } from "./load.ts";

const CHANNELS = new URL("../mod.ts", import.meta.url).href;

/** A module with an application of channels. */
function appOf(path: string, definitions: string): string {
  const text = `import { channels } from ${JSON.stringify(CHANNELS)};
    export default channels({ ${definitions} });`;
  Deno.writeTextFileSync(path, text);
  return path;
}

Deno.test("several --app share a device: one of plain lines, and others of channels", async () => {
  using place = folder();
  const config = appOf(`${place.path}/config.js`, `config: { ask: (name) => name + " is 1" }`);
  const lamp = appOf(
    `${place.path}/lamp.js`,
    `button: { event: (_, { thing, tx }) => tx.set(thing.id, "lamp", 1) }, lamp: {}`,
  );
  await using process = start("--open", "--app", "echo", "--app", config, "--app", lamp);
  await using peer = await RawPeer.dial(await process.port());
  await peer.say("1\n00line\n");
  await peer.hears("00echo line");
  await peer.say("00\n01?config.7 interval\n");
  await peer.hears("01:config.7 interval is 1");
  await peer.say("01\n02!button\n");
  await peer.hears("02=lamp.1 1");
});

Deno.test("several --app that cannot share a device are refused by name when the server starts", async () => {
  using place = folder();
  const ask = appOf(`${place.path}/ask.js`, "config: { ask: () => 1 }");
  const also = appOf(`${place.path}/also.js`, "config: { ask: () => 2 }");
  const [code, said] = await fails("--open", "--app", ask, "--app", also);
  assertEquals(code, 2, said);
  assertStringIncludes(said, `--app: ${ask} and ${also} both answer a request: channel config`);
  for (
    const [names, message] of [
      [["echo", "main"], "--app: echo and main both take all plain lines"],
      [["echo", "echo"], "--app echo was given twice"],
    ] as const
  ) await assertRejects(() => loadApps(names), LocalError, message);
  assertEquals(await loadApps([]), undefined);
});
