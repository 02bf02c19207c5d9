import { assertEquals } from "@std/assert";
import { diagnosticsOf } from "./diagnostics.ts";

const NOW = Date.parse("2026-05-06T07:08:09Z");

Deno.test("diagnostics are the metadata, numbers as numbers, and the time at which the device started", () => {
  const metadata = "reset=watchdog version=0.1.0 board=nonos rssi=-61 heap=17448 ms=9000";
  assertEquals(diagnosticsOf(metadata, NOW), {
    reset: "watchdog",
    version: "0.1.0",
    board: "nonos",
    rssi: -61,
    heap: 17448,
    booted: "2026-05-06T07:08:00.000Z",
  });
});

Deno.test("odd metadata is read as far as possible, without keys that only the bridge may set", () => {
  assertEquals(diagnosticsOf("", NOW), {});
  assertEquals(diagnosticsOf("a=b=c x= ms=soon ms=1", NOW), { a: "b=c", x: "" });
  assertEquals(diagnosticsOf("ms=4294967296 booted=yesterday", NOW), {});
  const own = diagnosticsOf("__proto__=1", NOW);
  assertEquals(Object.keys(own), ["__proto__"]);
});

Deno.test("within a boot the same start time is published; after another boot, another one", () => {
  const first = diagnosticsOf("ms=1000", NOW);
  const day = 86_400_000;
  for (const days of [1, 10, 49, 50, 60, 100]) {
    const now = NOW + days * day;
    const ms = (1000 + Math.round(days * day * 1.00005)) % 2 ** 32; // a clock that is a little fast
    assertEquals(diagnosticsOf(`ms=${ms}`, now, first), first, `after ${days} days`);
  }
  const { booted } = diagnosticsOf("ms=1000", NOW + day, first);
  assertEquals(booted, new Date(NOW + day - 1000).toISOString());
});
