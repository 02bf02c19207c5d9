/** A release: complete, the same wherever it is built, and with the licences of everything in it. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  checkPart,
  type FlashSize,
  flashSizes,
  partsFor,
  readManifest,
} from "../../bridge/formats/manifest.ts";
import { decodeImage } from "../../bridge/formats/image.ts";
import { firmwareLicences } from "../../bridge/esp8266/licences.ts";
import { run } from "../../bridge/esp8266/toolchain.ts";
import { BuildError } from "../../bridge/esp8266/errors.ts";
import { buildFirmware, filesBelow, RELEASE_TOOLS } from "../support/release.ts";
import { toolTest } from "../support/tools.ts";
import { chipTools } from "./support.ts";

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-release-test-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

toolTest(
  "a release is the same wherever it is built, and complete: page, images, manifests, checksums, licences",
  { ...chipTools, ...RELEASE_TOOLS, sha256sum: "coreutils" },
  async () => {
    await inFolder(async (folder) => {
      await Deno.mkdir(`${folder}/elsewhere`);
      const first = await buildFirmware(["--board", "emulator", "--release", `${folder}/a`]);
      assertEquals([first.code, first.err], [0, ""]);
      // With a relative path, and over an earlier release, of which nothing must be left.
      await Deno.mkdir(`${folder}/elsewhere/b/firmware`, { recursive: true });
      await Deno.writeTextFile(`${folder}/elsewhere/b/firmware/old.bin`, "old");
      await Deno.writeTextFile(
        `${folder}/elsewhere/b/SHA256SUMS`,
        `${"0".repeat(64)}  firmware/old.bin\n`,
      );
      const again = await buildFirmware(["--release", "b", "--json"], `${folder}/elsewhere`);
      assertEquals([again.code, again.err], [0, ""]);
      const files = filesBelow(`${folder}/a`);
      assertEquals(filesBelow(`${folder}/elsewhere/b`), files);
      assertEquals(JSON.parse(again.out).files, [...files.keys()]);

      // Every file but one is in the list of checksums, and matches it.
      await run("sha256sum", ["--check", "--strict", "--quiet", "SHA256SUMS"], `${folder}/a`);
      const summed = text(files.get("SHA256SUMS")).trim().split("\n").map((line) => line.slice(66));
      assertEquals(summed, [...files.keys()].filter((name) => name !== "SHA256SUMS"));

      const listed = JSON.parse(text(files.get("firmware/index.json")));
      assertEquals(listed, ["emulator", "emulator-pyboard"]);
      const named = new Set<string>();
      for (const name of listed) {
        const file = (part: string) => files.get(`firmware/${name}/${part}`)!;
        const json = text(file("manifest.json"));
        const manifest = readManifest(json);
        for (const size of Object.keys(flashSizes) as FlashSize[]) {
          for (const part of [...partsFor(manifest, size), ...manifest.applications]) {
            await checkPart(part, file(part.file));
            named.add(`firmware/${name}/${part.file}`);
          }
          decodeImage(file(partsFor(manifest, size)[0]!.file)); // the ROM would start it
        }
        for (const { parts } of JSON.parse(json).builds) { // for ESP Web Tools
          for (const { path } of parts) assert(file(path) !== undefined, path);
        }
      }
      assertEquals([...files.keys()].filter((path) => path.endsWith(".bin")), [...named].sort());

      const licences = text(files.get("licences.txt"));
      for (
        const name of [
          ...["Holdfast", "esptool-js", "pako", "esp-flasher-stub", "picolibc", "wasm3"],
          ...["wabt", "libgcc", "Apache License", "MIT License", "AssemblyScript"],
        ]
      ) assertStringIncludes(licences, name);
      assertStringIncludes(text(files.get("index.html")), 'href="licences.txt"');
      // It contains no paths of this computer.
      for (const [path, bytes] of files) {
        const content = new TextDecoder("latin1").decode(bytes);
        for (const place of [folder, Deno.cwd(), "/tmp/holdfast"]) {
          assert(!content.includes(place), `${path} has ${place} in it`);
        }
      }
    });
  },
);

Deno.test("a release: arguments that exclude each other, and folders with other files, are refused", async () => {
  await inFolder(async (folder) => {
    const wrong: [args: string[], code: number, says: string][] = [
      [["--flavour", "pyboard"], 2, "leave out --flavour"],
      [["--aot=main"], 2, "leave out --aot"],
      [["--out", folder], 2, "leave out --out"],
      [["--measure"], 2, "leave out --measure"],
      [["--board", "nonos"], 2, "--board nonos needs --sdk FOLDER"],
      [[], 1, "contains mine.txt, which is not part of a release"],
    ];
    await Deno.writeTextFile(`${folder}/mine.txt`, "mine");
    for (const [args, code, says] of wrong) {
      const ended = await buildFirmware(["--release", folder, ...args]);
      assertEquals([ended.code, ended.out], [code, ""], args.join(" "));
      assertStringIncludes(ended.err, says);
    }
    const file = await buildFirmware(["--release", `${folder}/mine.txt`]);
    assertEquals(file.code, 1);
    assertStringIncludes(file.err, "mine.txt is a file: give the path of a folder");
    const none = await buildFirmware(["--release", ""]);
    assertEquals(none.code, 2);
    assertStringIncludes(none.err, "--release needs the path of a folder");
    assertEquals(await Deno.readTextFile(`${folder}/mine.txt`), "mine");
  });
});

Deno.test("licences of an SDK are those that it brings, and without one there is no release", async () => {
  await inFolder(async (folder) => {
    assertThrows(() => firmwareLicences("nonos", folder), BuildError, "has no file License");
    // “MIT” in quotation marks, in the encoding of the vendor's file.
    const licence = Uint8Array.of(0xa1, 0xb0, 0x4d, 0x49, 0x54, 0xa1, 0xb1);
    await Deno.writeFile(`${folder}/License`, licence);
    assertStringIncludes(firmwareLicences("nonos", folder)[0]!, "“MIT”");
    const notice = (author: string, stars: string) =>
      `/*\n${stars}Copyright (c) 2001 ${author}\n${stars}${
        "All rights reserved. ".repeat(20)
      }\n*/\n`;
    for (
      const [path, content] of [
        ["lwip/core/tcp.c", notice("Adam", " * ") + "int a;"],
        ["lwip/core/udp.c", notice("Adam", "   ")], // the same, formatted differently
        ["include/lwip/dhcp.h", "#ifndef X\n" + notice("Leon", " * ")],
        ["include/lwip/short.h", "/* copyright Eve */"],
        ["mbedtls/aes.c", notice("Eve", " * ")], // is not linked
      ]
    ) {
      const file = `${folder}/third_party/${path}`;
      await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(file, content!);
    }
    const [, lwip] = firmwareLicences("nonos", folder);
    assertEquals(lwip!.match(/Copyright \(c\) 2001 \w+/g), [
      "Copyright (c) 2001 Adam",
      "Copyright (c) 2001 Leon",
    ]);
  });
});
