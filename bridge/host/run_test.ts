import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TextLineStream, toText } from "@std/streams";
import { Server } from "../../server/mod.ts";
import { compile } from "../../tests/support/compile.ts";

const ROOT = new URL("../../", import.meta.url);

function start(...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "bridge/host/run.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return { child, errors: toText(child.stderr) };
}

/** Runs the command to its end. */
async function run(...args: string[]) {
  const { child, errors } = start(...args);
  await child.stdin.close();
  const [stdout, stderr, { code }] = await Promise.all([
    toText(child.stdout),
    errors,
    child.status,
  ]);
  return { code, stdout, stderr };
}

Deno.test("an application runs, its inputs can be worked, and a signal ends it well", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const address = ["--server", "127.0.0.1", "--port", `${server.port}`];
  const tx = start("client-as/build/remote_tx.wasm", "--id", "tx", ...address);
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
  const errors = await tx.errors;
  assertStringIncludes(errors, "link up");
  assertStringIncludes(errors, 'not "nonsense"');
  assertStringIncludes(errors, "there is no pin 6");
  await input.abort().catch(() => {});
  await lines.cancel();
});

Deno.test("an output is shown when it changes", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const rx = start("client-as/build/remote_rx.wasm", "--id", "rx", "--port", `${server.port}`);
  const device = await server.device("rx");
  assertEquals(await device.readline(), "latest");
  await device.write("[0]");
  rx.child.kill("SIGINT");
  assertEquals((await rx.child.status).code, 0);
  assertEquals(await toText(rx.child.stdout), "pin 2: 1\npin 2: 0\n[0]\n");
  await rx.errors;
  await rx.child.stdin.close().catch(() => {});
});

Deno.test("an application that fails is told of, and ends with code 1", async () => {
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

Deno.test("--help explains", async () => {
  const { code, stdout } = await run("--help");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "Usage: deno run -A bridge/host/run.ts");
});

Deno.test("wrong arguments are told, and end with code 2", async () => {
  const main = "client-as/build/main.wasm";
  const cases: [string[], string][] = [
    [[], "name one .wasm file"],
    [[main], "give the device an --id"],
    [[main, "--id", "1", "--port", "x"], '--port takes a number, not "x"'],
    [[main, "--id", "1", "--port", "99999"], "port must be 1 to 65535"],
    [[main, "--id", "1", "--speed", "0"], "speed must be above 0"],
    [[main, "--identity", "1"], "--identity"],
    [["missing.wasm", "--id", "1"], "missing.wasm is missing"],
    [["deno.json", "--id", "1"], "deno.json is no WebAssembly"],
    [["client-as", "--id", "1"], "client-as cannot be read"],
  ];
  const results = await Promise.all(cases.map(([args]) => run(...args)));
  for (const [i, { code, stderr }] of results.entries()) {
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, cases[i]![1]);
    assert(stderr.includes("--help") && !stderr.includes("    at "), stderr);
  }
});
