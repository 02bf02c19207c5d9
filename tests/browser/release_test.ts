/**
 * A release as used without a toolchain: its folder on a web server, a board, and the user's own application from a
 * file.
 */
import { assertEquals } from "@std/assert";
import { readElf } from "../../bridge/esp8266/elf.ts";
import { imagesOf } from "../../bridge/esp8266/placement.ts";
import { Server } from "../../server/mod.ts";
import { chipTools, firmware } from "../firmware/support.ts";
import { buildFirmware, filesBelow, RELEASE_TOOLS } from "../support/release.ts";
import { until } from "../support/wait.ts";
import { assertSameBytes } from "./firmware/bytes.ts";
import { RealFirmware } from "./firmware/real_firmware.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const lab = useLab(() => Promise.resolve({}));
const ROOT = new URL("../../", import.meta.url);

/** Compiles an application by the command line, and returns its .wasm's path. */
async function compile(folder: string): Promise<string> {
  const assembly = "../".repeat(20) + new URL("client-as/assembly", ROOT).pathname.slice(1);
  await Deno.writeTextFile(
    `${folder}/greeter.ts`,
    `export * from "${assembly}/core";
     import { begin, text, QOS, send } from "${assembly}/app";
     export function onState(up: i32): void {
       if (!up) return;
       begin(40);
       text("hello from a file");
       send(QOS);
     }`,
  );
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "client-as/build.ts", "greeter.ts"],
    cwd: ROOT,
    env: { INIT_CWD: folder, NO_COLOR: "1" },
  }).output();
  assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
  return `${folder}/greeter.wasm`;
}

browserTest(
  "a released page flashes its firmware and a user's application, and the board connects to the server",
  async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "holdfast-release-test-" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const built = await buildFirmware(["--release", `${folder}/site`]);
    assertEquals([built.code, built.err], [0, ""]);
    lab.site = filesBelow(`${folder}/site`); // and no other files: the page requests none

    const server = stack.use(await Server.listen({ port: 0, hostname: "127.0.0.1", open: true }));
    const elf = await firmware();
    const real = stack.use(
      new RealFirmware({
        firmware: elf,
        speed: 10,
        networks: [{ ssid: "Home", rssi: -61, locked: true }],
        route: () => ({ hostname: "127.0.0.1", port: server.port }),
      }),
    );
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: real.firmware, flashSize: 1024 * 1024 });
    const visitor = stack.use(await lab.open({ fixture }));
    const { page } = visitor;
    assertEquals(await page.getByRole("radio", { name: /^Holdfast/ }).count(), 2);
    await visitor.check("Holdfast 0.1.0 (WiFi)");
    await page.getByLabel("Application", { exact: true }).selectOption("A file on this computer");
    await visitor.field("Application file (.wasm or .bin)").setInputFiles(await compile(folder));
    await visitor.sees(/^greeter\.wasm can be flashed/);
    await page.getByText("More settings").click();
    await visitor.field("Timeout in ms").fill("20000"); // by the chip's own clock, which is fast
    await visitor.flash();
    await visitor.hears(/holdfast: application name=greeter bytes=\d+/);
    await visitor.sees("This device is on the server.");
    const device = await server.device("kitchen");
    assertEquals(await device.readline(), "hello from a file");

    // The running code is, byte for byte, what the page has written.
    const { code, codeOffset } = imagesOf({
      ...readElf(await Deno.readFile(elf)),
      sections: readElf(await Deno.readFile(elf)).sections.filter(({ name }) => name !== ".reset"),
    });
    assertSameBytes(chip.flash.read(codeOffset, code.length), code);
    await until(() => server.devices.length === 1, { what: "one device" });
  },
  { ...chipTools, ...RELEASE_TOOLS },
);
