/**
 * Messages both ways between an initiator and a real server, through whatever can fail, with the board of
 * the responder and the wires simulated.
 */
import { assert, assertEquals } from "@std/assert";
import { toolTest } from "../../tests/support/tools.ts";
import { Bench } from "./bench/bench.ts";
import { BenchInitiator } from "./bench/initiator.ts";
import { faults, Trial } from "./bench/trial.ts";

const GCC = { gcc: "gcc" };

toolTest(
  "500 messages each way arrive once, whatever fails on the way to the server",
  GCC,
  async ({ gcc }) => {
    await using bench = await Bench.open(gcc);
    await using trial = await Trial.start(bench, (about) => new BenchInitiator(bench, about));
    const { "the responder is reset": _, ...network } = faults;
    await trial.run(500, Object.values(network).flatMap((fault) => [fault, fault]));
    await trial.assertExact({ all: true });
  },
);

toolTest(
  "an initiator that numbers its lines loses none when either board is reset",
  GCC,
  async ({ gcc }) => {
    await using bench = await Bench.open(gcc);
    await using trial = await Trial.start(
      bench,
      (about) => new BenchInitiator(bench, { ...about, session: 7 }),
    );
    const reset = faults["the responder is reset"];
    await trial.run(250, Array.from({ length: 12 }, () => reset));
    assert(trial.station.boots > 12);
    await trial.assertExact({ all: true });
  },
);

toolTest(
  "what went over the wires of a pb_link is not lost when either board is reset",
  GCC,
  async ({ gcc }) => {
    await using bench = await Bench.open(gcc);
    await using trial = await Trial.start(bench, (about) => new BenchInitiator(bench, about));
    const restart = (trial: Trial) => trial.restartInitiator();
    const all = [...Object.values(faults), restart];
    await trial.run(250, [...all, ...all]);
    assertEquals(trial.restarts, 2);
    await trial.assertExact({ all: false });
  },
);
