/// <reference lib="dom" />
/** Runs the buttons' actions, one at a time, and shows a failure where it happened. */
import { FlashError } from "../chip/errors.ts";
import { disconnect, forget, stop } from "./port.ts";
import { button, say, TITLE } from "./dom.ts";
import { hideFault, showFault } from "./fault_view.ts";

let busy = false;

/** Buttons that start something. */
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
  /** Whether it can be stopped, and an interruption would leave the board incomplete: the browser then asks before it
   * leaves the page. */
  long?: boolean;
  action: () => Promise<unknown>;
}

/** Runs it, unless something else is running. */
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

/** Not `disabled`: the pressed button would lose the focus, and screen readers could not say why. */
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
  // A wrong file has nothing to do with the board; nor is the connection broken when the board refuses.
  const harmless = ["BAD_IMAGE", "BAD_PLAN", "NOT_CHOSEN", "NO_FILE", "NO_IMPROV", "WIFI_REFUSED"];
  const code = error instanceof FlashError ? error.code : undefined;
  if (code === "WRONG_CHIP") await forget(); // the next attempt starts with another port
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
