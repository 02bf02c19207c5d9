import { assertEquals } from "@std/assert";
import { deno, leftOutOf } from "./run.ts";
import { until } from "./support/wait.ts";

const BEGUN = `await Deno.writeTextFile(import.meta.url.slice("file://".length) + ".begun", "");`;

Deno.test("the gate names tests that do not end: one that waits, and one that never yields", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const bodies = { waits: "setInterval(() => {}, 1000); await new Promise(() => {});" };
    const tests = { ...bodies, spins: "for (;;) await undefined;" };
    for (const [name, body] of Object.entries(tests)) {
      const test = `Deno.test("${name}", async () => { ${BEGUN} ${body} });\n`;
      await Deno.writeTextFile(`${folder}/${name}_test.ts`, test);
    }
    const stop = new AbortController();
    const args = ["test", "-A", "--no-config", "--no-check", "--parallel", folder];
    const ended = deno(args, stop.signal);
    const begun = (name: string) =>
      Deno.stat(`${folder}/${name}_test.ts.begun`).then(() => true, () => false);
    for (const name of Object.keys(tests)) await until(() => begun(name), { what: name });
    stop.abort();
    const { ok, output } = await ended;
    const pending = output.split("\n").flatMap((line) => line.match(/^(\w+) => /)?.[1] ?? []);
    assertEquals([ok, pending.sort()], [false, ["spins", "waits"]], output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the gate says, in one line each, what would enable skipped tests", () => {
  const output = `running 4 tests from ./a_test.ts
a chip boots [apt install qemu-system-misc] ... ignored (0ms)
a page loads [apt install chromium] ... ignored (0ms)
it counts ... ok (3ms)
a signal ends it ... ignored (0ms)
a chip resets [apt install qemu-system-misc] ... ignored (0ms)
`;
  assertEquals(leftOutOf(output), [
    "1 test: apt install chromium",
    "2 tests: apt install qemu-system-misc",
    "not on this machine: a signal ends it",
  ]);
  assertEquals(leftOutOf("it counts ... ok (3ms)\n"), []);
});
