/// <reference lib="dom" />
/** What is on the board: shows its settings, backs up its flash, and restores it. */
import type { Chip } from "../chip/chip.ts";
import { FlashError } from "../chip/errors.ts";
import { decodeSettings } from "../../formats/settings.ts";
import { carryOut } from "../plan/job.ts";
import { bytesOf } from "../plan/pieces.ts";
import { makePlan } from "../plan/plan.ts";
import { describeSettings } from "../plan/settings_form.ts";
import { connect, showFacts } from "./port.ts";
import { openConsole } from "./console_view.ts";
import { button, byId, input, make, say } from "./dom.ts";
import { settingsArea } from "./firmware_view.ts";
import { PartsView } from "./parts_view.ts";
import { work } from "./work.ts";

export function setUpTools(): void {
  const step = "board";
  button("read-settings").addEventListener(
    "click",
    () => void work({ step, action: showSettings }),
  );
  button("backup").addEventListener("click", () =>
    void work({
      step,
      long: true,
      action: async () => saveBackup(await connect(), "tools"),
    }));
  button("restore").addEventListener(
    "click",
    () => void work({ step, long: true, action: restore }),
  );
}

async function showSettings(): Promise<void> {
  const chip = await connect();
  const { offset, size } = settingsArea();
  say("Reading the settings …");
  const sector = decodeSettings(await chip.read(offset, size));
  const rows: [string, string][] = sector.state === "ok"
    ? describeSettings(sector.settings)
    : sector.state === "blank"
    ? [["State", "blank: the board has no settings"]]
    : [["State", `damaged (${sector.damage}), or of another firmware`]];
  byId("present-list").replaceChildren(
    ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
  byId("present").hidden = false;
  say("The settings are shown. The board runs its program again when you press “Disconnect”.");
}

/**
 * Reads all of the flash, and has the browser save it.
 *
 * @param step id of the element in which the progress is shown
 * @returns what to tell the user
 */
export async function saveBackup(chip: Chip, step: string): Promise<string> {
  const { flashBytes, mac } = chip.facts;
  const view = new PartsView(step, "Backup", [{
    name: "whole flash",
    offset: 0,
    size: flashBytes,
  }]);
  const data = await chip.read(0, flashBytes, (done) => view.update(0, "reading", done));
  view.update(0, "read", flashBytes);
  const day = new Date().toISOString().slice(0, 10);
  const name = `esp8266-${mac.replaceAll(":", "")}-${day}.bin`;
  const address = URL.createObjectURL(new Blob([data as Uint8Array<ArrayBuffer>]));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser has begun to save it by then
  const words =
    `The backup is ${name}, among your downloads. It contains the WiFi password and the key.`;
  view.note(words);
  return words;
}

async function restore(): Promise<void> {
  const file = input("restore-file").files?.[0];
  if (!file) throw new FlashError("NOT_CHOSEN", "no backup is chosen");
  const data = await bytesOf(file);
  const chip = await connect();
  const { flashBytes } = chip.facts;
  if (data.length !== flashBytes) {
    throw new FlashError(
      "BAD_IMAGE",
      `${file.name} has ${data.length} bytes, and the flash of this board has ${flashBytes}: it is no ` +
        "backup of all of it",
    );
  }
  const plan = makePlan([{ name: file.name, offset: 0, data }], flashBytes);
  const view = new PartsView("tools", "Restore", [{
    name: file.name,
    offset: 0,
    size: data.length,
  }]);
  await carryOut(chip, plan, { piece: (index, state, done) => view.update(index, state, done) });
  showFacts(chip);
  view.note("The backup is on the board again, read back, and right.");
  await openConsole();
}
