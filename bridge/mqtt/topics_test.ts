import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import { escapeLevel, Topics, unescapeLevel } from "./topics.ts";

Deno.test("a name is one level of a topic, and comes back as it was", () => {
  const names = ["kitchen", "a/b", "+", "#", "%", "%2F", "a\0b", "ö/é", "100%", "%%25", ""];
  for (const name of names) {
    const level = escapeLevel(name);
    assertEquals(/[+#/\0]/.test(level), false, level);
    assertEquals(unescapeLevel(level), name);
  }
  assertEquals(new Set(names.map(escapeLevel)).size, names.length);
});

Deno.test("what no name is escaped to stands for nothing", () => {
  for (const level of ["%2f", "%41", "%", "a+b", "%2", "#"]) {
    assertEquals(unescapeLevel(level), undefined, level);
  }
});

Deno.test("topics of a device with a difficult name", () => {
  const topics = new Topics("home/holdfast");
  assertEquals(topics.status, "home/holdfast/status");
  assertEquals(topics.state("a/b", "led/1"), "home/holdfast/a%2Fb/led%2F1");
  assertEquals(topics.event("a+", "led"), "home/holdfast/a%2B/event/led");
  assertEquals(topics.availability("#"), "home/holdfast/%23/availability");
  const set = `${topics.state("a/b", "led/1")}/set`;
  assertEquals(topics.parse(set), { device: "a/b", channel: "led/1" });
});

Deno.test("a channel may be called like a topic that is none", () => {
  const topics = new Topics("holdfast");
  const others = [topics.availability("1"), topics.diagnostics("1"), topics.status];
  for (const channel of ["availability", "diagnostics", "event", "set", "status"]) {
    assertEquals(others.includes(topics.state("1", channel)), false);
    assertEquals(topics.parse(topics.setting("1", channel)), { device: "1", channel });
  }
  assertEquals(topics.parse("holdfast/1/availability/set"), undefined);
  assertEquals(topics.parse("holdfast/1/diagnostics/set"), undefined);
});

Deno.test("other topics set nothing", () => {
  const topics = new Topics("holdfast");
  const others = [
    "holdfast/1/led",
    "holdfast/1/led/set/more",
    "holdfast/1//set",
    "holdfast//led/set",
  ];
  for (
    const topic of [...others, "other/1/led/set", "holdfastx/1/led/set", "holdfast/a%2f/led/set"]
  ) {
    assertEquals(topics.parse(topic), undefined, topic);
  }
});

Deno.test("whose a topic is", () => {
  const topics = new Topics("home/holdfast");
  for (const id of ["1", "a/b", "event", "#", "%"]) {
    const all = [topics.state(id, "led/1"), topics.event(id, "x"), topics.availability(id)];
    for (const topic of [...all, topics.diagnostics(id)]) assertEquals(topics.deviceOf(topic), id);
  }
  for (const topic of [topics.status, "home/holdfast/1", "home/1/led", "home/holdfast//x", ""]) {
    assertEquals(topics.deviceOf(topic), undefined, topic);
  }
});

Deno.test("a prefix that is no topic is refused by name", () => {
  for (const prefix of ["", "a/", "/a", "a//b", "a/+", "#", "$SYS", "a\0", "x".repeat(257)]) {
    const error = assertThrows(() => new Topics(prefix), LocalError, "prefix");
    assertEquals(error.code, "BAD_ARGUMENT");
  }
});
