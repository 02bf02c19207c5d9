/** Keys on the command line: `keys`, `--keys`, `--stock` and SIGHUP. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { fails, folder, Process, start } from "../tests/support/main_process.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { until } from "../tests/support/wait.ts";

/** Runs `keys` to its end. */
async function keys(
  cwd: string,
  ...args: string[]
): Promise<[code: number, out: string, err: string]> {
  await using process = new Process(["keys", ...args], { cwd });
  const { code } = await process.ended;
  return [code, process.stdout, process.stderr];
}

function dial(port: number, key: string): Client {
  return new Client({ id: "1", port, key });
}

Deno.test("keys: add prints a new key once, list prints only ids, remove deletes a key", async () => {
  using place = folder();
  const [code, out, err] = await keys(place.path, "add", "küche 🐙");
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^[0-9a-f]{64}\n$/);
  const file = `${place.path}/keys.json`;
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  assertEquals(JSON.parse(Deno.readTextFileSync(file)), { "küche 🐙": `03:${out.trim()}` });
  const [again, nothing, reason] = await keys(place.path, "add", "küche 🐙");
  assertEquals([again, nothing], [2, ""]);
  assertStringIncludes(reason, "already has a key: replace it with --replace");
  const [, other] = await keys(place.path, "add", "küche 🐙", "--replace");
  assert(/^[0-9a-f]{64}\n$/.test(other) && other !== out);
  await keys(place.path, "add", "2");
  const [, ids] = await keys(place.path, "list");
  assertEquals(ids.trim().split("\n").sort(), ["2", "küche 🐙"]);
  assertEquals(await keys(place.path, "remove", "küche 🐙"), [0, "", ""]);
  assertEquals(await keys(place.path, "list"), [0, "2\n", ""]);
});

Deno.test("keys: a file that every user may read is used with a warning, also by the server", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  await keys(place.path, "add", "1", "--keys", file);
  Deno.chmodSync(file, 0o644);
  const [code, out, err] = await keys(place.path, "list", "--keys", file);
  assertEquals([code, out], [0, "1\n"]);
  assertStringIncludes(err, "warning: every user of this machine can read the keys");
  await using process = start("--keys", file);
  await process.port();
  const { code: name, message } = await process.logs("warning");
  assertEquals(name, "KEYS_EXPOSED");
  assertStringIncludes(message!, "chmod 600");
});

Deno.test("a server does not start with a malformed file of keys, and its content is not printed", async () => {
  using place = folder();
  const secret = "badc0ffee".repeat(8).slice(0, 64);
  const file = `${place.path}/keys.json`;
  for (const text of [`{ "1": "${secret}", }`, `{ "1": "x${secret}" }`, `{ "${secret}" "1" }`]) {
    Deno.writeTextFileSync(file, text, { mode: 0o600 });
    for (const args of [["--keys", file], ["keys", "add", "2", "--keys", file]]) {
      const [code, said] = await fails(...args);
      assertEquals(code, 2);
      assert(!said.includes(secret.slice(0, 12)), said);
    }
  }
});

Deno.test("a server that admits devices only by key does not start with a file without keys", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  Deno.writeTextFileSync(file, "{}", { mode: 0o600 });
  const [code, said] = await fails("--keys", file);
  assertEquals(code, 2);
  assertStringIncludes(said, `there is no key in ${file}: keys add ID`);
});

Deno.test("with --keys a device with its key is admitted, one without is refused, and no key is logged", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  const key = (await keys(place.path, "add", "1"))[1].trim();
  await using process = start("--keys", file, "--app", "echo");
  const port = await process.port();
  await using client = dial(port, key);
  await client.write("hello");
  assertEquals(await client.readline(), "echo hello");
  await using stranger = await RawPeer.dial(port);
  await stranger.say("1\n");
  await stranger.end();
  assertEquals((await process.logs("refused")).code, "NOT_ADMITTED");
  process.kill("SIGTERM");
  assertEquals((await process.ended).code, 0);
  assert(!process.stderr.includes(key.slice(0, 12)), process.stderr);
});

