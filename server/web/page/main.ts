/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page: a row for each device, which changes as the server tells. */
import { byId } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { Told } from "../web.ts";
import { Row } from "./rows.ts";
import { counted, lasting } from "./words.ts";

/** Time goes on while nothing changes: in ms. */
const TICK = 1000;

const rows = new Map<string, Row>();
let served: readonly LinkTime[] = [];
/** By how much the server's clock is ahead of the browser's, in ms. */
let ahead = 0;

/** Rows that can be seen: nobody looks at the others. */
const visible = new Set<Element>();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) visible.add(target);
    else visible.delete(target);
  }
  show();
});

function take({ now, served: ran, devices, gone = [] }: Told): void {
  ahead = now - Date.now();
  served = ran;
  for (const id of gone) remove(id);
  for (const device of devices) {
    const row = rows.get(device.id);
    if (row) row.update(device);
    else add(device.id, new Row(device));
  }
  show();
}

/** By their ids, as people sort them: 2 comes before 10. */
const { compare } = new Intl.Collator("en", { numeric: true });

function add(id: string, row: Row): void {
  const next = [...rows].filter(([other]) => compare(other, id) > 0)
    .sort(([a], [b]) => compare(a, b))[0];
  rows.set(id, row);
  byId("devices").insertBefore(row.element, next?.[1].element ?? null);
  observer.observe(row.element);
}

function remove(id: string): void {
  const element = rows.get(id)?.element;
  if (!element) return;
  rows.delete(id);
  observer.unobserve(element);
  visible.delete(element);
  element.remove();
}

function show(): void {
  const now = Date.now() + ahead;
  const span = Number(
    document.querySelector<HTMLInputElement>('input[name="range"]:checked')!.value,
  );
  byId("range-from").textContent = `${lasting(span)} ago`;
  let up = 0;
  for (const row of rows.values()) {
    if (row.isUp) up++;
    if (visible.has(row.element)) row.show(now, { from: now - span, to: now }, served);
  }
  const away = rows.size - up;
  byId("none").hidden = rows.size > 0;
  byId("summary").textContent = rows.size === 0
    ? "The server runs and waits for its first device."
    : `${
      counted(rows.size, "device")
    }: ${up} with a link, ${away} away. What is written meanwhile waits, and arrives once and in order.`;
}

const source = new EventSource("/api/events");
source.addEventListener("all", ({ data }) => {
  byId("obstacle").hidden = true;
  for (const id of [...rows.keys()]) remove(id);
  take(JSON.parse(data));
});
source.addEventListener("changes", ({ data }) => take(JSON.parse(data)));
source.addEventListener("error", () => {
  byId("obstacle").textContent =
    "The server does not answer. What is shown is how it was; the page tries again by itself.";
  byId("obstacle").hidden = false;
});
for (const input of document.querySelectorAll('input[name="range"]')) {
  input.addEventListener("change", show);
}
setInterval(show, TICK);
