import { assertEquals } from "@std/assert";
import { boardAddresses } from "./reachable.ts";

function on(name: string, address: string, family = "IPv4") {
  return { name, family, address };
}

Deno.test("boards get addresses in the local network, not those of virtual networks and tunnels", () => {
  assertEquals(
    boardAddresses([
      on("lo", "127.0.0.1"),
      on("docker0", "172.17.0.1"),
      on("wlan0", "fe80::1", "IPv6"),
      on("wg0", "10.9.0.2"),
      on("eth1", "10.0.0.7"),
      on("wlan0", "192.168.1.10"),
      on("eth2", "169.254.3.4"),
      on("vEthernet (WSL)", "172.25.0.1"),
      on("Wi-Fi", "192.168.1.10"),
    ]),
    ["192.168.1.10", "10.0.0.7"],
  );
});

Deno.test("without a network there is no address, and of many the three likeliest are listed", () => {
  assertEquals(boardAddresses([on("lo", "127.0.0.1")]), []);
  assertEquals(boardAddresses([]), []);
  const many = ["8.8.8.8", "172.16.0.1", "10.0.0.1", "192.168.0.1"];
  assertEquals(boardAddresses(many.map((address, at) => on(`eth${at}`, address))), [
    "192.168.0.1",
    "10.0.0.1",
    "172.16.0.1",
  ]);
});
