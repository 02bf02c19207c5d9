import { assertEquals, assertMatch } from "@std/assert";
import { doubtful, wrongPassword, wrongServer } from "./checks.ts";

Deno.test("addresses that a board cannot reach any server at are each refused with their own reason", () => {
  for (
    const [host, words] of [
      ["localhost", /the board itself/],
      ["LOCALHOST.", /the board itself/],
      ["my.localhost", /the board itself/],
      ["127.0.0.1", /the board itself/],
      ["127.1", /the board itself/],
      ["0.0.0.0", /all of its addresses/],
      ["0.1.2.3", /all of its addresses/],
      ["255.255.255.255", /of many at once/],
      ["224.0.0.1", /of many at once/],
      ["raspberrypi.local", /end in \.local/],
      ["192.168.1.256", /four numbers/],
      ["192.168.1.999", /four numbers/],
      ["192.168.1", /four numbers/],
      ["192.168.1.10.5", /four numbers/],
      ["192.168..10", /four numbers/],
      ["192.168.1.010", /four numbers/],
      ["1921681.10", /four numbers/],
      ["3232235786", /four numbers/],
      ["...", /four numbers/],
    ] as const
  ) {
    assertMatch(wrongServer(host) ?? "", words, host);
  }
  for (
    const host of [
      "192.168.1.10",
      "10.0.0.1",
      "172.16.255.1",
      "1.2.3.0",
      "server",
      "a.example.org",
      "4you",
      "local",
    ]
  ) {
    assertEquals(wrongServer(host), undefined, host);
  }
});

Deno.test("a WiFi password of 64 characters must be a key in hex", () => {
  assertMatch(wrongPassword("x".repeat(64)) ?? "", /63 characters at most/);
  assertMatch(wrongPassword("0".repeat(63) + "g") ?? "", /hex digits/);
  for (const right of ["", "12345678", "x".repeat(63), "0123456789abcDEF".repeat(4)]) {
    assertEquals(wrongPassword(right), undefined);
  }
});

Deno.test("spaces at either end are doubtful, others are not", () => {
  for (const text of [" Home", "Home ", "\tHome", "Home\u00a0", " "]) {
    assertMatch(doubtful(text)!, /space/);
  }
  for (const text of ["", "Home", "My home"]) assertEquals(doubtful(text), undefined);
});
