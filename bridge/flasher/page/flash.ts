/// <reference lib="dom" />
/** The one action: firmware, application and settings into the flash, then the board's own words. */
import { carryOut } from "../plan/job.ts";
import { forChip, keptThroughErase, loadPieces, settingsArea } from "../plan/pieces.ts";
import { makePlan } from "../plan/plan.ts";
import { connect, showFacts } from "./port.ts";
import { openConsole } from "./console_view.ts";
import { byId, chosen, input, say } from "./dom.ts";
import { applicationChoice, firmwareChoice, serverApp, stillMissing } from "./firmware_view.ts";
import { PartsView } from "./parts_view.ts";
import { readSettings, settingsWritten } from "./settings_view.ts";
import { saveBackup } from "./tools.ts";
import { markEarly, work } from "./work.ts";

/** Somebody has pressed the button before there was anything to flash. */
let awaited = false;

/** @param listed resolves when the list of firmware has come, or will not; to what is to be said then */
export function setUpFlash(listed: Promise<string>): void {
  byId<HTMLFormElement>("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const missing = stillMissing();
    if (missing === "") void work({ step: "flash-step", long: true, action: flash });
    else {
      awaited = true;
      say(missing);
    }
  });
  byId("firmware-choice").addEventListener("change", showMissing);
  showMissing();
  void listed.then((words) => {
    if (awaited) say(words);
    showMissing();
  });
}

function showMissing(): void {
  const missing = stillMissing();
  byId("flash-missing").textContent = missing;
  byId("flash-missing").hidden = missing === "";
  markEarly("flash", missing !== "");
  if (missing === "") awaited = false;
}

async function flash(): Promise<void> {
  // All of the form as it is now: it may be changed while the board is looked for.
  const [firmware, application] = [firmwareChoice(), applicationChoice()];
  const area = settingsArea(firmware);
  const what = chosen("settings");
  const [backupFirst, eraseAll] = [input("backup-first").checked, input("erase-all").checked];
  const sector = what === "write"
    ? await readSettings(serverApp())
    : what === "erase"
    ? new Uint8Array(area.size).fill(0xff)
    : undefined;
  if (what === "write" && !sector) return;
  const kept = eraseAll ? keptThroughErase(firmware, application, !sector) : [];
  const chip = await connect();
  const { flashBytes } = chip.facts;
  const pieces = forChip(await loadPieces(firmware, application, flashBytes), firmware, chip.facts);
  if (sector) pieces.push({ name: "settings", offset: area.offset, data: sector });
  for (const { name, offset, size } of kept) {
    pieces.push({ name, offset, data: await chip.read(offset, size) });
  }
  const untouched = sector || eraseAll ? [] : [{ name: "the settings", ...area }];
  const plan = makePlan(pieces, flashBytes, untouched);
  const saved = backupFirst ? await saveBackup(chip, "flash-step") : "";
  const view = new PartsView(
    "flash-step",
    "Progress",
    plan.pieces.map(({ name, offset, data }) => ({ name, offset, size: data.length })),
  );
  await carryOut(chip, plan, {
    erasing: () => view.note("Erasing the whole flash. This takes up to a minute."),
    piece: (index, state, done) => view.update(index, state, done),
  }, eraseAll);
  settingsWritten();
  showFacts(chip); // the speed may have changed
  view.note(`Everything is written, and verified by its MD5. ${saved}`.trim());
  await openConsole();
}
