/// <reference lib="dom" />
/** The one action: firmware, application and settings into the flash, then the board's console. */
import { FlashError } from "../chip/errors.ts";
import { carryOut } from "../plan/job.ts";
import { forChip, keptThroughErase, loadPieces, settingsArea } from "../plan/pieces.ts";
import { makePlan } from "../plan/plan.ts";
import { choosePortEarly, connect, showFacts } from "./port.ts";
import { openConsole } from "./console_view.ts";
import { byId, chosen, input, say } from "./dom.ts";
import {
  applicationChoice,
  firmwareChoice,
  flashMode,
  isFirmwareThere,
  isListAwaited,
  serverApp,
} from "./firmware_view.ts";
import { PartsView } from "./parts_view.ts";
import { checkSettings, readSettings, settingsWritten } from "./settings_view.ts";
import { saveBackup } from "./tools.ts";
import { work } from "./work.ts";

/** @param listed resolves when the list of firmware has arrived or failed, to the words for the user */
export function setUpFlash(listed: Promise<string>): void {
  byId<HTMLFormElement>("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const action = async () => {
      if (!isListAwaited() || await waitForList(listed)) await flash();
    };
    void work({ step: "flash-step", long: true, action });
  });
  byId("firmware-choice").addEventListener("change", showWaiting);
  showWaiting();
  void listed.then(showWaiting);
}

function showWaiting(): void {
  byId("flash-waits").hidden = !isListAwaited();
}

/** Waits for a slow list of firmware, if something from it is to be flashed. @returns whether there is something */
async function waitForList(listed: Promise<string>): Promise<boolean> {
  if (chosen("settings") === "write" && !checkSettings()) return false; // better now than after the wait
  const signal = await choosePortEarly();
  new PartsView("flash-step", "Waiting", []).note("Waiting for the list of firmware …");
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(new FlashError("STOPPED", "nothing was written"));
  signal.addEventListener("abort", stop);
  // If files are chosen instead, the list is not awaited any more.
  const other = Promise.withResolvers<void>();
  const choice = byId("firmware-choice");
  const look = () => isListAwaited() || other.resolve();
  choice.addEventListener("change", look);
  try {
    const words = await Promise.race([listed, stopped.promise, other.promise]);
    if (isFirmwareThere() || words === undefined) return true;
    byId("progress").hidden = true;
    say(words);
    return false;
  } finally {
    signal.removeEventListener("abort", stop);
    choice.removeEventListener("change", look);
  }
}

async function flash(): Promise<void> {
  // All of the form as it is now: the user may change it while the page looks for the board.
  const [firmware, application, mode] = [firmwareChoice(), applicationChoice(), flashMode()];
  const area = settingsArea(firmware);
  const what = chosen("settings");
  const [backupFirst, eraseAll] = [input("backup-first").checked, input("erase-all").checked];
  const sector = what === "write"
    ? (await readSettings(serverApp()))?.sector
    : what === "erase"
    ? new Uint8Array(area.size).fill(0xff)
    : undefined;
  if (what === "write" && !sector) return;
  const kept = eraseAll ? keptThroughErase(firmware, application, !sector) : [];
  const chip = await connect();
  const { flashBytes } = chip.facts;
  const loaded = await loadPieces(firmware, application, flashBytes);
  const pieces = forChip(loaded, firmware, chip.facts, mode);
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
  view.note(`Everything is written, read back, and right. ${saved}`.trim());
  await openConsole(what === "erase");
}
