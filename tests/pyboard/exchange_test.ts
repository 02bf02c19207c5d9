/**
 * Messages both ways between an initiator and a real server, through faults everywhere; the responder's board and the
 * wires are simulated.
 */
import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { tool, toolTest } from "../support/tools.ts";
import { run, Testbed } from "./testbed.ts";
import { LocalInitiator } from "./initiator.ts";
import { PythonInitiator } from "./python.ts";
import { faults, type MakeInitiator, Trial } from "./trial.ts";

const GCC = { gcc: "gcc" };
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The package for MicroPython, in this interpreter. */
function python(testbed: Testbed, command: string): MakeInitiator {
  return ({ port, timeout, heard, sent }) =>
    new PythonInitiator(testbed, {
      command,
      args: [here("link_device.py"), "1", "127.0.0.1", `${port}`, `${timeout}`],
      path: [here("shims"), here("../../bridge/pyboard/micropython")],
      heard,
      sent,
    });
}

async function throughEverything(testbed: Testbed, make: MakeInitiator): Promise<void> {
  await using trial = await Trial.start(testbed, make);
  await trial.run(60, Object.values(faults));
  assert(trial.initiator.told.some((line) => line.startsWith("r[")), `${trial.initiator.told}`);
  await trial.assertExact({ all: true });
}

toolTest(
  "500 messages each way arrive once, through all faults on the way to the server",
  GCC,
  async ({ gcc }) => {
    await using testbed = await Testbed.open(gcc);
    await using trial = await Trial.start(
      testbed,
      (about) => new LocalInitiator(testbed, { ...about, session: 3 }),
    );
    const { "the responder is reset": _, ...network } = faults;
    await trial.run(500, Object.values(network).flatMap((fault) => [fault, fault]));
    await trial.assertExact({ all: true });
  },
);

toolTest(
  "an initiator that numbers its lines loses none if either board is reset",
  GCC,
  async ({ gcc }) => {
    await using testbed = await Testbed.open(gcc);
    await using trial = await Trial.start(
      testbed,
      (about) => new LocalInitiator(testbed, { ...about, session: 7 }),
    );
    const reset = faults["the responder is reset"];
    await trial.run(120, Array.from({ length: 6 }, () => reset));
    assert(trial.station.boots > 6);
    await trial.assertExact({ all: true });
  },
);

toolTest(
  "dialect 1, chosen after the password, carries 40 messages each way through outages",
  GCC,
  async ({ gcc }) => {
    await using testbed = await Testbed.open(gcc);
    await using trial = await Trial.start(
      testbed,
      (about) => new LocalInitiator(testbed, { ...about, more: [1], reset: false }),
    );
    const { "the responder is reset": _, ...network } = faults;
    await trial.run(40, Object.values(network));
    await trial.assertExact({ all: false });
  },
);

toolTest(
  "what a pb_link has sent over the wires is not lost if either board is reset",
  GCC,
  async ({ gcc }) => {
    await using testbed = await Testbed.open(gcc);
    await using trial = await Trial.start(testbed, (about) => new LocalInitiator(testbed, about));
    const restart = (trial: Trial) => trial.restartInitiator();
    const all = [...Object.values(faults), restart];
    await trial.run(120, all);
    assertEquals(trial.restarts, 1);
    await trial.assertExact({ all: false, twice: true });
  },
);

toolTest(
  "the package for MicroPython loses nothing under CPython",
  { ...GCC, python3: "python3" },
  async ({ gcc, python3 }) => {
    await using testbed = await Testbed.open(gcc);
    await throughEverything(testbed, python(testbed, python3));
  },
);

const micropython = Deno.env.get("HOLDFAST_MICROPYTHON");
Deno.test({
  name: `the package for MicroPython loses nothing${
    micropython ? "" : " [set HOLDFAST_MICROPYTHON to run it]"
  }`,
  ignore: !micropython,
  fn: async () => {
    await using testbed = await Testbed.open(tool("gcc", "gcc")!, { latency: 400 });
    await throughEverything(testbed, python(testbed, micropython!));
  },
});

toolTest("the C header loses nothing", GCC, async ({ gcc }) => {
  const folder = await Deno.makeTempDir({ prefix: "holdfast_header_" });
  try {
    const flags = ["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-O1", "-g"];
    const checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover"];
    const program = `${folder}/device`;
    await run(gcc, [...flags, ...checks, "-o", program, here("header_device.c")]);
    await using testbed = await Testbed.open(gcc);
    const make: MakeInitiator = ({ port, heard, sent }) =>
      new PythonInitiator(testbed, {
        command: program,
        args: ["1", "127.0.0.1", `${port}`],
        path: [],
        heard,
        sent,
      });
    await using trial = await Trial.start(testbed, make);
    await trial.run(60, Object.values(faults));
    await trial.assertExact({ all: true });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

toolTest(
  "the C header compiles as C99 and as C++11 without a warning, and works in both",
  { gcc: "gcc", "g++": "g++" },
  async (tools) => {
    const folder = await Deno.makeTempDir({ prefix: "holdfast_header_" });
    try {
      for (
        const [tool, standard, suffix] of [["gcc", "c99", "c"], ["g++", "c++11", "cpp"]] as const
      ) {
        const source = `${folder}/words.${suffix}`;
        const program = `${folder}/words_${suffix}`;
        await Deno.writeTextFile(source, HEADER_WORDS);
        const flags = [`-std=${standard}`, "-Wall", "-Wextra", "-Werror", "-Wpedantic"];
        await run(tools[tool], [
          ...flags,
          "-I",
          here("../../bridge/arduino/src"),
          "-o",
          program,
          source,
        ]);
        assertEquals(await run(program, []), "1 0 -1 -1 -1 1 -1\n", standard);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

/** What the header's functions return for good and bad lines and configurations, with a board that does nothing. */
const HEADER_WORDS = `
#include <stdio.h>
#include <string.h>
#define HOLDFAST_I2C_IMPLEMENTATION
#include "holdfast_i2c.h"

static struct hf_link one;
static void syn(void *board, int level) { (void)board, (void)level; }
static int ack(void *board) { return (void)board, 1; }
static uint32_t ms(void *board) { return (void)board, 0; }

int main(void) {
  static char text[HF_BUFFER + 1];
  memset(text, 'x', HF_BUFFER);
  one.port.syn = syn;
  one.port.ack = ack;
  one.port.ms = ms;
  printf("%d ", hf_begin(&one, "1", "server", 8123, "", "", 1));
  text[HF_MOST_TEXT] = 0;
  if (hf_write(&one, text, HF_MOST_TEXT, 1) != HF_OK || !hf_pending(&one)) return 1;
  printf("%d ", hf_write(&one, "more", 4, 1));
  printf("%d ", hf_write(&one, "", 0, 1));
  printf("%d ", hf_write(&one, text, HF_MOST_TEXT + 1, 1));
  printf("%d ", hf_write(&one, "a\\nb", 3, 0));
  printf("%d ", hf_begin(&one, "1", "server", 8123, "ssid", "", 2));
  text[HF_MOST_TEXT] = 'x';
  printf("%d\\n", hf_begin(&one, "1", "server", 8123, text, "", 1));
  return 0;
}
`;
