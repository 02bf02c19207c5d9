/** A chip and its WiFi: its settings, and its messages when it cannot join. */
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
  "the radio gets the static address and the country, which belong to their WiFi",
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
    // A static address can be set over the serial line.
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
  ["associated", "no-dhcp"], // admitted, and then nothing: the SDK's DHCP may try for longer than we wait
  ["silent", "no-answer"],
];

for (const [outcome, reason] of reasons) {
  chipTest(
    `a WiFi that cannot be joined (${outcome}) is reported as down, with the reason, and tried again`,
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

chipTest("a failure with a static address is not blamed on DHCP", async () => {
  await using server = await listen();
  const ip = { address: "192.168.7.50", netmask: "255.255.255.0" };
  await using board = await plugInTo(server, { ip });
  board.wifi = "associated";
  await line(board, "wifi down reason=no-answer");
});
