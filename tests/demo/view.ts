/** What the user sees while the demo runs. */
import type { Sequence } from "./sequence.ts";

/** The kind of a note: something is broken, something works again, or neither. */
export type Mood = "fault" | "repair" | "plain";

/** A device with its name in the view. */
export interface Named {
  readonly name: string;
}

/** Shows what happens. */
export interface View {
  /** A device sends or receives a message. */
  message(device: Named, action: "sends" | "receives", text: string): void;
  note(text: string, mood?: Mood): void;
}

/** Prints text as it is, newlines and all. */
export type Print = (text: string) => void;

/** For a pipe: a line for everything that happens. */
export class PlainView implements View {
  #started = performance.now();

  constructor(readonly print: Print) {}

  message(device: Named, action: "sends" | "receives", text: string): void {
    this.note(`${device.name} ${action.padEnd(8)} ${text}`);
  }

  note(text: string): void {
    this.print(`${elapsed(this.#started)}  ${text}\n`);
  }
}

/** What a live view needs to know about its terminal. */
export interface Terminal {
  print: Print;
  colors: boolean;
  size(): { columns: number; rows: number };
}

/** The shown part of a conversation. */
export type Shown =
  & { number: number; connected: boolean; lastSent: string; lastReceived: string }
  & Record<
    "toServer" | "toDevice",
    Pick<Sequence, "sent" | "received" | "duplicates" | "outOfOrder">
  >;

/** Pause between two pictures in ms. */
const FRAME = 200;

/** Lines of the picture that are not notes. */
const FIXED_LINES = 10;

const MOST_NOTES = 10;

const COLORS = { bold: 1, dim: 2, fault: 31, repair: 32, plain: 0 };

/** For a terminal: a line per device and the last notes, drawn over and over in the same place. */
export class LiveView implements View {
  #terminal: Terminal;
  #seconds: number;
  #started = performance.now();
  #notes: { time: string; text: string; mood: Mood }[] = [];
  #height = 0; // height of the picture on the screen
  #conversations: Shown[] = [];
  #port = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param seconds How long the demo runs; Infinity: until it is stopped. */
  constructor(terminal: Terminal, seconds: number) {
    this.#terminal = terminal;
    this.#seconds = seconds;
  }

  message(): void {
    // The last notes are in each picture.
  }

  note(text: string, mood: Mood = "plain"): void {
    this.#notes.push({ time: elapsed(this.#started), text, mood });
    this.#notes.splice(0, this.#notes.length - MOST_NOTES);
  }

  /** Starts drawing. */
  show(conversations: Shown[], port: number): void {
    this.#conversations = conversations;
    this.#port = port;
    this.#timer = setInterval(() => this.#draw(), FRAME);
  }

  /** Leaves the last picture on the screen. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#height > 0) this.#draw();
  }

  #draw(): void {
    const { columns, rows } = this.#terminal.size();
    const picture = this.#picture(rows).map((line) => `${clip(line, columns - 1)}\x1b[K\n`);
    const up = this.#height > 0 ? `\x1b[${this.#height}A` : "";
    // Lines left below from a higher picture are erased too.
    this.#terminal.print(`${up}${picture.join("")}\x1b[J`);
    this.#height = picture.length;
  }

  #picture(rows: number): string[] {
    const paint = this.#paint;
    const notes = this.#notes.slice(-Math.max(1, Math.min(MOST_NOTES, rows - 1 - FIXED_LINES)));
    const end = this.#seconds === Infinity ? "" : ` of ${this.#seconds} s`;
    const sequences = this.#conversations.flatMap((talk) => [talk.toServer, talk.toDevice]);
    const doubled = sequences.reduce((total, each) => total + each.duplicates, 0);
    const disordered = sequences.reduce((total, each) => total + each.outOfOrder, 0);
    return [
      paint(
        "bold",
        `Holdfast: ${this.#conversations.length} devices, a server, and a bad network between`,
      ),
      `${elapsed(this.#started).trim()}${end}, ${doubled} doubled, ${disordered} out of order ` +
      paint("dim", `(port ${this.#port}, Ctrl-C ends it)`),
      "",
      paint("dim", "device  link        to the server     to the device   last       last"),
      paint("dim", "                     sent arrived      sent arrived   sent       received"),
      ...this.#conversations.map((talk) => this.#row(talk)),
      "",
      ...notes.map(({ time, text, mood }) => `${paint("dim", time)}  ${paint(mood, text)}`),
    ];
  }

  #row(talk: Shown): string {
    const { toServer, toDevice, connected, lastSent, lastReceived } = talk;
    const state = connected ? "connected" : "OUTAGE";
    return [
      String(talk.number).padEnd(6),
      this.#paint(connected ? "repair" : "fault", state.padEnd(9)),
      `${count(toServer.sent)} ${count(toServer.received).padStart(7)}`,
      `   ${count(toDevice.sent)} ${count(toDevice.received).padStart(7)}`,
      ` ${lastSent.padEnd(9)}`,
      lastReceived,
    ].join("  ");
  }

  #paint = (color: keyof typeof COLORS, text: string): string =>
    this.#terminal.colors && COLORS[color] ? `\x1b[${COLORS[color]}m${text}\x1b[0m` : text;
}

function count(n: number): string {
  return String(n).padStart(6);
}

/** Ms as seconds. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** The time since then, for the front of a line. */
function elapsed(started: number): string {
  return seconds(performance.now() - started).padStart(7);
}

/** The first this many characters of a line, and all of its colours. */
export function clip(line: string, columns: number): string {
  // deno-lint-ignore no-control-regex
  return line.split(/(\x1b\[\d+m)/).map((part, i) => {
    if (i % 2 === 1) return part;
    const characters = [...part].slice(0, Math.max(columns, 0));
    columns -= characters.length;
    return characters.join("");
  }).join("");
}

/** A stranger's text: on one line, without control characters. */
export function quoted(text: string): string {
  return JSON.stringify(text.replace(/\p{C}/gu, "?"));
}
