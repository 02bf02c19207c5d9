/**
 * Replays vectors, as README.md in this folder defines them, on the two ends of a link.
 *
 * @module
 */
import { ClientEnd } from "../support/client_end.ts";
import { bytesOf, type End, latin1, type Outcome } from "../support/ends.ts";
import { ServerEnd } from "../support/server_end.ts";

/** Expectations that are events with a text. */
const TOLD: ReadonlySet<string> = new Set(["close", "failed", "log", "firmware", "metadata"]);

/** A step at a time in ms: the name of an input or of an expectation, and its value. */
export type Step = [at: number, name: string, value?: string | number];

/** A situation as one end sees it. */
export interface View {
  settings?: Record<string, number | string>;
  steps: Step[];
}

/** A first line, as the listening server sees it. */
export interface HelloStep {
  /** The segments to send, in hex. None: a silent connection. */
  segments: string[];
  /** The server's reaction. */
  outcome: "welcome" | "refuse" | "wait";
  /** What it sends before it refuses, in hex; default: nothing. */
  answer?: string;
}

/** One file of this folder. */
export interface Vector {
  name: string;
  about: string;
  wrong?: string;
  client?: View;
  server?: View;
  hellos?: HelloStep[];
}

/** Replays the client's view. @throws {Error} where the end does something else */
export function replayClient(view: View, module: WebAssembly.Module): void {
  replay(view, new ClientEnd(module, settingsOf(view)));
}

/** Replays the server's view. @throws {Error} where the end does something else */
export function replayServer(view: View): void {
  replay(view, new ServerEnd(settingsOf(view)));
}

function settingsOf({ settings = {} }: View): Record<string, number | string> {
  const { keepalives: _, ...others } = settings;
  return others;
}

function replay({ steps, settings }: View, end: End): void {
  const keepalives = settings?.keepalives === 1;
  for (let from = 0; from < steps.length;) {
    const at = steps[from]![0];
    const after = steps.findIndex(([time], index) => index > from && time !== at);
    const moment = steps.slice(from, after < 0 ? undefined : after);
    try {
      end.pass(at, (pause) => {
        if (keepalives) return;
        throw new Error(`nothing was sent for ${pause} ms: where is the keepalive?`);
      });
      live(end, moment, keepalives);
    } catch (cause) {
      const shown = moment.map((step) => JSON.stringify(step)).join("\n  ");
      throw new Error(`${(cause as Error).message}\nin step ${from + 1}:\n  ${shown}`, { cause });
    }
    from += moment.length;
  }
}

/** Applies the inputs of a moment, and compares the output with its expectations. */
function live(end: End, moment: Step[], keepalives: boolean): void {
  const expected: Outcome = { out: "", messages: [], events: [] };
  let uncompared = 0;
  for (const [, name, value] of moment) {
    if (name === "out" || name === "outHex") {
      expected.out += latin1(bytesOf(value, name === "outHex"));
    } else if (name === "message") expected.messages.push(String(value));
    else if (name === "messages") uncompared += Number(value);
    else if (name === "connect") expected.events.push("connect");
    else if (TOLD.has(name)) expected.events.push(`${name} ${value}`);
    else if (name === "done") check("messages done", end.done, value);
    else if (name !== "quiet" && !end.input(name, value)) {
      throw new Error(`there is no step ${JSON.stringify(name)} here`);
    }
  }
  const { out, messages, events } = end.take();
  check("bytes sent", keepalives ? out : withoutKeepalives(out), expected.out);
  if (uncompared > 0) check("number of messages", messages.length, uncompared);
  else check("messages", messages, expected.messages);
  check("events", events, expected.events);
}

function withoutKeepalives(out: string): string {
  return out.split("\n").filter((line) => line !== "").map((line) => `${line}\n`).join("");
}

function check(what: string, actual: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) throw new Error(`${what}: ${is}, expected ${should}`);
}
