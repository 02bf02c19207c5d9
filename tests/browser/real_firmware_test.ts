/**
 * The real firmware reads what the page has written: its machine code starts from the emulated chip's flash as the page
 * has left it, with a real application, and authenticates to a real server with the page's key.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { APPLICATION_OFFSET, encodeApplication } from "../../bridge/formats/application.ts";
import { describePart } from "../../bridge/formats/manifest.ts";
import { FrameReader } from "../../bridge/formats/improv.ts";
import { decodeSettings, SECTOR_BYTES } from "../../bridge/formats/settings.ts";
import { DENO } from "../../bridge/flasher/plan/commands.ts";
import { ImprovClient } from "../../bridge/flasher/console/improv_client.ts";
import { readKeys } from "../../server/admission/keys.ts";
import { Server } from "../../server/mod.ts";
import { application, chipTools, firmware } from "../firmware/support.ts";
import { until } from "../support/wait.ts";
import { assertSameBytes } from "./firmware/bytes.ts";
import { SETTINGS } from "./firmware/stand_in.ts";
import { type Images, makeImages } from "./firmware/images.ts";
import { RealFirmware } from "./firmware/real_firmware.ts";
import type { Chip } from "./chip/chip.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab, type Visitor } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

/** How many times faster than real time the chip's clock runs. */
const SPEED = 20;
/** The server's timeout in ms; the chip's is by its own clock. */
const TIMEOUT = 3000;
const SUCCESS = "This device is on the server.";

const lab = useLab(async () => ({ nonos: await withRealApplications() }));

/** The emulator brings the firmware's machine code, so only the applications are real. */
async function withRealApplications(): Promise<Images> {
  const images = await makeImages(70_000);
  images.manifest.applications = await Promise.all(["main", "qos"].map((name) => {
    const file = `${name}.app.bin`;
    const bytes = images.files[file] = encodeApplication(name, application(name).wasm);
    return describePart(name, APPLICATION_OFFSET, file, bytes);
  }));
  return images;
}

