/**
 * Messages both ways between an initiator and a real server, through faults everywhere; the responder's board and the
 * wires are simulated.
 */
import { assert, assertEquals } from "@std/assert";
import { toolTest } from "../support/tools.ts";
import { Testbed } from "./testbed.ts";
import { LocalInitiator } from "./initiator.ts";
import { faults, Trial } from "./trial.ts";

const GCC = { gcc: "gcc" };

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
