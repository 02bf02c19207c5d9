/** What the client in bridge/micropython costs: RAM while connected, and nothing for a keepalive. */
import { assert, assertEquals } from "@std/assert";
import { micropython } from "./interpreters.ts";

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
