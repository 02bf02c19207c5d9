/** The server's page as users see it: devices and the server come and go while it is open. */
import { assertEquals } from "@std/assert";
import { RawPeer } from "../support/raw.ts";
import { until } from "../support/wait.ts";
import { browserTest, PATIENCE } from "./page/chromium.ts";
import { Fleet } from "./page/fleet.ts";
import { wrongInAnyLook } from "./page/looks.ts";

browserTest("a device connects, leaves and comes back while the page is open", async () => {
  await using fleet = await Fleet.start();
  const visitor = await fleet.visitor();
  await visitor.sees("waits for its first device");
  await fleet.device("kitchen");
  await visitor.awaits(visitor.row("kitchen", "up"));
  await visitor.sees("1 device: 1 with a link, 0 away");
  fleet.network.blackhole();
  await visitor.awaits(visitor.row("kitchen", "away"));
  await visitor.sees("1 device: 0 with a link, 1 away");
  fleet.network.restore({ drop: true });
  await visitor.awaits(visitor.row("kitchen", "up"));
  await visitor.awaits(
    visitor.row("kitchen").getByRole("img", { name: /^1 outage, \d+ s in all/ }),
  );
});

browserTest("messages are counted, and so are waiting ones", async () => {
  await using fleet = await Fleet.start({
    app: async (device) => {
      for await (const line of device) device.write(`echo ${line}`).catch(() => {});
    },
  });
  const client = await fleet.device("kitchen");
  const visitor = await fleet.visitor();
  const answered = client.readline();
  await client.write("hello");
  await answered;
  await visitor.awaits(visitor.row("kitchen", /1\s*1\s*0\s*[\d.]+ ms$/));
});

browserTest("the server is restarted under an open page, which goes on", async () => {
  await using fleet = await Fleet.start();
  await fleet.device("kitchen");
  const visitor = await fleet.visitor();
  await visitor.awaits(visitor.row("kitchen", "up"));
  await fleet.stopServer();
  assertEquals(/The server does not answer/.test(await visitor.fault()), true);
  await fleet.startServer();
  await visitor.page.getByRole("alert").waitFor({ state: "hidden" });
  await visitor.awaits(visitor.row("kitchen", "up"));
  // The device's state while the server was away is unknown: that is not an outage of the device.
  const lane = visitor.row("kitchen").getByRole("img");
  assertEquals(await lane.locator("path.unseen").getAttribute("d") !== "", true);
  visitor.errors.length = 0; // the browser reports that nobody answered, as expected
});

browserTest("two browsers see the same", async () => {
  await using fleet = await Fleet.start();
  const visitors = [await fleet.visitor(), await fleet.visitor({ colorScheme: "dark" })];
  const kitchen = await fleet.device("kitchen");
  await fleet.device("hall");
  for (const visitor of visitors) {
    await visitor.awaits(visitor.row("kitchen", "up"));
    await visitor.awaits(visitor.row("hall", "up"));
  }
  await kitchen.close();
  for (const visitor of visitors) await visitor.awaits(visitor.row("kitchen", "away"));
  await fleet.server.forget("kitchen");
  for (const visitor of visitors) await visitor.sees("1 device: 1 with a link, 0 away");
});

browserTest(
  "a thousand devices: all can be reached, visible ones are updated, others cost nothing",
  async () => {
    await using fleet = await Fleet.start({ timeout: 120_000 });
    await using stack = new AsyncDisposableStack();
    const ids = Array.from({ length: 1000 }, (_, n) => `device ${n}`);
    for (const id of ids) {
      const peer = stack.use(await RawPeer.dial(fleet.server.port));
      await peer.say(`${id}\n\n`);
    }
    await until(() => fleet.server.devices.filter(({ connected }) => connected).length === 1000);
    const visitor = await fleet.visitor();
    await visitor.sees("1,000 devices: 1000 with a link, 0 away");
    const { page } = visitor;
    const names = await page.getByRole("rowheader").allTextContents();
    assertEquals(names, ids, "2 comes before 10");
    const shown = (id: string) => visitor.row(id).getByText("up", { exact: true });
    await visitor.awaits(shown("device 0"));
    // On a busy machine Chromium loses about one scroll in five: the page gets the key and the end of the scroll, and
    // stays where it is. A user would press again.
    const last = shown("device 999");
    await until(async () => {
      await page.keyboard.press("End");
      await last.waitFor({ timeout: 2000 }).catch(() => {}); // then press once more
      return await last.isVisible();
    }, { timeout: PATIENCE });
    await fleet.server.forget("device 998");
    await visitor.sees("999 devices");
  },
);

browserTest("every state, light and dark, wide and narrow: axe finds nothing", async () => {
  await using fleet = await Fleet.start();
  const visitor = await fleet.visitor();
  const states: [string, () => Promise<unknown>][] = [
    ["none", () => visitor.sees("waits for its first device")],
    ["devices", async () => {
      await fleet.device("kitchen");
      fleet.network.reset();
      await until(() => fleet.server.devices[0]!.connects > 1);
      const lost = await fleet.device("a-rather-long-name-of-a-board/in-the-cellar");
      await fleet.device("hall");
      await lost.close();
      await visitor.sees("3 devices: 2 with a link, 1 away");
    }],
    ["gone", async () => {
      await fleet.stopServer();
      await visitor.fault();
    }],
  ];
  const found: string[] = [];
  for (const [state, reach] of states) {
    await reach();
    found.push(...await wrongInAnyLook(visitor, `20-${state}`));
  }
  visitor.errors.length = 0; // the browser reports that nobody answered, as expected
  await fleet.startServer(); // for the clean-up to stop
  assertEquals(found, []);
});