Deno.test("on SIGHUP a server reads its file of keys again, and a malformed one changes nothing", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  const key = (await keys(place.path, "add", "1"))[1].trim();
  await using process = start("--keys", file, "--app", "echo");
  const port = await process.port();
  {
    await using client = dial(port, key);
    await client.write("before");
    Deno.writeTextFileSync(file, `{ broken ${key}`);
    process.kill("SIGHUP");
    const { message } = await process.logs("warning");
    assertStringIncludes(message!, "is not JSON");
    assertStringIncludes(message!, "the old keys stay");
    assertEquals(client.connects, 1);
    Deno.removeSync(file);
    const other = (await keys(place.path, "add", "1"))[1].trim();
    process.kill("SIGHUP");
    await process.logs("keys");
    await until(() => process.log.some(({ code }) => code === "NOT_ADMITTED"));
    await client.close();
    await using renewed = dial(port, other);
    await renewed.write("after");
    assertEquals(await renewed.readline(), "echo before");
    assertEquals(await renewed.readline(), "echo after");
  }
  process.kill("SIGTERM");
  assertEquals((await process.ended).code, 0);
  assert(!process.stderr.includes(key.slice(0, 12)), process.stderr);
});

Deno.test("a file of keys that is empty, truncated, missing or ambiguous does not change the keys", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  const key = (await keys(place.path, "add", "1"))[1].trim();
  const good = Deno.readTextFileSync(file);
  await using process = start("--keys", file, "--app", "echo");
  const port = await process.port();
  await using client = dial(port, key);
  await client.ready();
  const wrong: [string | undefined, string][] = [
    ["", "is empty"],
    [good.slice(0, 40), "is not JSON"],
    ["{}", 'would remove all 1: if you want that, write { "no keys": true }'],
    [`{ "1": "${key}", "2": "${key}", "1": "${key}" }`, 'has two keys for "1"'],
    [undefined, "does not exist"],
  ];
  for (const [content, reason] of wrong) {
    const refusals = () => process.log.filter(({ code }) => code === "BAD_ARGUMENT");
    const before = refusals().length;
    if (content === undefined) Deno.removeSync(file);
    else Deno.writeTextFileSync(file, content);
    process.kill("SIGHUP");
    const { message = "" } = await until(() => refusals()[before]);
    assertStringIncludes(message, reason);
    assertStringIncludes(message, "the old keys stay");
  }
  await client.write("still here");
  assertEquals([await client.readline(), client.connects], ["echo still here", 1]);
  Deno.writeTextFileSync(file, `\ufeff${good}`, { mode: 0o644 });
  Deno.chmodSync(file, 0o644);
  process.kill("SIGHUP");
  await process.logs("keys");
  await until(() => process.log.some(({ code }) => code === "KEYS_EXPOSED"));
  assertEquals(client.connects, 1);
  await keys(place.path, "remove", "1"); // explicit
  process.kill("SIGHUP");
  await until(() => process.log.some(({ message }) => message === `0 from ${file}`));
  await until(() => process.log.some(({ code }) => code === "NOT_ADMITTED"));
  assert(!process.stderr.includes(key.slice(0, 12)), process.stderr);
});

Deno.test("SIGHUP does not stop a server without keys", async () => {
  await using process = start("--open");
  const port = await process.port();
  process.kill("SIGHUP");
  await using peer = await RawPeer.dial(port);
  await peer.say("1\n00still there?\n");
  await peer.hears("00");
});

Deno.test("--stock admits only the boards that it names", async () => {
  await using process = start("--stock", "1,old board", "--stock", "3", "--app", "echo");
  const port = await process.port();
  for (const id of ["1", "old board", "3"]) {
    await using peer = await RawPeer.dial(port);
    await peer.say(`${id}\n00hello\n`);
    await peer.hears("00echo hello");
  }
  await using peer = await RawPeer.dial(port);
  await peer.say("2\n");
  await peer.end();
  assertEquals((await process.logs("refused")).code, "NOT_ADMITTED");
});
