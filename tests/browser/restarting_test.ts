/** Boards that do not start the firmware, or do not get further: the page says why, and never waits for ever. */
import { assertEquals, assertMatch } from "@std/assert";
import { encodeSettings } from "../../bridge/formats/settings.ts";
import { firmwareIn, type World } from "./firmware/stand_in.ts";
import { flashWith, makeImages } from "./firmware/images.ts";
import { type Chip, type Firmware, ROM_BAUD } from "./chip/chip.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab, type Visitor } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const images = await makeImages(20_000);
const lab = useLab(() => Promise.resolve({ nonos: images }));

const MB = 1024 * 1024;
const SUCCESS = "This device is on the server.";
const settings = {
  ssid: "Home",
  password: "correct horse",
  server: "192.168.1.10",
  id: "kitchen",
};

function home(fails?: World["fails"]): World {
  return {
    networks: { Home: "correct horse" },
    servers: { "192.168.1.10:8123": {} },
    fails,
  };
}

/** A board on the fixture that has been flashed. */
function flashedBoard(fixture: Fixture, firmware: Firmware): Chip {
  const chip = fixture.add({ firmware, flashSize: MB });
  for (const { at, bytes } of flashWith(images, "1MB", "main", encodeSettings(settings))) {
    chip.flash.program(at, bytes);
  }
  return chip;
}

/** Opens the console, and skips the page's waiting times. */
async function listen(visitor: Visitor): Promise<void> {
  await visitor.page.clock.install();
  await visitor.press("Open the console");
  await visitor.sees(/Waiting for what it says/);
}

/** Nothing arrives at the firmware's speed, so the page changes to the ROM's. */
async function turnToRom(visitor: Visitor): Promise<void> {
  await visitor.page.clock.fastForward(8000);
  await visitor.hears("(listening at 74880 baud)");
}

function statusLine(visitor: Visitor): Promise<string> {
  return visitor.page.locator("#status").innerText();
}

browserTest(
  "repeated restarts are reported, with the reason and what to check",
  async (t) => {
    for (
      const [reason, words, advice] of [
        ["exception", /its program crashes \(exception 28\)/, /another application/],
        ["watchdog", /its program hangs.*\(watchdog\)/, /another application/],
        ["power-on", /its power fails \(power-on\)/, /USB cable/],
      ] as const
    ) {
      await t.step(reason, async () => {
        const fixture = new Fixture();
        const world = home({ reason, after: 300 }); // it is on the server before that
        fixture.add({ firmware: firmwareIn(world), flashSize: MB });
        await using visitor = await lab.open({ fixture });
        await visitor.flash();
        await visitor.sees(words);
        assertMatch(await visitor.page.locator("#verdict").innerText(), advice);
        assertMatch(await statusLine(visitor), /restarts again and again/);
        await visitor.shoot(`08-restarts-${reason}`);
        if (reason !== "exception") return;
        await visitor.sees(
          /read from where no memory is \(exception 28, at 40214b12, address 00000004\)/,
        );
        // The cause is removed, and it runs for long enough.
        world.fails = undefined;
        await visitor.page.clock.install();
        await visitor.press("Restart the board");
        await visitor.sees(SUCCESS);
        assertEquals(await statusLine(visitor), SUCCESS);
      });
    }
  },
);

browserTest(
  "a board that crashes before its first line prints at 74880 baud only: that is reported, too",
  async () => {
    const fixture = new Fixture();
    const crashing: Firmware = (board) => {
      board.after(
        100,
        () => board.print("Fatal exception 29(StoreProhibitedCause):\r\nepc1=0x40203d21\r\n"),
      );
      board.after(200, () => board.restart("exception"));
      return { baud: ROM_BAUD, receive() {} };
    };
    const chip = flashedBoard(fixture, crashing);
    await using visitor = await lab.open({ fixture });
    await listen(visitor);
    await turnToRom(visitor);
    await visitor.sees(/restarts again and again: its program crashes \(exception 29\)/);
    await visitor.hears("Fatal exception 29");
    await visitor.shoot("08-exception-at-74880");
    assertEquals(await visitor.page.getByText("The board says nothing").count(), 0);
    // It can be flashed from there.
    chip.firmware = firmwareIn(home());
    await visitor.flash();
    await visitor.sees(SUCCESS);
  },
);

