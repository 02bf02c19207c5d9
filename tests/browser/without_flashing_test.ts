/** Settings without flashing: networks from the board's scan, and all settings to it, over its serial line. */
import { assertEquals, assertMatch } from "@std/assert";
import { decodeSettings, encodeSettings, type Settings } from "../../bridge/formats/settings.ts";
import { firmwareIn, SETTINGS, type World } from "./firmware/stand_in.ts";
import { flashWith, makeImages } from "./firmware/images.ts";
import type { Chip, Firmware } from "./chip/chip.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const images = await makeImages(20_000);
const lab = useLab(() => Promise.resolve({ nonos: images }));

const MB = 1024 * 1024;
const SUCCESS = "This device is on the server.";
const SEND = "Send these settings";

function home(): World {
  return {
    networks: { Home: "correct horse", Garden: "another secret", Café: "" },
    servers: { "192.168.1.10:8123": {} },
  };
}

/** A board that runs Holdfast, with these settings or none. */
function board(fixture: Fixture, firmware: Firmware, settings?: Settings): Chip {
  const chip = fixture.add({ firmware, flashSize: MB });
  const sector = settings && encodeSettings(settings);
  for (const { at, bytes } of flashWith(images, "1MB", "main", sector)) {
    chip.flash.program(at, bytes);
  }
  fixture.cable().press(false);
  return chip;
}

function settingsOf(chip: Chip): Settings {
  const sector = decodeSettings(chip.flash.read(SETTINGS, 4096)!);
  return sector.state === "ok" ? sector.settings : {};
}

