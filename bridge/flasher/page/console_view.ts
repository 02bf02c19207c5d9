/// <reference lib="dom" />
/** The console: its lines, and what they say about the device. */
import type { Frame } from "../../formats/improv.ts";
import { Diagnosis } from "../console/diagnosis.ts";
import { SLOW } from "../chip/serial.ts";
import { Hearing } from "../console/hearing.ts";
import { forgetVerdict, leave, listen, openedConsole } from "./port.ts";
import { button, byId, make, marked, say } from "./dom.ts";
import { hideFault, showFault } from "./fault_view.ts";
import { forgetDevice } from "./settings_view.ts";
import { work } from "./work.ts";

/** Lines that are kept on the page. */
const MOST = 500;

let diagnosis = new Diagnosis();
let hearing = new Hearing(diagnosis, 0);
let timer: ReturnType<typeof setTimeout> | undefined;

export function setUpConsole(): void {
  button("open-console").addEventListener(
    "click",
    () => void work({ step: "console-step", action: () => openConsole() }),
  );
  button("restart").addEventListener("click", () =>
    void work({
      step: "console-step",
      action: async () => {
        begin();
        await openedConsole()?.restart();
      },
    }));
  button("another").addEventListener("click", () => void work({ step: "board", action: another }));
}

/** Called with the frames between the lines. */
let frames: (frame: Frame) => void = () => {};
/** The settings were erased on purpose. */
let erased = false;

/** Passes the board's answers to the last listener, until there is another one or the console is reopened. */
export function hearFrames(listener: (frame: Frame) => void): void {
  frames = listener;
}

/** Whether the console is open, and the firmware has printed something. */
export function isUnderstood(): boolean {
  return diagnosis.speaks && hearing.baud === SLOW;
}

/**
 * Listens to the board's program, from its start on.
 *
 * @param withoutSettings its settings have been erased on purpose
 */
export async function openConsole(withoutSettings = false): Promise<void> {
  erased = withoutSettings;
  frames = () => {};
  await listen({
    begin() {
      byId("console").replaceChildren();
      begin();
    },
    line,
    lost,
    noise() {
      hearing.noise(performance.now());
      wait();
    },
    frame(one) {
      hearing.frame(performance.now());
      wait();
      frames(one);
    },
  });
  wait(); // the limit starts again, because opening a port takes time
  button("restart").hidden = false;
  byId("console-step").scrollIntoView({ block: "nearest" });
}

function begin(): void {
  diagnosis = new Diagnosis({ erased });
  hearing = new Hearing(diagnosis, performance.now());
  wait();
  showVerdict();
}

/** The timer for a silent board. */
function wait(): void {
  clearTimeout(timer);
  const { deadline } = hearing;
  if (deadline === Infinity) return;
  timer = setTimeout(() => {
    const console = openedConsole();
    if (!console) return;
    const order = hearing.tick(performance.now());
    showVerdict();
    wait();
    if (!order) return;
    show(`(listening at ${order.baud} baud)`, "aside");
    void console.listenAt(order.baud, order.restart);
  }, Math.max(0, Math.ceil(deadline - performance.now())));
}

function line(text: string): void {
  show(text, text.startsWith("holdfast: ") ? "own" : "");
  if (hearing.line(text, performance.now())) showVerdict();
  wait();
}

function show(text: string, className: string): void {
  const log = byId("console");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  log.append(make("div", { className }, text));
  while (log.childElementCount > MOST) log.firstElementChild!.remove();
  if (atEnd) log.scrollTop = log.scrollHeight; // unless someone reads further up
}

function lost(error: unknown): void {
  clearTimeout(timer);
  forgetVerdict();
  showFault(
    error,
    "console-step",
    () => void work({ step: "console-step", action: () => openConsole() }),
  );
}

let shown = "";

function showVerdict(): void {
  const { verdict, steps } = diagnosis;
  const state = JSON.stringify([verdict, steps]);
  if (state === shown && byId("verdict").hasChildNodes()) return; // nothing to say again
  shown = state;
  const box = byId("verdict");
  box.dataset.kind = verdict.kind;
  // An unchanged headline is not touched, so that screen readers do not read it out for every line.
  const headline = box.querySelector(".headline") ?? make("p", { className: "headline" });
  if (headline.textContent !== verdict.headline) {
    headline.textContent = verdict.headline;
    say(verdict.headline, true);
  }
  const rest: Node[] = [];
  if (verdict.tries.length > 0) {
    rest.push(make("p", {}, "What to try:"));
    rest.push(make("ul", {}, ...verdict.tries.map((words) => make("li", {}, ...marked(words)))));
  }
  if (headline.parentElement !== box) box.replaceChildren(headline);
  while (box.childElementCount > 1) box.lastElementChild!.remove();
  box.append(...rest);
  byId("steps").replaceChildren(...steps.map(({ name, state, text }) => {
    const item = make("li", {}, make("strong", {}, name), " ", make("span", {}, text));
    item.dataset.state = state;
    return item;
  }));
  button("another").hidden = !diagnosis.settled;
  button("give-settings").hidden = !diagnosis.waitsForSettings;
}

async function another(): Promise<void> {
  // At once: closing the port takes time, and the user may type the next id meanwhile.
  const kept = forgetDevice();
  button("connect").focus();
  clearTimeout(timer);
  await leave();
  hideFault();
  byId("console").replaceChildren();
  byId("progress").hidden = true;
  button("another").hidden = true;
  say(`${kept} Plug in the next board, and choose its port.`);
}
