/// <reference lib="dom" />
/** The line at the bottom of the window covers the page: the focused element must not be behind it. */
import { byId } from "./dom.ts";

/** Width of the focused element's outline, in px. */
const AROUND = 8;

export function setUpStatusLine(): void {
  const line = byId("status-line");
  // It has as many rows as its text needs in this window.
  new ResizeObserver(() => {
    const height = line.offsetHeight;
    document.documentElement.style.scrollPaddingBottom = `${height + AROUND}px`;
    document.body.style.paddingBottom = `${height + AROUND}px`;
    const focused = document.activeElement;
    if (!focused || focused === document.body || line.contains(focused)) return;
    const { top, bottom } = focused.getBoundingClientRect();
    if (bottom > line.getBoundingClientRect().top && top < innerHeight) {
      focused.scrollIntoView({ block: "nearest" });
    }
  }).observe(line);
}
