import { assertEquals, assertRejects } from "@std/assert";
import { parseMarked } from "./channel_lines.ts";
import { LocalError } from "./errors.ts";
import { FaultError } from "./fault.ts";
import { Requests } from "./requests.ts";

/** Requests whose lines are delivered at once, and whose timers the test controls. */
function begin() {
  const lines: string[] = [];
  const timers: (() => void)[] = [];
  const requests = new Requests({
    name: "the device",
    firstTag: 5_000_000_000,
    write: (line) => Promise.resolve(lines.push(line)),
    after: (_, run) => {
      timers.push(run);
      return () => void timers.splice(timers.indexOf(run), 1);
    },
  });
  const codeOf = async (asked: Promise<unknown>) =>
    (await assertRejects(() => asked)) as LocalError;
  return { requests, lines, timers, codeOf };
}

function tagOf(line: string): string {
  return (parseMarked(line) as { tag: string }).tag;
}

Deno.test("requests have consecutive tags, which no setting has, and each gets its own answer", async () => {
  const { requests, lines, timers } = begin();
  const asked = [1, 2, 3].map((value) => requests.ask("pump", value, {}));
  const tags = lines.map(tagOf);
  const [first] = tags.map(Number);
  const inARow = [0, 1, 2].map((n) => 5_000_000_000 + (first! - 5_000_000_000 + n) % 2 ** 32);
  assertEquals(tags.map(Number), inARow);
  for (const [i, tag] of [...tags.entries()].reverse()) {
    assertEquals(requests.answered({ mark: "answer", name: "pump", tag, value: `${i}` }), true);
  }
  assertEquals([await Promise.all(asked), timers], [[0, 1, 2], []]);
  assertEquals(
    requests.answered({ mark: "answer", name: "pump", tag: tags[0]! }),
    false,
    "each is answered once",
  );
});

Deno.test("at most a thousand requests wait", async () => {
  const { requests, lines, codeOf } = begin();
  const asked = Array.from({ length: 1000 }, () => requests.ask("pump", 1, {}));
  assertEquals((await codeOf(requests.ask("pump", 1, {}))).code, "OUTBOX_FULL");
  requests.answered({ mark: "answer", name: "pump", tag: tagOf(lines[0]!), value: "1" });
  assertEquals(await asked[0], 1);
  const more = requests.ask("pump", 1, {});
  const codes = [more, ...asked.slice(1)].map(codeOf);
  requests.close(new LocalError("CLOSED", "it was closed"));
  assertEquals(new Set((await Promise.all(codes)).map(({ code }) => code)), new Set(["CLOSED"]));
});

Deno.test("a deadline is at least 1 ms, and at most what a timer can wait", async () => {
  const { requests, lines, codeOf } = begin();
  for (const deadline of [0, 0.5, -1, NaN, 2 ** 31, Infinity]) {
    assertEquals((await codeOf(requests.ask("pump", 1, { deadline }))).code, "BAD_ARGUMENT");
  }
  assertEquals(lines, []);
  for (const deadline of [1, 2 ** 31 - 1]) {
    const asked = requests.ask("pump", 1, { deadline });
    requests.answered({ mark: "answer", name: "pump", tag: tagOf(lines.at(-1)!), value: "1" });
    assertEquals(await asked, 1);
  }
});

Deno.test("a fault's message has the channel, the code and the words", async () => {
  const { requests, lines, codeOf } = begin();
  for (const [words, message] of [["too hot", "pump: busy: too hot"], [undefined, "pump: busy"]]) {
    const asked = codeOf(requests.ask("pump", 1, {}));
    const tag = tagOf(lines.at(-1)!);
    const why = words === undefined ? {} : { words };
    requests.answered({ mark: "fault", name: "pump", tag, code: "busy", ...why });
    const error = await asked;
    assertEquals([error instanceof FaultError, error.message], [true, message]);
  }
});
