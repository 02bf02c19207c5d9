import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { helloLine } from "../../tests/support/greeting.ts";
import { PeerError } from "./errors.ts";
import { metadatum, parseHello2, wrongMetadata } from "./greeting.ts";

Deno.test("an unknown suite is named, and the old one comes with the remedy", () => {
  for (
    const [suite, reason] of [["01", "update the device's client"], ["05", "suite 5 is unknown"]]
  ) {
    const error = assertThrows(() => parseHello2(helloLine({ suite: suite! })), PeerError);
    assertEquals(error.code, "BAD_GREETING");
    assertStringIncludes(error.message, reason!);
  }
});

Deno.test("a hello whose name is empty has metadata all the same", () => {
  const { id, metadata } = parseHello2(helloLine({ id: "\tfw=1" }));
  assertEquals([id, metadata], ["", "fw=1"]);
});

Deno.test("metadata have a value for each key", () => {
  const said = (metadata: string) => metadatum(metadata, "app");
  assertEquals(said("app=a/1/b"), "a/1/b");
  assertEquals(said("reset=power app=a=b ms=1"), "a=b");
  assertEquals(said("app="), "");
  for (const none of ["", "ap=1", "happ=1 app2=1", "reset=app=1"]) {
    assertEquals(said(none), undefined);
  }
});

Deno.test("malformed metadata are reported with the reason", () => {
  assertEquals(wrongMetadata("fw=1 up=\ud83d\udc19"), undefined);
  for (
    const [metadata, reason] of [
      ["fw=\ud83d", "lone surrogate"],
      ["fw=\x1f", "control characters"],
      ["fw", "key=value"],
      ["=1", "key=value"],
      ["a=1  b=2", "key=value"],
      ["a=" + "x".repeat(127), "128 bytes, not 129"],
      ["", "key=value"],
    ] as const
  ) assertStringIncludes(wrongMetadata(metadata)!, reason);
});
