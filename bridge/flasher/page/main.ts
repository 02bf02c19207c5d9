/// <reference lib="dom" />
/** The page: puts its steps together. */
import { DENO } from "../plan/commands.ts";
import { obstacle } from "../chip/serial.ts";
import { connect, leave, trustSpeed } from "./port.ts";
import { setUpConsole } from "./console_view.ts";
import { button, byId, marked, say, select, unbroken } from "./dom.ts";
import { setUpFirmware } from "./firmware_view.ts";
import { setUpFlash } from "./flash.ts";
import { setUpHelp } from "./help.ts";
import { setUpImprov } from "./improv_view.ts";
import { setUpSettings } from "./settings_view.ts";
import { setUpSerialSettings } from "./serial_settings_view.ts";
import { setUpStatusLine } from "./status_line.ts";
import { setUpTools } from "./tools.ts";
import { setUpWork, work } from "./work.ts";

const OBSTACLES = {
  insecure: {
    title: "This page was not loaded securely",
    text:
      "Browsers open serial ports only for pages that come over HTTPS, or from this computer. Start " +
      `the page on this computer, in the folder of Holdfast, with \`${DENO} task flasher\`, and open ` +
      "the address that it prints. Or use a page that comes over HTTPS.",
  },
  unsupported: {
    title: "This browser cannot open a serial port",
    text:
      "It does not have Web Serial, the feature that the page needs to reach a board. Open the page in " +
      "a desktop browser that has it; those built on Chromium do, like Chrome and Edge. Everything else on the page works here.",
  },
};

function setUp(): void {
  const why = obstacle(globalThis);
  if (why) {
    byId("obstacle-title").textContent = OBSTACLES[why].title;
    byId("obstacle-text").replaceChildren(...marked(OBSTACLES[why].text));
    byId("obstacle").hidden = false;
    for (const element of document.querySelectorAll<HTMLButtonElement>(".needs-port")) {
      element.disabled = true;
    }
  }
  for (const code of document.querySelectorAll("code")) {
    code.replaceChildren(...unbroken(code.textContent));
  }
  button("connect").addEventListener(
    "click",
    // Show the list even if a port was chosen before: it may have been the wrong board.
    () => void work({ step: "board", action: () => connect({ another: true }) }),
  );
  button("disconnect").addEventListener("click", () =>
    void work({
      step: "board",
      action: async () => {
        button("connect").focus(); // the pressed button disappears
        await leave();
        say("Disconnected. The board runs its program.");
      },
    }));
  select("speed").addEventListener("change", trustSpeed);
  setUpStatusLine();
  setUpWork();
  setUpHelp();
  setUpSettings();
  setUpTools();
  setUpConsole();
  setUpSerialSettings();
  setUpImprov();
  setUpFlash(setUpFirmware());
}

setUp();
