/// <reference lib="dom" />
/** The panel that says what failed. There is only one; it moves to the step that failed. */
import { explain } from "../words/faults.ts";
import { button, byId, isServedHere, make, marked, say } from "./dom.ts";

/**
 * Shows an error.
 *
 * @param step id of the step behind which it appears
 * @param retry what "Try again" does
 */
export function showFault(error: unknown, step: string, retry: () => void): void {
  const { title, text, tries, help, details } = explain(error, isServedHere());
  const panel = byId("fault");
  byId(step).after(panel);
  byId("fault-title").textContent = title;
  byId("fault-text").textContent = text;
  byId("fault-tries").replaceChildren(...tries.map((line) => make("li", {}, ...marked(line))));
  byId("fault-details").textContent = details;
  button("fault-help").hidden = !help;
  button("retry").onclick = () => {
    hideFault();
    retry();
  };
  panel.hidden = false;
  say(title);
  byId("fault-title").focus();
}

export function hideFault(): void {
  byId("fault").hidden = true;
}
