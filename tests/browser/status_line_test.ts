/** The status line at the bottom of the window, which covers a part of the page. */
import { assert, assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { firmwareIn } from "./firmware/stand_in.ts";
import { makeImages } from "./firmware/images.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";

const images = await makeImages(20_000);
const lab = useLab(() => Promise.resolve({ nonos: images }));
const world = { networks: { Home: "correct horse" }, servers: { "192.168.1.10:8123": {} } };

/** The position of an element on the page. */
interface Thing {
  id: string;
  textContent: string;
  clientHeight: number;
  getBoundingClientRect(): { top: number; bottom: number; height: number };
}

/** Goes through the page with Tab, or back. Returns what had the focus, and what was behind the line. */
async function walk(page: Page, key: "Tab" | "Shift+Tab") {
  const reached: string[] = [];
  const hidden: string[] = [];
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press(key);
    const found = await page.evaluate(() => {
      const { document, innerHeight } = globalThis as unknown as {
        innerHeight: number;
        document: { activeElement: Thing; body: Thing; querySelector(what: string): Thing };
      };
      const thing = document.activeElement;
      if (thing === document.body) return undefined;
      const line = document.querySelector("footer").getBoundingClientRect();
      const { top, bottom, height } = thing.getBoundingClientRect();
      // An element that is higher than the space above the line counts as visible if it begins there.
      const seen = height > line.top ? top < line.top : bottom <= line.top + 0.5 && top >= -0.5;
      const name = thing.id || thing.textContent.trim();
      return {
        name,
        seen,
        at: `${name}: ${top} to ${bottom}, the line ${line.top}/${innerHeight}`,
      };
    });
    if (found === undefined) {
      if (reached.length > 0) break; // back at the start
      continue;
    }
    reached.push(found.name);
    if (!found.seen) hidden.push(found.at);
  }
  return { reached, hidden };
}

browserTest(
  "a focused element is never behind the status line, however long that is",
  async () => {
    const fixture = new Fixture();
    fixture.add({ firmware: firmwareIn(world), flashSize: 1024 * 1024 });
    await using visitor = await lab.open({ fixture, viewport: { width: 320, height: 480 } });
    const { page } = visitor;
    await visitor.flash();
    await visitor.sees("This device is on the server.");
    for (const summary of await page.locator("summary:visible").all()) await summary.click();
    await visitor.press("Flash another board");
    const line = page.locator("footer");
    await visitor.awaits(line.getByText(/^Everything is kept but/));
    const { height } = (await line.boundingBox())!;
    assert(height > 64, `a long line at this width, not ${height} px`);
    const there = await walk(page, "Tab"); // from where “Flash another board” put the focus
    const back = await walk(page, "Shift+Tab"); // the whole page
    for (
      const name of ["connect", "ssid", "key-none", "dialect", "flash", "console", "improv-ask"]
    ) {
      assert(back.reached.includes(name), `${name} among ${back.reached}`);
    }
    assertEquals([...there.hidden, ...back.hidden], []);
    // The end of the page is visible, too.
    await page.keyboard.press("Control+End");
    const end = page.getByRole("link", { name: "Licences" });
    await page.waitForFunction(() => {
      const { document } = globalThis as unknown as {
        document: { querySelector(what: string): Thing };
      };
      return document.querySelector(".end").getBoundingClientRect().bottom <=
        document.querySelector("footer").getBoundingClientRect().top;
    });
    await visitor.awaits(end);
  },
);
