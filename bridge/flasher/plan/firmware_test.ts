import { assertEquals } from "@std/assert";
import type { Manifest } from "../../formats/manifest.ts";
import { firmwareNames, isApplicationWithin, isToldSettings } from "./firmware.ts";

const APPLICATION = { name: "main", offset: 0xf0000, size: 1, sha256: "0".repeat(64), file: "m" };

function named(name: string, board: string, flavour: string): { manifest: Manifest } {
  return {
    manifest: {
      name,
      version: "0.1.0",
      board,
      flavour,
      ...(flavour === "pyboard" ? { aot: "pyboard" } : {}),
      chip: "ESP8266",
      parts: [],
      flash: {},
      applications: flavour === "pyboard" ? [] : [APPLICATION],
      settings: { offset: 0xfa000, size: 4096 },
    },
  };
}

Deno.test("firmware is named by its purpose, and by its board only if necessary", () => {
  const wifi = named("holdfast", "nonos", "wifi");
  const pyboard = named("holdfast", "nonos", "pyboard");
  const other = named("holdfast", "other", "wifi");
  const own = named("my own", "nonos", "lamp");
  assertEquals(firmwareNames([wifi, pyboard]), [
    "Holdfast 0.1.0 (WiFi)",
    "Holdfast 0.1.0 (link for a Pyboard)",
  ]);
  assertEquals(firmwareNames([wifi, other, own]), [
    "Holdfast 0.1.0 (WiFi) for nonos",
    "Holdfast 0.1.0 (WiFi) for other",
    "my own 0.1.0 (lamp)",
  ]);
  assertEquals(firmwareNames([]), []);
});

Deno.test("firmware with its application in it is distinguished from firmware that needs one", () => {
  const wifi = named("holdfast", "nonos", "wifi");
  const aot = { manifest: { ...wifi.manifest, applications: [], aot: "main" } };
  assertEquals(firmwareNames([wifi, aot]), [
    "Holdfast 0.1.0 (WiFi)",
    "Holdfast 0.1.0 (WiFi) with its application in it",
  ]);
  const pyboard = named("holdfast", "nonos", "pyboard");
  const bare = { manifest: { ...wifi.manifest, applications: [] } }; // needs one from elsewhere
  const kinds = [wifi, aot, pyboard, bare].map(({ manifest }) => [
    isApplicationWithin(manifest),
    isToldSettings(manifest),
  ]);
  assertEquals(kinds, [[false, false], [true, false], [true, true], [false, false]]);
});
