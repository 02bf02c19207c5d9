/// <reference lib="dom" />
/** The page: what its buttons do. */
import type { Chip } from "../chip/chip.ts";
import { FlashError } from "../chip/errors.ts";
import { obstacle, type Port, type Serial } from "../chip/serial.ts";
import type { Console } from "../console/console.ts";
import { carryOut } from "../plan/job.ts";
import { makePlan } from "../plan/plan.ts";
import { addLine, clearConsole } from "./console_view.ts";
import { button, byId, chosen, input, say, select } from "./dom.ts";
import { hideFault, showFault } from "./fault_view.ts";
import { loadPieces, setUpFirmware } from "./firmware_view.ts";
import { PartsView } from "./parts_view.ts";
import { readSettings, setUpSettings } from "./settings_view.ts";

const SETTINGS = 0xfa000;

let port: Port | undefined;
let chip: Chip | undefined;
let terminal: Console | undefined;
let stopper: AbortController | undefined;

function serial(): Serial {
  return (navigator as unknown as { serial: Serial }).serial;
}

/** Esptool-js comes with the first board. */
function loader(): Promise<typeof import("../chip/loader.ts")> {
  return import("../chip/loader.ts");
}

async function connect(): Promise<Chip> {
  if (chip) return chip;
  await terminal?.close();
  terminal = undefined;
  port ??= await serial().requestPort();
  say("Connecting to the board …");
  stopper = new AbortController();
  const { openChip } = await loader();
  chip = await openChip(port, { baud: Number(select("speed").value), signal: stopper.signal });
  showFacts(chip);
  return chip;
}

function showFacts({ facts, baud }: Chip): void {
  const { name, mac, flashBytes } = facts;
  const size = flashBytes >= 1 << 20 ? `${flashBytes >> 20} MB` : `${flashBytes >> 10} KB`;
  byId("fact-chip").textContent = name;
  byId("fact-mac").textContent = mac;
  byId("fact-flash").textContent = size;
  byId("fact-speed").textContent = `${baud} baud`;
  byId("facts").hidden = false;
  button("disconnect").hidden = false;
  say(`Connected: ${name}, ${mac}, ${size} of flash`);
}

async function disconnect(): Promise<void> {
  await chip?.close();
  chip = undefined;
  await terminal?.close();
  terminal = undefined;
  byId("facts").hidden = true;
  button("disconnect").hidden = true;
}

async function flash(): Promise<void> {
  const settings = chosen("settings");
  let sector: Uint8Array | undefined;
  if (settings === "write") {
    sector = await readSettings();
    if (!sector) return;
  } else if (settings === "erase") sector = new Uint8Array(4096).fill(0xff);
  const device = await connect();
  const pieces = await loadPieces(device.facts.flashBytes);
  if (sector) pieces.push({ name: "settings", offset: SETTINGS, data: sector });
  const plan = makePlan(pieces, device.facts.flashBytes);
  const view = new PartsView(
    plan.pieces.map(({ name, offset, data }) => ({ name, offset, size: data.length })),
  );
  await carryOut(device, plan, {
    erasing: () => view.note("erasing the whole flash: this takes up to a minute"),
    piece: (index, state, done) => view.update(index, state, done),
  }, input("erase-all").checked);
  view.note("Everything is written and verified.");
  await openConsole(true);
}

async function openConsole(fromStart: boolean): Promise<void> {
  await chip?.close();
  chip = undefined;
  port ??= await serial().requestPort();
  clearConsole();
  const { Console } = await import("../console/console.ts");
  terminal = await Console.open(port, {
    line: addLine,
    lost: (error) =>
      showFault(error, "console-step", () => run("console-step", () => openConsole(true))),
  }, fromStart);
}

let busy = false;

/** Runs what a button does, one at a time; what fails is shown behind the step. */
async function run(step: string, action: () => Promise<unknown>): Promise<void> {
  if (busy) return;
  busy = true;
  hideFault();
  try {
    await action();
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotFoundError") {
      say("No port was chosen.");
    } else {
      const lost = error instanceof FlashError && error.code === "LOST";
      await disconnect();
      if (lost) port = undefined;
      showFault(error, step, () => void run(step, action));
    }
  } finally {
    busy = false;
  }
}

function setUp(): void {
  const why = obstacle(globalThis);
  if (why) {
    byId("obstacle").hidden = false;
    byId("obstacle-title").textContent = "This browser cannot reach a board";
  }
  button("connect").addEventListener("click", () => void run("board", connect));
  button("disconnect").addEventListener("click", () => void run("board", disconnect));
  button("open-console").addEventListener(
    "click",
    () => void run("console-step", () => openConsole(true)),
  );
  byId<HTMLFormElement>("form").addEventListener("submit", (event) => {
    event.preventDefault();
    void run("flash-step", flash);
  });
  setUpSettings();
  void setUpFirmware();
}

setUp();
