/// <reference lib="dom" />
/** The help is part of `index.html`; this opens it. */
import { button, byId } from "./dom.ts";

export function setUpHelp(): void {
  const help = byId<HTMLDetailsElement>("help");
  button("fault-help").addEventListener("click", () => {
    help.open = true;
    help.querySelector("summary")!.focus();
  });
}