/** Reasons why a chip does not start its program, and the page's words. */
const stuck: Record<string, { prepare: (chip: Chip) => void; says: RegExp; tries: RegExp }> = {
  "GPIO0 at GND": {
    prepare: (chip) => chip.wired = 1,
    says: /GPIO0 is connected with GND/,
    tries: /FLASH \(BOOT\)/,
  },
  "GPIO2 at GND": {
    prepare: (chip) => chip.wired = 2,
    says: /GPIO2 is connected with GND/,
    tries: /GPIO2/,
  },
  "GPIO15 not at GND": {
    prepare: (chip) => chip.wired = 7,
    says: /GPIO15 is not connected with GND/,
    tries: /Connect GPIO15/,
  },
  "a damaged program": {
    prepare: (chip) => chip.flash.program(0x100, new Uint8Array(16)),
    says: /program in its flash is damaged \(wrong checksum\)/,
    tries: /slow speed/,
  },
  "a blank flash": {
    prepare: (chip) => chip.flash.eraseSectors(0, 8),
    says: /no program in its flash/,
    tries: /step 2/,
  },
  "a cut program": {
    prepare: (chip) => {
      chip.flash.eraseSectors(0, 8);
      chip.flash.program(0, Uint8Array.of(0xe9, 3, 3, 0x20)); // and then blank
    },
    says: /loads a program, and then says nothing more/,
    tries: /a part of the program may be missing/,
  },
  "only the first part of a program": {
    prepare: (chip) => chip.firmware = () => ({ baud: 115200, receive() {} }),
    says: /loads a program, and then says nothing more/,
    tries: /firmware and application/,
  },
  "no calibration of the radio": {
    prepare: (chip) =>
      chip.firmware = (board) => {
        board.after(50, () => board.print("Mo\r\nrf_cal[0] !=0x05,is 0xFF\r\n"));
        board.after(60, () => board.restart());
        return { baud: ROM_BAUD, receive() {} };
      },
    says: /settings of its radio are missing/,
    tries: /flash/,
  },
};

browserTest(
  "a board that does not start its program: the page explains what its ROM prints",
  async (t) => {
    for (const [what, { prepare, says, tries }] of Object.entries(stuck)) {
      await t.step(what, async () => {
        const fixture = new Fixture();
        const chip = flashedBoard(fixture, firmwareIn(home()));
        prepare(chip);
        await using visitor = await lab.open({ fixture });
        await listen(visitor);
        await turnToRom(visitor);
        if (says.source.includes("nothing more")) {
          await visitor.hears(/^load /);
          await visitor.page.clock.fastForward(13_000);
        }
        await visitor.sees(says);
        assertMatch(await visitor.page.locator("#verdict").innerText(), tries);
        assertMatch(await statusLine(visitor), says);
        if (chip.wired === undefined) return;
        // The wire is removed, and RESET pressed.
        chip.wired = undefined;
        fixture.cable().press(false);
        await visitor.sees(SUCCESS);
      });
    }
  },
);

browserTest("after “Restart the board” the console uses the firmware's speed again", async () => {
  const fixture = new Fixture();
  const chip = flashedBoard(fixture, firmwareIn(home()));
  chip.wired = 1;
  await using visitor = await lab.open({ fixture });
  await listen(visitor);
  await turnToRom(visitor);
  await visitor.sees(/GPIO0/);
  chip.wired = undefined;
  await visitor.press("Restart the board");
  await visitor.hears("holdfast: settings id=kitchen");
  await visitor.sees(SUCCESS);
});

