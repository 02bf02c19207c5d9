/// <reference lib="dom" />
/** The serial port over which the page talks to a board, and its user: the loader or the console. */
import type { Chip } from "../chip/chip.ts";
import { FlashError } from "../chip/errors.ts";
import type { Port, Serial } from "../chip/serial.ts";
import type { Console, ConsoleEvents } from "../console/console.ts";
import { button, byId, say, select } from "./dom.ts";

let port: Port | undefined;
let chip: Chip | undefined;
let terminal: Console | undefined;
/** Stops the work on the chip; made before the page looks for the chip. */
let stopper = new AbortController();
/** The fast speed failed with this port, and is not tried again. */
let slow = false;

function serial(): Serial {
  return (navigator as unknown as { serial: Serial }).serial;
}

/** The port that was chosen before, or one that the user chooses now. @param another Asks the user in any case */
async function choosePort(another = false): Promise<Port> {
  if (port && !another) {
    // The one that was chosen, if it is plugged in: after a failure the user need not choose again.
    const present = await serial().getPorts();
    if (present.includes(port)) return port;
    // After replugging, the browser may see a different port; it is taken for the same one if there is no doubt.
    const same = present.filter((other) => kind(other) === kind(port!));
    if (same.length === 1 && kind(port) !== "") return port = same[0]!;
  }
  const chosen = await serial().requestPort();
  slow = false;
  return port = chosen;
}

/** A part of the page that is loaded when it is needed. */
function part<T>(loading: Promise<T>): Promise<T> {
  const loaded = loading.catch((cause) => {
    throw new FlashError("NO_FILE", "a part of this page cannot be loaded", undefined, { cause });
  });
  loaded.catch(() => {}); // whoever waits for it gets the error; nobody does if no port is chosen
  return loaded;
}

/** Maker and kind of a port's USB adapter; empty if it has none. */
function kind(port: Port): string {
  const { usbVendorId, usbProductId } = port.getInfo();
  return usbVendorId === undefined ? "" : `${usbVendorId}:${usbProductId}`;
}

/**
 * The chip in its loader; connects if necessary.
 *
 * @param another shows the list of ports even if one was chosen before
 * @throws {FlashError} of `openChip`
 * @throws {DOMException} NotFoundError: no port was chosen
 */
export async function connect({ another = false } = {}): Promise<Chip> {
  if (chip && !another && !stopper.signal.aborted) return chip;
  const { signal } = stopper = new AbortController();
  // Loaded with the first board, while the user chooses the port.
  const loading = part(import("../chip/loader.ts"));
  const chosen = await choosePort(another);
  await disconnect();
  say("Connecting to the board …");
  const { FAST, openChip, SLOW } = await loading;
  const wanted = Number(select("speed").value);
  chip = await openChip(chosen, { baud: slow ? SLOW : wanted, signal });
  slow = wanted === FAST && chip.baud === SLOW;
  showFacts(chip);
  return chip;
}

/**
 * Lets the user choose a port early, while the browser still attributes that to a click.
 *
 * @returns aborted when the work must stop
 * @throws {DOMException} NotFoundError: no port was chosen
 */
export async function choosePortEarly(): Promise<AbortSignal> {
  const { signal } = stopper = new AbortController();
  await choosePort();
  return signal;
}

/** The user has chosen a speed: it is tried even if it has failed before. */
export function trustSpeed(): void {
  slow = false;
}

/** Stops the work on the chip at the next block, also while the page still looks for the chip. */
export function stop(): void {
  stopper.abort();
}

/** After a failure: closes the port, and remembers which it was. */
export async function disconnect(): Promise<void> {
  byId("facts").hidden = true;
  await release((open) => open.close());
}

/** When the user has finished: starts the board's program, and forgets the port. */
export async function leave(): Promise<void> {
  byId("facts").hidden = true;
  await release((open) => open.leave());
  await forget();
}

/** Forgets the port, for another board. */
export async function forget(): Promise<void> {
  await disconnect();
  port = undefined;
  slow = false;
}

async function release(end: (chip: Chip) => Promise<void>): Promise<void> {
  const open = chip;
  chip = undefined;
  button("disconnect").hidden = true;
  if (open) slow ||= Number(select("speed").value) > open.baud;
  if (open) await end(open);
  await closeConsole();
}

async function closeConsole(): Promise<void> {
  const open = terminal;
  terminal = undefined;
  await open?.close();
  forgetVerdict();
}

/** A verdict may be outdated when the console is closed. */
export function forgetVerdict(): void {
  for (const id of ["verdict", "steps"]) byId(id).replaceChildren();
  for (const id of ["restart", "give-settings"]) button(id).hidden = true;
}

/** Listens to the board's program; `begin` is called before anything can arrive. */
export interface Listener extends ConsoleEvents {
  begin(): void;
}

/** Leaves the loader, and listens to the board's program from its start. @throws as {@linkcode connect} */
export async function listen(events: Listener): Promise<Console> {
  await release((open) => open.close());
  const loading = part(import("../console/console.ts"));
  const chosen = await choosePort();
  const { Console } = await loading;
  events.begin();
  return terminal = await Console.open(chosen, {
    ...events,
    lost: (error: FlashError) => {
      terminal = undefined;
      events.lost(error);
    },
  }, true);
}

/** The console, if it is open. */
export function openedConsole(): Console | undefined {
  return terminal;
}

/** Shows what is known about the chip, with the current speed. */
export function showFacts({ facts, baud }: Chip): void {
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
