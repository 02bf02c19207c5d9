/** What the client in bridge/micropython costs: RAM while connected, and nothing for a keepalive. */
import { assert, assertEquals } from "@std/assert";
import { interpreters, micropython, PACKAGE, program } from "./interpreters.ts";
import { PythonProcess } from "./python_process.ts";

/** In bytes, with its code, compiled from source: what it took when this was written, and some more. */
const RAM_BUDGET = 18_500;

Deno.test("a client that is connected stays in its RAM, and a keepalive allocates nothing", async () => {
  const call = await micropython<(name: string) => number>(
    "import gc, sizes",
    "lambda name: getattr(sizes, name)() or 0",
  );
  const collect = () => call("collect");
  call("load");
  collect();
  const before = call("used");
  call("connect");
  collect();
  const connected = call("used") - before;
  assertEquals(call("keepalives"), 0);
  call("close");
  await new Promise((resolve) => setTimeout(resolve)); // behind the turn that the interpreter's loop has asked for
  assert(connected > 4096 && connected <= RAM_BUDGET, `${connected} bytes`);
});

for (const [name, path] of interpreters()) {
  if (name === "CPython") continue; // it counts otherwise
  Deno.test(`${name}: a keepalive allocates nothing`, async () => {
    const code = `
import sys
sys.path[:0] = sys.argv[1:]
import sizes
sizes.load()
sizes.connect()
sizes.gc.collect()
sizes.gc.disable()
print(sizes.keepalives())
`;
    const folders = [program("shims"), PACKAGE, program("")];
    await using measured = new PythonProcess(path, ["-c", code, ...folders]);
    await measured.ended;
    assertEquals([measured.trouble, ...measured.said], ["", "0"]);
  });
}
