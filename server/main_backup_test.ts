/** `backup` on the command line: of a store whose server runs, and of one that is not in use. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fails, folder, Process, start } from "../tests/support/main_process.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { until } from "../tests/support/wait.ts";
import { isListening } from "./cli/control.ts";

async function backup(...args: string[]): Promise<[number, string]> {
  await using process = new Process(["backup", ...args]);
  const { code } = await process.ended;
  return [code, process.stdout + process.stderr];
}

Deno.test("a backup of a running server has all acknowledged messages, and a server that starts with it warns", async () => {
  using dir = folder();
  const [store, file] = [`${dir.path}/holdfast.db`, `${dir.path}/backup.db`];
  {
    await using process = start("--open", "--store", store);
    await using peer = await RawPeer.dial(await process.port());
    await peer.say("1\n00one\n");
    await peer.hears("00");
    await until(() => exists(`${store}.sock`));
    assertEquals(Deno.statSync(`${store}.sock`).mode! & 0o777, 0o600);
    assertEquals(await backup(file, "--store", store), [0, ""]);
    await peer.say("01two\n");
    await peer.hears("00", "01");
    const [code, text] = await backup(store, "--store", store);
    assertEquals(code, 2);
    assertStringIncludes(text, "is the store itself");
    const failed = await backup(`${dir.path}/nowhere/x`, "--store", store);
    assertEquals(failed[0], 1);
    assertStringIncludes(failed[1], "No such file");
    process.kill("SIGTERM");
    assertEquals((await process.ended).code, 0);
  }
  assert(!exists(`${store}.sock`), "the socket is removed with its server");
  await using restored = start("--open", "--store", file, "--app", "echo");
  const { code, message } = await restored.logs("warning");
  assertEquals(code, "STORE_IS_OLD");
  assertStringIncludes(message!, "it is a backup from 20");
  await using peer = await RawPeer.dial(await restored.port());
  await peer.say("1\n\n");
  await peer.hears("00echo one");
});

Deno.test("the socket of a killed server stops neither a backup nor the next server", async () => {
  using dir = folder();
  const [store, file] = [`${dir.path}/holdfast.db`, `${dir.path}/backup.db`];
  {
    await using process = start("--open", "--store", store);
    await until(() => exists(`${store}.sock`));
    process.kill("SIGKILL");
    await process.ended;
  }
  assert(exists(`${store}.sock`));
  assertEquals(await backup(file, "--store", store), [0, ""]);
  await using process = start("--open", "--app", "echo", "--store", store);
  await process.port();
  await until(async () => (await backup(file, "--store", store))[0] === 0);
  assertEquals(process.log.filter(({ event }) => event === "warning"), []);
});

Deno.test("invalid requests on the socket are refused or ignored, and the server continues", async () => {
  using dir = folder();
  const store = `${dir.path}/holdfast.db`;
  await using process = start("--open", "--store", store, "--app", "echo");
  await until(() => isListening(`${store}.sock`));
  const asks = [
    '{"path":1}',
    '{"path":"relative"}',
    '{"path":"/x","more":1}',
    "{}",
    "null",
    "[]",
    "{",
    "",
  ]
    .map((body) =>
      `POST /api/backup HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    );
  for (const text of [...asks, "nonsense\r\n\r\n", "x".repeat(100_000), "\0", ""]) {
    using connection = await Deno.connect({ transport: "unix", path: `${store}.sock` });
    await connection.write(new TextEncoder().encode(text)).catch(() => {});
    if (!text.startsWith("POST")) continue;
    const answer = new Uint8Array(1000);
    const length = await connection.read(answer);
    assertStringIncludes(new TextDecoder().decode(answer.subarray(0, length!)), "400 Bad Request");
  }
  await using peer = await RawPeer.dial(await process.port());
  await peer.say("1\n00hello\n");
  await peer.hears("00", "00echo hello");
  assertEquals(await backup(`${dir.path}/backup.db`, "--store", store), [0, ""]);
});

Deno.test("wrong arguments of backup are reported, with exit code 2", async () => {
  for (
    const [args, text] of [
      [[], "backup takes FILE"],
      [["a", "b", "--store", "x"], "backup takes FILE"],
      [["a"], "backup needs to know the server: give --store FILE"],
      [["a", "--store", ":memory:"], "--store takes the name of a file here"],
      [["a", "--store", "no-such-store.db"], "does not exist"],
      [["a", "--stroe", "x"], "'--stroe'"],
    ] as const
  ) {
    const [code, said] = await fails("backup", ...args);
    assertEquals(code, 2);
    assertStringIncludes(said, text);
  }
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
