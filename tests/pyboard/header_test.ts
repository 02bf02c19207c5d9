/** The C header for an initiator: with a real server, through all faults, and with good and bad lines and
 * configurations. */
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { toolTest } from "../support/tools.ts";
import { PythonInitiator } from "./python.ts";
import { run, Testbed } from "./testbed.ts";
import { faults, type MakeInitiator, Trial } from "./trial.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

toolTest("the C header loses no message through all faults", { gcc: "gcc" }, async ({ gcc }) => {
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
