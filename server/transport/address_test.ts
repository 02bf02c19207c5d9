import { assertEquals } from "@std/assert";
import { isLoopback, joinAddress, peerOf } from "./address.ts";

Deno.test("an IPv6 address is in brackets before its port", () => {
  assertEquals(joinAddress("10.0.0.7", 80), "10.0.0.7:80");
  assertEquals(joinAddress("::1", 80), "[::1]:80");
});

Deno.test("connections count per IPv4 address, however it is written, or per IPv6 network", () => {
  for (
    const [hostname, peer] of [
      ["10.0.0.7", "10.0.0.7"],
      ["::ffff:10.0.0.7", "10.0.0.7"],
      ["::FFFF:10.0.0.7", "10.0.0.7"],
      ["2001:db8:0:1::7", "2001:db8:0:1::/64"],
      ["2001:0DB8:0000:0001:a:b:c:d", "2001:db8:0:1::/64"],
      ["2001:db8::1:2:3:4:5", "2001:db8:0:1::/64"],
      ["2001:db8::1", "2001:db8:0:0::/64"],
      ["2001:db8::", "2001:db8:0:0::/64"],
      ["::1", "0:0:0:0::/64"],
      ["1:2:3::9:10.0.0.7", "1:2:3:0::/64"],
      ["1:2:3:4:5:6:7::", "1:2:3:4::/64"],
      ["fe80::7%eth0", "fe80::7%eth0"],
      ["fe80::8%eth0", "fe80::8%eth0"],
      ["FEBF::8", "FEBF::8"],
      ["", ""],
    ] as const
  ) assertEquals(peerOf(hostname), peer, hostname);
});

Deno.test("only loopback addresses count as this machine alone", () => {
  for (const name of ["localhost", "::1", "127.0.0.1", "127.255.0.9"]) {
    assertEquals(isLoopback(name), true, name);
  }
  for (const name of ["0.0.0.0", "::", "192.168.1.2", "127.0.0.1.example", "x127.0.0.1", ""]) {
    assertEquals(isLoopback(name), false, name);
  }
});
