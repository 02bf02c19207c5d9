import { assertEquals } from "@std/assert";
import { covers, Filters, wrongFilter, wrongTopic } from "./filters.ts";

/** MQTT's rule, as a regular expression. */
function has(filter: string, topic: string): boolean {
  const expression = filter.replaceAll("+", "[^/]*").replace(
    /(^|\/)#$/,
    (_, slash) => slash === "" ? ".*" : "(/.*)?",
  );
  return new RegExp(`^${expression}$`).test(topic);
}

/** All topics or filters of 1 to `depth` levels. */
function texts(levels: readonly string[], depth: number): string[] {
  const shorter = depth === 1 ? [] : texts(levels, depth - 1);
  const all = [...levels, ...shorter.flatMap((text) => levels.map((level) => `${level}/${text}`))];
  return [...new Set([...all, ...shorter])];
}

const TOPICS = texts(["a", "b", ""], 4);
const FILTERS = texts(["a", "b", "+", "#"], 3).filter((text) => wrongFilter(text) === undefined);

Deno.test("a filter overlaps with those that share a topic with it, and covers those all of whose topics it matches", () => {
  const of = new Map(FILTERS.map((filter) => [
    filter,
    new Set(TOPICS.filter((topic) => has(filter, topic))),
  ]));
  const all = new Filters();
  for (const filter of FILTERS) all.add(filter);
  for (const one of FILTERS) {
    const mine = of.get(one)!;
    const meeting = FILTERS.filter((other) => !mine.isDisjointFrom(of.get(other)!));
    assertEquals([...all.meeting(one)].sort(), meeting.sort(), one);
    const covered = FILTERS.filter((other) => covers(one, other));
    const inside = FILTERS.filter((other) => of.get(other)!.isSubsetOf(mine));
    // +/# matches the same topics as #, which `covers` need not know.
    assertEquals(covered, inside.filter((other) => one !== "+/#" || other !== "#"), one);
  }
});

Deno.test("a topic is found in all filters that have it, and in none that was deleted", () => {
  const all = new Filters();
  for (const filter of FILTERS) all.add(filter);
  for (const topic of TOPICS) {
    const expected = FILTERS.filter((filter) => has(filter, topic));
    assertEquals([...all.meeting(topic)].sort(), expected.sort(), topic);
  }
  const [gone, stay] = [FILTERS.filter((_, i) => i % 2 > 0), FILTERS.filter((_, i) => i % 2 === 0)];
  for (const filter of [...gone, ...gone, "never/there"]) all.delete(filter);
  assertEquals([...all.meeting("#")].sort(), stay.toSorted());
  for (const filter of stay) all.delete(filter);
  assertEquals([...all.meeting("#")], []);
});

Deno.test("invalid filters and topics are refused", () => {
  for (const good of ["a", "a/b", "/", "a//b", "+", "#", "a/+/#", "é b", "x".repeat(256)]) {
    assertEquals(wrongFilter(good), undefined, good);
  }
  const bad = [
    "",
    "x".repeat(257),
    "$SYS/#",
    "$share/g/a",
    "a/#/b",
    "a+",
    "a/b#",
    "a\0",
    "a\n",
    "\ud800",
  ];
  for (const text of bad) {
    assertEquals(typeof wrongFilter(text), "string", text);
    assertEquals(typeof wrongTopic(text), "string", text);
  }
  for (const text of ["a/+", "#"]) assertEquals(typeof wrongTopic(text), "string", text);
});
