import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TextLineStream, toText } from "@std/streams";
import { Server } from "../../server/mod.ts";
import { compile } from "../../tests/support/compile.ts";

const ROOT = new URL("../../", import.meta.url);

function start(...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "bridge/host/run.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return { child };
}

/** Runs the command to its end. */
async function run(...args: string[]) {
  const { child } = start(...args);
  const errors = toText(child.stderr);
  await child.stdin.close();
  const [stdout, stderr, { code }] = await Promise.all([
    toText(child.stdout),
    errors,
    child.status,
  ]);
  return { code, stdout, stderr };
}

Deno.test("an application runs, its inputs can be set, and a signal ends it cleanly", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const address = ["--server", "127.0.0.1", "--port", `${server.port}`];
  const tx = start("client-as/build/remote_tx.wasm", "--id", "tx", ...address);
  const said = toText(tx.child.stderr);
  const input = tx.child.stdin.getWriter();
  const lines = tx.child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TextLineStream(),
  ).getReader();
  const device = await server.device("tx");
  assertEquals(await device.readline(), "[1]");
  assertEquals((await lines.read()).value, "[1]");
  await input.write(new TextEncoder().encode("nonsense\n6=1\nadc=5\n 0 = 0 \n"));
  assertEquals(await device.readline(), "[0]");
  assertEquals((await lines.read()).value, "[0]");
  tx.child.kill("SIGTERM");
  assertEquals((await tx.child.status).code, 0);
  const errors = await said;
  assertStringIncludes(errors, "link up");
  assertStringIncludes(errors, 'not "nonsense"');
  assertStringIncludes(errors, "there is no pin 6");
  await input.abort().catch(() => {});
  await lines.cancel();
});

Deno.test("an output is shown when it changes", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const rx = start("client-as/build/remote_rx.wasm", "--id", "rx", "--port", `${server.port}`);
  const errors = toText(rx.child.stderr);
  const device = await server.device("rx");
  assertEquals(await device.readline(), "latest");
  await device.write("[0]");
  rx.child.kill("SIGINT");
  assertEquals((await rx.child.status).code, 0);
  assertEquals(await toText(rx.child.stdout), "pin 2: 1\npin 2: 0\n[0]\n");
  await errors;
  await rx.child.stdin.close().catch(() => {});
});

Deno.test("a device proves itself with the key in a file; without one it says why the server refuses it", async () => {
  const key = "0123456789abcdef".repeat(4);
  const keys = [["rx", key]] as const;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", keys });
  const main = ["client-as/build/remote_rx.wasm", "--id", "rx", "--port", `${server.port}`];
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, `${key}\n`);
    const stranger = start(...main, "--dialect", "2");
    assertStringIncludes(
      await said(stranger, "no link"),
      "REFUSED: the server refuses this device",
    );
    const rx = start(...main, "--key-file", file);
    assertEquals(await (await server.device("rx")).readline(), "latest");
    assertEquals(await said(rx, "link up"), "link up");
  } finally {
    await Deno.remove(file);
  }
});

/** The application's first line on stderr with this beginning; then the process is ended. */
async function said({ child }: ReturnType<typeof start>, beginning: string): Promise<string> {
  const lines = child.stderr.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  let found = "";
  for await (const line of lines) {
    if (found === "" && line.startsWith(beginning)) {
      found = line;
      child.kill("SIGTERM");
    }
  }
  await Promise.all([child.status, child.stdout.cancel(), child.stdin.close().catch(() => {})]);
  return found;
}

Deno.test("an application that fails is reported, and ends with code 1", async () => {
  const file = await Deno.makeTempFile({ suffix: ".wasm" });
  const wasm = await compile(`
    export * from "../assembly/core";
    export function onStart(): void {
      unreachable();
    }
  `);
  try {
    await Deno.writeFile(file, wasm);
    const { code, stderr } = await run(file, "--id", "1");
    assertEquals(code, 1);
    assertStringIncludes(stderr, "the application failed: RuntimeError: unreachable");
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("--help prints the usage", async () => {
  const { code, stdout } = await run("--help");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "Usage: deno run -A bridge/host/run.ts");
});

Deno.test("wrong arguments are reported, and end with code 2", async () => {
  const main = "client-as/build/main.wasm";
  const cases: [string[], string][] = [
    [[], "give exactly one .wasm file"],
    [[main], "give the device an --id"],
    [[main, "--id", "1", "--port", "x"], '--port takes a number, not "x"'],
    [[main, "--id", "1", "--port", "99999"], "port must be 1 to 65535"],
    [[main, "--id", "1", "--speed", "0"], "speed must be above 0"],
    [[main, "--id", "1", "--dialect", "3"], '--dialect takes 1 or 2, not "3"'],
    [[main, "--id", "1", "--key", "12"], 'the key of "1" must be 64 hex digits'],
    [[main, "--id", "1", "--key", "0".repeat(64), "--dialect", "1"], "dialect 1 has no keys"],
    [[main, "--id", "1", "--key", "12", "--key-file", "x"], "only one of --key and --key-file"],
    [[main, "--id", "1", "--key-file", "missing.key"], "missing.key cannot be read"],
    [[main, "--identity", "1"], "--identity"],
    [["missing.wasm", "--id", "1"], "missing.wasm is missing"],
    [["deno.json", "--id", "1"], "deno.json is not a WebAssembly"],
    [["client-as", "--id", "1"], "client-as cannot be read"],
  ];
  const results = await Promise.all(cases.map(([args]) => run(...args)));
  for (const [i, { code, stderr }] of results.entries()) {
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, cases[i]![1]);
    assert(stderr.includes("--help") && !stderr.includes("    at "), stderr);
  }
});
