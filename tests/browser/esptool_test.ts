/**
 * The emulated chip under Python's esptool: its authors know real chips, and nothing of this project.
 * No package registry that this project builds from has it: README.md says how to name a copy.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { assertSameBytes, differences } from "./firmware/bytes.ts";
import { codeLike } from "./firmware/images.ts";
import { Rfc2217Server } from "./chip/rfc2217.ts";
import { Chip, type ChipOptions } from "./chip/chip.ts";
import { makeImage } from "./chip/image.ts";
import { Op } from "./chip/machine.ts";
import { ESP32_MAGIC } from "./chip/registers.ts";

const checkout = Deno.env.get("HOLDFAST_ESPTOOL");
const python = Deno.env.get("HOLDFAST_PYTHON") ?? "python3";

const MB = 1024 * 1024;

/** A longer run has hung, in ms. */
const LIMIT = 180_000;

/** A chip on a port, with esptool to run on it. */
class Attached implements AsyncDisposable {
  readonly chip: Chip;
  readonly server: Rfc2217Server;
  readonly folder = Deno.makeTempDirSync({ prefix: "holdfast-esptool-" });

  constructor(options: ChipOptions = {}) {
    // Over a network the lines change 100 ms apart, and both are released 150 ms later.
    this.chip = new Chip({ riseTime: 175, ...options });
    this.server = new Rfc2217Server(this.chip);
  }

  /** Runs it with these arguments, and returns both of its outputs. @throws if it does not end as expected */
  async run(args: string[], succeeds: boolean | "perhaps" = true): Promise<string> {
    const { code, stdout, stderr } = await new Deno.Command(python, {
      args: ["esptool.py", "--chip", "esp8266", "--port", this.server.url, ...args],
      cwd: checkout!,
      signal: AbortSignal.timeout(LIMIT),
      env: { NO_COLOR: "1", PYTHONDONTWRITEBYTECODE: "1" },
    }).output();
    const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    if (succeeds !== "perhaps" && (code === 0) !== succeeds) {
      throw new Error(`esptool ended with ${code}:\n${said}`);
    }
    return said;
  }

  async write(name: string, bytes: Uint8Array): Promise<string> {
    const path = `${this.folder}/${name}`;
    await Deno.writeFile(path, bytes);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

function esptoolTest(name: string, body: () => Promise<void>): void {
  const ignore = checkout === undefined;
  const how = " [set HOLDFAST_ESPTOOL to run it, see tests/browser/README.md]";
  Deno.test({ name: `esptool: ${name}${ignore ? how : ""}`, ignore, fn: body });
}

esptoolTest("the chip, its MAC address and its flash are recognised", async () => {
  for (const [size, name] of [[MB, "1MB"], [4 * MB, "4MB"]] as const) {
    await using session = new Attached({ flashSize: size, mac: "5c:cf:7f:01:02:03" });
    const said = await session.run(["flash_id"]);
    assertMatch(said, /ESP8266EX/);
    assertMatch(said, /5c:cf:7f:01:02:03/);
    assertMatch(said, new RegExp(`Detected flash size: ${name}`));
    assertMatch(await session.run(["--no-stub", "chip_id"]), /0x007f010203|0x00010203/i);
  }
});

esptoolTest("an image is written compressed, verified, read back, and started", async () => {
  await using session = new Attached({ flashSize: MB });
  const { chip } = session;
  const boot = makeImage(0x40100004, [{ address: 0x40100000, data: codeLike(20_000, 1) }]);
  const code = codeLike(200_000, 2);
  const files = [await session.write("boot.bin", boot), await session.write("code.bin", code)];
  const places = ["0x0", files[0]!, "0x10000", files[1]!];
  const said = await session.run(["-b", "460800", "write_flash", "-fs", "keep", ...places]);
  assertMatch(said, /Hash of data verified/);
  assertSameBytes(chip.flash.read(0, boot.length), boot);
  assertSameBytes(chip.flash.read(0x10000, code.length), code);
  assertEquals(chip.boots.program, 1); // its final reset started the image
  await session.run(["verify_flash", "-fs", "keep", ...places]);
  const back = `${session.folder}/back.bin`;
  await session.run(["-b", "460800", "read_flash", "0", "0x100000", back]);
  assertSameBytes(await Deno.readFile(back), chip.flash.bytes);
});

esptoolTest(
  "the ROM alone writes uncompressed data right, in spite of its erasing bug",
  async () => {
    await using session = new Attached();
    const code = codeLike(70_000, 3);
    session.chip.flash.program(0, new Uint8Array(4 * MB)); // so every bit must be erased first
    await session.run([
      "--no-stub",
      "write_flash",
      "-fs",
      "keep",
      "0x3000",
      await session.write("code.bin", code),
    ]);
    assertSameBytes(session.chip.flash.read(0x3000, code.length), code);
    assertEquals(session.chip.flash.bytes[0x2fff], 0);
  },
);

esptoolTest("a region is erased, then the whole flash", async () => {
  await using session = new Attached({ flashSize: MB });
  const { flash } = session.chip;
  flash.program(0, new Uint8Array(MB));
  await session.run(["erase_region", "0x4000", "0x2000"]);
  assertEquals([0x3fff, 0x4000, 0x5fff, 0x6000].map((at) => flash.bytes[at]), [0, 0xff, 0xff, 0]);
  await session.run(["erase_flash"]);
  assertEquals(flash.bytes.every((byte) => byte === 0xff), true);
});

esptoolTest(
  "a block that is damaged on the line is refused; damage in the flash is detected",
  async () => {
    await using session = new Attached({ flashSize: MB });
    const { chip } = session;
    const code = codeLike(100_000, 4);
    const args = ["write_flash", "-fs", "keep", "0x10000", await session.write("code.bin", code)];
    chip.faults.arm({ what: "corrupted command", op: Op.flashDeflData, after: 1 });
    const said = await session.run(args, "perhaps");
    // Version 2 gives up, later versions send it again.
    if (/verified/.test(said)) assertSameBytes(chip.flash.read(0x10000, code.length), code);
    else assertMatch(said, /C100/i);
    assertEquals(chip.faults.left, 0);
    chip.faults.arm({ what: "bad flash", op: Op.flashDeflData, after: 1 });
    assertMatch(await session.run(args, false), /MD5/);
    assertEquals(chip.faults.left, 0);
  },
);

esptoolTest("a block whose answer was lost is sent twice, which breaks the stream", async () => {
  await using session = new Attached({ flashSize: MB });
  const { chip } = session;
  const code = codeLike(200_000, 5);
  chip.faults.arm({ what: "lost reply", op: Op.flashDeflData, after: 1 });
  await session.run(
    ["write_flash", "-fs", "keep", "0x10000", await session.write("code.bin", code)],
    false,
  );
  assertEquals(differences(chip.flash.read(0x10000, code.length)!, code) > 0, true);
  assertEquals(chip.faults.left, 0);
});

esptoolTest("another chip and a chip that is not in boot mode are refused", async () => {
  {
    await using session = new Attached({ magic: ESP32_MAGIC });
    assertMatch(await session.run(["read_mac"], false), /ESP32/);
  }
  await using session = new Attached({ autoReset: false });
  assertMatch(await session.run(["--connect-attempts", "1", "read_mac"], false), /connect/i);
});
