/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The page of one device. */
import { button, byId, input } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { SeenDevice } from "../seen.ts";
import type { DeviceUpdate, ThingView } from "../device_stream.ts";
import { act, ask, isSure } from "./acts.ts";
import { Channels } from "./channels.ts";
import { Deploys } from "./deploys.ts";
import { showFacts } from "./facts.ts";
import { LaneView } from "./lane_view.ts";
import { merged } from "./lanes.ts";
import { listen } from "./live.ts";
import { Ranges } from "./ranges.ts";
import { showState } from "./rows.ts";
import { Tail } from "./tail.ts";
import { shown } from "./words.ts";

const id = decodeURIComponent(location.pathname.replace(/^\/devices\//, ""));
const path = `/api/devices/${encodeURIComponent(id)}`;
const name = shown(id);

let device: SeenDevice | undefined;
let thing: ThingView | undefined;
let links: readonly LinkTime[] = [];
let served: readonly LinkTime[] = [];

document.title = `${name} – Holdfast`;
byId("id").textContent = name;
const lane = new LaneView();
byId("lane").append(lane.element);
const channels = new Channels(path);
const deploys = new Deploys(path);
const tail = new Tail();

function take(update: DeviceUpdate, isAll: boolean): void {
  const mayAct = update.may === "act" || update.may === "own";
  device = update.device;
  if (!device) {
    byId("obstacle").textContent =
      "The server has forgotten this device. If it comes back, it is a new one.";
    byId("obstacle").hidden = false;
    byId("device").hidden = true;
    return stream.end();
  }
  links = isAll ? device.links : merged(links, device.links);
  served = isAll ? update.served : merged(served, update.served);
  thing = update.thing ?? thing;
  if (update.thing) channels.take(update.thing, mayAct);
  deploys.take(device, mayAct);
  // After an outage of the server the log's last entries come again.
  if (!isAll || byId("tail").childElementCount === 0) {
    tail.add(update.lines, update.missed, update.now);
  }
  byId("device").hidden = false;
  byId("send").hidden = byId("actions").hidden = !mayAct;
}

function show(now: number): void {
  if (!device) return;
  const range = ranges.at(now, served);
  showState(byId("head"), byId("state"), byId("since"), device, now);
  lane.draw(links, served, range);
  showFacts(device, thing, links, served, range);
  channels.show(now);
}

byId("send").addEventListener("submit", async (event) => {
  event.preventDefault();
  const line = input("line").value;
  const isDone = await act("Send", () => ask("POST", `${path}/send`, { line }));
  if (isDone && input("line").value === line) input("line").value = "";
});
button("clear").addEventListener("click", async () => {
  const question = `Drop all waiting messages from and to ${name}? They will be lost.`;
  if (await isSure(question, "Drop them")) await act("Drop", () => ask("POST", `${path}/clear`));
});
button("forget").addEventListener("click", async () => {
  const question =
    `Forget ${name}, its channels and its waiting messages? If it connects again, it is a new device.`;
  if (await isSure(question, "Forget it")) await act("Forget", () => ask("DELETE", path));
});

const ranges = new Ranges(() => stream.show());
const stream = listen<DeviceUpdate>(`${path}/events`, { take, show });