browserTest(
  "rubbish, half lines and silence: the page says so, and does not wait endlessly",
  async (t) => {
    const speaks: Record<string, { firmware: Firmware; says: RegExp }> = {
      "a program at 9600 baud": {
        firmware: (board) => {
          const speak = () => {
            board.print("temperature 21.5\r\n");
            board.after(100, speak);
          };
          board.after(100, speak);
          return { baud: 9600, receive() {} };
        },
        says: /starts a program, but it does not speak as Holdfast/,
      },
      "random bytes without an end of line": {
        firmware: (board) => {
          const speak = () => {
            const bytes = crypto.getRandomValues(new Uint8Array(64));
            board.print(bytes.map((byte) => byte === 10 || byte === 13 ? 0 : byte));
            board.after(50, speak);
          };
          board.after(50, speak);
          return { baud: 115200, receive() {} };
        },
        says: /starts a program, but it does not speak as Holdfast/,
      },
      "half of the firmware's lines": {
        firmware: (board) => {
          board.after(50, () => board.print("holdf"));
          return { baud: 115200, receive() {} };
        },
        says: /starts a program, but it does not speak as Holdfast/,
      },
    };
    for (const [what, { firmware, says }] of Object.entries(speaks)) {
      await t.step(what, async () => {
        const fixture = new Fixture();
        const chip = flashedBoard(fixture, firmware);
        await using visitor = await lab.open({ fixture });
        await listen(visitor);
        await turnToRom(visitor);
        // The page's waiting times are not skipped here: its words depend on earlier output.
        await visitor.sees(says);
        // The board is left alone, and listened to at the firmware's speed.
        await visitor.hears("(listening at 115200 baud)");
        await fixture.isHeardAt(115200);
        chip.firmware = firmwareIn(home());
        fixture.cable().press(false);
        await visitor.sees(SUCCESS);
      });
    }
    await t.step("a board without power", async () => {
      const fixture = new Fixture();
      const chip = flashedBoard(fixture, firmwareIn(home()));
      chip.setLines = () => {}; // the adapter works, the chip does not start
      await using visitor = await lab.open({ fixture });
      fixture.cable().press(true);
      await listen(visitor);
      await turnToRom(visitor);
      await visitor.page.clock.fastForward(5000);
      await visitor.sees("The board says nothing.");
    });
  },
);

browserTest(
  "a port that opens more slowly than a board prints: the page does not wait in vain",
  async () => {
    const fixture = new Fixture();
    const chip = flashedBoard(fixture, firmwareIn(home()));
    chip.setLines = () => {}; // no output can hide it
    await using visitor = await lab.open({ fixture });
    fixture.cable().press(true);
    const goOn = fixture.hold("open");
    await listen(visitor);
    await visitor.page.clock.fastForward(8000);
    goOn();
    await visitor.hears("(listening at 74880 baud)");
    await visitor.page.clock.fastForward(5000);
    await visitor.sees("The board says nothing.");
  },
);

browserTest(
  "unplugged while the speed is changed: reported once, and the port is closed",
  async () => {
    const fixture = new Fixture();
    const chip = flashedBoard(fixture, firmwareIn(home()));
    chip.wired = 1;
    await using visitor = await lab.open({ fixture });
    await listen(visitor);
    const goOn = fixture.hold("open");
    await visitor.page.clock.fastForward(8000);
    await visitor.hears("(listening at 74880 baud)");
    await fixture.unplug();
    goOn();
    assertMatch(await visitor.fault(), /port could not be opened/);
    chip.wired = undefined;
    await fixture.plug();
    await visitor.press("Try again");
    await visitor.sees(SUCCESS);
  },
);

browserTest("flashing while the speed is changed: the board is flashed", async () => {
  const fixture = new Fixture();
  const chip = flashedBoard(fixture, firmwareIn(home()));
  chip.flash.eraseSectors(0, 8);
  await using visitor = await lab.open({ fixture });
  await listen(visitor);
  await visitor.fill();
  const goOn = fixture.hold("open");
  await visitor.page.clock.fastForward(8000);
  await visitor.hears("(listening at 74880 baud)");
  await visitor.press("Flash the board");
  goOn();
  await visitor.sees(SUCCESS);
});
