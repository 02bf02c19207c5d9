/**
 * The simulator itself: some seeds, the whole small world with one fault at a time, that a seed replays
 * exactly, and that known bugs are found. `deno task sim` plays more of everything.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { compileCore } from "./compile.ts";
import { exploreShare, shares, VARIANTS } from "./exhaustive.ts";
import { hunt, playRange } from "./main.ts";
import { MUTATIONS } from "./mutations.ts";
import { parse } from "./options.ts";
import { Stream, Violation } from "./promises.ts";
import { playSeed } from "./run.ts";

/** Seeds of the quality gate; the nightly ones are more. */
const SEEDS = 400;

Deno.test("every promise holds in some hundred worlds", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violation } = playSeed(seed);
    assertEquals(violation, undefined, `seed ${seed}: deno task sim --seed ${seed} --trace`);
  }
});

Deno.test("a seed replays line by line, in whatever order seeds are played", () => {
  const trace = (seed: number) => {
    const lines: string[] = [];
    const { violation, ...outcome } = playSeed(seed, { log: (line) => lines.push(line) });
    assertEquals(violation, undefined);
    return { lines, outcome };
  };
  const first = [7, 8, 9].map(trace);
  const again = [9, 8, 7].map(trace).reverse();
  assertEquals(again, first);
  assertEquals(playSeed(8), { ...first[1]!.outcome, violation: undefined });
  assert(first.every(({ lines }) => lines.length > 10));
});

for (const [variant, { name }] of VARIANTS.entries()) {
  Deno.test(`every fault at every step of a small world: ${name}`, () => {
    let runs = 0;
    for (const share of shares(1)) {
      if (share.variant !== variant) continue;
      const explored = exploreShare(share);
      assertEquals(explored.found, []);
      runs += explored.runs;
    }
    assert(runs > 300);
  });
}

/** Seeds after which each of these must have been found. */
const SOON = 150;

const QUICK = [
  "a newline at the start of a segment is a keepalive",
  "a proof is not checked",
  "acks and messages go out before the commit",
  "the window is off by one",
  "the outbox dies with the server",
  "the device's epoch is used again",
];

for (const name of QUICK) {
  Deno.test(`a known bug is found: ${name}`, () => {
    const undo = MUTATIONS.find((mutation) => mutation.name === name)!.apply!();
    try {
      assert(finds(), name);
    } finally {
      undo();
    }
  });
}

Deno.test("a known bug of the core is found", async () => {
  const { core } = MUTATIONS.find(({ name }) => name.endsWith("settles one message too many"))!;
  assert(finds(new WebAssembly.Module(await compileCore(core!))));
});

function finds(module?: WebAssembly.Module): boolean {
  for (let seed = 1; seed <= SOON; seed++) {
    if (playSeed(seed, { module }).violation !== undefined) return true;
  }
  return false;
}

Deno.test("every change of the core's source has its one place", async () => {
  const source = await Deno.readTextFile(
    new URL("../../client-as/assembly/core.ts", import.meta.url),
  );
  for (const { name, core } of MUTATIONS) {
    for (const [from] of core ?? []) assertEquals(source.split(from).length, 2, name);
  }
});

Deno.test("workers play what one program plays", async () => {
  const sum = await playRange({ from: 1, seeds: 60, jobs: 2 }, () => {});
  assertEquals(sum.found, []);
  assertEquals(sum.seeds, 60);
  let messages = 0;
  for (let seed = 1; seed <= 60; seed++) messages += playSeed(seed).messages;
  assertEquals(sum.messages, messages);
});

Deno.test("workers look for a known bug", async () => {
  const options = { from: 1, limit: SOON, only: "a proof is not checked", jobs: 1 };
  const [sighting] = await hunt(options, () => {});
  assert(sighting!.after! > 0 && sighting!.violation !== "");
});

/** A stream whose writer has booted once: 1, 2, 3, then 4, without qos. */
function written(...seen: string[]): Stream {
  const stream = new Stream("A>");
  for (const text of ["1", "2", "3"]) stream.accepted(text, 0, true, false);
  stream.accepted("4", 1, false, false);
  for (const text of seen) stream.seen(text, true);
  return stream;
}

Deno.test("the books know what is lost, doubled, invented and out of order", () => {
  assertThrows(() => written().seen("2", true), Violation, "came before");
  assertThrows(() => written("1").seen("1", true), Violation, "seen twice");
  assertThrows(() => written().seen("0", true), Violation, "never written");
  assertThrows(() => written("1", "4").seen("2", true), Violation, "of a later boot");
  assertEquals(written("1").missing(0)?.text, "2");
  assertEquals(written("1").missing(1), undefined);
  assertEquals(written("1", "2", "3").missing(0), undefined);
});

Deno.test("the books know what may come once more, and only once", () => {
  const stream = written("1");
  stream.readerBegins();
  stream.find("1")!.repeats = 1;
  stream.seen("1", true);
  assertThrows(() => stream.seen("1", true), Violation, "seen twice");
});

Deno.test("wrong options are named", () => {
  assertEquals(parse(["--help"]), "help");
  assertThrows(() => parse(["--seeds", "0"]), Error, "--seeds");
  assertThrows(() => parse(["--trace"]), Error, "--seed");
  assertThrows(() => parse(["--exhaustive", "--mutations"]), Error, "exclude");
  assertThrows(() => parse(["--colour"]), Error, "--colour");
});
