/** The page of one device: what it shows, and what the user can do. */
import { assertEquals } from "@std/assert";
import { Channels, type Client, type DeviceChannelsOptions } from "../../bridge/host/mod.ts";
import { channels } from "../../server/mod.ts";
import { ModelBoard } from "../support/model_board.ts";
import { until } from "../support/wait.ts";
import { browserTest } from "./page/chromium.ts";
import { Fleet, type FleetVisitor } from "./page/fleet.ts";
import { wrongInAnyLook } from "./page/looks.ts";

const description = {
  name: "Heating",
  channels: {
    heater: { kind: "switch", name: "Heater" },
    target: { kind: "number", name: "Target", unit: "°C", min: 5, max: 30, step: 0.5 },
    temp: { kind: "sensor", name: "Temperature", unit: "°C" },
    mode: { kind: "enum", values: ["day", "night"] },
    label: { kind: "text" },
    blink: { kind: "button", value: "3" },
  },
};

/** A kitchen with channels, and the lines that it got. */
class Kitchen {
  readonly told: string[] = [];
  readonly channels: Channels;

  constructor(readonly client: Client, options: Partial<DeviceChannelsOptions> = {}) {
    const set = (name: string) => ({
      set: (value: unknown) => void this.told.push(`${name} ${value}`),
    });
    this.channels = new Channels(client, {
      app: "heating",
      version: "3",
      description,
      channels: {
        heater: set("heater"),
        target: set("target"),
        mode: set("mode"),
        label: set("label"),
        blink: { ask: (value) => void this.told.push(`blink ${value}`) },
      },
      line: (text) => void this.told.push(text),
      ...options,
    });
  }

  async was(words: string): Promise<void> {
    await until(() => this.told.includes(words), { what: () => `${words} in ${this.told}` });
  }
}

