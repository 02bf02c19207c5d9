/** Firmware that gets its settings from a Pyboard, and firmware with the user's own application in it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { encodeSettings, type Settings } from "../../bridge/formats/settings.ts";
import { Emulator } from "../../bridge/esp8266/emulator/emulator.ts";
import { Diagnosis } from "../../bridge/flasher/console/diagnosis.ts";
import { application, chipTools, firmware } from "../firmware/support.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { assertSameBytes } from "./firmware/bytes.ts";
import { APPLICATION, firmwareIn, SETTINGS, type World } from "./firmware/stand_in.ts";
import { flashWith, type Images, makeImages } from "./firmware/images.ts";
import type { Chip } from "./chip/chip.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab, type Visitor } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const [pyboard, aot, wifi] = await Promise.all([
  makeImages(234_344, "pyboard"),
  makeImages(60_000, "wifi", true),
  makeImages(50_000),
]);
const lab = useLab(() =>
  Promise.resolve({ nonos: wifi, "nonos-aot": aot, "nonos-pyboard": pyboard })
);

const MB = 1024 * 1024;
const LINK = "Holdfast 0.1.0 (link for a Pyboard)";
const WAITS = "The firmware runs, and waits for the Pyboard.";
const ON_SERVER = "The Pyboard is on the server.";

/** The settings in a Pyboard's program. */
const CONFIGURATION: Settings = { id: "shed", server: "192.168.1.10" };
const HOME: Settings = { ssid: "Home", password: "correct horse" };

function world(pyboard: Settings | null, keys?: Record<string, string>): World {
  const server = keys === undefined ? {} : { keys };
  return { networks: { Home: "correct horse" }, servers: { "192.168.1.10:8123": server }, pyboard };
}

/** Compares all of a flash that was blank; without `settings`, none may have been written. */
function assertFlash(
  chip: Chip,
  images: Images,
  size: "1MB" | "4MB",
  { application = "", settings }: { application?: string; settings?: Settings } = {},
): void {
  const expected = new Uint8Array(chip.flash.size).fill(0xff);
  const sector = settings === undefined ? undefined : encodeSettings(settings);
  for (const { at, bytes } of flashWith(images, size, application, sector)) expected.set(bytes, at);
  assertSameBytes(chip.flash.bytes, expected);
}

async function isShown(visitor: Visitor, ...names: string[]): Promise<boolean[]> {
  return await Promise.all(names.map((name) => visitor.field(name).isVisible()));
}

browserTest(
  "a board for a Pyboard is flashed without filling in settings, and waits",
  async () => {
    const fixture = new Fixture();
    const around = world(null);
    const chip = fixture.add({ firmware: firmwareIn(around), flashSize: MB });
    await using visitor = await lab.open({ fixture });
    assertEquals(await isShown(visitor, "Application", "Write these", "Server address"), [
      true,
      true,
      true,
    ]);
    await visitor.check(LINK);
    await visitor.sees("The application is part of this firmware");
    await visitor.sees("the Pyboard tells this board its server, its id and its WiFi");
    const asked = ["Application", "WiFi name", "Server address", "Device id", "Timeout in ms"];
    assertEquals(await isShown(visitor, ...asked), asked.map(() => false));
    await visitor.press("Flash the board");
    await visitor.sees(WAITS);
    await visitor.hears("app: initiator link waiting");
    await visitor.shoot("11-pyboard-waits");
    assertFlash(chip, pyboard, "1MB");
    assertEquals(await visitor.page.getByText("verified: it is as it was sent").count(), 5);
    // The Pyboard is plugged in meanwhile, and the page shows the result.
    around.pyboard = CONFIGURATION;
    await visitor.sees("The Pyboard names no WiFi, and none is stored on this board.");
    around.pyboard = { ...CONFIGURATION, ...HOME };
    await visitor.press("Restart the board");
    await visitor.hears("holdfast: settings id=shed server=192.168.1.10:8123 ssid=Home key=no");
    await visitor.sees(ON_SERVER);
    await visitor.press("Flash another board");
    await visitor.sees("Everything is kept. Plug in the next board");
  },
);

browserTest(
  "a Pyboard's board gets WiFi and key, and no settings that it would not use",
  async () => {
    const fixture = new Fixture();
    const keys: Record<string, string> = {};
    const around = world(CONFIGURATION, keys);
    const chip = fixture.add({ firmware: firmwareIn(around), flashSize: 4 * MB });
    await using visitor = await lab.open({ fixture });
    // Left over from the form for other firmware, and ignored here.
    await visitor.field("Server address").fill("not an address");
    await visitor.field("Device id").fill("kitchen");
    await visitor.check(LINK);
    await visitor.check("Write these");
    assertEquals(await isShown(visitor, "WiFi name", "Server address", "Device id"), [
      true,
      false,
      false,
    ]);
    await visitor.page.getByText("More settings").click();
    assertEquals(await isShown(visitor, "Dialect", "Timeout in ms"), [true, false]);
    await visitor.field("WiFi password").fill("correct horse");
    await visitor.check(/^Make one/);
    await visitor.press("Flash the board");
    await visitor.sees("Enter the name of the WiFi.");
    assertEquals(chip.flash.bytes.every((byte) => byte === 0xff), true);
    await visitor.field("WiFi name").fill("Home");
    await visitor.shoot("12-pyboard-settings");
    await visitor.press("Flash the board");
    const dialog = visitor.page.getByRole("dialog", { name: "The key of this board" });
    await dialog.waitFor();
    const shown = await dialog.innerText();
    assertMatch(shown, /keys add ID --key -/);
    assertMatch(shown, /In place of ID, write the id in the Pyboard’s program/);
    const [key] = shown.match(/\b[0-9a-f]{64}\b/)!;
    await visitor.press("I have it: go on");
    // The server does not know the key yet: the board's own line names the id, and so does the advice.
    await visitor.sees(/refuses the board: it does not know this board’s key/);
    await visitor.sees(/keys add shed --key -/);
    await visitor.sees(/Server, id and WiFi come from the Pyboard’s configuration/);
    keys.shed = key;
    await visitor.sees(ON_SERVER);
    assertFlash(chip, pyboard, "4MB", { settings: { ...HOME, key: Uint8Array.fromHex(key) } });
    await visitor.press("Flash another board");
    await visitor.sees("Everything is kept but the key.");
  },
);

