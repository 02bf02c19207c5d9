/** What the client in bridge/micropython costs: RAM while connected, and nothing for a keepalive. */
import { assert, assertEquals } from "@std/assert";
import { interpreters, micropython, PACKAGE, program } from "./interpreters.ts";
import { PythonProcess } from "./python_process.ts";

/** Bytes of the compiled modules, with a small reserve; README.md lists them by module. */
const MPY_BUDGET = 8_000;
/** RAM of a connected client with proof, with its compiled code, in bytes; with a small reserve, too. */
const RAM_BUDGET = 12_500;

/** Modules that a client with an address and a key imports. */
const MODULES = ["__init__", "client", "core", "setup"];

/** Targets for machine code: ESP8266, ESP32, Pico W and Pyboard D. */
const MACHINES = ["xtensa", "xtensawin", "armv6m", "armv7emdp"];

/** Compiles the package with mpy-cross, into a new folder. */
async function compiled(...machines: string[]): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-mpy-" });
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program("mpy_cross.ts"), folder, ...machines],
  }).output();
  if (success) return folder;
  await Deno.remove(folder, { recursive: true });
  throw new Error(new TextDecoder().decode(stderr));
}

Deno.test("a compiler older than the oldest supported MicroPython compiles the package, and machine code for each board", async () => {
  const folder = await compiled(...MACHINES);
  try {
    for (const machine of MACHINES) {
      const { size } = Deno.statSync(`${folder}/${machine}/cipher_native.mpy`);
      assert(size > 4000 && size < 6000, `${size} bytes for ${machine}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a compiled client keeps its budgets of bytes and RAM, and a keepalive allocates nothing", async () => {
  const folder = await compiled();
  try {
    const sizes = MODULES.map((name) => Deno.statSync(`${folder}/${name}.mpy`).size);
    const bytes = sizes.reduce((sum, size) => sum + size);
    assert(bytes > 4096 && bytes <= MPY_BUDGET, `${bytes} bytes of .mpy`);

    const call = await micropython<(name: string) => number | string>(
      "import gc, sizes",
      "lambda name: getattr(sizes, name)() or 0",
      { holdfast: folder },
    );
    call("load");
    call("collect");
    const before = Number(call("used"));
    call("connect");
    call("collect");
    const connected = Number(call("used")) - before;
    assertEquals(call("keepalives"), 0);
    assertEquals(call("modules"), MODULES.filter((name) => name !== "setup").join(" "));
    call("close");
    await new Promise((resolve) => setTimeout(resolve)); // after the turn that the interpreter's loop has scheduled
    assert(connected > 4096 && connected <= RAM_BUDGET, `${connected} bytes of RAM`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (const [name, path] of interpreters()) {
  if (name === "CPython") continue; // it measures memory in another way
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
