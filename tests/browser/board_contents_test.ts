/** What is on a board: its settings, its whole flash, files from elsewhere, another WiFi. */
import { assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { encodeApplication } from "../../bridge/formats/application.ts";
import { decodeSettings, encodeSettings } from "../../bridge/formats/settings.ts";
import { assertSameBytes } from "./firmware/bytes.ts";
import { APPLICATION, firmwareIn, SETTINGS, type World } from "./firmware/stand_in.ts";
import { codeLike, flashWith, makeImages } from "./firmware/images.ts";
import type { Chip } from "./chip/chip.ts";
import { Op } from "./chip/machine.ts";
import { application } from "../firmware/support.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab, type Visitor } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const images = await makeImages(70_000);
const lab = useLab(() => Promise.resolve({ nonos: images }));

const MB = 1024 * 1024;
const SUCCESS = "This device is on the server.";
const settings = {
  ssid: "Home",
  password: "correct horse",
  server: "192.168.1.10",
  id: "kitchen",
  key: new Uint8Array(32).fill(0x5a),
};

function home(): World {
  return {
    networks: { Home: "correct horse", Garden: "another secret", Café: "" },
    servers: { "192.168.1.10:8123": {} },
  };
}

/** A board that was flashed before and runs. */
function runningBoard(fixture: Fixture, world = home()): Chip {
  const chip = fixture.add({ firmware: firmwareIn(world), flashSize: MB });
  for (const { at, bytes } of flashWith(images, "1MB", "main", encodeSettings(settings))) {
    chip.flash.program(at, bytes);
  }
  fixture.cable().press(false);
  return chip;
}

function sectorOf(chip: Chip): Uint8Array {
  return chip.flash.read(SETTINGS, 4096)!;
}

/** A file for a file field. */
function file(name: string, bytes: Uint8Array) {
  return { name, mimeType: "application/octet-stream", buffer: Buffer.from(bytes) };
}

async function openTools(visitor: Visitor): Promise<void> {
  await visitor.page.getByText("Look at, back up or restore what is on this board").click();
}

browserTest("a board's settings are shown, but never its secrets", async () => {
  const fixture = new Fixture();
  runningBoard(fixture);
  await using visitor = await lab.open({ fixture });
  await openTools(visitor);
  await visitor.press("Show its settings");
  await visitor.awaits(visitor.page.getByRole("heading", { name: "Settings on this board" }));
  const shown = {
    "WiFi name": "Home",
    "WiFi password": "there is one",
    "Server": "192.168.1.10:8123",
    "Device id": "kitchen",
    "Key": "there is one",
  };
  for (const [term, value] of Object.entries(shown)) {
    assertEquals(await visitor.fact(term).innerText(), value);
  }
  const page = await visitor.page.content();
  assertEquals([page.includes("correct horse"), /(5a){8}/i.test(page)], [false, false]);
  await visitor.shoot("07-present-settings");
});

browserTest("blank and damaged settings are distinguished", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  await using visitor = await lab.open({ fixture });
  await openTools(visitor);
  chip.flash.program(SETTINGS + 20, new Uint8Array(4));
  await visitor.press("Show its settings");
  await visitor.sees(/damaged \(checksum\)/);
  chip.flash.eraseSectors(SETTINGS / 4096, 1);
  await visitor.press("Show its settings");
  await visitor.sees(/blank: the board has no settings/);
});

browserTest("settings are kept while firmware and application change", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  const before = sectorOf(chip);
  await using visitor = await lab.open({ fixture });
  await visitor.check("Keep them");
  await visitor.page.getByLabel("Application", { exact: true }).selectOption("blink");
  await visitor.press("Flash the board");
  await visitor.sees(SUCCESS);
  await visitor.hears("holdfast: application name=blink bytes=1816");
  assertSameBytes(sectorOf(chip), before);
  assertEquals(chip.flash.erasures[SETTINGS / 4096], 0);
});

browserTest("settings are erased, and the board then waits for new ones", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  await using visitor = await lab.open({ fixture });
  await visitor.check(/^Erase them/);
  await visitor.press("Flash the board");
  await visitor.hears("holdfast: settings blank: waiting for settings");
  await visitor.sees("The settings are erased, as you wanted. The board waits for new ones.");
  assertSameBytes(sectorOf(chip), new Uint8Array(4096).fill(0xff));
  await visitor.shoot("07-waiting-for-settings");
});

