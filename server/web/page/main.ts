/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page: a row for each device, which changes as the server tells. */
import { byId, make } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { Told } from "../seen.ts";
import { merged, rangeFor, RANGES } from "./lanes.ts";
import { Row } from "./rows.ts";
import { counted, lasting } from "./words.ts";

/** Time goes on while nothing changes: in ms. */
const TICK = 1000;

/** In the order in which they are shown. */
const rows: Row[] = [];
let served: readonly LinkTime[] = [];
/** By how much the server's clock is ahead of the browser's, in ms. */
let ahead = 0;
/** Which part of the timeline somebody wants to see, in ms; undefined: nobody has said. */
let chosen: number | undefined;

/** Rows that can be seen: nobody looks at the others. */
const visible = new Set<Element>();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) visible.add(target);
    else visible.delete(target);
  }
  show();
});

/** By their ids, as people sort them: 2 comes before 10. */
const { compare } = new Intl.Collator("en", { numeric: true });

/** Where a device's row is, or should be. */
function placeOf(id: string): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = rows[middle]!.id;
    // What people take for the same, "a" and "A", is two devices.
    const isBefore = (compare(other, id) || (other < id ? -1 : Number(other > id))) < 0;
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return low;
}

function take({ now, served: ran, devices, gone = [] }: Told): void {
  ahead = now - Date.now();
  served = merged(served, ran);
  for (const id of gone) {
    const place = placeOf(id);
    if (rows[place]?.id === id) remove(...rows.splice(place, 1));
  }
  for (const device of devices) {
    const place = placeOf(device.id);
    if (rows[place]?.id === device.id) rows[place].update(device);
    else add(place, new Row(device));
  }
  show();
}

function add(place: number, row: Row): void {
  byId("devices").insertBefore(row.element, rows[place]?.element ?? null);
  rows.splice(place, 0, row);
  observer.observe(row.element);
}

function remove(...gone: Row[]): void {
  for (const { element } of gone) {
    observer.unobserve(element);
    visible.delete(element);
    element.remove();
  }
}

function show(): void {
  const now = Date.now() + ahead;
  const span = chosen ?? rangeFor(now - (served[0]?.from ?? now));
  byId<HTMLInputElement>(`range-${span}`).checked = true;
  for (const begin of document.querySelectorAll(".range-from")) {
    begin.textContent = `${lasting(span)} ago`;
  }
  const range = { from: now - span, to: now };
  let up = 0;
  for (const row of rows) {
    if (row.isUp) up++;
    if (visible.has(row.element)) row.show(now, range, served);
  }
  const away = rows.length - up;
  byId("none").hidden = rows.length > 0;
  byId("fleet").hidden = rows.length === 0;
  byId("summary").textContent = rows.length === 0
    ? "The server runs and waits for its first device."
    : `${
      counted(rows.length, "device")
    }: ${up} with a link, ${away} away. What is written meanwhile waits, and arrives once and in order.`;
}

for (const [ms, name] of RANGES) {
  const input = make("input", { type: "radio", name: "range", id: `range-${ms}` });
  input.addEventListener("change", () => {
    chosen = ms;
    show();
  });
  byId("ranges").append(make("label", {}, input, ` ${name}`));
}

const source = new EventSource("/api/events");
source.addEventListener("all", ({ data }) => {
  byId("obstacle").hidden = true;
  const told: Told = JSON.parse(data);
  const ids = new Set(told.devices.map(({ id }) => id));
  served = [];
  take({ ...told, gone: rows.map(({ id }) => id).filter((id) => !ids.has(id)) });
});
source.addEventListener("changes", ({ data }) => take(JSON.parse(data)));
source.addEventListener("error", () => {
  byId("obstacle").textContent =
    "The server does not answer. What is shown is how it was; the page tries again by itself.";
  byId("obstacle").hidden = false;
});
setInterval(show, TICK);
