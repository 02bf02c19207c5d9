import { assertEquals, assertStringIncludes } from "@std/assert";
import { fails, folder, Process, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { SqliteStore } from "../mod.ts";

/** What a command says on stdout. */
async function says(...args: string[]): Promise<string> {
  await using process = new Process(args);
  assertEquals((await process.ended).code, 0, process.stderr);
  return process.stdout;
}

async function list(path: string) {
  const store = new SqliteStore(path);
  try {
    return await store.list();
  } finally {
    await store.close();
  }
}

Deno.test("forget and clear change a store that no server has, and refuse one that is in use", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  {
    await using process = start("--open", "--store", store);
    const port = await process.port();
    await using one = await RawPeer.dial(port);
    await one.say("1\n00a\n01b\n");
    await one.hears("01");
    await using two = await RawPeer.dial(port);
    await two.say("2\n00c\n02d\n03e\n");
    await two.hears("03");
    for (const command of ["forget", "clear"]) {
      const [code, text] = await fails(command, "1", "--store", store);
      assertEquals(code, 2);
      assertStringIncludes(text, "is in use by another server");
    }
    process.kill("SIGTERM");
    await process.ended;
  }
  const [code, text] = await fails("clear", "3", "--store", store);
  assertEquals([code, text.includes('has no device "3"')], [2, true], text);
  assertEquals(
    await says("clear", "1", "--store", store),
    "cleared 1: 2 messages from it and 0 to it dropped\n",
  );
  assertEquals(await list(store), [
    { id: "1", inbox: 0, outbox: 0 },
    { id: "2", inbox: 3, outbox: 0 },
  ]);
  assertEquals(
    await says("forget", "2", "--store", store),
    "forgot 2: 3 messages from it and 0 to it dropped\n",
  );
  assertEquals(await list(store), [{ id: "1", inbox: 0, outbox: 0 }]);
  await using process = start("--open", "--store", store, "--app", "echo");
  const port = await process.port();
  await using one = await RawPeer.dial(port);
  await one.say("1\n02after\n");
  await one.hears("00echo after");
  await using two = await RawPeer.dial(port);
  await two.say("2\n00c\n");
  await two.hears("00echo c");
});

Deno.test("forget --help tells both commands", async () => {
  for (const command of ["forget", "clear"]) {
    const text = await says(command, "--help");
    for (const word of ["forget ID", "clear ID", "--store FILE"]) assertStringIncludes(text, word);
  }
});