browserTest(
  "everything is erased first if chosen; settings stay if they are to be kept",
  async () => {
    const fixture = new Fixture();
    const chip = runningBoard(fixture);
    const before = sectorOf(chip);
    chip.flash.program(0xe0000, new Uint8Array(16)); // left by something else
    await using visitor = await lab.open({ fixture });
    await visitor.page.getByRole("checkbox", { name: "First erase the whole flash" }).check();
    await visitor.check("Keep them");
    await visitor.press("Flash the board");
    await visitor.sees(SUCCESS);
    assertEquals(chip.flash.bytes[0xe0000], 0xff);
    assertSameBytes(sectorOf(chip), before);
  },
);

browserTest(
  "a backup is the whole flash, and restoring it brings the board back to its former state",
  async () => {
    const fixture = new Fixture();
    const chip = runningBoard(fixture);
    chip.flash.program(0xe0000, codeLike(10_000, 9));
    const before = chip.flash.bytes.slice();
    await using visitor = await lab.open({ fixture });
    const { page } = visitor;
    await page.getByRole("checkbox", { name: /^First save a backup/ }).check();
    await page.getByRole("checkbox", { name: "First erase the whole flash" }).check();
    const saved = page.waitForEvent("download");
    await visitor.flash({ id: "hall" });
    const download = await saved;
    assertMatch(download.suggestedFilename(), /^esp8266-840d8e76812a-.*\.bin$/);
    const backup = await download.path();
    assertSameBytes(await Deno.readFile(backup), before);
    await visitor.sees(SUCCESS);
    await visitor.hears("holdfast: settings id=hall");

    await openTools(visitor);
    await visitor.field("A backup of this board").setInputFiles(backup);
    await visitor.press("Restore the backup");
    await visitor.hears("holdfast: settings id=kitchen");
    await visitor.sees(SUCCESS);
    assertSameBytes(chip.flash.bytes, before);
    await visitor.shoot("07-restored");
  },
);

browserTest("a backup that loses blocks on the way is read again, until it is right", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  await using visitor = await lab.open({ fixture });
  await openTools(visitor);
  chip.faults.arm({ what: "noise", op: Op.readFlash, after: 1 });
  chip.faults.arm({ what: "lost reply", op: Op.readFlash, after: 3 });
  const saved = visitor.page.waitForEvent("download");
  await visitor.press("Back up the whole flash");
  const backup = await (await saved).path();
  assertSameBytes(await Deno.readFile(backup), chip.flash.bytes);
  assertEquals(chip.faults.left, 0);
});

browserTest("a file that is not a backup of this board is not restored", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  const before = chip.flash.bytes.slice();
  await using visitor = await lab.open({ fixture });
  await openTools(visitor);
  const other = file("other.bin", Uint8Array.of(1, 2, 3));
  await visitor.field("A backup of this board").setInputFiles(other);
  await visitor.press("Restore the backup");
  assertMatch(await visitor.fault(), /other\.bin has 3 bytes/);
  assertSameBytes(chip.flash.bytes, before);
});

