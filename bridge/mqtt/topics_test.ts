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

Deno.test("escapes that no name produces are refused", () => {
  for (const level of ["%2f", "%41", "%", "a+b", "%2", "#"]) {
    assertEquals(unescapeLevel(level), undefined, level);
  }
});

Deno.test("names of devices and channels are escaped in topics", () => {
  const topics = new Topics("home/holdfast");
  assertEquals(topics.status, "home/holdfast/status");
  assertEquals(topics.state("a/b", "led/1"), "home/holdfast/a%2Fb/led%2F1");
  assertEquals(topics.event("a+", "led"), "home/holdfast/a%2B/event/led");
  assertEquals(topics.availability("#"), "home/holdfast/%23/availability");
  const [device, channel] = ["a/b", "led/1"];
  const set = `${topics.state(device, channel)}/set`;
  assertEquals(topics.parse(set), { command: "set", device, channel });
  const to = (command: string) => topics.parse(`home/holdfast/a%2Fb/${command}/led%2F1`);
  assertEquals(to("request"), { command: "request", device, channel });
  assertEquals(to("do"), { command: "do", device, channel });
});

Deno.test("a channel may have the name of a topic that is not one of channels", () => {
  const topics = new Topics("holdfast");
  const words = [
    "availability",
    "diagnostics",
    "event",
    "set",
    "request",
    "response",
    "do",
    "status",
  ];
  for (const channel of words) {
    const state = topics.state("1", channel);
    assertEquals(
      [topics.availability("1"), topics.diagnostics("1"), topics.status].includes(state),
      false,
    );
    const device = "1";
    assertEquals(topics.parse(`${state}/set`), { command: "set", device, channel });
    const level = state.split("/").at(-1);
    for (const command of ["request", "do"] as const) {
      assertEquals(topics.parse(`holdfast/1/${command}/${level}`), { command, device, channel });
    }
    // Topics that the bridge publishes are no commands.
    const told = [state, topics.event("1", channel), topics.response("1", channel)];
    for (const topic of told) assertEquals(topics.parse(topic), undefined, topic);
  }
  for (const word of words.slice(0, -1)) {
    assertEquals(topics.parse(`holdfast/1/${word}/set`), undefined, word);
  }
});

Deno.test("other topics are no commands", () => {
  const topics = new Topics("holdfast");
  const others = [
    "holdfast/1/led",
    "holdfast/1/led/set/more",
    "holdfast/1//set",
    "holdfast//led/set",
    "holdfast/1/request/",
    "holdfast/1/do/a/b",
    "holdfast/1/event/led",
  ];
  for (
    const topic of [...others, "other/1/led/set", "holdfastx/1/led/set", "holdfast/a%2f/led/set"]
  ) {
    assertEquals(topics.parse(topic), undefined, topic);
  }
});

Deno.test("the device is found in each of its topics, and in no other topic", () => {
  const topics = new Topics("home/holdfast");
  for (const id of ["1", "a/b", "event", "#", "%"]) {
    const all = [topics.state(id, "led/1"), topics.event(id, "x"), topics.availability(id)];
    for (const topic of [...all, topics.diagnostics(id)]) assertEquals(topics.deviceOf(topic), id);
  }
  for (const topic of [topics.status, "home/holdfast/1", "home/1/led", "home/holdfast//x", ""]) {
    assertEquals(topics.deviceOf(topic), undefined, topic);
  }
});

Deno.test("a prefix that is not a topic is refused by name", () => {
  for (const prefix of ["", "a/", "/a", "a//b", "a/+", "#", "$SYS", "a\0", "x".repeat(257)]) {
    const error = assertThrows(() => new Topics(prefix), LocalError, "prefix");
    assertEquals(error.code, "BAD_ARGUMENT");
  }
});

Deno.test("an answer may not go to a command topic, nor to a state of the bridge", () => {
  const topics = new Topics("home/holdfast");
  const good = [
    "me/answers",
    "home/holdfast/1/response/adc",
    "home/holdfast/nobody/response/x",
    "homes",
    "x".repeat(1024),
  ];
  for (const topic of good) assertEquals(topics.wrongResponse(topic), undefined, topic);
  const bad = [
    "",
    "a/#",
    "a/+/b",
    "a\0",
    "$SYS/x",
    "$share/a/b",
    "x".repeat(1025),
    "home/holdfast/",
    "home/holdfast/status",
    "home/holdfast/1/led",
    "home/holdfast/1/led/set",
    "home/holdfast/1/request/led",
    "home/holdfast/1/do/led",
    "home/holdfast/1/response/",
    "home/holdfast/1/response/a/b",
  ];
  for (const topic of bad) assertEquals(typeof topics.wrongResponse(topic), "string", topic);
});
