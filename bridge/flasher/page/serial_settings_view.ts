/// <reference lib="dom" />
/** The form's third step without flashing: networks from the board, and all settings to it, over its serial line. */
import { allChanges } from "../plan/settings_form.ts";
import { byId, input, make, say, select } from "./dom.ts";
import { serverApp } from "./firmware_view.ts";
import { readSettings, settingsWritten } from "./settings_view.ts";
import { describe, networksOf, talk } from "./talk.ts";
import { work } from "./work.ts";

const step = "settings-step";

export function setUpSerialSettings(): void {
  byId("scan").addEventListener("click", () => void work({ step, action: scan }));
  byId("send-settings").addEventListener("click", () => void work({ step, action: send }));
  byId("give-settings").addEventListener("click", () => {
    input("settings-write").click();
    input("ssid").focus();
    say("Fill in the settings, then press “Send these settings”.");
  });
  select("heard").addEventListener("change", () => {
    input("ssid").value = select("heard").value;
    input("ssid").dispatchEvent(new Event("input"));
    input("password").focus();
  });
}

async function scan(): Promise<void> {
  byId("heard-field").hidden = true;
  const networks = await networksOf(await talk());
  select("heard").replaceChildren(
    make("option", { value: "" }, "Choose one"),
    ...networks.map((network) => make("option", { value: network.ssid }, describe(network))),
  );
  byId("heard-field").hidden = networks.length === 0;
  // Looking for networks takes seconds: the focus stays where the user went meanwhile.
  if (document.activeElement !== byId("scan")) return;
  (networks.length > 0 ? select("heard") : input("ssid")).focus();
}

async function send(): Promise<void> {
  const form = await readSettings(serverApp());
  if (!form) return;
  const client = await talk();
  say("Sending the settings …");
  await client.change(allChanges(form.settings));
  settingsWritten();
  say("The board has stored the settings, and starts with them.");
}
