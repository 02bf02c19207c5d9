import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import {
  checkPart,
  describePart,
  type Manifest,
  type Part,
  partsFor,
  readManifest,
  writeManifest,
} from "./manifest.ts";

const part = (name: string, offset: number, size = 4096): Part => ({
  name,
  offset,
  size,
  sha256: "0123456789abcdef".repeat(4),
  file: `${name}.bin`,
});

const firmware = (): Manifest => ({
  name: "holdfast",
  version: "0.1.0",
  board: "nonos",
  flavour: "wifi",
  chip: "ESP8266",
  parts: [part("boot", 0, 30_000), part("code", 0x10000, 250_000)],
  flash: {
    "1MB": [part("rf-calibration", 0xfb000), part("init-data", 0xfc000, 128)],
    "4MB": [part("rf-calibration", 0x3fb000), { ...part("boot", 0, 30_000), file: "boot-4MB.bin" }],
  },
  applications: [part("main", 0xf0000, 4520), part("qos", 0xf0000, 0xa000)],
  settings: { offset: 0xfa000, size: 4096 },
});

Deno.test("a manifest is read as it was written", () => {
  assertEquals(readManifest(writeManifest(firmware())), firmware());
});

Deno.test("a manifest with an application in the firmware lists no others", () => {
  const aot = { ...firmware(), aot: "main", applications: [] };
  assertEquals(readManifest(writeManifest(aot)), aot);
});

Deno.test("fields of later versions are ignored", () => {
  assertEquals(readManifest(JSON.stringify({ ...firmware(), built: "today" })), firmware());
});

Deno.test("a module gets the common parts and those for its size of flash, in order", () => {
  const files = (size: "1MB" | "4MB") => partsFor(firmware(), size).map(({ file }) => file);
  assertEquals(files("1MB"), ["boot.bin", "code.bin", "rf-calibration.bin", "init-data.bin"]);
  assertEquals(files("4MB"), ["boot-4MB.bin", "code.bin", "rf-calibration.bin"]);
});

Deno.test("a size of flash that the firmware does not support is refused", () => {
  const only = { ...firmware(), flash: { "4MB": [] } };
  assertThrows(() => partsFor(only, "1MB"), LocalError, "for 4MB of flash, not for 1MB");
});

Deno.test("a faulty manifest is refused with the reason", () => {
  const cases: [(m: Manifest) => unknown, string][] = [
    [() => [], "it must be an object, not []"],
    [() => null, "it must be an object, not null"],
    [(m) => ({ ...m, name: undefined }), "name must be a text, not nothing"],
    [(m) => ({ ...m, aot: "" }), `aot must be a text, not ""`],
    [(m) => ({ ...m, aot: "main" }), "applications must be empty, as the firmware contains one"],
    [(m) => ({ ...m, version: "" }), `version must be a text, not ""`],
    [(m) => ({ ...m, chip: "ESP32" }), `chip must be "ESP8266", not "ESP32"`],
    [(m) => ({ ...m, parts: {} }), "parts must be an array, not {}"],
    [(m) => ({ ...m, parts: [7] }), "parts[0] must be an object, not 7"],
    [(m) => ({ ...m, flash: [] }), "flash must be an object, not []"],
    [(m) => ({ ...m, flash: { "2MB": [] } }), `must be an object with 1MB and 4MB, not "2MB"`],
    [(m) => ({ ...m, settings: { offset: 1, size: 1 } }), "settings.offset must be a multiple"],
    [(m) => ({ ...m, settings: undefined }), "settings must be an object, not nothing"],
    [(m) => (m.parts[1]!.offset = -4096, m), "parts[1].offset must be a multiple of 4096"],
    [(m) => (m.parts[1]!.offset = 0.5, m), "parts[1].offset must be a multiple of 4096"],
    [(m) => (m.parts[1]!.offset = 2 ** 32, m), "parts[1].offset must be a multiple of 4096"],
    [(m) => (m.parts[1]!.size = 0, m), "parts[1].size must be a number of bytes, not 0"],
    [(m) => (m.parts[0]!.sha256 = "ab", m), `parts[0].sha256 must be 64 hex digits, not "ab"`],
    [(m) => (m.parts[0]!.file = "../../etc/passwd", m), "parts[0].file must be the name of a file"],
    [(m) => (m.parts[0]!.file = "..", m), "parts[0].file must be the name of a file"],
    [(m) => (m.parts[0]!.file = "https:x", m), "parts[0].file must be the name of a file"],
    [(m) => (m.parts[1]!.name = "boot", m), `parts[1].name must be unique, not "boot"`],
    [(m) => (m.parts[0]!.size = 0x10001, m), "code would overwrite boot in 1MB of flash"],
    [(m) => (m.applications[1]!.size++, m), "settings would overwrite qos in 1MB of flash"],
    [(m) => (m.settings.size = 4097, m), "rf-calibration would overwrite settings in 1MB"],
    [(m) => (m.flash["1MB"]![1]!.offset = 0x100000, m), "init-data reaches beyond 1MB of flash"],
    [(m) => (m.flash["4MB"]![0]!.size = 0x6000, m), "rf-calibration reaches beyond 4MB of flash"],
  ];
  for (const [spoil, message] of cases) {
    assertThrows(() => readManifest(JSON.stringify(spoil(firmware()))), LocalError, message);
  }
  assertThrows(() => readManifest("<html>"), LocalError, "the manifest is not JSON");
});

Deno.test("a faulty manifest is not written", () => {
  const manifest = { ...firmware(), version: "" };
  assertThrows(() => writeManifest(manifest), LocalError, "version must be a text");
});

Deno.test("a file that differs from its manifest is refused", async () => {
  const bytes = new TextEncoder().encode("abc");
  const part = await describePart("boot", 0, "boot.bin", bytes);
  assertEquals(part.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  await checkPart(part, bytes);
  await assertRejects(() => checkPart(part, bytes.slice(1)), LocalError, "boot.bin has 2 bytes");
  const other = new TextEncoder().encode("abd");
  await assertRejects(() => checkPart(part, other), LocalError, "(its SHA-256 differs)");
});
