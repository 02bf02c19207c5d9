import { assertEquals, assertMatch } from "@std/assert";
import { encodeSettings } from "../../bridge/formats/settings.ts";
import { assertSameBytes } from "./firmware/bytes.ts";
import { firmwareIn } from "./firmware/stand_in.ts";
import { flashWith, type Images, makeImages } from "./firmware/images.ts";
import type { Chip, ChipOptions } from "./chip/chip.ts";
import type { Fault } from "./chip/faults.ts";
import { Op } from "./chip/machine.ts";
import { ESP32_MAGIC } from "./chip/registers.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab, type Visitor } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

// Less code than in the real firmware, because these tests flash often.
const images = await makeImages(70_000);
const large = await makeImages(241_884, "large");
const lab = useLab(() => Promise.resolve({ small: images, large }));

const MB = 1024 * 1024;
const world = {
  networks: { Home: "correct horse" },
  servers: { "192.168.1.10:8123": {} },
};
const settings = encodeSettings({
  ssid: "Home",
  password: "correct horse",
  server: "192.168.1.10",
  id: "kitchen",
});

/** Checks a board's flash after a success. */
function assertFlashed(chip: Chip, set: Images = images, size: "1MB" | "4MB" = "1MB"): void {
  for (const { at, bytes } of flashWith(set, size, "main", settings)) {
    assertSameBytes(chip.flash.read(at, bytes.length), bytes);
  }
}

function boardOn(fixture: Fixture, options: ChipOptions = {}): Chip {
  return fixture.add({ firmware: firmwareIn(world), flashSize: MB, ...options });
}

const SUCCESS = "This device is on the server.";

browserTest("temporary faults: the page goes on by itself, and the flash is right", async (t) => {
  const passing: Record<string, Fault> = {
    "an answer is lost": { what: "lost reply", op: Op.flashDeflData, after: 2 },
    "a block is damaged on the line": { what: "corrupted command", op: Op.flashDeflData, after: 2 },
    "a block is damaged in the flash": { what: "bad flash", op: Op.flashDeflData, after: 2 },
    "noise comes before an answer": { what: "noise", op: Op.flashDeflData, after: 2 },
    "the end of a part is not answered": { what: "lost reply", op: Op.flashDeflEnd, after: 1 },
    "a sum is not answered": { what: "lost reply", op: Op.flashMd5 },
    "an answer comes late": { what: "slow", op: Op.flashDeflData, after: 2, ms: 2500 },
    "an answer comes too late": { what: "slow", op: Op.flashDeflData, after: 2, ms: 9000 },
  };
  for (const [what, fault] of Object.entries(passing)) {
    await t.step(what, async () => {
      const fixture = new Fixture();
      const chip = boardOn(fixture);
      await using visitor = await lab.open({ fixture });
      chip.faults.arm(fault);
      await visitor.flash();
      await visitor.sees(SUCCESS);
      assertFlashed(chip);
      assertEquals(chip.faults.left, 0);
    });
  }
});

/** Checks that the loader was made faster, and restarted at the slow speed. */
async function assertSlowedDown(chip: Chip, visitor: Visitor): Promise<void> {
  assertEquals(chip.commands.filter((op) => op === Op.changeBaud).length, 1);
  assertEquals(chip.boots.loader >= 2, true); // more often if the first start was not noticed in time
  assertEquals(await visitor.fact("Speed").innerText(), "115200 baud");
}

browserTest("a line that is too bad for 460800 baud is used at 115200", async () => {
  const fixture = new Fixture();
  const chip = boardOn(fixture, { cleanBaud: 115200 });
  await using visitor = await lab.open({ fixture });
  await visitor.flash();
  await visitor.sees(SUCCESS);
  assertFlashed(chip);
  await assertSlowedDown(chip, visitor);
});

browserTest(
  "a line that gets too bad for 460800 baud in the middle is used at 115200",
  async () => {
    const fixture = new Fixture();
    const chip = boardOn(fixture);
    await using visitor = await lab.open({ fixture });
    chip.faults.arm({ what: "lost reply", op: Op.flashDeflData, after: 2, times: 2 });
    await visitor.connect();
    assertEquals(await visitor.fact("Speed").innerText(), "460800 baud");
    await visitor.flash();
    await visitor.sees(SUCCESS);
    assertFlashed(chip);
    await assertSlowedDown(chip, visitor);
  },
);

/** A lasting fault, the page's words for it, and the remedy. */
interface Lasting {
  what: string;
  board?: ChipOptions;
  fault?: Fault;
  before?: (fixture: Fixture, chip: Chip) => void;
  says: RegExp[];
  /** Follows the page's advice, before trying again. */
  mend?: (fixture: Fixture, chip: Chip) => void | Promise<void>;
}

const everyBlock = { op: Op.flashDeflData, times: 1000 };

