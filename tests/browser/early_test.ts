/** Whoever is faster than the page: presses before it has loaded everything, and types while it is busy. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { assertSameBytes } from "./board/bytes.ts";
import { firmwareIn } from "./board/firmware.ts";
import { makeImages } from "./board/images.ts";
import { Bench } from "./page/bench.ts";
import { browserTest, useLab } from "./page/browser.ts";

const images = await makeImages(20_000);
const lab = useLab(() => Promise.resolve({ nonos: images }));

const MB = 1024 * 1024;
const SUCCESS = "This device is on the server.";
const STILL_LOADING = /list of firmware is still loading/;
const world = { networks: { Home: "correct horse" }, servers: { "192.168.1.10:8123": {} } };

browserTest("flashing before the list of firmware has come: not yet, and why", async () => {
  const bench = new Bench();
  const chip = bench.add({ firmware: firmwareIn(world), flashSize: MB });
  const list = Promise.withResolvers<void>();
  await using visitor = await lab.open({ bench, listed: list.promise });
  const { page } = visitor;
  const flash = page.getByRole("button", { name: "Flash the board" });
  await visitor.fill();
  await visitor.sees(STILL_LOADING);
  assertEquals(await flash.getAttribute("aria-disabled"), "true");
  const described = await flash.getAttribute("aria-describedby");
  assertMatch(await page.locator(`#${described}`).innerText(), STILL_LOADING);

  // It can be reached, and says why it does nothing, however it is pressed.
  const status = page.locator("#status");
  const ways: [string, () => Promise<void>][] = [
    ["the mouse", () => flash.click({ force: true })],
    ["Enter in a field", () => visitor.field("Device id").press("Enter")],
    ["Enter on the button", () => flash.press("Enter")],
    ["Space on the button", () => flash.press("Space")],
  ];
  for (const [way, press] of ways) {
    await page.evaluate(() => {
      const { document } = globalThis as unknown as {
        document: { getElementById(id: string): { textContent: string } };
      };
      document.getElementById("status").textContent = "";
    });
    await press();
    assertMatch(await status.innerText(), STILL_LOADING, way);
  }
  assertEquals(await flash.evaluate((it) => it === it.ownerDocument.activeElement), true);
  assertEquals(await page.getByRole("alert").filter({ visible: true }).count(), 0);
  assertEquals(chip.boots.loader, 0);

  list.resolve();
  await visitor.awaits(status.getByText("The list of firmware is here"));
  assertEquals(await page.getByText(STILL_LOADING).count(), 0);
  await visitor.press("Flash the board");
  await visitor.sees(SUCCESS);
});

browserTest(
  "a list of firmware that does not come keeps nobody from files of one's own",
  async () => {
    const bench = new Bench();
    const chip = bench.add({ firmware: firmwareIn(world), flashSize: MB });
    await using visitor = await lab.open({ bench, listed: new Promise(() => {}) });
    const boot = images.files["boot.bin"]!;
    await visitor.check("Files on this computer");
    await visitor.field("File 1").setInputFiles({
      name: "boot.bin",
      mimeType: "application/octet-stream",
      buffer: Buffer.from(boot),
    });
    await visitor.flash();
    await visitor.hears("holdfast: settings id=kitchen");
    assertSameBytes(chip.flash.read(0, boot.length), boot);
  },
);

browserTest("the next board's id that is typed at once stays", async () => {
  const bench = new Bench();
  bench.add({ firmware: firmwareIn(world), flashSize: MB });
  await using visitor = await lab.open({ bench });
  await visitor.flash();
  await visitor.sees(SUCCESS);
  const goOn = bench.hold("close");
  await visitor.press("Flash another board");
  const id = visitor.field("Device id");
  await id.fill("hall");
  goOn();
  await visitor.sees(/^Everything is kept but/);
  assertEquals(await id.inputValue(), "hall");
  assertEquals(await id.evaluate((it) => it === it.ownerDocument.activeElement), true);
});

browserTest(
  "what was said of a board is gone as soon as nobody listens to it any more",
  async () => {
    const bench = new Bench();
    bench.add({ firmware: firmwareIn(world), flashSize: MB });
    await using visitor = await lab.open({ bench });
    const { page } = visitor;
    const said = () => page.locator("#verdict").innerText();
    bench.choice = "cancel";
    await visitor.press("Open the console");
    await visitor.sees(/No port was chosen/);
    assertEquals(await said(), "");
    bench.choice = 0;
    await visitor.flash();
    await visitor.sees(SUCCESS);
    const goOn = bench.hold("open");
    await visitor.press("Flash the board");
    await visitor.sees("Connecting to the board …");
    assertEquals(await said(), "");
    assertEquals(await page.getByRole("button", { name: "Restart the board" }).count(), 0);
    goOn();
    await visitor.sees(SUCCESS);
  },
);