/** A server that admits devices with keys, and an empty file of keys. */
async function serve() {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-keys-" });
  const path = `${folder}/keys.json`;
  const heard: string[] = [];
  const server = await Server.listen({
    port: 0,
    hostname: "127.0.0.1",
    timeout: TIMEOUT,
    keys: [["garage", "33".repeat(32)]], // of another device: without any key the server would not start
    app: async (device) => {
      void device.write("[4711]");
      for await (const text of device) heard.push(`${device.id}: ${text}`);
    },
  });
  return {
    server,
    heard,
    /** Runs the command that the page shows, in the server's folder; the server then reloads its keys. */
    async run(line: string, key: string): Promise<void> {
      assert(line.startsWith(`${DENO} run -A server/main.ts keys `), line);
      const args = line.slice(DENO.length + 1).split(" ");
      const command = new Deno.Command(Deno.execPath(), {
        args: [...args, "--keys", path],
        cwd: new URL("../../", import.meta.url),
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = command.stdin.getWriter();
      await writer.write(new TextEncoder().encode(`${key}\n`));
      await writer.close();
      const { success, stderr } = await command.output();
      assert(success, new TextDecoder().decode(stderr));
      server.setKeys(readKeys(path));
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await server.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** A board that runs the real firmware, a server, and the page; `improv` is another client on its serial line. */
async function setUp() {
  const stack = new AsyncDisposableStack();
  try {
    const end = stack.use(await serve());
    const lines: string[] = [];
    const frames = new FrameReader();
    const real = stack.use(
      new RealFirmware({
        firmware: await firmware(),
        speed: SPEED,
        networks: [{ ssid: "Home", rssi: -61, locked: true }],
        onLine: (line) => lines.push(line),
        onSerial: (bytes) => {
          for (const frame of frames.push(bytes).frames) improv.receive(frame);
        },
        // Only the right address and port lead to the server.
        route: (host, port) => {
          assertEquals([host, port], ["192.168.1.10", 8123]);
          return { hostname: "127.0.0.1", port: end.server.port };
        },
      }),
    );
    const improv = new ImprovClient((bytes) => Promise.resolve(real.chip.type(bytes)));
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: real.firmware, flashSize: 1024 * 1024 });
    const visitor = stack.use(await lab.open({ fixture }));
    return { end, lines, improv, chip, visitor, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Flashes the board with a key made by the page, and gives it to the server. Returns the key, 64 hex digits. */
async function flashWithKey(visitor: Visitor, end: Awaited<ReturnType<typeof serve>>) {
  const { page } = visitor;
  await page.getByText("More settings").click();
  await visitor.field("Timeout in ms").fill(String(TIMEOUT * SPEED));
  await visitor.flash({ key: "make" });
  const dialog = page.getByRole("dialog", { name: "The key of kitchen" });
  await dialog.waitFor();
  const key = await page.locator("#key-value").innerText();
  assertMatch(key, /^[0-9a-f]{64}$/);
  await end.run(await page.locator("#key-command").innerText(), key);
  await visitor.press("I have it: go on");
  return key;
}

function sectorOf(chip: Chip): Uint8Array {
  return chip.flash.read(SETTINGS, SECTOR_BYTES)!;
}

/** Registers a test that needs the browser and a chip. */
function chipInBrowserTest(name: string, body: () => Promise<void>): void {
  browserTest(name, body, chipTools);
}

chipInBrowserTest(
  "the real firmware that the page has flashed connects to a real server, with the key that was shown",
  async () => {
    await using board = await setUp();
    const { end, lines, chip, visitor } = board;
    await flashWithKey(visitor, end);
    await visitor.sees(SUCCESS);
    const { length } = application("main").wasm;
    for (
      const line of [
        "holdfast: settings id=kitchen server=192.168.1.10:8123 ssid=Home key=yes",
        `holdfast: application name=main bytes=${length}`,
        "holdfast: link up connects=1",
      ]
    ) {
      await visitor.hears(line);
      assert(lines.includes(line), lines.join("\n"));
    }
    const device = await end.server.device("kitchen");
    assertMatch(
      device.metadata,
      /^reset=external version=0.1.0 board=emulator app=main\/0\/\S{8} ms=\d{10}$/,
    );
    await visitor.hears("app: Got [4711]");
    await until(() => end.heard.length >= 3, { what: "messages" });
    for (const [at, text] of end.heard.entries()) {
      assertMatch(text, new RegExp(`^kitchen: \\[\\d+,${at},\\d+\\]$`));
    }

    // Another application: the settings stay, and for the server it is the same device.
    const before = sectorOf(chip);
    await visitor.check("Keep them");
    await visitor.page.getByLabel("Application", { exact: true }).selectOption("qos");
    await visitor.press("Flash the board");
    await visitor.hears("holdfast: application name=qos");
    await visitor.sees(SUCCESS);
    assertSameBytes(sectorOf(chip), before);
    await until(() => end.heard.length >= 5, { what: "more messages" });
  },
);

chipInBrowserTest(
  "the page says why the real firmware is not on the server, and its advice works",
  async () => {
    await using board = await setUp();
    const { end, lines, visitor } = board;
    const linked = () => lines.some((line) => line.startsWith("holdfast: link up"));
    const command = `${DENO} run -A server/main.ts keys add kitchen --key -`;
    await visitor.page.getByText("More settings").click();
    await visitor.field("Timeout in ms").fill(String(TIMEOUT * SPEED));
    await visitor.flash({ key: "22".repeat(32) });
    await visitor.sees(/192\.168\.1\.10:8123 refuses the board: it does not know this board’s key/);
    await visitor.sees(command);
    await end.run(command, "11".repeat(32));
    await visitor.sees(/the server’s key for this device is another one than the board’s/);
    await visitor.sees(`${command} --replace`);
    assertEquals(linked(), false);
    await end.run(`${command} --replace`, "22".repeat(32));
    await visitor.sees(SUCCESS);
  },
);

chipInBrowserTest(
  "settings are erased: the firmware waits for new ones, and takes them over Improv-Serial",
  async () => {
    await using board = await setUp();
    const { end, lines, improv, chip, visitor } = board;
    const key = await flashWithKey(visitor, end);
    await visitor.sees(SUCCESS);
    await visitor.check(/^Erase them/);
    await visitor.press("Flash the board");
    await visitor.hears("holdfast: settings blank: waiting for settings");
    await visitor.sees("The settings are erased, as you wanted. The board waits for new ones.");
    assertSameBytes(sectorOf(chip), new Uint8Array(SECTOR_BYTES).fill(0xff));

    // First the WiFi alone, with Improv-Serial's own command.
    await visitor.press("Ask the board");
    await visitor.awaits(visitor.field("Network"));
    assertEquals(await visitor.fact("Its firmware").innerText(), "Holdfast 0.1.0");
    await visitor.field("Network").selectOption("Home (good signal)");
    await visitor.field("Password of the network").fill("not this one");
    await visitor.press("Join this network");
    await visitor.hears("holdfast: settings incomplete: waiting for settings");
    // Then all settings, with the network from the board's scan.
    await visitor.press("Fill in its settings");
    await visitor.press("Look for networks");
    await visitor.field("Networks that the board hears").selectOption("Home (good signal)");
    const from = lines.length;
    await visitor.fill({ key });
    await visitor.press("Send these settings");
    await until(() => lines.slice(from).some((line) => line.startsWith("holdfast: link up")), {
      what: () => `the link, after ${lines.slice(from).join("\n")}`,
    });
    await visitor.sees(SUCCESS);
    const rest = { server: "192.168.1.10", id: "kitchen", timeout: TIMEOUT * SPEED };
    const sector = decodeSettings(sectorOf(chip));
    const settings = { ssid: "Home", password: "correct horse", ...rest };
    assertEquals(sector, { state: "ok", settings: { ...settings, key: Uint8Array.fromHex(key) } });
    const said = (await improv.settings())!;
    assertEquals([said.settings, said.key], [{ ssid: "Home", ...rest }, true]);
  },
);
