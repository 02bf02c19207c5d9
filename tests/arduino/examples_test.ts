/** The examples compile for each kind of board, and the README's sketch does what it says. */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { FaultProxy } from "../support/proxy.ts";
import { ServerProcess } from "../support/server_process.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { BOARDS, buildSketch, compileFor, LIBRARY } from "./build.ts";
import { Sketch } from "./sketch.ts";

const GPP = { "g++": "g++" };
const EXAMPLES = `${LIBRARY}/examples`;
const COUNTER = `${EXAMPLES}/Counter/Counter.ino`;

/** Examples that need no random bits and no memory from the library: they run on any board. */
const FOR_ALL = ["Wired"];

toolTest("each example compiles for each board without a warning", GPP, async (tools) => {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  try {
    const examples = [...Deno.readDirSync(EXAMPLES)].map(({ name }) => ({
      sketch: `${EXAMPLES}/${name}/${name}.ino`,
      isForAll: FOR_ALL.includes(name),
    }));
    assert(examples.length > 3);
    for (const board of Object.keys(BOARDS) as (keyof typeof BOARDS)[]) {
      const sketches = examples.filter(({ isForAll }) => isForAll || board !== "other");
      await compileFor(board, tools["g++"], sketches.map(({ sketch }) => sketch), folder);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the README's sketch is the example Counter: fourteen lines and two braces", async () => {
  const sketch = await Deno.readTextFile(COUNTER);
  const indented = sketch.replace(/^(?=.)/gm, "    ");
  const readme = new URL("../../bridge/arduino/README.md", import.meta.url);
  assertStringIncludes(await Deno.readTextFile(readme), indented);
  const lines = sketch.split("\n").filter((line) => line !== "" && line !== "}");
  assertEquals(lines.length, 14);
});

toolTest("the README's sketch loses nothing through the demo's faults", GPP, async (tools) => {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const program = `${folder}/counter`;
  await buildSketch(tools["g++"], COUNTER, program);
  const [store, keys] = [`${folder}/store.db`, `${folder}/keys.json`];
  await Deno.writeTextFile(keys, "{}", { mode: 0o600 });
  let server: ServerProcess;
  const start = async (): Promise<number> => {
    // The board's clock is ten times as fast: the sketch's second is 100 ms here, its 2,000 ms are 200 ms.
    server = new ServerProcess({ store, keys, timeout: 200, durability: "full" });
    const port = await server.listening;
    assert(port !== undefined, server.complaints.join("\n"));
    return port;
  };
  stack.defer(() => server?.[Symbol.asyncDispose]());
  const proxy = stack.use(await FaultProxy.start({ target: { port: await start() } }));
  const sketch = stack.use(
    new Sketch(program, {
      HOLDFAST_AT: `${proxy.port}`,
      HOLDFAST_SPEED: "10",
      HOLDFAST_RTC: `${folder}/rtc`,
    }),
  );
  const heard = (least: number, what: string) =>
    until(() => {
      sketch.check();
      return sketch.lines.length >= least;
    }, { timeout: 60_000, what: () => `answer ${least} ${what}:\n${sketch.story}` });
  await heard(10, "at first");
  proxy.reset();
  await heard(15, "after a reset of the connection");
  const { accepted } = proxy;
  proxy.blackhole();
  await until(() => proxy.accepted > accepted, { what: "the outage to be noticed" });
  proxy.restore({ drop: true });
  await heard(30, "after a black hole");
  proxy.halfOpen();
  await heard(35, "after a half-open connection");
  await server!.kill();
  proxy.retarget(await start());
  await heard(50, "after the server was killed");
  await sketch.kill();
  await server!.stop();
  assertEquals(sketch.lines, sketch.lines.map((_, n) => `re ${n}`));
  using db = new DatabaseSync(store, { readOnly: true });
  const rows = db.prepare("SELECT line FROM processed ORDER BY position").all();
  assert(rows.length >= sketch.lines.length);
  assertEquals(rows.map(({ line }) => line), rows.map((_, n) => `${n}`));
});
