/** The shared vectors on the core as C: the code compiled into a sketch behaves like the .wasm. */
import { assert, assertThrows } from "@std/assert";
import { coreModule } from "../../bridge/host/core.ts";
import { toolTest } from "../support/tools.ts";
import { replayClient, type Vector } from "../vectors/replay.ts";
import { NativeCore, onNative } from "./native.ts";

const FOLDER = new URL("../vectors/", import.meta.url);
const GCC = { gcc: "gcc" };

async function withNative(gcc: string, fn: (core: NativeCore) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  try {
    using core = await NativeCore.compile(gcc, folder);
    fn(core);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const read = (name: string): Vector => JSON.parse(Deno.readTextFileSync(new URL(name, FOLDER)));

toolTest(
  "vectors on the core as C: it sends the same bytes at the same times",
  GCC,
  ({ gcc }) =>
    withNative(gcc, (core) => {
      const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();
      let replayed = 0;
      for (const name of names.filter((name) => name.endsWith(".json"))) {
        const { client } = read(name);
        if (!client) continue;
        try {
          onNative(core, () => replayClient(client, coreModule()));
        } catch (cause) {
          throw new Error(`${name}: ${(cause as Error).message}`, { cause });
        }
        replayed++;
      }
      console.log(`${replayed} vectors, ${core.calls} calls`);
      assert(replayed > 40 && core.calls > 5000);
    }),
);

toolTest(
  "vectors on the core as C: a difference is noticed",
  GCC,
  ({ gcc }) =>
    withNative(gcc, (core) => {
      const instantiate = core.instantiate.bind(core);
      core.instantiate = (imports) => {
        const exports = instantiate(imports) as Record<string, (a: number, b: number) => number>;
        const { received } = exports;
        return { ...exports, received: (n: number, now: number) => received!(n, now + 1) };
      };
      const { client } = read("silence.json");
      assertThrows(() => onNative(core, () => replayClient(client!, coreModule())));
    }),
);
