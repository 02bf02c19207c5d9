/**
 * Users who are faster than the page: they press buttons before it has loaded everything, and type while it is busy.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Locator } from "playwright-core";
import { assertSameBytes } from "./firmware/bytes.ts";
import { firmwareIn } from "./firmware/stand_in.ts";
import { makeImages } from "./firmware/images.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const images = await makeImages(20_000);
/** For another board, with its settings elsewhere in the flash. */
const other = await makeImages(20_000);
Object.assign(other.manifest, { board: "other", settings: { offset: 0xe0000, size: 4096 } });
const lab = useLab(() => Promise.resolve({ nonos: images, other }));

const MB = 1024 * 1024;
const SUCCESS = "This device is on the server.";
const STILL_LOADING = /list of firmware is still loading/;
const world = { networks: { Home: "correct horse" }, servers: { "192.168.1.10:8123": {} } };

function hasFocus(thing: Locator): Promise<boolean> {
  return thing.evaluate((it) => it === it.ownerDocument.activeElement);
}

browserTest("flashing before the list of firmware has arrived: the page waits for it", async () => {
  const fixture = new Fixture();
  const chip = fixture.add({ firmware: firmwareIn(world), flashSize: MB });
  const list = Promise.withResolvers<void>();
  await using visitor = await lab.open({ fixture, listed: list.promise });
  const { page } = visitor;
  const flash = page.getByRole("button", { name: "Flash the board" });
  await visitor.sees(STILL_LOADING);
  const described = await flash.getAttribute("aria-describedby");
  assertMatch(await page.locator(`#${described}`).innerText(), STILL_LOADING);
  // An error in the form is reported at once, not after the wait.
  await visitor.fill({ server: "localhost" });
  await flash.press("Enter");
  await visitor.sees(/the board itself/);
  // No port, no waiting.
  fixture.choice = "cancel";
  await visitor.fill();
  await flash.press("Enter");
  await visitor.sees(/No port was chosen/);
  fixture.choice = 0;
  await visitor.field("Device id").press("Enter");
  await visitor.sees("Waiting for the list of firmware …");
  await visitor.shoot("14-waiting-for-the-list");
  await visitor.press("Stop");
  assertMatch(await visitor.fault(), /Stopped/);
  await visitor.press("Try again");
  await page.getByRole("alert").filter({ visible: true }).waitFor({ state: "hidden" });
  assertEquals(chip.boots.loader, 0);
  list.resolve();
  await visitor.sees(SUCCESS);
  assertEquals(await page.getByText(STILL_LOADING).filter({ visible: true }).count(), 0);
});

browserTest("choosing files ends the wait for the list", async () => {
  const fixture = new Fixture();
  fixture.add({ firmware: firmwareIn(world), flashSize: MB });
  await using visitor = await lab.open({ fixture, listed: new Promise(() => {}) });
  await visitor.flash();
  await visitor.sees("Waiting for the list of firmware …");
  await visitor.check("Files on this computer");
  assertMatch(await visitor.fault(), /No firmware file is chosen/);
});

browserTest(
  "while the list of firmware does not arrive, the user can flash files",
  async () => {
    const fixture = new Fixture();
    const chip = fixture.add({ firmware: firmwareIn(world), flashSize: MB });
    await using visitor = await lab.open({ fixture, listed: new Promise(() => {}) });
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

browserTest("an id that is typed at once for the next board stays", async () => {
  const fixture = new Fixture();
  fixture.add({ firmware: firmwareIn(world), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  await visitor.flash();
  await visitor.sees(SUCCESS);
  const goOn = fixture.hold("close");
  await visitor.press("Flash another board");
  const id = visitor.field("Device id");
  await id.fill("hall");
  goOn();
  await visitor.sees(/^Everything is kept but/);
  assertEquals(await id.inputValue(), "hall");
  assertEquals(await hasFocus(id), true);
});

browserTest(
  "a board's verdict disappears when its console is closed",
  async () => {
    const fixture = new Fixture();
    fixture.add({ firmware: firmwareIn(world), flashSize: MB });
    await using visitor = await lab.open({ fixture });
    const { page } = visitor;
    const said = () => page.locator("#verdict").innerText();
    fixture.choice = "cancel";
    await visitor.press("Open the console");
    await visitor.sees(/No port was chosen/);
    assertEquals(await said(), "");
    fixture.choice = 0;
    await visitor.flash();
    await visitor.sees(SUCCESS);
    const goOn = fixture.hold("open");
    await visitor.press("Flash the board");
    await visitor.sees("Connecting to the board …");
    assertEquals(await said(), "");
    assertEquals(await page.getByRole("button", { name: "Restart the board" }).count(), 0);
    goOn();
    await visitor.sees(SUCCESS);
  },
);

browserTest("changes while the page looks for the board apply to the next time", async () => {
  const fixture = new Fixture();
  fixture.add({ firmware: firmwareIn(world), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  const { page } = visitor;
  const goOn = fixture.hold("open");
  await visitor.flash();
  await visitor.sees("Connecting to the board …");
  await visitor.check("Holdfast 0.1.0 (WiFi) for other");
  await page.getByRole("checkbox", { name: /^First save a backup/ }).check();
  goOn();
  await visitor.sees(SUCCESS); // with the settings where the first choice has them
  assertEquals(await page.getByText(/The backup is/).count(), 0);
});

browserTest("stopped while the page still looks for the board: nothing is written", async () => {
  const fixture = new Fixture();
  const chip = fixture.add({ firmware: firmwareIn(world), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  await visitor.flash();
  await visitor.sees(SUCCESS); // the progress stays, so the button does not move
  const erased = chip.flash.erasures.slice();
  const goOn = fixture.hold("ports");
  await visitor.press("Flash the board");
  await visitor.press("Stop");
  goOn();
  assertMatch(await visitor.fault(), /Stopped/);
  assertEquals(chip.flash.erasures, erased);
});

browserTest("a button shows its name again after it has shown “Copied”", async () => {
  await using visitor = await lab.open();
  const { page } = visitor;
  await page.clock.install();
  await visitor.flash({ key: "make" });
  const copy = page.locator("#copy-key");
  const name = "Copy the key";
  await visitor.awaits(copy.getByText(name));
  // The second time the text is the same: that it was set again shows that the press has had its effect.
  await copy.evaluate((button) => {
    const { MutationObserver } = button.ownerDocument.defaultView!;
    const count = () => button.dataset.said = `${Number(button.dataset.said ?? 0) + 1}`;
    new MutationObserver(count).observe(button, { childList: true });
  });
  for (const said of [1, 2]) {
    await copy.click();
    await visitor.awaits(page.locator(`#copy-key[data-said="${said}"]`));
    assertMatch(await copy.innerText(), /^(Copied|Press Ctrl\+C)$/);
  }
  await page.clock.fastForward("00:10");
  assertEquals(await copy.innerText(), name);
});

browserTest("the list of networks does not take the focus from a user who went on", async () => {
  const fixture = new Fixture();
  fixture.add({ firmware: firmwareIn(world), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  await visitor.flash();
  await visitor.sees(SUCCESS);
  const network = visitor.page.getByLabel("Network", { exact: true });
  await visitor.press("Ask the board");
  await visitor.awaits(network);
  assertEquals(await hasFocus(network), true);
  const goOn = fixture.hold("write");
  await visitor.press("Ask the board");
  await network.waitFor({ state: "hidden" });
  await visitor.field("Device id").focus();
  goOn();
  await visitor.awaits(network);
  assertEquals(await hasFocus(visitor.field("Device id")), true);
});