async function begin(admin: boolean) {
  const stack = new AsyncDisposableStack();
  const app = channels({ temp: {}, heap: {}, heater: {}, target: {}, mode: {}, label: {} });
  const fleet = stack.use(await Fleet.start({ app }, { admin }));
  const kitchen = new Kitchen(await fleet.device("hall/kitchen", { metadata: "rssi=-61" }));
  await kitchen.channels.report("temp", 17.5);
  const visitor = await fleet.visitor();
  await visitor.page.getByRole("link", { name: "hall/kitchen" }).click();
  await visitor.awaits(channel(visitor, "Temperature"));
  return { fleet, kitchen, visitor, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function channel(visitor: FleetVisitor, name: string, words: string | RegExp = "") {
  return visitor.page.locator("#channels li").filter({ hasText: name }).filter({ hasText: words });
}

browserTest("a device's page shows its channels, its messages and its log, live", async () => {
  await using place = await begin(false);
  const { kitchen, visitor, fleet } = place;
  await visitor.awaits(channel(visitor, "Temperature", "17.5 °C"));
  await kitchen.channels.report("temp", 18);
  await visitor.awaits(channel(visitor, "Temperature", "18 °C"));
  await visitor.hears("=temp 18");
  await (await fleet.server.thing("hall/kitchen")).set("target", 21, { by: "somebody" });
  await visitor.awaits(channel(visitor, "Target", /21 °C.*as it should be \(somebody/));
  await visitor.hears(/^=target\.\d+ 21$/);
  await visitor.field("Only lines with").fill("temp");
  await visitor.page.getByRole("log").getByText(/^=target\.\d+ 21$/).first().waitFor({
    state: "hidden",
  });
  await visitor.awaits(visitor.fact("Round trip").filter({ hasText: /^[\d.,]+ m?s from/ }));
  assertEquals(await visitor.fact("Signal").innerText(), "-61 dBm, as it said when it connected");
  await kitchen.channels.report("heap", 17448);
  await visitor.awaits(visitor.fact("Free heap").filter({ hasText: /^17,448 B, at \d/ }));
  assertEquals(await visitor.fact("Application on it").innerText(), "heating 3");
  assertEquals(await visitor.fact("Starts").innerText().then((text) => text.slice(0, 2)), "1 ");
  fleet.network.reset();
  await visitor.field("Only lines with").fill("");
  await visitor.hears(/disconnected .* LOST/);
  // The page is read-only.
  assertEquals(await visitor.page.getByRole("button").count(), 0);
});

browserTest("switches, numbers, enums and texts are set, and lines sent", async () => {
  await using place = await begin(true);
  const { kitchen, visitor } = place;
  const { page } = visitor;
  await page.getByRole("switch", { name: "Heater" }).click();
  await kitchen.was("heater 1");
  await visitor.awaits(page.getByRole("switch", { name: "Heater", checked: true }));
  await page.getByRole("switch", { name: "Heater" }).click();
  await kitchen.was("heater 0");
  await visitor.field("Target").fill("21.5");
  await visitor.press("Set Target");
  await kitchen.was("target 21.5");
  await visitor.awaits(channel(visitor, "Target", "21.5 °C"));
  await page.getByRole("combobox", { name: "mode" }).selectOption("night");
  await kitchen.was("mode night");
  await visitor.field("label").fill("<b>bold</b>");
  await page.keyboard.press("Enter");
  await kitchen.was("label <b>bold</b>");
  await visitor.press("blink: do it");
  await kitchen.was("blink 3");
  await visitor.sees("Ask for blink: done.");
  await visitor.field("Send a line").fill("hello there");
  await visitor.press("Send");
  await kitchen.was("hello there");
  const isEmpty = async () => await visitor.field("Send a line").inputValue() === "";
  await until(isEmpty, { what: "the field of the line that was sent to be cleared" });
  // A plain line that looks like a setting is not refused: it is a message like any other.
  await visitor.field("Send a line").fill("x".repeat(100_000));
  await visitor.press("Send");
  await visitor.sees(/^Send: .*too large|^Send: .*bytes/);
  visitor.errors.length = 0; // the browser reports that the line was refused, as expected
});

browserTest(
  "waiting messages are dropped, and a device is forgotten, after a confirmation",
  async () => {
    await using place = await begin(true);
    const { fleet, kitchen, visitor } = place;
    const { page } = visitor;
    await kitchen.client.close();
    await visitor.awaits(page.locator("#head").getByText("away", { exact: true }));
    await visitor.field("Send a line").fill("for later");
    await visitor.press("Send");
    await until(async () => (await visitor.fact("Waiting").innerText()) === "0 from it, 1 to it");
    await visitor.press("Drop all messages that wait");
    await visitor.press("Cancel");
    assertEquals(fleet.server.devices[0]!.outbox, 1);
    await visitor.press("Drop all messages that wait");
    await visitor.press("Drop them");
    await until(async () => (await visitor.fact("Waiting").innerText()) === "0 from it, 0 to it");
    await visitor.press("Forget the device");
    await visitor.press("Forget it");
    assertEquals(/forgotten/.test(await visitor.fault()), true);
    assertEquals(fleet.server.devices, []);
  },
);

browserTest("a device's page in every appearance: axe finds nothing", async () => {
  await using place = await begin(true);
  const { fleet, visitor, kitchen } = place;
  const thing = await fleet.server.thing("hall/kitchen");
  await thing.set("heater", 1, { by: "somebody" });
  await visitor.awaits(channel(visitor, "Heater", "as it should be"));
  await visitor.page.getByText("over time").last().click();
  await visitor.sees(/^17.5 to 17.5 since/);
  for (const temp of [18, 18.5, 18.2, 19]) await kitchen.channels.report("temp", temp);
  await visitor.sees(/^17.5 to 19 since/);
  await kitchen.client.close();
  await thing.set("target", 22, { by: "somebody" });
  await visitor.awaits(channel(visitor, "Target", "should be 22"));
  const found: string[] = [];
  const look = async (state: string) => {
    found.push(...await wrongInAnyLook(visitor, `21-${state}`));
  };
  await look("device");
  await visitor.press("Forget the device");
  await look("sure");
  await visitor.press("Cancel");
  assertEquals(found, []);
});

browserTest(
  "another application is deployed from a device's page, which shows the progress",
  async () => {
    await using stack = new AsyncDisposableStack();
    const fleet = stack.use(await Fleet.start({}, { admin: true }));
    let isBad = true;
    const falls = () => isBad ? "trap" : undefined;
    const board = stack.use(new ModelBoard(fleet.server.port, "roof", { falls, trial: 300 }));
    await until(() => board.up);
    const visitor = await fleet.visitor();
    await visitor.page.getByRole("link", { name: "roof" }).click();
    const words = (text: string | RegExp) => visitor.awaits(visitor.page.getByText(text).first());
    await words("It runs kitchen 3.");
    const file = new URL("../../client-as/build/main.wasm", import.meta.url).pathname;
    await visitor.field("New application").setInputFiles(file);
    await visitor.page.getByRole("button", { name: "Deploy" }).click();
    await words(/main \d+ (travels|has arrived|runs on trial)/);
    await words(/main \d+ was tried, and the old one is back: trap\./);
    isBad = false;
    await visitor.page.getByRole("button", { name: "Deploy" }).click();
    await words(/use `again` to try them once more/);
    visitor.errors.length = 0; // the browser reports that it was refused, as expected
    await visitor.field("also if it is older, or fell back before").check();
    await visitor.page.getByRole("button", { name: "Deploy" }).click();
    await words(/main \d+ was kept\./);
    await words(/It runs main \d+\./);
    assertEquals(board.firmware.trials.length, 2);
    assertEquals(await wrongInAnyLook(visitor, "23-deploy"), []);
  },
);

browserTest(
  "a group's deploy is shown until all devices have it, or with the reason why it was stopped",
  async () => {
    await using stack = new AsyncDisposableStack();
    const fleet = stack.use(await Fleet.start());
    const { server } = fleet;
    const boards = ["a", "b", "c"].map((id) =>
      stack.use(
        new ModelBoard(server.port, id, {
          trial: 1500,
          ...(id === "b" && { falls: () => "hang" }),
        }),
      )
    );
    await until(() => boards.every(({ up }) => up));
    const visitor = await fleet.visitor();
    const wasm = Deno.readFileSync(new URL("../../client-as/build/main.wasm", import.meta.url));
    await server.rollOut(["a", "b", "c"], wasm, { name: "main", version: 7 });
    const words = (text: string) => visitor.awaits(visitor.page.getByText(text).first());
    await words("main 7: 0 of 3 devices run it, and 2 wait for their turn.");
    await words(
      "main 7: 1 of 3 devices run it. It was stopped because b has fallen back (hang): 1 were not started.",
    );
    assertEquals(await wrongInAnyLook(visitor, "26-group"), []);
    await visitor.page.getByRole("link", { name: "c", exact: true }).click();
    await words("main 7 was not started because another device of its group failed");
  },
);
