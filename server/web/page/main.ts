/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page of all devices: a row for each, which changes as the server tells. */
import { button, byId } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { Told } from "../seen.ts";
import { ask } from "./acts.ts";
import { merged } from "./lanes.ts";
import { listen } from "./live.ts";
import { Ranges } from "./ranges.ts";
import { Row } from "./rows.ts";
import { counted } from "./words.ts";

/** In the order in which they are shown. */
const rows: Row[] = [];
let served: readonly LinkTime[] = [];

/** Rows that can be seen: nobody looks at the others. */
const visible = new Set<Row>();
const byElement = new WeakMap<Element, Row>();
/** As they were shown last: one that comes into sight is shown alone. */
let shown: Parameters<Row["show"]> | undefined;
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const row = byElement.get(target)!;
    if (!isIntersecting) visible.delete(row);
    else if (!visible.has(row)) {
      visible.add(row);
      if (shown) row.show(...shown);
    }
  }
}, { rootMargin: "200px" });

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

function take({ served: ran, devices, gone = [] }: Told, isAll: boolean): void {
  served = isAll ? ran : merged(served, ran);
  const ids = new Set(devices.map(({ id }) => id));
  const lost = isAll ? rows.map(({ id }) => id).filter((id) => !ids.has(id)) : gone;
  for (const id of lost) {
    const place = placeOf(id);
    if (rows[place]?.id === id) remove(...rows.splice(place, 1));
  }
  for (const device of devices) {
    const place = placeOf(device.id);
    if (rows[place]?.id === device.id) rows[place].update(device);
    else add(place, new Row(device));
  }
}

function add(place: number, row: Row): void {
  byId("devices").insertBefore(row.element, rows[place]?.element ?? null);
  rows.splice(place, 0, row);
  byElement.set(row.element, row);
  observer.observe(row.element);
}

function remove(...gone: Row[]): void {
  for (const row of gone) {
    observer.unobserve(row.element);
    visible.delete(row);
    row.element.remove();
  }
}

function show(now: number): void {
  const range = ranges.at(now, served);
  shown = [now, range, served];
  for (const row of visible) row.show(...shown);
  const up = rows.filter(({ isUp }) => isUp).length;
  const away = rows.length - up;
  byId("none").hidden = rows.length > 0;
  byId("fleet").hidden = rows.length === 0;
  byId("summary").textContent = rows.length === 0
    ? "The server runs and waits for its first device."
    : `${
      counted(rows.length, "device")
    }: ${up} with a link, ${away} away. What is written meanwhile waits, and arrives once and in order.`;
}

const ranges = new Ranges(() => stream.show());
const stream = listen("/api/events", { take, show });

button("leave").addEventListener("click", async () => {
  await ask("DELETE", "/api/session");
  location.assign("/login");
});
const { login } = await (await fetch("/api/session")).json();
byId("leave").hidden = !login;
