import { assertEquals } from "@std/assert";
import type { Thing } from "../channels/thing.ts";
import type { Value } from "../protocol/channel_lines.ts";
import { diagnosticsOf } from "./diagnostics.ts";

const AT = new Date("2026-11-29T12:00:00Z");

/** A device with these channels; the channel heap has a description. */
function thing(values: Record<string, Value>, at: Date | "unknown" = AT): Thing {
  const reported = (channel: string) =>
    Object.hasOwn(values, channel)
      ? { value: values[channel]!, at: at === "unknown" ? undefined : at, isStamped: false }
      : undefined;
  const description = { channels: { heap: { kind: "sensor", unit: "KB" } } };
  return { reported, description } as unknown as Thing;
}

Deno.test("diagnostics come from the device's hello, unless a channel has a newer value", () => {
  assertEquals(diagnosticsOf(thing({}), ""), []);
  assertEquals(diagnosticsOf(thing({}), "reset=watchdog rssi=-61 heap=17448 ms=3"), [
    { name: "Signal", value: "-61", unit: "dBm" },
    { name: "Free heap", value: "17448", unit: "KB" },
  ]);
  const told = diagnosticsOf(thing({ heap: 17, temp: 20, uptime: "3 days" }), "rssi=-61 heap=12");
  assertEquals(told, [
    { name: "Signal", value: "-61", unit: "dBm" },
    { name: "Free heap", value: 17, unit: "KB", at: AT.toISOString() },
    { name: "Uptime", value: "3 days", at: AT.toISOString() },
  ]);
  assertEquals(diagnosticsOf(thing({ signal: -40 }, "unknown"), "rssi=-61"), [
    { name: "Signal", value: -40, unit: "dBm", at: null },
  ]);
});

Deno.test("names of built-in object properties are not diagnostics", () => {
  assertEquals(diagnosticsOf(thing({}), "__proto__=1 constructor=2 =3 nothing"), []);
});
