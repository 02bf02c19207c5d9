/** Dead letters that are too old are deleted. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { fails, folder, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { LocalError, type ServerEvent } from "../mod.ts";
import { forgetOldLetters } from "./old_letters.ts";

const HOUR = 3_600_000;

Deno.test("a dead letter that is too old is deleted within an hour, and the others stay", async () => {
  const clock = new ManualClock();
  const now = clock.date();
  const events: ServerEvent[] = [];
  const letter = (number: number, age: number) => ({
    number,
    text: "",
    error: "",
    date: now - age,
  });
  let deadLetters = [letter(1, 10 * HOUR), letter(2, 4 * HOUR), letter(3, 0), letter(4, 10 * HOUR)];
  const device = {
    get deadLetters() {
      return deadLetters;
    },
    discard(number: number) {
      if (number === 4) return Promise.reject(new LocalError("BAD_ARGUMENT", "it was revived"));
      deadLetters = deadLetters.filter((one) => one.number !== number);
      return Promise.resolve();
    },
  };
  const stop = new AbortController();
  const server = {
    devices: [device],
    events: { emit: (event: ServerEvent) => void events.push(event) },
  };
  await forgetOldLetters(server, 5 * HOUR, clock, stop.signal);
  assertEquals(deadLetters.map(({ number }) => number), [2, 3, 4]);
  assertEquals(events.length, 1);
  for (let n = 0; n < 2; n++) {
    await clock.advance(HOUR);
    await clock.turn();
  }
  assertEquals(deadLetters.map(({ number }) => number), [3, 4]);
  stop.abort();
  assertEquals(clock.timers, 0);
});

Deno.test("the server deletes old dead letters when it starts, and logs how many", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const app = `${place.path}/app.js`;
  Deno.writeTextFileSync(
    app,
    `export default async (device) => {
    for (;;) await device.consume(() => { throw new Error("no"); }).catch(() => {});
  };`,
  );
  const options = [
    "--open",
    "--store",
    store,
    "--app",
    app,
    "--dead-letters",
    "--limit",
    "attempts=1",
  ];
  {
    await using process = start(...options);
    await using peer = await RawPeer.dial(await process.port());
    await peer.say("1\n00bad\n");
    await process.logs("dead_letter");
    process.kill("SIGTERM");
    assertEquals((await process.ended).code, 0);
  }
  // The server checks again after this time, so it finds the letter even if it has started within 1 s.
  await using process = start(...options, "--dead-letters-max-age", "1s");
  const { code, message } = await process.logs("warning");
  assertEquals(code, "DEAD_LETTERS_OLD");
  assertStringIncludes(message!, "1 dead letters were too old");
});

Deno.test("a malformed age is reported", async () => {
  for (const age of ["0d", "7", "soon"]) {
    const [code, said] = await fails("--open", "--dead-letters", "--dead-letters-max-age", age);
    assertEquals([code, said.includes("--dead-letters-max-age takes a duration such as 90s")], [
      2,
      true,
    ], said);
  }
});
