/** The library allocates nothing from `setup` on: an allocation ends the program. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { buildSketch } from "./build.ts";
import { Sketch } from "./sketch.ts";

const GPP = { "g++": "g++" };
const WATCHED = [
  "-O1",
  "-g",
  "-DSTANDIN_NO_HEAP",
  "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc",
];

/** A sketch that allocates one byte, which must be noticed. */
const WASTER = `
void *volatile kept;
void setup() { Serial.println("set up"); }
void loop() { kept = %s; }
`;

toolTest(
  "a link allocates nothing, neither at its start nor in outages and refusals",
  GPP,
  async (tools) => {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    for (const how of ["malloc(1)", "new char", "realloc(kept, 2)"]) {
      const program = `${folder}/waster`;
      await Deno.writeTextFile(`${program}.cpp`, WASTER.replace("%s", how));
      await buildSketch(tools["g++"], `${program}.cpp`, program, { flags: WATCHED });
      await using waster = new Sketch(program, {});
      await until(() => waster.hasEnded, { what: `${how} to be noticed` });
      assertEquals(waster.lines, ["set up"]);
      assertThrows(() => waster.check());
    }

    const program = `${folder}/exchange`;
    const sketch = new URL("exchange.cpp", import.meta.url).pathname;
    await buildSketch(tools["g++"], sketch, program, { flags: WATCHED });
    const key = "07".repeat(32);
    const server = stack.use(
      await Server.listen({
        hostname: "127.0.0.1",
        port: 0,
        timeout: 600,
        keys: [["board", key]],
        app: async (device) => {
          for await (const line of device) device.write(`re ${line}`).catch(() => {});
        },
      }),
    );
    const proxy = stack.use(await FaultProxy.start({ target: { port: server.port } }));
    const env = {
      HOLDFAST_HOSTS: `127.0.0.1:${proxy.port}`,
      HOLDFAST_TIMEOUT: "600",
      HOLDFAST_SEED: "5",
      HOLDFAST_RTC: `${folder}/rtc`,
    };
    {
      await using stranger = new Sketch(program, { ...env, HOLDFAST_KEY: "08".repeat(32) });
      await until(() => {
        stranger.check();
        return stranger.lines.includes("down BAD_PROOF");
      }, { what: () => `a refusal: ${stranger.story}` });
    }
    await using board = new Sketch(program, { ...env, HOLDFAST_KEY: key });
    const got = () => board.lines.filter((line) => line.startsWith("got ")).length;
    for (let rounds = 1; rounds <= 5; rounds++) {
      await until(() => {
        board.check();
        return got() >= 100 * rounds;
      }, { what: () => `more messages: ${board.story}` });
      proxy.reset();
    }
    assert(board.lines.filter((line) => line.startsWith("down")).length >= 4);
  },
);
