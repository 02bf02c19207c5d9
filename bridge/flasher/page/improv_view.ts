/// <reference lib="dom" />
/** Another WiFi for a board that runs already: Improv-Serial, by the console's port. */
import { FlashError } from "../chip/errors.ts";
import { ImprovClient, type Network } from "../console/improv_client.ts";
import { openedConsole } from "./port.ts";
import { openConsole } from "./console_view.ts";
import { byId, input, make, say, select } from "./dom.ts";
import { work } from "./work.ts";

/** In place of a network's name: one that is not in the list, because it hides, for example. */
const OTHER = "other";

const step = "wifi-step";
let networks: Network[] = [];
let client: ImprovClient | undefined;

export function setUpImprov(): void {
  byId("improv-ask").addEventListener("click", () => void work({ step, action: ask }));
  select("network").addEventListener("change", show);
  byId("improv").addEventListener("submit", (event) => {
    event.preventDefault();
    void work({ step, action: join });
  });
}

async function ask(): Promise<void> {
  byId("improv").hidden = true;
  const talking: ImprovClient = new ImprovClient((bytes) => {
    const console = openedConsole();
    if (!console) throw new FlashError("LOST", "the connection to the board was lost");
    return console.send(bytes);
  });
  client = talking;
  // Opening a port resets some boards, and others do not: this way it is the same for all.
  await openConsole(true, (frame) => talking.receive(frame));
  say("Asking the board …");
  const info = await patiently(() => talking.info());
  const present = await talking.settings();
  say("The board looks for networks …");
  networks = await talking.networks().catch((error) => {
    if (error instanceof FlashError && error.code !== "LOST") return []; // it cannot look for any
    throw error;
  });
  const facts: [string, string][] = [
    ["Device", present?.settings.id ?? info.name],
    ["Its firmware", `${info.firmware} ${info.version}`.trim()],
    ["Its WiFi", present?.settings.ssid ?? "not known"],
  ];
  byId("improv-facts").replaceChildren(
    ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
  select("network").replaceChildren(
    ...networks.map(({ ssid, strength, secure }, index) =>
      new Option(`${ssid} (${strength} dBm${secure ? "" : ", open"})`, String(index))
    ),
    new Option("Another one", OTHER),
  );
  show();
  byId("improv").hidden = false;
  const many = networks.length === 1 ? "1 network" : `${networks.length} networks`;
  say(`The board hears ${many}.`);
  // Looking for networks takes seconds: whoever went on to something else stays there.
  if (document.activeElement === byId("improv-ask")) select("network").focus();
}

/** A board that was just restarted needs a moment until it listens. */
async function patiently<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof FlashError && error.code === "NO_IMPROV") return await action();
    throw error;
  }
}

function show(): void {
  byId("network-field").hidden = select("network").value !== OTHER;
}

async function join(): Promise<void> {
  const known = networks[Number(select("network").value)];
  const ssid = known?.ssid ?? input("network-name").value;
  const password = input("network-password").value;
  const bytes = new TextEncoder().encode(ssid).length;
  if (
    bytes === 0 || bytes > 32 || (password !== "" && (password.length < 8 || password.length > 64))
  ) {
    throw new FlashError(
      "WIFI_REFUSED",
      "a network’s name has 1 to 32 bytes, and its password 8 to 64 characters, or none if it is open",
    );
  }
  if (!client || !openedConsole()) {
    throw new FlashError("LOST", "the board is not connected any more");
  }
  say(`Telling the board to join ${ssid} …`);
  await client.join(ssid, password);
  say(`The board has stored ${ssid}, and joins it.`);
}
