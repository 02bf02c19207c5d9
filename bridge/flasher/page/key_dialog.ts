/// <reference lib="dom" />
/** Shows a key once, with instructions. */
import { keysLine, serverLine } from "../plan/commands.ts";
import { button, byId, say, unbroken } from "./dom.ts";

/** Whose key it is, and how to start the server. */
export interface KeyPlace {
  /** The device's id; undefined: another board has it. */
  id: string | undefined;
  app: string | undefined;
  port: number | undefined;
}

/** Resolves when the dialog is closed: true to go on. */
export function showKey({ id, app, port }: KeyPlace, key: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>("key-dialog");
  // The server may have a key for this id, from the last time that this board was flashed.
  const line = keysLine(id ?? "ID", "replace");
  const start = serverLine({ keys: true, open: false, app, port });
  byId("key-title").textContent = `The key of ${id ?? "this board"}`;
  byId("key-told").hidden = id !== undefined;
  byId("key-command").replaceChildren(...unbroken(line));
  byId("key-value").textContent = key;
  byId("key-start").replaceChildren(...unbroken(start));
  button("copy-command").onclick = (event) => copy(event, line, "key-command");
  button("copy-start").onclick = (event) => copy(event, start, "key-start");
  button("copy-key").onclick = (event) => copy(event, key, "key-value");
  dialog.returnValue = "cancel"; // as Escape does
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      byId("key-value").textContent = "";
      resolve(dialog.returnValue !== "cancel");
    }, { once: true });
  });
}

async function copy(event: MouseEvent, text: string, id: string): Promise<void> {
  const pressed = event.currentTarget as HTMLButtonElement;
  const name = pressed.dataset.name ??= pressed.textContent; // its text may have changed
  try {
    await navigator.clipboard.writeText(text);
    pressed.textContent = "Copied";
  } catch { // not permitted: select it, so that the user can copy it
    getSelection()?.selectAllChildren(byId(id));
    pressed.textContent = "Press Ctrl+C";
  }
  say(pressed.textContent);
  setTimeout(() => pressed.textContent = name, 2000);
}