const lasting: Lasting[] = [
  {
    what: "unplugged in the middle",
    fault: { what: "unplug", op: Op.flashDeflData, after: 2 },
    says: [/unplugged/, /0x010000/, /Plug the board in again/],
    mend: (fixture) => fixture.plug(),
  },
  {
    what: "unplugged while it is asked for its name",
    fault: { what: "unplug", op: Op.readReg },
    says: [/unplugged/],
    mend: (fixture) => fixture.plug(),
  },
  {
    what: "a flash that does not keep what is written",
    fault: { what: "bad flash", ...everyBlock },
    says: [/does not hold what was written/, /0x000000/, /VERIFY_FAILED/],
  },
  {
    what: "a line that loses every block",
    fault: { what: "lost reply", ...everyBlock },
    says: [/Writing failed/, /0x000000/, /cable/],
  },
  {
    what: "a board that does not go into boot mode by itself",
    board: { autoReset: false },
    before: (fixture, chip) => {
      chip.flash.program(0, images.files["boot.bin"]!);
      fixture.cable().press(false);
    },
    says: [/boot mode/, /hold GPIO0/],
    mend: (fixture) => fixture.cable().press(true),
  },
  {
    what: "a board that says nothing",
    board: { autoReset: false },
    says: [/does not answer/, /Nothing at all was heard/],
    mend: (fixture) => fixture.cable().press(true),
  },
  {
    what: "a port that another program uses",
    before: (fixture) => fixture.cable().open(9600, { data() {}, lost() {} }),
    says: [/port could not be opened/, /other programs/],
    mend: (fixture) => fixture.cable().close(),
  },
];

for (const { what, board, fault, before, says, mend } of lasting) {
  browserTest(`failure: ${what}: plain words, and trying again works`, async () => {
    const fixture = new Fixture();
    const chip = boardOn(fixture, board);
    if (fault) chip.faults.arm(fault);
    await using visitor = await lab.open({ fixture });
    before?.(fixture, chip);
    await visitor.flash();
    let said = await visitor.fault();
    await visitor.page.getByText("Technical details").click();
    said = await visitor.fault();
    for (const words of says) assertMatch(said, words);
    await visitor.shoot(`06-${what.replaceAll(" ", "-")}`);
    chip.faults.disarm();
    await mend?.(fixture, chip);
    await visitor.press("Try again");
    if (board?.autoReset === false) await startByHand(visitor, fixture);
    await visitor.sees(SUCCESS);
    assertFlashed(chip);
  });
}

/** Starts a board without wired lines by its button. */
async function startByHand(visitor: Visitor, fixture: Fixture): Promise<void> {
  await visitor.sees(/Press RESET on the board/);
  await fixture.isHeardAt(115200);
  fixture.cable().press(false);
}

browserTest(
  "failure: another chip is left alone, and another board can be chosen",
  async () => {
    const fixture = new Fixture();
    const wrong = boardOn(fixture, { magic: ESP32_MAGIC });
    const right = boardOn(fixture);
    await using visitor = await lab.open({ fixture });
    await visitor.flash();
    const said = await visitor.fault();
    for (const words of [/not an ESP8266/, /ESP32/]) assertMatch(said, words);
    await visitor.shoot("06-another-chip");
    assertEquals(wrong.flash.erasures.some((count) => count > 0), false);
    fixture.choice = "cancel"; // the list of ports is shown again
    await visitor.press("Try again");
    await visitor.sees(/No port was chosen/);
    fixture.choice = 1;
    await visitor.connect();
    await visitor.press("Flash the board");
    await visitor.sees(SUCCESS);
    assertFlashed(right);
  },
);

browserTest("failure: a flash that is smaller than it claims is detected", async () => {
  const fixture = new Fixture();
  boardOn(fixture, { flashSize: MB / 4, claimedSize: MB });
  await using visitor = await lab.open({ fixture });
  await visitor.check(/large/);
  await visitor.flash();
  assertMatch(await visitor.fault(), /does not hold what was written/);
});

browserTest("the user chooses no port: nothing happens, and one can be chosen later", async () => {
  const fixture = new Fixture();
  boardOn(fixture);
  await using visitor = await lab.open({ fixture });
  fixture.choice = "cancel";
  await visitor.press("Choose port");
  await visitor.sees(/No port was chosen/);
  assertEquals(await visitor.page.getByRole("alert").filter({ visible: true }).count(), 0);
  fixture.choice = 0;
  await visitor.connect();
});

/** Every block takes as long as possible without counting as lost, so that a test can act meanwhile. */
const slowly: Fault = { what: "slow", ms: 2500, ...everyBlock };

browserTest("stopped in the middle: the page says so, and trying again works", async () => {
  const fixture = new Fixture();
  const chip = boardOn(fixture);
  await using visitor = await lab.open({ fixture });
  chip.faults.arm(slowly);
  await visitor.flash();
  await visitor.seesWriting();
  await visitor.press("Stop");
  assertMatch(await visitor.fault(), /Stopped/);
  chip.faults.disarm();
  await visitor.press("Try again");
  await visitor.sees(SUCCESS);
  assertFlashed(chip);
});

browserTest("leaving the page in the middle: it asks first; reopened, it flashes", async () => {
  const fixture = new Fixture();
  const chip = boardOn(fixture);
  await using visitor = await lab.open({ fixture });
  const { page } = visitor;
  chip.faults.arm(slowly);
  await visitor.flash();
  await visitor.seesWriting();
  const asked = page.waitForEvent("dialog");
  const left = page.reload();
  const dialog = await asked;
  assertEquals(dialog.type(), "beforeunload");
  await dialog.accept();
  await left;
  chip.faults.disarm();
  await visitor.flash();
  await visitor.sees(SUCCESS);
  assertFlashed(chip);
});

browserTest(
  "unplugged while the console is open: the page says so; plugged in again, it goes on",
  async () => {
    const fixture = new Fixture();
    boardOn(fixture);
    await using visitor = await lab.open({ fixture });
    await visitor.flash();
    await visitor.sees(SUCCESS);
    await fixture.unplug();
    assertMatch(await visitor.fault(), /unplugged/);
    assertEquals(await visitor.page.getByText(SUCCESS).count(), 0);
    await fixture.plug();
    await visitor.press("Try again");
    await visitor.sees(SUCCESS);
  },
);