browserTest("if no file is chosen, the page asks for it and blames nothing else", async () => {
  const fixture = new Fixture();
  fixture.add({ firmware: firmwareIn(home()), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  await openTools(visitor);
  await visitor.press("Restore the backup");
  assertMatch(await visitor.fault(), /No backup is chosen/);
  await visitor.check("Files on this computer");
  await visitor.flash();
  const said = await visitor.fault();
  assertMatch(said, /No firmware file is chosen/);
  assertEquals(/server/.test(said), false);
});

browserTest("local files: firmware at its addresses, and an application from a .wasm", async () => {
  const fixture = new Fixture();
  const chip = fixture.add({ firmware: firmwareIn(home()), flashSize: MB });
  await using visitor = await lab.open({ fixture });
  const { page } = visitor;
  const { wasm } = application("remote_tx");
  const code = codeLike(50_001, 12);
  await visitor.check("Files on this computer");
  await visitor.field("File 1").setInputFiles(file("boot.bin", images.files["boot.bin"]!));
  await visitor.press("Add a file");
  await visitor.field("File 2").setInputFiles(file("code.bin", code));
  await visitor.field("Address of file 2").fill("0x10100");
  await page.getByLabel("Application", { exact: true }).selectOption("A file on this computer");
  await visitor.field("Application file (.wasm or .bin)").setInputFiles(file("garden.wasm", wasm));
  await visitor.flash();
  assertMatch(await visitor.fault(), /code\.bin at 0x010100: an address must be a multiple/);
  await visitor.shoot("07-local-files");
  await visitor.field("Address of file 2").fill("0x10000");
  await visitor.press("Flash the board");
  await visitor.hears("holdfast: application name=garden bytes=" + wasm.length);
  await visitor.sees(SUCCESS);
  assertSameBytes(chip.flash.read(0, images.files["boot.bin"]!.length), images.files["boot.bin"]!);
  assertSameBytes(chip.flash.read(0x10000, code.length), code);
  const area = encodeApplication("garden", wasm);
  assertSameBytes(chip.flash.read(APPLICATION, area.length), area);
});

browserTest(
  "wrong files are refused before anything is erased",
  async (t) => {
    const boot = images.files["boot.bin"]!;
    const damaged = boot.slice();
    damaged[100]! ^= 1;
    const tooLarge = new Uint8Array(MB + 4096);
    tooLarge.set(boot);
    const cases: [what: string, name: string, bytes: Uint8Array, says: RegExp][] = [
      ["an image with a wrong checksum", "boot.bin", damaged, /checksum/],
      ["an image that is cut off", "boot.bin", boot.slice(0, 5000), /boot\.bin/],
      [
        "one that is too large",
        "big.bin",
        tooLarge,
        /this flash ends at 0x100000/,
      ],
      ["an empty one", "empty.bin", new Uint8Array(0), /empty\.bin/i],
    ];
    for (const [what, name, bytes, says] of cases) {
      await t.step(what, async () => {
        const fixture = new Fixture();
        const chip = fixture.add({ firmware: firmwareIn(home()), flashSize: MB });
        await using visitor = await lab.open({ fixture });
        await visitor.check("Files on this computer");
        await visitor.field("File 1").setInputFiles(file(name, bytes));
        await visitor.flash();
        assertMatch(await visitor.fault(), says);
        assertEquals(chip.flash.erasures.some((count) => count > 0), false);
      });
    }
  },
);

browserTest(
  "an application's file is checked when it is chosen, and one that the firmware cannot run is not flashed",
  async () => {
    const fixture = new Fixture();
    const chip = runningBoard(fixture);
    await using visitor = await lab.open({ fixture });
    const { page } = visitor;
    await page.getByLabel("Application", { exact: true }).selectOption("A file on this computer");
    const field = visitor.field("Application file (.wasm or .bin)");
    const note = page.locator("#application-note");
    const { wasm } = application("main");
    const cases: [name: string, bytes: Uint8Array, says: RegExp][] = [
      [
        "notes.txt",
        new TextEncoder().encode("hello"),
        /choose the file that “deno task build” has made/,
      ],
      ["cut.wasm", wasm.slice(0, 2000), /cut\.wasm: it is damaged or cut off/],
      [
        "empty.wasm",
        Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
        /it does not export registers/,
      ],
      ["new.wasm", Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), /WebAssembly version 2/],
      ["nothing.wasm", new Uint8Array(0), /neither a \.wasm/],
    ];
    for (const [name, bytes, says] of cases) {
      await field.setInputFiles(file(name, bytes));
      await visitor.awaits(note.filter({ hasText: says }));
      assertEquals(await field.getAttribute("aria-invalid"), "true", name);
    }
    await visitor.check("Keep them");
    await visitor.press("Flash the board");
    assertMatch(await visitor.fault(), /nothing\.wasm is neither/);
    assertEquals(chip.flash.erasures.some((count) => count > 0), false);

    await field.setInputFiles(file("kitchen.wasm", wasm));
    const uses =
      `kitchen.wasm can be flashed: ${wasm.length} bytes; it uses log, free_memory, every.`;
    await visitor.awaits(note.filter({ hasText: uses }));
    assertEquals(await field.getAttribute("aria-invalid"), null);
    await visitor.press("Flash the board");
    await visitor.hears(`holdfast: application name=kitchen bytes=${wasm.length}`);
    await visitor.sees(SUCCESS);
  },
);

browserTest("typing errors are shown at their field, and nothing is flashed", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  await using visitor = await lab.open({ fixture });
  await visitor.flash({
    ssid: "x".repeat(33),
    password: "short",
    server: "a b",
    id: "",
    key: "12",
  });
  for (
    const [field, words] of [
      ["WiFi name", /32 bytes at most/],
      ["WiFi password", /8 to 64 characters/],
      ["Server address", /name or an IPv4 address/],
      ["Device id", /Enter an id/],
      ["Key (64 hex digits)", /64 hex digits/],
    ] as const
  ) {
    const input = visitor.field(field);
    assertEquals(await input.getAttribute("aria-invalid"), "true");
    const described = (await input.getAttribute("aria-describedby"))!.split(" ");
    const texts = await Promise.all(
      described.map((id) => visitor.page.locator(`#${id}`).innerText()),
    );
    assertMatch(texts.join(" "), words);
  }
  const focused = visitor.page.locator(":focus");
  assertEquals(
    await focused.getAttribute("id"),
    await visitor.field("WiFi name").getAttribute("id"),
  );
  assertEquals(chip.boots.loader, 0);
  await visitor.shoot("07-typed-wrong");
});

