/// <reference lib="dom" />
/** Runs what the buttons do: one thing at a time, and what fails is shown where it failed. */
import { FlashError } from "../chip/errors.ts";
import { disconnect, forget, stop } from "./port.ts";
import { button, say, TITLE } from "./dom.ts";
import { hideFault, showFault } from "./fault_view.ts";

let busy = false;

/** Buttons that would start something else. */
const STARTERS = [
  "connect",
  "disconnect",
  "read-settings",
  "backup",
  "restore",
  "flash",
  "open-console",
  "restart",
  "another",
  "scan",
  "send-settings",
  "improv-ask",
  "improv-join",
];

export interface Work {
  /** Id of the step behind which a fault is shown. */
  step: string;
  /** Whether it can be stopped, and the board needs it to end: leaving the page is asked about. */
  long?: boolean;
  action: () => Promise<unknown>;
}

/** Does it, unless something else is being done. */
export async function work({ step, long = false, action }: Work): Promise<void> {
  if (busy) return;
  busy = true;
  hideFault();
  showStarters();
  button("stop").hidden = !long;
  if (long) addEventListener("beforeunload", hold);
  try {
    await action();
  } catch (error) {
    await settle(error, () => void work({ step, long, action }), step);
  } finally {
    busy = false;
    document.title = TITLE;
    showStarters();
    button("stop").hidden = true;
    removeEventListener("beforeunload", hold);
  }
}

/** Not `disabled`: the button that was pressed would lose the focus, and could not be asked why. */
function showStarters(): void {
  for (const id of STARTERS) {
    if (busy) button(id).setAttribute("aria-disabled", "true");
    else button(id).removeAttribute("aria-disabled");
  }
}

async function settle(error: unknown, again: () => void, step: string): Promise<void> {
  if (error instanceof DOMException && error.name === "NotFoundError") {
    say("No port was chosen, so nothing was done.");
    return;
  }
  // A file that is not right has nothing to do with the board; nor is the line broken when it says no.
  const harmless = ["BAD_IMAGE", "BAD_PLAN", "NOT_CHOSEN", "NO_FILE", "NO_IMPROV", "WIFI_REFUSED"];
  const code = error instanceof FlashError ? error.code : undefined;
  if (code === "WRONG_CHIP") await forget(); // trying again begins with another port
  else if (code === undefined || !harmless.includes(code)) await disconnect();
  showFault(error, step, again);
}

/** The browser asks whether to leave. */
function hold(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

export function setUpWork(): void {
  button("stop").addEventListener("click", () => {
    say("Stopping after this block …");
    stop();
  });
}
