import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "./errors.ts";
import { sayFault } from "./fault.ts";

/** What a device is told that takes lines of this many characters. */
function toldTo(longest: number): string[] {
  const told: string[] = [];
  sayFault((line) => {
    if (line.length > longest) throw new LocalError("BAD_TEXT", "too long for the device");
    told.push(line);
  }, { mark: "fault", name: "fan", tag: "3", code: "busy", words: "it is too hot" });
  return told;
}

Deno.test("a fault is said as far as the device takes it", () => {
  assertEquals(toldTo(100), ["~fan.3 busy it is too hot"]);
  assertEquals(toldTo(20), ["~fan.3 busy"]);
  assertEquals(toldTo(5), []);
});

Deno.test("what else keeps a fault from being said is the caller's affair", () => {
  const full = () => {
    throw new LocalError("OUTBOX_FULL", "no room");
  };
  const fault = { mark: "fault", name: "fan", code: "busy", words: "hot" } as const;
  assertEquals(assertThrows(() => sayFault(full, fault), LocalError).code, "OUTBOX_FULL");
});
