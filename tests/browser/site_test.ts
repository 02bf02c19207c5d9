/** The page itself: its size, where it works, who can use it. */
import { assertEquals, assertMatch } from "@std/assert";
import { buildSite, weigh } from "../../bridge/flasher/build.ts";
import { Op } from "./chip/machine.ts";
import { firmwareIn } from "./firmware/stand_in.ts";
import { makeImages } from "./firmware/images.ts";
import { Fixture } from "./page/fixture.ts";
import { useLab } from "./page/browser.ts";
import { browserTest } from "./page/chromium.ts";
import { violations, wrongInAnyLook } from "./page/looks.ts";

const images = await makeImages(70_000);
const lab = useLab(() => Promise.resolve({ nonos: images }));

const SUCCESS = "This device is on the server.";
const world = { networks: { Home: "correct horse" }, servers: { "192.168.1.10:8123": {} } };

Deno.test({
  name: "the page needs less than 60 KB, compressed, before it can be used",
  sanitizeOps: false, // the bundler's process is shared with the other tests here
  sanitizeResources: false,
  async fn() {
    const { entry, loader } = await weigh(await buildSite());
    console.log(`first load ${entry} bytes, with the first board ${loader} more (gzip)`);
    assertEquals(entry < 60_000, true);
  },
});

browserTest("axe works: it finds a field without a name", async () => {
  await using visitor = await lab.open();
  await visitor.page.evaluate(() => {
    const { document } = globalThis as unknown as {
      document: { body: { insertAdjacentHTML(where: string, html: string): void } };
    };
    document.body.insertAdjacentHTML("beforeend", "<main><input></main>");
  });
  assertMatch((await violations(visitor.page)).join("\n"), /label/);
});

/** The page's appearances; each state is checked in all of them. */
const looks = [
  { colorScheme: "light", width: 1000, picture: true },
  { colorScheme: "dark", width: 1000, picture: false }, // pictures of two of the four are enough
  { colorScheme: "dark", width: 320, picture: true },
  { colorScheme: "light", width: 320, picture: false },
] as const;

browserTest("every state, light and dark, wide and narrow: axe finds nothing", async () => {
  const fixture = new Fixture();
  const chip = fixture.add({ firmware: firmwareIn({ ...world }), flashSize: 1024 * 1024 });
  const list = Promise.withResolvers<void>();
  await using visitor = await lab.open({ fixture, listed: list.promise });
  const { page } = visitor;
  const states: [string, () => Promise<unknown>][] = [
    ["loading", () => visitor.sees("The list of firmware is loading …")],
    ["start", async () => {
      list.resolve();
      await visitor.awaits(page.getByRole("radio", { name: "Holdfast 0.1.0 (WiFi)" }));
    }],
    ["open", async () => {
      for (const summary of await page.locator("summary").all()) {
        if (await summary.isVisible()) await summary.click();
      }
      await visitor.check("Files on this computer");
      await visitor.press("Add a file");
    }],
    ["wrong", async () => {
      await visitor.press("Flash the board");
      await visitor.sees("Enter the name of the WiFi.");
    }],
    ["key", async () => {
      await visitor.check("Holdfast 0.1.0 (WiFi)");
      await visitor.flash({ key: "make" });
      await visitor.awaits(page.getByRole("dialog"));
    }],
    ["writing", async () => {
      // As slow as possible without counting as lost.
      chip.faults.arm({ what: "slow", op: Op.flashDeflData, times: 1000, ms: 2500 });
      await visitor.press("I have it: go on");
      await visitor.seesWriting();
    }],
    ["good", async () => {
      await visitor.seesWriting(); // it was being checked until now
      chip.faults.disarm();
      await visitor.sees(SUCCESS);
    }],
    ["improv", async () => {
      await visitor.press("Ask the board");
      await visitor.awaits(page.getByLabel("Network", { exact: true }));
    }],
    ["bad", async () => {
      await visitor.field("Server address").fill("nowhere");
      await visitor.press("Flash the board");
      await visitor.sees(/nowhere:8123: nothing answers there/);
    }],
    ["lost", async () => {
      await fixture.unplug();
      await visitor.fault();
    }],
  ];
  const found: string[] = [];
  for (const [state, reach] of states) {
    await reach();
    found.push(...await wrongInAnyLook(visitor, `10-${state}`, looks));
  }
  assertEquals(found, []);
});

