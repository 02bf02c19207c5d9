/**
 * `deno task demo` shows what this project does: a server, four devices that run the compiled client core, and a
 * network between them that fails in every way; at the end a table of what was sent and what arrived.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { LocalError } from "../../server/protocol/errors.ts";
import { injectFaults } from "./faults.ts";
import { Scene } from "./scene.ts";
import { format, isFaultless, type Table, toTable } from "./table.ts";
import { LiveView, PlainView } from "./view.ts";

const HELP = `deno task demo [options]

  --seconds N  how long, 1 to 86400  (30)
  --forever    until Ctrl-C
  --port N     the server's port, to connect clients of your own  (0: any free one)
  --web N      the port of the page that shows it, on this machine  (0: any free one)
  --json       the table as JSON on stdout, everything else on stderr
  --help       this text

Exit code: 0 if every message arrived once and in order, 1 if not, 2 for wrong options.`;

/** Messages that are on their way at the end may take this many ms more. */
const DRAIN = 15_000;

interface Options {
  /** Infinity: until Ctrl-C. */
  seconds: number;
  port: number;
  web: number;
  json: boolean;
}

/** @throws {Error} with a message for the user */
function parse(args: string[]): Options | "help" {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: "string" },
      forever: { type: "boolean", default: false },
      port: { type: "string", default: "0" },
      web: { type: "string", default: "0" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  if (values.forever && values.seconds !== undefined) {
    throw new Error("--forever and --seconds exclude each other");
  }
  return {
    seconds: values.forever ? Infinity : toNumber("--seconds", values.seconds ?? "30", 1, 86400),
    port: toNumber("--port", values.port, 0, 65535),
    web: toNumber("--web", values.web, 0, 65535),
    json: values.json,
  };
}

function toNumber(name: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new Error(`${name} takes a whole number from ${least} to ${most}, not "${text}"`);
}

/** The demo's result. */
interface Report extends Table {
  /** Faults caused. */
  faults: number;
}

/** Returns when everything that can be delivered was delivered. */
async function run({ seconds, port, web, json }: Options): Promise<Report> {
  const output = json ? Deno.stderr : Deno.stdout;
  const print = (text: string) => write(output, text);
  const terminal = { print, colors: !Deno.noColor, size: Deno.consoleSize };
  const live = output.isTerminal() ? new LiveView(terminal, seconds) : undefined;
  const view = live ?? new PlainView(print);

  const stop = new AbortController();
  const interrupted = () => stop.abort();
  Deno.addSignalListener("SIGINT", interrupted);
  Deno.addSignalListener("SIGTERM", interrupted);
  let timer;
  try {
    await using scene = await Scene.start(port, web, view);
    view.note(`the server listens on 127.0.0.1:${scene.port}, and all devices have connected`);
    view.note(`the page at ${scene.url} shows them`);
    if (port !== 0) print(guide(port));
    live?.show(scene.conversations, scene.port);
    if (seconds !== Infinity) timer = setTimeout(interrupted, seconds * 1000);
    const faults = await injectFaults(scene, view, stop.signal);
    view.note("nobody writes any more; waiting for messages on their way");
    await scene.drain(DRAIN);
    return { faults, ...toTable(scene.conversations) };
  } finally {
    live?.end();
    clearTimeout(timer);
    Deno.removeSignalListener("SIGINT", interrupted);
    Deno.removeSignalListener("SIGTERM", interrupted);
  }
}

function write(output: typeof Deno.stdout, text: string): void {
  try {
    for (let bytes = new TextEncoder().encode(text); bytes.length > 0;) {
      bytes = bytes.subarray(output.writeSync(bytes));
    }
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(1); // nobody reads any more: `... | head`
    throw error;
  }
}

/** How to join from another terminal. */
function guide(port: number): string {
  return `To join from another terminal (each line is echoed, through the server's outages too):

  deno run -A tests/demo/talk.ts --port ${port}

`;
}

/** A message for an error that the user can correct; undefined for a bug. */
function explain(error: unknown, { port }: Options): string | undefined {
  if (error instanceof LocalError) return error.message;
  const { code } = error as { code?: string };
  if (code === "EADDRINUSE") return `port ${port} is in use: choose another`;
  if (code === "EACCES") return `not permitted to listen on ${port}`;
  return undefined;
}

async function main(): Promise<number> {
  let options;
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`demo: ${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  let report;
  try {
    report = await run(options);
  } catch (error) {
    const explanation = explain(error, options);
    if (explanation === undefined) throw error;
    console.error(`demo: ${explanation}`);
    return 1;
  }
  const faultless = isFaultless(report.total);
  if (options.json) {
    console.log(JSON.stringify(report, null, 2));
  } else {
    const faults = report.faults === 1 ? "1 fault" : `${report.faults} faults`;
    console.log(`\n${format(report).join("\n")}\n`);
    console.log(
      faultless
        ? `Every message arrived once and in order, through ${faults}.`
        : `FAILED: not every message arrived once and in order, through ${faults}.`,
    );
  }
  return faultless ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
