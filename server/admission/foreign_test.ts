import { assertEquals, assertStringIncludes } from "@std/assert";
import { adviceAbout, foreign } from "./foreign.ts";

/** @param start One character for each byte. */
function known(start: string): string | undefined {
  const bytes = Uint8Array.from(start, (character) => character.charCodeAt(0));
  return foreign(bytes)?.message.match(/this is (\w+), not a hello/)?.[1];
}

Deno.test("other protocols are recognised by their first bytes, and nothing that a device sends looks like one", () => {
  for (
    const [start, name] of [
      ["\x16\x03\x01\x02\0", "TLS"],
      ["\x16\x03\x05\x02\0", undefined],
      ["\x10\x1d\0\x04MQTT\x04\x02", "MQTT"],
      ["\x10\xff\xff\x03\0\x06MQIsdp\x03", "MQTT"],
      ["\x10\x1d\0\x04MQTI", undefined],
      ["GET / HTTP/1.1\r\n", "HTTP"],
      ["POST http://x", "HTTP"],
      ["CONNECT example.org:443 HTTP/1.1", "HTTP"],
      ["PRI * HTTP/2.0\r\n", "HTTP"],
      ["GET\n", undefined],
      ["GETTER\n", undefined],
      ["kitchen\n", undefined],
      ["\x0100", undefined],
      ["", undefined],
    ] as const
  ) assertEquals(known(start), name, JSON.stringify(start));
});

Deno.test("clients of another protocol, and boards with another firmware, are given advice", () => {
  const { code, advice } = foreign(new TextEncoder().encode("GET / HTTP/1.1\r\n"))!;
  assertEquals(code, "BAD_HELLO");
  assertStringIncludes(advice!, "a browser or another HTTP client");
  assertStringIncludes(adviceAbout("2c00ffkk1")!, "kevinkk525's fork");
  assertEquals([adviceAbout("2c00ff"), adviceAbout("kitchen")], [undefined, undefined]);
});