browserTest(
  "everything is erased first: the application on the board is not kept, its settings are",
  async () => {
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: firmwareIn(world(CONFIGURATION)), flashSize: MB });
    const stored = encodeSettings({ ...HOME, id: "kitchen", server: "10.0.0.1" });
    const old = flashWith(wifi, "1MB", "main", stored);
    for (const { at, bytes } of old) chip.flash.program(at, bytes);
    await using visitor = await lab.open({ fixture });
    await visitor.check(LINK);
    await visitor.page.getByLabel("First erase the whole flash").check();
    await visitor.press("Flash the board");
    await visitor.sees(ON_SERVER);
    assertSameBytes(chip.flash.read(SETTINGS, 4096), stored);
    assertEquals(chip.flash.read(APPLICATION, 0xa000)!.every((byte) => byte === 0xff), true);
  },
);

browserTest(
  "damaged settings on a Pyboard's board are reported, and erased if the user chooses that",
  async () => {
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: firmwareIn(world(null)), flashSize: MB });
    chip.flash.program(SETTINGS, new Uint8Array(4096)); // as left by other firmware
    await using visitor = await lab.open({ fixture });
    await visitor.check(LINK);
    await visitor.press("Flash the board");
    await visitor.sees(`${WAITS} The settings on the board are damaged, and not used.`);
    await visitor.press("Flash another board");
    await visitor.check(/^Erase them: the Pyboard tells/);
    await visitor.press("Flash the board");
    await visitor.sees(new RegExp(`^${WAITS}$`));
    assertFlash(chip, pyboard, "1MB");
  },
);

browserTest(
  "when another firmware is chosen, the form asks only for what that needs",
  async () => {
    const fixture = new Fixture();
    fixture.add();
    await using visitor = await lab.open({ fixture });
    const kept = () => visitor.page.getByRole("radio", { name: /^Keep (them|what there is)/ });
    await visitor.check(LINK);
    assert(await kept().isChecked());
    await visitor.check("Holdfast 0.1.0 (WiFi)");
    assert(!await kept().isChecked());
    assertEquals(await isShown(visitor, "Application", "Server address"), [true, true]);
    await visitor.press("Flash the board"); // nothing is filled in
    await visitor.sees("Enter an id for the device.");
    await visitor.check(LINK);
    assertEquals(await visitor.page.locator("[aria-invalid]").count(), 0);
    await visitor.check("Holdfast 0.1.0 (WiFi) with its application in it");
    assertEquals(await isShown(visitor, "Application", "Server address"), [false, true]);
  },
);

browserTest("firmware with an application in it is flashed without a separate one", async () => {
  const fixture = new Fixture();
  // Its output about the application does not matter here; the stand-in only knows one in flash.
  const chip = fixture.add({ firmware: firmwareIn({ networks: {}, servers: {} }), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  await visitor.check("Holdfast 0.1.0 (WiFi) with its application in it");
  await visitor.flash();
  await visitor.hears("holdfast: settings id=kitchen");
  assertFlash(chip, aot, "1MB", {
    settings: { ...HOME, server: "192.168.1.10", id: "kitchen" },
  });
});

toolTest(
  "the real firmware prints what the page takes for waiting, whatever is in the sector",
  { ...chipTools, wasm2c: "wabt" },
  async () => {
    const elf = await firmware(["-DFLAVOUR_PYBOARD"], application("pyboard"));
    const sectors: [sector: Uint8Array | undefined, words: string][] = [
      [undefined, WAITS],
      [encodeSettings({}), WAITS],
      [encodeSettings({ ...HOME, key: new Uint8Array(32) }), WAITS],
      [new Uint8Array(4096), `${WAITS} The settings on the board are damaged, and not used.`],
    ];
    for (const [settings, words] of sectors) {
      const diagnosis = new Diagnosis();
      const lines: string[] = [];
      await using board = new Emulator({
        firmware: elf,
        ...(settings === undefined ? {} : { settings }),
        onLine(line) {
          lines.push(line);
          diagnosis.push(line);
        },
      });
      await until(() => {
        board.check();
        return lines.includes("app: initiator link waiting");
      }, { what: () => lines.join("\n") });
      assertEquals(diagnosis.verdict, { kind: "good", headline: words, tries: [] });
    }
  },
);
