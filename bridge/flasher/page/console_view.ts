/// <reference lib="dom" />
/** The lines of the console, and what they mean. */
import { byId, make } from "./dom.ts";

/** Lines that are kept on the page. */
const MOST = 500;

export function clearConsole(): void {
  byId("console").replaceChildren();
}

export function addLine(text: string): void {
  const log = byId("console");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  log.append(make("div", { className: text.startsWith("holdfast: ") ? "own" : "" }, text));
  while (log.childElementCount > MOST) log.firstElementChild!.remove();
  if (atEnd) log.scrollTop = log.scrollHeight; // unless someone reads further up
}
