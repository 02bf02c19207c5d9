import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { toText } from "@std/streams";
import type { Table } from "./table.ts";

const main = new URL("./main.ts", import.meta.url).pathname;

function demo(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", main, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the demo to its end. */
async function run(...args: string[]) {
  const process = demo(...args);
  const [{ code }, stdout, stderr] = await Promise.all([
    process.status,
    toText(process.stdout),
    toText(process.stderr),
  ]);
  return { code, stdout, stderr };
}

/** Control characters other than newlines. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x09\x0b-\x1f\x7f]/;

Deno.test("demo --seconds 4 --json: a reset, and nothing is lost, doubled or out of order", async () => {
  const { code, stdout, stderr } = await run("--seconds", "4", "--json");
  const { faults, devices, total }: Table & { faults: number } = JSON.parse(stdout);
  assertEquals(code, 0);
  assertGreater(faults, 0);
  assertEquals(devices.map((row) => row.id), ["demo-1", "demo-2", "demo-3", "demo-4"]);
  for (const row of devices) {
    for (const { sent, received, duplicates, lost, outOfOrder } of [row.toServer, row.toDevice]) {
      assertGreater(sent, 0);
      assertEquals([received, duplicates, lost, outOfOrder], [sent, 0, 0, 0]);
    }
  }
  assertEquals(total.sent, devices.reduce((sum, row) => sum + row.sent, 0));
  assertEquals(total.received, total.sent);
  assertGreater(total.outages, 0);
  assert(total.longestRecovery !== null);
  assertStringIncludes(stderr, "reset the connection of device 1\n");
  assert(!CONTROL.test(stdout + stderr), "no control codes in a pipe");
});

Deno.test({
  name: "demo --forever: plain lines in a pipe, and the table after Ctrl-C",
  ignore: Deno.build.os === "windows", // no signals there
  async fn() {
    const process = demo("--forever");
    let stdout = "";
    for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
      const before = stdout;
      stdout += text;
      const back = "device 1 is back";
      if (!before.includes(back) && stdout.includes(back)) process.kill("SIGINT");
    }
    const [{ code }, stderr] = await Promise.all([process.status, toText(process.stderr)]);
    assertEquals([code, stderr], [0, ""]);
    assert(/^ +\d+\.\d s {2}device 3 sends {4}1 \d\d\.\d °C$/m.test(stdout), stdout);
    assert(/^ +\d+\.\d s {2}device 3 receives 1 fan on$/m.test(stdout), stdout);
    assert(/^total +(\d+) +\1 +(\d+) +\2 +0 +0 +0 +\d+ +\d+ ms$/m.test(stdout), stdout);
    assertStringIncludes(stdout, "Every message arrived once and in order, through 1 fault.");
    assert(!CONTROL.test(stdout), "no control codes in a pipe");
  },
});

Deno.test("demo --help lists the options", async () => {
  const { code, stdout } = await run("--help");
  assertEquals(code, 0);
  for (const option of ["--seconds", "--forever", "--port", "--json"]) {
    assertStringIncludes(stdout, option);
  }
});

for (
  const [args, message] of [
    [["--second", "4"], "Unknown option '--second'"],
    [["--seconds", "0"], '--seconds takes a whole number from 1 to 86400, not "0"'],
    [["--seconds", "1e3"], 'not "1e3"'],
    [["--port", "65536"], '--port takes a whole number from 0 to 65535, not "65536"'],
    [["--forever", "--seconds", "4"], "--forever and --seconds exclude each other"],
    [["4"], "Unexpected argument '4'"],
  ] as const
) {
  Deno.test(`demo ${args.join(" ")}: refused`, async () => {
    const { code, stdout, stderr } = await run(...args);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr.split("\n")[0]!, `demo: `);
    assertStringIncludes(stderr.split("\n")[0]!, message);
  });
}

Deno.test("demo --port with a port in use: the user is told", async () => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = other.addr;
  const { code, stderr } = await run("--port", String(port));
  assertEquals([code, stderr], [1, `demo: port ${port} is in use: choose another\n`]);
});
