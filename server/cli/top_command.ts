/** The live view of all devices in a terminal; through a pipe, one picture. */
import type { DeviceView } from "../device_view.ts";
import type { DevicesUpdate } from "../web/seen.ts";
import { command } from "./command.ts";
import { print } from "./print.ts";
import { type Api, REACH } from "./reach.ts";
import { footer, ordered, picture } from "./top_view.ts";

/** Longest time between two pictures, in ms: shown times advance while nothing happens. */
const FRAME = 1000;

/** Control sequences: the alternate screen, no cursor, no line wrapping. */
const BEGIN = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const END = "\x1b[?7h\x1b[?25h\x1b[?1049l";

const encoder = new TextEncoder();

export const topCommand = command({
  name: "top",
  usage: [""],
  summary: "Shows all devices live in a terminal, those without a link first; through a pipe, once",
  about: "Keys: arrows, PgUp and PgDn move, Home goes to the first device, q quits.",
  options: REACH,
  async run(_words, values, reach) {
    const isLive = Deno.stdout.isTerminal() && !values.json;
    await reach.ask("top", values, async (api) => {
      if (isLive) return await new Live().show(api);
      const views = ordered(await api.get<DeviceView[]>("/api/devices"));
      if (values.json) return views.forEach((view) => print(JSON.stringify(view)));
      const all = { columns: Infinity, rows: Infinity };
      picture(views, Date.now(), all, { above: 0, colors: false }).forEach(print);
    }, isLive);
  },
});

/** One live view. */
class Live {
  readonly #views = new Map<string, DeviceView>();
  readonly #stop = Promise.withResolvers<void>();
  #now: () => number = Date.now; // by the server's clock
  #above = 0;

  /** @returns when the user quits @throws {CommandError} when the server ends */
  async show(api: Api): Promise<void> {
    const draw = () => this.#draw();
    const quit = () => this.#stop.resolve();
    const isTyped = Deno.stdin.isTerminal();
    const timer = setInterval(draw, FRAME);
    Deno.addSignalListener("SIGWINCH", draw);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, quit);
    }
    say(BEGIN);
    try {
      if (isTyped) Deno.stdin.setRaw(true);
      const told = this.#watch(api);
      told.catch(() => {}); // it is reported below, unless the user quits first
      if (isTyped) this.#obey();
      await Promise.race([told, this.#stop.promise]);
    } finally {
      clearInterval(timer);
      if (isTyped) Deno.stdin.setRaw(false);
      say(END);
    }
  }

  async #watch(api: Api): Promise<void> {
    for await (const { now, devices, gone } of api.stream<DevicesUpdate>("/api/events")) {
      const ahead = now - Date.now();
      this.#now = () => Date.now() + ahead;
      if (gone === undefined) this.#views.clear(); // a snapshot of all devices
      for (const view of devices) this.#views.set(view.id, view);
      for (const id of gone ?? []) this.#views.delete(id);
      this.#draw();
    }
  }

  /** Acts on keys until the process ends. */
  async #obey(): Promise<void> {
    const piece = new Uint8Array(64);
    for (let read; (read = await Deno.stdin.read(piece)) !== null;) {
      const key = new TextDecoder().decode(piece.subarray(0, read));
      if (QUIT.some((one) => key.includes(one))) return this.#stop.resolve();
      const page = Math.max(1, size().rows - 4);
      const most = Math.max(0, this.#views.size - 1);
      const by = STEPS[key]?.(page) ?? 0;
      this.#above = Math.max(0, Math.min(most, this.#above + by));
      this.#draw();
    }
  }

  #draw(): void {
    const [room, looking] = [size(), { above: this.#above, colors: !Deno.noColor }];
    const views = ordered(this.#views.values());
    const lines = picture(views, this.#now(), room, looking);
    while (lines.length < room.rows - 1) lines.push("");
    lines.push(footer(views.length, room, looking));
    const shown = lines.slice(0, room.rows).map((line) => `${line}\x1b[K`).join("\r\n");
    say(`\x1b[H${shown}\x1b[J`);
  }
}

/** Also Ctrl-C and Ctrl-D, which raw mode passes on as keys. */
const QUIT = ["q", "Q", "\x03", "\x04"];

/** By how many rows each key moves; the terminal's escape sequences for arrows and pages. */
const STEPS: Readonly<Record<string, (page: number) => number>> = {
  "\x1b[A": () => -1,
  "k": () => -1,
  "\x1b[B": () => 1,
  "j": () => 1,
  "\x1b[5~": (page) => -page,
  "\x1b[6~": (page) => page,
  "\x1b[H": () => -Infinity,
  "\x1b[1~": () => -Infinity,
};

function size(): { columns: number; rows: number } {
  try {
    return Deno.consoleSize();
  } catch {
    return { columns: 80, rows: 24 };
  }
}

/** Writes to the terminal, even if it may be gone. */
function say(text: string): void {
  try {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch {
    // It was closed; its signal ends the process.
  }
}
