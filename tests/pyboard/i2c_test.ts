/** The I2C driver of the firmware, in C, against simulated wires and a faulty slave. */
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { toolTest } from "../support/tools.ts";
import { run } from "./testbed.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

toolTest(
  "the I2C driver copes with every faulty slave and wire",
  { gcc: "gcc" },
  async ({ gcc }) => {
    const folder = await Deno.makeTempDir({ prefix: "holdfast_i2c_" });
    try {
      const driver = "../../bridge/esp8266/firmware/i2c.c";
      const flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g"];
      const checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover"];
      const sources = [driver, "bus.c", "i2c_test.c"].map(here);
      await run(gcc, [...flags, ...checks, "-o", `${folder}/i2c_test`, ...sources]);
      const situations = (await run(`${folder}/i2c_test`, [])).trim().split("\n");
      assertEquals(situations.length, 8, `${situations}`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
