import { assertEquals, assertStringIncludes } from "@std/assert";
import { deno, leftOutOf, TEST } from "./run.ts";
import { folder } from "./support/main_process.ts";
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

/** Where the gate finds it: a child with a session of its own, as daemons and PostgreSQL's pg_ctl make them. */
const DETACHED = Deno.build.os === "linux";

/**
 * A file of tests: one fails, and one starts processes and never ends. These, and the process of the tests, connect to
 * a port and say their ids. Each connection ends with its process.
 */
class HangingTests implements AsyncDisposable {
  readonly #folder = folder();
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections: Deno.TcpConn[] = [];
  readonly #ends: Promise<void>[] = [];
  readonly #running = new Set<number>();

  /** For deno. */
  readonly args = [...TEST, "--no-config", "--no-check", this.#folder.path];

  constructor() {
    const connect = `
      const gate = await Deno.connect({ port: ${this.#listener.addr.port} });
      await gate.write(new TextEncoder().encode(String(Deno.pid)));
      await gate.read(new Uint8Array(1));`;
    const tests = `
      Deno.test("fails", () => { throw new Error("the reason"); });
      Deno.test("hangs", async () => {
        const args = ["eval", \`${connect}\`];
        new Deno.Command(Deno.execPath(), { args }).spawn();
        if (${DETACHED}) new Deno.Command(Deno.execPath(), { args, detached: true }).spawn();
        ${connect}
      });`;
    Deno.writeTextFileSync(`${this.#folder.path}/hanging_test.ts`, tests);
  }

  /** Waits until all processes run. */
  async begun(): Promise<void> {
    for (let left = DETACHED ? 3 : 2; left > 0; left--) {
      const connection = await this.#listener.accept();
      const bytes = new Uint8Array(20);
      const pid = Number(
        new TextDecoder().decode(bytes.subarray(0, await connection.read(bytes) ?? 0)),
      );
      this.#running.add(pid);
      this.#connections.push(connection);
      const end = connection.read(bytes).catch(() => {}).then(() => void this.#running.delete(pid));
      this.#ends.push(end);
    }
  }

  /** Waits until none of them runs. */
  async ended(): Promise<void> {
    await until(() => this.#running.size === 0, { what: () => `${[...this.#running]} to end` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of this.#running) Deno.kill(pid, "SIGKILL");
    await Promise.all(this.#ends);
    for (const connection of this.#connections) connection.close();
    this.#listener.close();
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("a gate that is stopped says why tests have failed, and leaves no process", async () => {
  await using tests = new HangingTests();
  const stop = new AbortController();
  const result = deno(tests.args, stop.signal);
  await tests.begun();
  stop.abort();
  await tests.ended();
  const { ok, output } = await result;
  assertEquals(ok, false);
  assertStringIncludes(output, "Error: the reason");
  assertStringIncludes(output, "hanging_test.ts:3:12\n"); // where Deno says that the pending test is
});

Deno.test("a gate that is interrupted says so, too, and leaves no process", async () => {
  await using tests = new HangingTests();
  const code = `
    import { deno } from ${JSON.stringify(import.meta.resolve("./run.ts"))};
    const never = new AbortController().signal;
    console.log((await deno(${JSON.stringify(tests.args)}, never)).output);`;
  const args = ["eval", "--no-config", code];
  const gate = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  await tests.begun();
  gate.kill("SIGINT");
  await tests.ended();
  const output = await new Response(gate.stdout).text();
  await gate.status;
  assertStringIncludes(output, "Error: the reason");
  assertStringIncludes(output, "hangs => ");
});

Deno.test("the gate says, in one line each, what would enable skipped tests", () => {
  const output = `running 4 tests from ./a_test.ts
a chip boots [apt install qemu-system-misc] ... ignored (0ms)
a page loads [apt install chromium-headless-shell] ... ignored (0ms)
it counts ... ok (3ms)
a signal ends it ... ignored (0ms)
a chip resets [apt install qemu-system-misc] ... ignored (0ms)
`;
  assertEquals(leftOutOf(output), [
    "1 test: apt install chromium-headless-shell",
    "2 tests: apt install qemu-system-misc",
    "not on this machine: a signal ends it",
  ]);
  assertEquals(leftOutOf("it counts ... ok (3ms)\n"), []);
});