browserTest("settings are erased without an error, and all of them can then be sent", async () => {
  const fixture = new Fixture();
  const chip = fixture.add({ firmware: firmwareIn(home()), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  const { page } = visitor;
  await visitor.check(/^Erase them/);
  await visitor.press("Flash the board");
  const words = "The settings are erased, as you wanted. The board waits for new ones.";
  await visitor.sees(words);
  assertEquals(await page.locator("#verdict").getAttribute("data-kind"), "good");
  assertEquals(await page.locator("#status").innerText(), words);
  await visitor.shoot("13-erased");

  await visitor.press("Fill in its settings");
  assertEquals(await page.locator(":focus").getAttribute("id"), "ssid");
  // The board scans for networks, and is not restarted for that.
  const { program } = chip.boots;
  await visitor.press("Look for networks");
  const heard = visitor.field("Networks that the board hears");
  await visitor.awaits(heard);
  assertEquals(await heard.locator("option").allInnerTexts(), [
    "Choose one",
    "Home (good signal)",
    "Garden (good signal)",
    "Café (good signal, without a password)",
  ]);
  await visitor.shoot("13-networks");
  await heard.selectOption("Home (good signal)");
  assertEquals(await visitor.field("WiFi name").inputValue(), "Home");
  assertEquals(await page.locator(":focus").getAttribute("id"), "password");
  assertEquals(chip.boots.program, program);

  const key = "5a".repeat(32);
  await visitor.fill({ key });
  await visitor.press(SEND);
  await visitor.sees(SUCCESS);
  assertEquals(settingsOf(chip), {
    ssid: "Home",
    password: "correct horse",
    server: "192.168.1.10",
    id: "kitchen",
    key: Uint8Array.fromHex(key),
  });
  assertEquals(await page.getByRole("button", { name: "Fill in its settings" }).count(), 0);
});

browserTest(
  "all of a board's settings are replaced by those that are sent",
  async () => {
    const fixture = new Fixture();
    const before = {
      ssid: "Old",
      server: "10.0.0.9",
      id: "hall",
      key: new Uint8Array(32).fill(7),
      timeout: 5000,
      log: true,
    };
    const chip = board(fixture, firmwareIn(home()), before);
    await using visitor = await lab.open({ fixture });
    const long = { ssid: "Home", password: "correct horse", id: "k".repeat(64) };
    await visitor.fill({ ...long, server: "s".repeat(64), key: "5a".repeat(32) }); // two frames
    await visitor.press(SEND);
    await visitor.sees(/no address|nothing answers/i);
    assertEquals(settingsOf(chip), {
      ...long,
      server: "s".repeat(64),
      key: new Uint8Array(32).fill(0x5a),
    });
    await visitor.fill();
    await visitor.press(SEND);
    await visitor.sees(SUCCESS);
    assertEquals(settingsOf(chip).key, undefined);
  },
);

browserTest("typing errors are not sent, and a new key is shown first", async () => {
  const fixture = new Fixture();
  const chip = board(fixture, firmwareIn(home()));
  await using visitor = await lab.open({ fixture });
  await visitor.fill({ server: "localhost" });
  await visitor.press(SEND);
  await visitor.sees(/the board itself/);
  await visitor.fill({ key: "make" });
  await visitor.press(SEND);
  await visitor.awaits(visitor.page.getByRole("dialog"));
  const key = await visitor.page.locator("#key-value").innerText();
  await visitor.press("Cancel");
  assertEquals(settingsOf(chip), {});
  await visitor.press(SEND);
  await visitor.awaits(visitor.page.getByRole("dialog"));
  const second = await visitor.page.locator("#key-value").innerText();
  await visitor.press("I have it: go on");
  await visitor.sees(SUCCESS);
  assertEquals([settingsOf(chip).key?.toHex(), key === second], [second, false]);
});

browserTest(
  "a board that cannot do it: the page says so, and the form stays as it is",
  async (t) => {
    const others: Record<string, Firmware> = {
      "a blank board": () => ({ baud: 115200, receive() {} }),
      "another program": (board) => {
        board.print("MicroPython v1.19\r\n>>> ");
        return { baud: 115200, receive: (bytes) => board.print(bytes) }; // it echoes its input
      },
      "rubbish in place of an answer": (board) => ({
        baud: 115200,
        receive: () =>
          board.print(Uint8Array.of(0x49, 0x4d, 0x50, 0x52, 0x4f, 0x56, 1, 4, 200, 1, 2)),
      }),
    };
    for (const [what, firmware] of Object.entries(others)) {
      await t.step(what, async () => {
        const fixture = new Fixture();
        const chip = board(fixture, firmware);
        if (what === "a blank board") chip.flash.eraseSectors(0, 8);
        await using visitor = await lab.open({ fixture });
        await visitor.fill();
        for (const button of ["Look for networks", SEND]) {
          await visitor.press(button);
          const said = await visitor.fault();
          assertMatch(said, /The board does not answer/);
          assertMatch(said, /flash it first/);
          await visitor.page.getByRole("alert").waitFor();
          await visitor.press("Choose port"); // whatever was begun has ended
          await visitor.page.getByRole("alert").filter({ visible: true }).waitFor({
            state: "hidden",
          });
          await visitor.awaits(visitor.fact("Chip"));
        }
        assertEquals(await visitor.field("WiFi name").inputValue(), "Home");
      });
    }
  },
);

browserTest("if the scan finds nothing, or fails, the name can be typed", async () => {
  const fixture = new Fixture();
  const world = home();
  board(fixture, firmwareIn(world));
  await using visitor = await lab.open({ fixture });
  const status = visitor.page.locator("#status");
  world.networks = {};
  await visitor.press("Look for networks");
  await visitor.awaits(status.getByText("The board hears 0 networks."));
  assertEquals(await visitor.field("Networks that the board hears").isVisible(), false);
  assertEquals(await visitor.page.locator(":focus").getAttribute("id"), "ssid");
  world.scans = false;
  await visitor.press("Look for networks");
  await visitor.awaits(status.getByText(/cannot look for networks now/));
  assertEquals(await visitor.page.getByRole("alert").filter({ visible: true }).count(), 0);
});
