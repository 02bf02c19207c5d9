/// <reference lib="dom" />
/** The one action: firmware, application and settings into the flash, then the board's own words. */
import { carryOut } from "../plan/job.ts";
import { forChip, keptThroughErase, loadPieces } from "../plan/pieces.ts";
import { makePlan } from "../plan/plan.ts";
import { connect, showFacts } from "./port.ts";
import { openConsole } from "./console_view.ts";
import { byId, chosen, input } from "./dom.ts";
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
  if (what === "write" && !sector) return;
  const eraseAll = input("erase-all").checked;
  const [firmware, application] = [firmwareChoice(), applicationChoice()];
  const kept = eraseAll ? keptThroughErase(firmware, application, !sector) : [];
  const chip = await connect();
  const { flashBytes } = chip.facts;
  const pieces = forChip(await loadPieces(firmware, application, flashBytes), firmware, chip.facts);
  const area = settingsArea();
  if (sector) pieces.push({ name: "settings", offset: area.offset, data: sector });
  for (const { name, offset, size } of kept) {
    pieces.push({ name, offset, data: await chip.read(offset, size) });
  }
  const untouched = sector || eraseAll ? [] : [{ name: "the settings", ...area }];
  const plan = makePlan(pieces, flashBytes, untouched);
  const saved = input("backup-first").checked ? await saveBackup(chip, "flash-step") : "";
  const view = new PartsView(
    "flash-step",
    "Progress",
    plan.pieces.map(({ name, offset, data }) => ({ name, offset, size: data.length })),
  );
  await carryOut(chip, plan, {
    erasing: () => view.note("Erasing the whole flash. This takes up to a minute."),
    piece: (index, state, done) => view.update(index, state, done),
  }, eraseAll);
  showFacts(chip); // the speed may have changed
  view.note(`Everything is written, and verified by its MD5. ${saved}`.trim());
  await openConsole();
}
