/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page of all devices: a row for each, updated live. */
import { compareNames } from "../../protocol/name_order.ts";
import { button, byId, make, setText } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { DevicesUpdate } from "../seen.ts";
import { ask } from "./acts.ts";
import { Groups } from "./groups.ts";
import { merged } from "./lanes.ts";
import { listen } from "./live.ts";
import { Ranges } from "./ranges.ts";
import { wordsOfRollouts } from "./rollouts.ts";
import { Row } from "./rows.ts";
import { counted } from "./words.ts";

/** Rows in the order in which they are shown. */
const rows: Row[] = [];
let served: readonly LinkTime[] = [];

/** Rows with changes. Updating all rows each time would cost a frame while the user scrolls. */
const changed = new Set<Row>();

/** The last arguments of `show`, for rows that come into sight later. */
let shown: Parameters<Row["show"]> | undefined;
/** Rows that are out of sight are not updated. */
const groups = new Groups<Row>(byId("devices"), (rows) => {
  if (shown) { for (const row of rows) row.show(...shown); }
});

/** The index where a device's row is, or belongs. */
function placeOf(id: string): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareNames(rows[middle]!.id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function take({ served: ran, devices, gone = [] }: DevicesUpdate, isAll: boolean): void {
  served = isAll ? ran : merged(served, ran);
  const ids = new Set(devices.map(({ id }) => id));
  const lost = isAll ? rows.map(({ id }) => id).filter((id) => !ids.has(id)) : gone;
  for (const id of lost) {
    const place = placeOf(id);
    if (rows[place]?.id === id) groups.remove(...rows.splice(place, 1) as [Row]);
  }
  for (const device of devices) {
    const place = placeOf(device.id);
    if (rows[place]?.id === device.id) rows[place].update(device);
    else add(place, new Row(device));
    changed.add(rows[place]!);
  }
}

function add(place: number, row: Row): void {
  groups.add(row, rows[place - 1], rows[place]);
  rows.splice(place, 0, row);
}

function show(now: number, isTick: boolean): void {
  const range = ranges.at(now, served);
  shown = [now, range, served];
  for (const row of groups.visible) {
    if (isTick || changed.has(row)) row.show(...shown);
  }
  changed.clear();
  const up = rows.filter(({ isUp }) => isUp).length;
  const away = rows.length - up;
  byId("none").hidden = rows.length > 0;
  byId("fleet").hidden = rows.length === 0;
  const devices = counted(rows.length, "device");
  const words = rows.length === 0
    ? "The server runs and waits for its first device."
    : `${devices}: ${up} with a link, ${away} away.`;
  setText(byId("summary"), words);
  showRollouts();
}

let told = "";

/** Screen readers read it aloud when it changes, so it is written only then. */
function showRollouts(): void {
  const words = wordsOfRollouts(rows.map(({ device }) => device));
  if (words.join("\n") === told) return;
  told = words.join("\n");
  byId("rollouts").hidden = words.length === 0;
  byId("rollouts").replaceChildren(
    ...words.map((textContent) => make("p", { className: "hint", textContent })),
  );
}

const ranges = new Ranges(() => stream.show());
const stream = listen("/api/events", { take, show });

button("leave").addEventListener("click", async () => {
  await ask("DELETE", "/api/session");
  location.assign("/login");
});
const { login } = await (await fetch("/api/session")).json();
byId("leave").hidden = !login;
