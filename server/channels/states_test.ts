/** The desired and reported state of a device's channels, without a server. */
import { assertEquals } from "@std/assert";
import { Records } from "../../tests/support/records.ts";
import { hasChannels, isMet, nextTag, States } from "./states.ts";

function begin() {
  const record = new Records().create("1");
  const states = new States(record);
  /** Sets, sends and answers a value, and returns whether it is met. */
  const settle = (name: string, text: string, answer?: string) => {
    states.set(name, { text, at: 1, by: "server" });
    const tag = nextTag(states.get(name));
    states.sent(name, tag);
    states.answered(name, 2, tag, answer);
    return isMet(states.get(name));
  };
  return { record, states, settle };
}

Deno.test("values are compared by meaning, not by their text", () => {
  const cases: [string, string, boolean][] = [
    ["20", "20", true],
    ["20", "20.0", true],
    ["20", "21", false],
    ["20", '"20"', false],
    ["on", '"on"', true],
    ['{"a":[1,2]}', '{ "a": [1, 2.0] }', true],
    ['{"a":[1,2]}', '{"a":[1,3]}', false],
    ["null", "[]", false],
    ["[]", "null", false],
    ["[1]", "1", false],
    ["1", "[1]", false],
  ];
  for (const [desired, reported, isSame] of cases) {
    const { settle } = begin();
    assertEquals([desired, reported, settle("led", desired, reported)], [
      desired,
      reported,
      isSame,
    ]);
  }
});

Deno.test("channels are recognised among all memos of a device", () => {
  const { record, states, settle } = begin();
  assertEquals(hasChannels(record), false);
  record.setMemo("clock", "1");
  record.setMemo("a=", "1");
  assertEquals([hasChannels(record), states.names()], [false, []]);
  settle("led", "1");
  assertEquals([hasChannels(record), states.names()], [true, ["led"]]);
});

Deno.test("a refused setting may be set again, and is sent again", () => {
  const { states } = begin();
  const setting = { text: "5", at: 1, by: "server" };
  states.set("fan", setting);
  states.sent("fan", "1");
  states.refused("fan", "1", "busy");
  assertEquals([isMet(states.get("fan")), states.get("fan").fault], [false, "busy"]);
  states.set("fan", setting);
  assertEquals([states.get("fan").isDue, states.get("fan").fault], [true, undefined]);
});

Deno.test("a refused setting is not met, even if the device reports that value, and may be set again", () => {
  const { states } = begin();
  const setting = { text: "5", at: 1, by: "server" };
  states.reported("fan", { text: "5", at: 0 }, "wins");
  states.set("fan", setting);
  states.sent("fan", "1");
  states.refused("fan", "1", "busy");
  assertEquals(isMet(states.get("fan")), false);
  states.set("fan", setting);
  assertEquals(states.get("fan").isDue, true);
});

Deno.test("a repeated setting is sent again only if the device differs by now", () => {
  const { states, settle } = begin();
  settle("led", "1");
  states.set("led", { text: "1.0", at: 5, by: "somebody" });
  assertEquals([states.get("led").isDue, states.get("led").desired?.by], [undefined, "server"]);
  states.answered("led", 6, "1", "0"); // it has answered once more, with another value
  states.sent("led", "2");
  states.answered("led", 7, "2", "0");
  states.set("led", { text: "1", at: 8, by: "somebody" });
  assertEquals(states.get("led").isDue, true);
});

Deno.test("an answer without a value, if something newer is due, only ends the waiting", () => {
  const { states } = begin();
  states.set("led", { text: "1", at: 1, by: "server" });
  states.sent("led", "1");
  states.set("led", { text: "2", at: 2, by: "server" });
  assertEquals(states.answered("led", 3, "1"), undefined);
  const { isAwaited, isDue, reported } = states.get("led");
  assertEquals([isAwaited, isDue, reported], [undefined, true, undefined]);
});

Deno.test("a change at the device has the time when it was taken, if that is known", () => {
  const { states, settle } = begin();
  settle("led", "1");
  states.reported("led", { text: "0", at: 9, taken: 5 }, "wins");
  assertEquals(states.get("led").desired, { text: "0", at: 5, by: "device" });
  states.reported("led", { text: "1", at: 10, taken: null }, "wins");
  assertEquals(states.get("led").desired?.at, 10);
});

Deno.test("a report is news if it differs from the last one, and will not be set back", () => {
  const { states, settle } = begin();
  assertEquals(states.isNews("led", "1", "loses"), true, "no other value is desired");
  settle("led", "1");
  assertEquals(["wins", "loses"].map((rule) => states.isNews("led", "0", rule as "wins")), [
    true,
    false,
  ]);
  assertEquals(states.isNews("led", "1.0", "wins"), false);
});

Deno.test("a channel without values is not kept, and a channel that was never set is not due", () => {
  const { record, states } = begin();
  states.set("led", { text: "1", at: 1, by: "server" });
  states.put("led", {}); // as if it had never been set
  assertEquals([record.memos.size, [...states.due]], [0, []]);
  states.reported("temp", { text: "20", at: 1 }, "wins");
  assertEquals([states.forgotten(), [...states.due]], [[], []]);
});
