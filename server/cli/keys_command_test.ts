import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { toolTest } from "../../tests/support/tools.ts";
import { readKeys } from "../admission/keys.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;
const KEY = "0123456789abcdef".repeat(4);
const OTHER = "fedcba9876543210".repeat(4);

interface Ended {
  code: number;
  out: string;
  err: string;
}

/** Runs a command with `input` on its stdin. */
async function run(program: string, args: string[], cwd: string, input: string): Promise<Ended> {
  const child = new Deno.Command(program, {
    args,
    cwd,
    env: { NO_COLOR: "1", SHELL: "/bin/sh" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // It may exit before it reads its stdin.
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

function keys(cwd: string, args: string[], input: string): Promise<Ended> {
  return run(Deno.execPath(), ["run", "-q", "-A", "--no-check", MAIN, "keys", ...args], cwd, input);
}

/** A folder that is removed after the test. */
function folder(): Disposable & { path: string; key(id: string): string } {
  const path = Deno.makeTempDirSync();
  return {
    path,
    key: (id) => readKeys(`${path}/keys.json`).get(id)!.bytes.toHex(),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

Deno.test("a key that was made elsewhere is read from stdin, and is never printed", async () => {
  using place = folder();
  for (
    const input of [`${KEY}\n`, KEY, `  ${KEY.toUpperCase()}\r\nmore`, `\x1b[200~${KEY}\x1b[201~\n`]
  ) {
    const { code, out, err } = await keys(
      place.path,
      ["add", "hall", "--key", "-", "--replace"],
      input,
    );
    assertEquals([code, out, err], [0, "", ""]);
    assertEquals(place.key("hall"), KEY);
  }
});

Deno.test("a given key replaces another only with --replace", async () => {
  using place = folder();
  await keys(place.path, ["add", "hall", "--key", "-"], KEY);
  const { code, err } = await keys(place.path, ["add", "hall", "--key", "-"], OTHER);
  assertEquals(code, 2);
  assertStringIncludes(err, "replace it with --replace");
  assertEquals(place.key("hall"), KEY);
  await keys(place.path, ["add", "hall", "--replace", "--key", "-"], OTHER);
  assertEquals(place.key("hall"), OTHER);
});

Deno.test("an id that starts with a hyphen is given after --", async () => {
  using place = folder();
  const { code, err } = await keys(place.path, ["add", "--key", "-", "--", "-x"], KEY);
  assertEquals([code, err], [0, ""]);
  assertEquals(place.key("-x"), KEY);
});

Deno.test("an invalid key is refused, and not printed", async () => {
  using place = folder();
  const wrong: [string, string][] = [
    ["", "no key came on stdin"],
    ["\n", "no key came on stdin"],
    [`${KEY.slice(1)}\n`, 'the key of "hall" must be 64 hex digits'],
    [`${KEY}0\n`, 'the key of "hall" must be 64 hex digits'],
    [`${KEY.slice(1)}g\n`, 'the key of "hall" must be 64 hex digits'],
    ["0".repeat(5000), "too long for a key"],
  ];
  for (const [input, reason] of wrong) {
    const { code, out, err } = await keys(place.path, ["add", "hall", "--key", "-"], input);
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(err, reason);
    assert(!err.includes(KEY.slice(1, 20)), err);
  }
});

Deno.test("a key on the command line is refused, because other users could see it", async () => {
  using place = folder();
  const { code, err } = await keys(place.path, ["add", "hall", "--key", KEY], "");
  assertEquals(code, 2);
  assertStringIncludes(err, "--key takes only -");
  assert(!err.includes(KEY));
  for (const args of [["list", "--key", "-"], ["remove", "hall", "--key", "-"]]) {
    assertStringIncludes((await keys(place.path, args, KEY)).err, "--key belongs to keys add");
  }
});

Deno.test({
  name: "a new key that could not be printed is an error",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using place = folder();
    const command = [Deno.execPath(), "run", "-q", "-A", "--no-check", MAIN, "keys", "add", "hall"];
    const args = ["-c", 'exec "$@" >/dev/full', "sh", ...command];
    const { code, err } = await run("sh", args, place.path, "");
    assertEquals(code, 2);
    assertStringIncludes(
      err,
      "the key was stored, but could not be printed (No space left on device",
    );
    assert(!err.includes(place.key("hall")));
  },
});

toolTest(
  "in a terminal the command asks for the key, and does not show it",
  { script: "bsdutils" },
  async (tools) => {
    using place = folder();
    const command = `"${Deno.execPath()}" run -A --no-check "${MAIN}" keys add hall --key -`;
    const typed = async (input: string) => {
      // Until the question appears the terminal echoes what is typed, so wait for it.
      const child = new Deno.Command(tools.script, {
        args: ["-qec", command, "/dev/null"],
        cwd: place.path,
        env: { NO_COLOR: "1", SHELL: "/bin/sh" },
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      let shown = "";
      const writer = child.stdin.getWriter();
      for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
        const asked = shown.includes("not shown.");
        shown += piece;
        if (!asked && shown.includes("not shown.")) {
          await writer.write(
            new TextEncoder().encode(input),
          );
        }
      }
      await writer.close().catch(() => {});
      return { code: (await child.status).code, shown };
    };
    const { code, shown } = await typed(`x\x7f${KEY}\r`);
    assertEquals(code, 0, shown);
    assertMatch(shown, /^The key of hall: paste it, and press Enter\. It is not shown\.\r?\n$/);
    assertEquals(place.key("hall"), KEY);
    const given = await typed(`${KEY.slice(8)}\x03`);
    assertEquals(given.code, 2);
    assertStringIncludes(given.shown, "given up");
    assert(!given.shown.includes(KEY.slice(8)));
  },
);
