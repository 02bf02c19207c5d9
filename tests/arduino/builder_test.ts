/**
 * The library built by Arduino's own tools, with AVR's core, the only one that Debian has: checks its layout, Arduino's
 * real headers, and an `int` of 16 bits.
 */
import { assert, assertEquals } from "@std/assert";
import { toolTest } from "../support/tools.ts";
import { HERE, LIBRARY } from "./build.ts";

const HARDWARE = "/usr/share/arduino/hardware";
const BUILDER = "/usr/share/arduino-builder";
const TOOLS = {
  "arduino-builder": "arduino-builder",
  [`${BUILDER}/platform.txt`]: "arduino-builder",
  [`${HARDWARE}/arduino/avr/platform.txt`]: "arduino-core-avr",
};
/** A board with 8 KB of RAM. */
const BOARD = "arduino:avr:mega:cpu=atmega2560";

toolTest<string>(
  "Arduino's builder finds the library and compiles it without a warning",
  TOOLS,
  async (tools) => {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
    try {
      const sketch = `${folder}/mega/mega.ino`;
      await Deno.mkdir(`${folder}/mega`);
      await Deno.mkdir(`${folder}/build`);
      await Deno.mkdir(`${folder}/libraries`);
      await Deno.copyFile(`${HERE}/mega.ino`, sketch);
      await Deno.symlink(LIBRARY, `${folder}/libraries/Holdfast`);
      const { success, stdout, stderr } = await new Deno.Command(tools["arduino-builder"]!, {
        // deno-fmt-ignore
        args: [
        "-compile", "-warnings", "all", "-fqbn", BOARD,
        "-hardware", HARDWARE, "-hardware", BUILDER, "-tools", "/usr/bin",
        "-libraries", `${folder}/libraries`, "-build-path", `${folder}/build`,
        "-prefs=runtime.tools.avr-gcc.path=/usr",
        "-prefs=compiler.cpp.extra_flags=-DDECIMAL_DIG=17", // Debian's core lacks it in C++11
        sketch,
      ],
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assert(success, said);
      assertEquals(
        said.split("\n").filter((line) => /Holdfast\/.*(warning|error):/.test(line)),
        [],
      );
      // Shows that the builder found the library, which is for other boards.
      assert(said.includes("library Holdfast claims to run on (esp8266, esp32, rp2040)"), said);
      const [, code, ram] = said.match(/uses (\d+) bytes .*\n?.*use (\d+) bytes/) ?? [];
      console.log(`on a Mega: code ${code}, RAM ${ram}, both with Arduino's core`);
      assert(Number(code) < 40_000 && Number(ram) < 3000, said);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
