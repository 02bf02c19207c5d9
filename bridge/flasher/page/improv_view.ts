/// <reference lib="dom" />
/** Another WiFi for a board that runs already: Improv-Serial, over the console's port. */
import { FlashError } from "../chip/errors.ts";
import type { ImprovClient, Network } from "../console/improv_client.ts";
import { doubtsAbout, wrongWifi } from "../plan/settings_form.ts";
import { openedConsole } from "./port.ts";
import { byId, complain, input, make, say, select } from "./dom.ts";
import { describe, networksOf, talk } from "./talk.ts";
import { work } from "./work.ts";

/** Stands for a network that is not in the list, for example a hidden one. */
const OTHER = "other";

const step = "wifi-step";
/** The fields for typed values. */
const FIELDS = ["network-name", "network-password"] as const;
let networks: Network[] = [];
let client: ImprovClient | undefined;
/** The doubtful values that the user was asked about. */
let confirmed = "";

export function setUpImprov(): void {
  byId("improv-ask").addEventListener("click", () => void work({ step, action: ask }));
  select("network").addEventListener("change", show);
  for (const id of FIELDS) byId(id).addEventListener("input", () => complain(id, undefined));
  byId("improv").addEventListener("submit", (event) => {
    event.preventDefault();
    if (looksRight()) void work({ step, action: join });
  });
}

async function ask(): Promise<void> {
  byId("improv").hidden = true;
  client = await talk();
  const info = await client.info();
  const present = await client.settings();
  networks = await networksOf(client);
  const facts: [string, string][] = [
    ["Device", present?.settings.id ?? info.name],
    ["Its firmware", `${info.firmware} ${info.version}`.trim()],
    ["Its WiFi", present?.settings.ssid ?? "not known"],
  ];
  byId("improv-facts").replaceChildren(
    ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
  select("network").replaceChildren(
    ...networks.map((network, index) => new Option(describe(network), String(index))),
    new Option("Another one", OTHER),
  );
  show();
  byId("improv").hidden = false;
  // Looking for networks takes seconds: the focus stays where the user went meanwhile.
  if (document.activeElement === byId("improv-ask")) select("network").focus();
}

function show(): void {
  byId("network-field").hidden = select("network").value !== OTHER;
}

/** Whether the typed values may be sent; the user is asked once about doubtful ones. */
function looksRight(): boolean {
  const [ssid, password] = FIELDS.map((id) => input(id).value) as [string, string];
  // The name of a network that the board receives is right as it is.
  const typed = select("network").value === OTHER ? { ssid, password } : { ssid: "", password };
  const doubts = doubtsAbout(typed);
  const meant = JSON.stringify(typed);
  complain("network-name", doubts.ssid);
  complain("network-password", doubts.password);
  if (Object.keys(doubts).length === 0 || meant === confirmed) {
    for (const id of FIELDS) complain(id, undefined);
    return true;
  }
  confirmed = meant; // the second press confirms
  input(doubts.ssid === undefined ? "network-password" : "network-name").focus();
  say("Please look at this again.");
  return false;
}

async function join(): Promise<void> {
  const known = networks[Number(select("network").value)];
  const ssid = known?.ssid ?? input("network-name").value;
  const password = input("network-password").value;
  const wrong = wrongWifi(ssid, password);
  if (wrong) throw new FlashError("WIFI_REFUSED", wrong);
  if (!client || !openedConsole()) {
    throw new FlashError("LOST", "the board is not connected any more");
  }
  say(`Telling the board to join ${ssid} …`);
  await client.join(ssid, password);
  say(`The board has stored ${ssid}, and joins it.`);
}
