/** A chip and its WiFi: what it is told, and what it says when that comes to nothing. */
import { assertEquals } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { encodeChanges, encodeWifi } from "../../bridge/formats/improv.ts";
import type { WifiOutcome } from "../../bridge/esp8266/emulator/emulator.ts";
import type { Settings } from "../../bridge/formats/settings.ts";
import { application, chipTest, isUp, line, plugIn } from "./support.ts";
import { until } from "../support/wait.ts";

const SPEED = 20;
const TIMEOUT = 1000;

function listen(): Promise<Server> {
  return Server.listen({ port: 0, hostname: "127.0.0.1", timeout: TIMEOUT, open: true });
}

function plugInTo(server: Server, settings: Settings = {}) {
  return plugIn({
    port: server.port,
    id: "1",
    application: application("main"),
    speed: SPEED,
    settings: { timeout: TIMEOUT * SPEED, ...settings },
  });
}

chipTest(
  "a static address and a country are what the radio is told, and go with their WiFi",
  async () => {
    await using server = await listen();
    const ip = {
      address: "192.168.7.50",
      netmask: "255.255.255.0",
      gateway: "192.168.7.1",
      dns: "9.9.9.9",
    };
    await using board = await plugInTo(server, { ip, country: "DE" });
    await until(() => isUp(board), { what: "the link" });
    assertEquals(board.join, { ssid: "Home", password: "12345678", country: "DE", ip });
    assertEquals(await line(board, "wifi up"), "holdfast: wifi up ip=192.168.7.50");
    // Another WiFi is another network: its DHCP gives the address.
    board.type(encodeWifi("Hall", "87654321"));
    await line(board, "wifi joining ssid=Hall");
    await until(() => board.join?.ssid === "Hall", { what: "the other WiFi" });
    assertEquals(board.join, {
      ssid: "Hall",
      password: "87654321",
      country: "DE",
      ip: undefined,
    });
    // It can be given one over the serial line.
    for (const frame of encodeChanges({ ip: { ...ip, address: "192.168.7.51" } })) {
      board.type(
        frame,
      );
    }
    await line(board, "wifi up ip=192.168.7.51");
  },
);

const reasons: [outcome: WifiOutcome, reason: string][] = [
  ["wrong-password", "wrong-password"],
  ["no-dhcp", "no-dhcp"],
  ["associated", "no-dhcp"], // let in, and then nothing: the SDK's DHCP may try for longer than we wait
  ["silent", "no-answer"],
];

for (const [outcome, reason] of reasons) {
  chipTest(
    `a WiFi that cannot be joined (${outcome}) is said to be down, with the reason, and tried again`,
    async () => {
      await using server = await listen();
      await using board = await plugInTo(server);
      board.wifi = outcome;
      await line(board, `wifi down reason=${reason}`);
      await until(() => board.joins >= 2, { what: "another try" });
      board.wifi = "up";
      await until(() => isUp(board), { what: "the link" });
    },
  );
}

chipTest("a static address that gets no further is not blamed on DHCP", async () => {
  await using server = await listen();
  const ip = { address: "192.168.7.50", netmask: "255.255.255.0" };
  await using board = await plugInTo(server, { ip });
  board.wifi = "associated";
  await line(board, "wifi down reason=no-answer");
});
