/**
 * The firmware's byte paths under libFuzzer, for a limited number of inputs that start from the vectors and from
 * corpus/. HOLDFAST_FUZZ_RUNS in the environment sets another number; HOLDFAST_SEED repeats a run.
 *
 * @module
 */
import { assert } from "@std/assert";
import { toolTest } from "../../support/tools.ts";
import { FUZZERS, TOOLS, Trial } from "./fuzzers.ts";

const RUNS = Number(Deno.env.get("HOLDFAST_FUZZ_RUNS") ?? 5_000);

for (const fuzzer of FUZZERS) {
  toolTest(`fuzz: ${fuzzer.about}`, TOOLS, async ({ clang }) => {
    await using trial = await Trial.compile(clang, fuzzer);
    const seed = Deno.env.get("HOLDFAST_SEED") ?? `${Math.floor(Math.random() * 2 ** 31) + 1}`;
    const { ok, said } = await trial.run([`-runs=${RUNS}`, `-seed=${seed}`]);
    if (!ok) throw new Error(`HOLDFAST_SEED=${seed}: ${said.slice(-4000)}`);
    const executed = said.match(/number_of_executed_units: (\d+)/);
    assert(Number(executed?.[1]) >= RUNS, said); // it has really run all of them
  });
}
