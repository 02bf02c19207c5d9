/** Deploys with a power cut at every word and sector of the flash: units/power_cuts.c. */
import { assert } from "@std/assert";
import { toolTest } from "../support/tools.ts";
import { ask, compileC, FIRMWARE } from "./fuzz/compile.ts";

const SOURCE = new URL("units/power_cuts.c", import.meta.url).pathname;
const PARTS = ["bytes.c", "crc32.c", "hmac.c", "module.c", "text.c", "words.c"];

toolTest(
  "power lost at any word that a deploy or a trial writes: a complete application starts, and in the end the right one",
  { gcc: "gcc" },
  async ({ gcc }) => {
    const folder = await Deno.makeTempDir();
    try {
      const sources = [SOURCE, ...PARTS.map((name) => `${FIRMWARE}/${name}`)];
      await compileC(gcc, sources, `${folder}/cuts`, ["-fsanitize=address,undefined"]);
      const [deploys] = await ask(`${folder}/cuts`, []);
      assert(Number(deploys) > 1500, `only ${deploys} deploys were cut`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
