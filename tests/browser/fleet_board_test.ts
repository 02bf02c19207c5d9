/** A switch on the server's page, and the pin of a board: the firmware on the emulated chip, a real server, a real browser. */
import { channels, type DescriptionsByName } from "../../server/mod.ts";
import { chipTools, isUp, plugInBehindProxy } from "../firmware/support.ts";
import { compile } from "../support/compile.ts";
import { until } from "../support/wait.ts";
import { browserTest } from "./page/chromium.ts";
import { Fleet, TIMEOUT } from "./page/fleet.ts";

/** An application for a lamp at pin 5. */
const LAMP = `
  export * from "../assembly/core";
  export { canReceive } from "../assembly/app";
  import { answer, done, gpio_write, hear, hello, integer, number, on } from "../assembly/app";
  export function onStart(): void {
    hello("@lamp 1");
    gpio_write(5, 0);
  }
  export function onMessage(ptr: usize, length: i32): bool {
    if (!hear(ptr, length)) return true;
    if (on("=lamp")) {
      const level = integer(0) & 1;
      gpio_write(5, level);
      answer();
      number(level);
    }
    return done();
  }
`;

const descriptions: DescriptionsByName = {
  lamp: { channels: { lamp: { kind: "switch", name: "Lamp" } } },
};

browserTest(
  "a switch on the page changes the board's pin; in an outage the setting waits, and the page shows that",
  async () => {
    const wasm = await compile(LAMP);
    await using fleet = await Fleet.start(
      { app: channels({ lamp: {} }), descriptions },
      { admin: true },
    );
    await using chip = await plugInBehindProxy({
      port: fleet.server.port,
      id: "cellar",
      application: { name: "lamp", wasm },
      settings: { timeout: TIMEOUT },
    });
    const { board, proxy } = chip;
    await fleet.server.device("cellar"); // an unknown device has no page
    const visitor = await fleet.visitor({}, "devices/cellar");
    const lamp = visitor.page.getByRole("switch", { name: "Lamp" });
    const row = visitor.page.locator("#channels li").filter({ hasText: "Lamp" });
    const pin = (level: number) =>
      until(() => board.pin(5) === level, { what: () => `pin 5 to be ${level}` });

    await lamp.click();
    await pin(1);
    await visitor.awaits(row.filter({ hasText: /^Lamp.*1.*as it should be/ }));
    await lamp.click();
    await pin(0);

    // The path is cut: the setting waits, and the page shows that.
    proxy.blackhole();
    await visitor.awaits(visitor.page.locator("#head").getByText("away", { exact: true }));
    await lamp.click();
    await visitor.awaits(row.filter({ hasText: "should be 1" }));
    await until(() => !isUp(board), { what: "the board to notice the outage" });
    proxy.restore({ drop: true });
    await pin(1);
    await visitor.awaits(row.filter({ hasText: "as it should be" }));
  },
  chipTools,
);