browserTest("another WiFi by Improv-Serial: networks are listed, and the board joins", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  await using visitor = await lab.open({ fixture });
  const { page } = visitor;
  await visitor.press("Ask the board");
  await visitor.awaits(page.getByLabel("Network", { exact: true }));
  assertEquals(await visitor.fact("Its firmware").innerText(), "Holdfast 0.1.0");
  assertEquals(await visitor.fact("Its WiFi").innerText(), "Home");
  const listed = await page.getByLabel("Network", { exact: true }).locator("option")
    .allInnerTexts();
  assertEquals(listed, [
    "Home (good signal)",
    "Garden (good signal)",
    "Café (good signal, without a password)",
    "Another one",
  ]);
  await page.getByLabel("Network", { exact: true }).selectOption("Garden (good signal)");
  await visitor.field("Password of the network").fill("another secret");
  await visitor.shoot("07-another-wifi");
  await visitor.press("Join this network");
  await visitor.hears("holdfast: wifi joining ssid=Garden");
  await visitor.sees(SUCCESS);
  const sector = decodeSettings(sectorOf(chip));
  assertEquals(sector, {
    state: "ok",
    settings: { ...settings, ssid: "Garden", password: "another secret" },
  });
});

browserTest("another WiFi: a space at either end of the text is questioned once", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  await using visitor = await lab.open({ fixture });
  await visitor.press("Ask the board");
  const network = visitor.field("Network");
  await visitor.awaits(network);
  await network.selectOption("Another one");
  const fields = ["Name of the network", "Password of the network"];
  for (
    const [at, texts] of [["Garden ", "another secret"], ["Garden", " another secret"]].entries()
  ) {
    for (const [i, name] of fields.entries()) await visitor.field(name).fill(texts[i]!);
    await visitor.press("Join this network");
    await visitor.sees(/There is a space at its beginning or end/);
    const invalid = await Promise.all(
      fields.map((name) => visitor.field(name).getAttribute("aria-invalid")),
    );
    assertEquals(invalid, at === 0 ? ["true", null] : [null, "true"]);
  }
  const before = decodeSettings(sectorOf(chip));
  assertEquals(before, { state: "ok", settings });
  await visitor.press("Join this network"); // it is meant
  await visitor.hears("holdfast: wifi joining ssid=Garden");
  await visitor.sees(/does not accept the password/);
  assertEquals(await visitor.page.getByText(/There is a space/).count(), 0);
});

browserTest("another WiFi: firmware that does not know Improv-Serial", async () => {
  const fixture = new Fixture();
  const chip = runningBoard(fixture);
  chip.firmware = (board) => {
    board.print("something else\r\n");
    return { baud: 115200, receive() {} };
  };
  await using visitor = await lab.open({ fixture });
  await visitor.press("Ask the board");
  assertMatch(await visitor.fault(), /Improv/);
  await visitor.shoot("07-no-improv");
});
