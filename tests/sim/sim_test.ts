/**
 * Tests of the simulator: some seeds, the whole small world with one fault at a time, exact replay of a seed, and the
 * finding of known bugs. `deno task sim` runs more of everything.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Books } from "./books.ts";
import { exploreShare, shares, VARIANTS } from "./exhaustive.ts";
import { playRange, type Sighting } from "./main.ts";
import { apply } from "./mutants.ts";
import { MUTATIONS } from "./mutations.ts";
import { parse } from "./options.ts";
import { Stream } from "./promises.ts";
import { Random } from "../../bridge/testing/random.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { playSeed } from "./run.ts";
import { drawScenario } from "./scenario.ts";
import { World } from "./world.ts";

const MAIN = new URL("main.ts", import.meta.url).pathname;

/** Seeds of the quality gate without installed tools; `.ci/run` runs 2000, and more at night. */
const SEEDS = 200;

Deno.test("every promise holds in some hundred worlds", async () => {
  const sum = await playRange({ from: 1, seeds: SEEDS, jobs: 2 }, () => {});
  assertEquals(sum.found, [], "deno task sim --seed N --trace");
  assertEquals(sum.seeds, SEEDS);
});

Deno.test("a seed replays line by line, in whatever order seeds are run", async () => {
  const trace = async (seed: number) => {
    const lines: string[] = [];
    const { violation, ...outcome } = await playSeed(seed, { log: (line) => lines.push(line) });
    assertEquals(violation, undefined);
    return { lines, outcome };
  };
  const play = async (seeds: number[]) => {
    const played = [];
    for (const seed of seeds) played.push(await trace(seed));
    return played;
  };
  const first = await play([7, 8, 9]);
  const again = (await play([9, 8, 7])).reverse();
  assertEquals(again, first);
  assertEquals(await playSeed(8), { ...first[1]!.outcome, violation: undefined });
  assert(first.every(({ lines }) => lines.length > 10));
});

for (const [variant, { name }] of VARIANTS.entries()) {
  Deno.test(`every fault at every step of a small world: ${name}`, async () => {
    let runs = 0;
    for (const share of shares(1)) {
      if (share.variant !== variant) continue;
      const explored = await exploreShare(share);
      assertEquals(explored.found, []);
      runs += explored.runs;
    }
    assert(runs > 300);
  });
}

/** Number of seeds within which each of these must be found. */
const SOON = 1000;

/** One of each kind, and a seed from which it is soon found; `deno task sim --mutations` hunts for all, from 1. */
const QUICK: Readonly<Record<string, number>> = {
  "acks and messages go out before the commit": 1,
  "the application goes on before what is safe was sent": 50,
  "a newer connection goes on where the older one was": 60,
  "bytes are taken in while a commit is under way": 1,
  "a device is silent at the first look": 95,
  "a device that was forgotten keeps its connection": 38,
  "the outbox dies with the server": 1,
  "a newline at the start of a segment is a keepalive": 1,
  "core: an ack settles one message too many": 1,
  "a report that is older than a setting is a change at the device": 1,
  "a deploy does not go on when the device comes back": 1,
  "seal: a tag is not compared": 225,
};

for (const [name, from] of Object.entries(QUICK)) {
  Deno.test(`a known bug is found: ${name}`, async () => {
    // In a process of its own: workers of this one would be type-checked, which takes longer than everything else.
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "--no-check", MAIN, "--mutations", "--only", name]
        .concat("--from", `${from}`, "--limit", `${SOON}`, "--jobs", "1", "--json"),
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
    const told = new TextDecoder().decode(stderr);
    const sightings: Sighting[] = JSON.parse(new TextDecoder().decode(stdout) || "[]");
    assert(sightings.some((sighting) => sighting.name === name), told);
    for (const { after, violation } of sightings) assert(after! > 0 && violation !== "", told);
  });
}

Deno.test("every known bug has its one place in the source", async () => {
  for (const { edits } of MUTATIONS) {
    const changed = new Map<string, string>();
    for (const edit of edits) {
      const before = changed.get(edit.file);
      const after = await apply(edit, before);
      assert(after !== before);
      changed.set(edit.file, after);
    }
  }
});

Deno.test("workers give the same results as a single process", async () => {
  const seeds = 60;
  const sum = await playRange({ from: 1, seeds, jobs: 2 }, () => {});
  assertEquals([sum.found, sum.seeds], [[], seeds]);
  let messages = 0;
  for (let seed = 1; seed <= seeds; seed++) messages += (await playSeed(seed)).messages;
  assertEquals(sum.messages, messages);
});

/** A stream whose writer has booted once: 1, 2, 3, then 4, without qos. */
function written(...seen: string[]): Stream {
  const stream = new Stream("A>");
  for (const text of ["1", "2", "3"]) stream.accepted(text, 0, { qos: true, waits: false });
  stream.accepted("4", 1, { qos: false, waits: false });
  for (const text of seen) stream.seen(text, true);
  return stream;
}

Deno.test("the books notice lost, doubled, invented and reordered messages", () => {
  assertThrows(() => written().seen("2", true), Violation, "came before");
  assertThrows(() => written("1").seen("1", true), Violation, "seen twice");
  assertThrows(() => written().seen("0", true), Violation, "never written");
  assertThrows(() => written("1", "4").seen("2", true), Violation, "of a later boot");
  assertEquals(written("1").missing(0)?.text, "2");
  assertEquals(written("1").missing(1), undefined);
  assertEquals(written("1", "2", "3").missing(0), undefined);
});

Deno.test("the books allow what may come once more, and only once", () => {
  const stream = written("1");
  stream.readerBegins();
  stream.find("1")!.repeats = 1;
  stream.seen("1", true);
  assertThrows(() => stream.seen("1", true), Violation, "seen twice");
});

Deno.test("the books allow an expired message with QoS 1 to be written again", () => {
  let now = 0;
  const books = new Books("A", false, 3, () => now);
  const write = () => {
    const known = books.toDevice.find("!door 1");
    if (known) books.dropped.again(known, true);
    else books.serverWrites("!door 1", { qos: true, waits: true, expires: 10 });
    books.written("!door 1");
    return books.toDevice.find("!door 1")!;
  };
  const expires = () => {
    now += 20;
    books.withdrawn("!door 1", 100);
    books.expiring.expired(books.toDevice.find("!door 1")!, true);
  };
  const see = () => books.seenByDevice("!door 1", 2);
  write();
  expires();
  assertThrows(see, Violation, "it was refused");
  write();
  see();
  assertThrows(see, Violation, "seen twice");
  write();
  write();
  expires(); // one of the two
  see();
  books.settled("!door 1");
  assertThrows(see, Violation, "seen twice");
  assertThrows(expires, Violation, "expires, and was seen");
});

Deno.test("a device whose clock is set back twice may be late by the sum of both", () => {
  const random = new Random(1);
  using world = new World(random, drawScenario(random));
  const { devices: [device], scenario: { timeout } } = world;
  device!.jump(-3000);
  assertEquals(device!.deafUntil, 3000 + timeout / 4);
  device!.jump(-2000);
  device!.jump(1000);
  assertEquals(device!.deafUntil, 5000 + timeout / 4);
});

Deno.test("errors about options name the option", () => {
  assertEquals(parse(["--help"]), "help");
  assertThrows(() => parse(["--seeds", "0"]), Error, "--seeds");
  assertThrows(() => parse(["--trace"]), Error, "--seed");
  assertThrows(() => parse(["--exhaustive", "--mutations"]), Error, "exclude");
  assertThrows(() => parse(["--colour"]), Error, "--colour");
});