browserTest("the page can be used with the keyboard alone", async () => {
  const fixture = new Fixture();
  fixture.add({ firmware: firmwareIn(world), flashSize: 1024 * 1024 });
  await using visitor = await lab.open({ fixture });
  const { keyboard } = visitor.page;
  /** Tabs to the element with this name, as a user of a screen reader would. */
  const tabTo = async (name: RegExp) => {
    for (let presses = 0; presses < 60; presses++) {
      await keyboard.press("Tab");
      const [focused] = await visitor.page.locator(":focus").all();
      if (focused && name.test(await focused.evaluate(accessibleName))) return;
    }
    throw new Error(`the keyboard does not reach ${name}`);
  };
  await tabTo(/^Choose port$/);
  await keyboard.press("Enter");
  await visitor.awaits(visitor.fact("Chip"));
  await tabTo(/^WiFi name$/);
  await keyboard.type("Home");
  await tabTo(/^WiFi password$/);
  await keyboard.type("correct horse");
  await tabTo(/^Server address$/);
  await keyboard.type("192.168.1.10");
  await tabTo(/^Device id$/);
  await keyboard.type("kitchen");
  await visitor.awaits(visitor.page.getByRole("radio", { name: "Holdfast 0.1.0 (WiFi)" }));
  await keyboard.press("Enter"); // submits the form
  await visitor.awaits(visitor.page.getByRole("dialog"));
  await tabTo(/go on/);
  await keyboard.press("Enter");
  await visitor.sees(SUCCESS);
});

/** Runs in the page: the accessible name of a field or button. */
function accessibleName(element: unknown): string {
  const { labels, textContent, ariaLabel } = element as {
    labels?: Iterable<{ textContent: string }>;
    textContent: string;
    ariaLabel: string | null;
  };
  const [label] = labels ?? [];
  return (ariaLabel ?? label?.textContent ?? textContent).trim();
}

browserTest("the page works without a network once it was loaded", async () => {
  const fixture = new Fixture();
  fixture.add({ firmware: firmwareIn(world), flashSize: 1024 * 1024 });
  await using visitor = await lab.open({ fixture });
  const { page } = visitor;
  await page.evaluate(async () => {
    await (navigator as unknown as { serviceWorker: { ready: Promise<unknown> } }).serviceWorker
      .ready;
  });
  await page.waitForFunction(async () => {
    const { caches } = globalThis as unknown as {
      caches: { match(name: string): Promise<unknown> };
    };
    return await caches.match("firmware/nonos/irom.bin") !== undefined;
  });
  await page.context().setOffline(true);
  await page.reload();
  await visitor.flash();
  await visitor.sees(SUCCESS);
  visitor.errors.length = 0; // the browser complains about the network, as expected
});

browserTest("a browser without Web Serial gets a message, whatever its name", async () => {
  await using visitor = await lab.open({ serial: false });
  await visitor.sees("This browser cannot open a serial port");
  const choose = visitor.page.getByRole("button", { name: "Choose port" });
  assertEquals(await choose.isDisabled(), true);
  assertEquals(await violations(visitor.page), []);
  await visitor.shoot("11-no-web-serial");
});

browserTest("a page from another host without HTTPS says why it cannot reach a board", async () => {
  await using visitor = await lab.open({ host: "elsewhere.test" });
  await visitor.sees("This page was not loaded securely");
  const choose = visitor.page.getByRole("button", { name: "Choose port" });
  assertEquals(await choose.isDisabled(), true);
});

browserTest("without built firmware the page says how to get some, and takes files", async () => {
  const empty = await Deno.makeTempDir();
  try {
    await using visitor = await lab.open({ images: empty });
    await visitor.sees(/has come without firmware/);
    assertEquals(
      await visitor.page.getByRole("radio", { name: "Files on this computer" }).isChecked(),
      true,
    );
    await visitor.shoot("11-no-firmware");
  } finally {
    await Deno.remove(empty);
  }
});

browserTest("ESP Web Tools can use the manifest", async () => {
  await using visitor = await lab.open();
  const manifest = await visitor.page.evaluate(async () =>
    await (await fetch("firmware/nonos/manifest.json")).json()
  );
  assertEquals(manifest.builds[0].chipFamily, "ESP8266");
  assertMatch(manifest.version, /^\d+\.\d+\.\d+$/);
  for (const { path, offset } of manifest.builds[0].parts) {
    assertEquals(offset % 4096, 0);
    const response = await visitor.page.request.get(`${lab.url}firmware/nonos/${path}`);
    assertEquals(response.status(), 200);
  }
});
