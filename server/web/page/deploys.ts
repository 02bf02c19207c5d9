/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The application that a device runs, and deploys to it. */
import { button, byId, input } from "../parts/dom.ts";
import type { SeenDevice } from "../seen.ts";
import { act, ask } from "./acts.ts";
import { shown } from "./words.ts";

/** Words for phases whose names do not explain themselves. */
const PHASES: Readonly<Record<string, string>> = {
  queued: "waits for its turn in a group",
  waits: "waits for the device",
  offered: "is offered to it",
  sending: "travels",
  checking: "has arrived, and is checked",
  trial: "runs on trial",
  kept: "was kept",
  refused: "was refused",
  fell_back: "was tried, and the old one is back",
  given_up: "was given up",
  unsupported: "is not supported by the device",
  stopped: "was not started because another device of its group failed",
};

const UNDECIDED = ["queued", "waits", "offered", "sending", "checking", "trial"];

export class Deploys {
  /** @param path The device's path in the API. */
  constructor(path: string) {
    byId("deploy").addEventListener("submit", async (event) => {
      event.preventDefault();
      const file = input("wasm").files?.[0];
      if (!file) return;
      const bytes = new Uint8Array(await file.arrayBuffer());
      const told = byId<HTMLInputElement>("told").checked;
      const body = {
        wasm: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")),
        name: file.name.replace(/\.wasm$/, "").replace(/[^\w.-]/g, "_").slice(0, 32),
        version: Math.floor(Date.now() / 1000),
        ...(told && { older: true, again: true }),
      };
      await act("Deploy", () => ask("POST", `${path}/deploy`, body));
    });
    button("give-up").addEventListener("click", async () => {
      await act("Give up", () => ask("DELETE", `${path}/deploy`));
    });
  }

  take({ runs, deploy }: SeenDevice, mayAct: boolean): void {
    byId("app-part").hidden = !runs && !deploy;
    byId("runs").textContent = runs
      ? `It runs ${shown(`${runs.name} ${runs.version}`)}.`
      : "It does not say what it runs.";
    const goesOn = deploy !== undefined && UNDECIDED.includes(deploy.phase);
    byId("deployed").hidden = !deploy;
    if (deploy) {
      const { name, version, phase, reason, detail, arrived, size } = deploy;
      const why = [reason, detail].filter((word) => word !== undefined).join(" ");
      const words = `${shown(`${name} ${version}`)} ${PHASES[phase] ?? phase}`;
      byId("deployed-words").textContent = words + (why === "" ? "." : `: ${shown(why)}.`);
      const bar = byId<HTMLProgressElement>("deployed-bar");
      bar.hidden = !goesOn;
      bar.max = size;
      bar.value = arrived;
    }
    byId("deploy").hidden = !mayAct || !runs;
    byId("give-up").hidden = !mayAct || !goesOn;
  }
}
