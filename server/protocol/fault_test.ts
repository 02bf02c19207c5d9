import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "./errors.ts";
import { sayFault } from "./fault.ts";

/** What is sent to a device that takes lines of at most this many characters. */
function toldTo(longest: number): string[] {
  const told: string[] = [];
  sayFault((line) => {
    if (line.length > longest) throw new LocalError("BAD_TEXT", "too long for the device");
    told.push(line);
  }, { mark: "fault", name: "fan", tag: "3", code: "busy", words: "it is too hot" });
  return told;
}

Deno.test("a fault is sent without its words, or not at all, if the device takes only shorter lines", () => {
  assertEquals(toldTo(100), ["~fan.3 busy it is too hot"]);
  assertEquals(toldTo(20), ["~fan.3 busy"]);
  assertEquals(toldTo(5), []);
});

Deno.test("any other error of sending a fault is passed on to the caller", () => {
  const full = () => {
    throw new LocalError("OUTBOX_FULL", "no room");
  };
  const fault = { mark: "fault", name: "fan", code: "busy", words: "hot" } as const;
  assertEquals(assertThrows(() => sayFault(full, fault), LocalError).code, "OUTBOX_FULL");
});
