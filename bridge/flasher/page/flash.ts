/// <reference lib="dom" />
/** The one action: firmware, application and settings into the flash, then the board's own words. */
import { FlashError } from "../chip/errors.ts";
import { carryOut } from "../plan/job.ts";
import { loadPieces } from "../plan/pieces.ts";
import { makePlan, type Plan } from "../plan/plan.ts";
import { connect, showFacts } from "./board.ts";
import { openConsole } from "./console_view.ts";
import { byId, chosen, input, say } from "./dom.ts";
import { applicationChoice, firmwareChoice, settingsArea } from "./firmware_view.ts";
import { PartsView } from "./parts_view.ts";
import { readSettings } from "./settings_view.ts";
import { saveBackup } from "./tools.ts";
import { work } from "./work.ts";

export function setUpFlash(): void {
  byId<HTMLFormElement>("form").addEventListener("submit", (event) => {
    event.preventDefault();
    void work({ step: "flash-step", long: true, action: flash });
  });
}

async function flash(): Promise<void> {
  const what = chosen("settings");
  const sector = what === "write"
    ? await readSettings()
    : what === "erase"
    ? new Uint8Array(settingsArea().size).fill(0xff)
    : undefined;
  if (what === "write" && !sector) {
    say("Something in the settings must be corrected first.");
    return;
  }
  const eraseAll = input("erase-all").checked;
  if (eraseAll && what === "keep") {
    throw new FlashError(
      "BAD_PLAN",
      "erasing the whole flash would erase the settings, which are to be kept",
    );
  }
  const chip = await connect();
  const plan = await planFor(chip.facts.flashBytes, sector);
  if (input("backup-first").checked) await saveBackup(chip);
  byId("progress-title").textContent = "Progress";
  const view = new PartsView(plan.pieces.map(({ name, offset, data }) => ({
    name,
    offset,
    size: data.length,
  })));
  await carryOut(chip, plan, {
    erasing: () => view.note("Erasing the whole flash. This takes up to a minute."),
    piece: (index, state, done) => view.update(index, state, done),
  }, eraseAll);
  showFacts(chip); // the speed may have changed
  view.note("Everything is written, and verified by its MD5.");
  await openConsole();
}

async function planFor(flashBytes: number, sector: Uint8Array | undefined): Promise<Plan> {
  const area = settingsArea();
  const pieces = await loadPieces(firmwareChoice(), applicationChoice(), flashBytes);
  if (sector) pieces.push({ name: "settings", offset: area.offset, data: sector });
  return makePlan(pieces, flashBytes, sector ? [] : [{ name: "the settings", ...area }]);
}
