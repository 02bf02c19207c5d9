import { assertEquals } from "@std/assert";
import type { Manifest } from "../../esp8266/manifest.ts";
import { firmwareNames } from "./firmware.ts";

function named(name: string, board: string, flavour: string): { manifest: Manifest } {
  return {
    manifest: {
      name,
      version: "0.1.0",
      board,
      flavour,
      chip: "ESP8266",
      parts: [],
      flash: {},
      applications: [],
      settings: { offset: 0xfa000, size: 4096 },
    },
  };
}

Deno.test("firmware is called by what it is for, and by its board only if it must be", () => {
  const wifi = named("holdfast", "nonos", "wifi");
  const pyboard = named("holdfast", "nonos", "pyboard");
  const other = named("holdfast", "other", "wifi");
  const own = named("my own", "nonos", "lamp");
  assertEquals(firmwareNames([wifi, pyboard]), [
    "Holdfast 0.1.0 (WiFi)",
    "Holdfast 0.1.0 (Pyboard link)",
  ]);
  assertEquals(firmwareNames([wifi, other, own]), [
    "Holdfast 0.1.0 (WiFi) for nonos",
    "Holdfast 0.1.0 (WiFi) for other",
    "my own 0.1.0 (lamp)",
  ]);
  assertEquals(firmwareNames([]), []);
});
