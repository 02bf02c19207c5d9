/** The recent numbers of channels: bounded, with the newest ones complete. */
import { assert, assertEquals } from "@std/assert";
import { Events } from "../observe/events.ts";
import { Values } from "./values.ts";

function begin() {
  const events = new Events();
  let now = 0;
  const values = new Values({ events }, () => now);
  const tell = (device: string, channel: string, value: unknown, at = ++now) =>
    events.emit({
      event: "reported",
      device,
      channel,
      value: value as never,
      at: at < 0 ? undefined : new Date(at),
      isStamped: true,
    });
  return { events, values, tell };
}

Deno.test("numbers and booleans are kept in the order of their times", () => {
  const { events, values, tell } = begin();
  tell("a", "temp", 20);
  tell("a", "temp", "warm");
  tell("a", "temp", { value: 3 });
  tell("a", "temp", 22);
  tell("a", "temp", 21, 3); // stamped with an earlier time, and late
  tell("a", "lamp", true);
  tell("a", "temp", 23, -1); // of unknown time: counts as now
  assertEquals(values.of("a", "temp"), [[1, 20], [3, 21], [4, 22], [5, 23]]);
  assertEquals(values.of("a", "lamp"), [[5, 1]]);
  assertEquals(values.of("b", "temp"), []);
  events.emit({ event: "forgotten", device: "a", message: "" });
  assertEquals(values.of("a", "temp"), []);
});

Deno.test("of very many values the newest are complete, and older ones are thinned out", () => {
  const { values, tell } = begin();
  for (let n = 1; n <= 10_000; n++) tell("a", "temp", n);
  const points = values.of("a", "temp");
  assert(points.length <= 300 && points.length > 150);
  assertEquals(points.at(-1), [10_000, 10_000]);
  assertEquals(points.at(-2), [9999, 9999]);
  assert(points[0]![0] < 9000, "some old values are left");
});

Deno.test("channels and devices are bounded: the latest to report are kept", () => {
  const { values, tell } = begin();
  for (let n = 0; n < 20; n++) tell("a", `channel-${n}`, n);
  assertEquals([values.of("a", "channel-3"), values.of("a", "channel-4").length], [[], 1]);
  for (let n = 0; n < 1000; n++) tell(`device-${n}`, "temp", n);
  assertEquals([values.of("a", "channel-19"), values.of("device-0", "temp").length], [[], 1]);
});
