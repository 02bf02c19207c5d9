/** Runs a device application on a PC: `deno run -A bridge/host/run.ts client-as/build/main.wasm --id 1`. */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { LONGEST_TIMER } from "../../server/transport/platform.ts";
import { badArgument, isUsersFault, toDialect, toKey, toNumber } from "./arguments.ts";
import { Board, type BoardOptions, Kept, loadModule, LocalError, type PeerError } from "./mod.ts";

const HELP = `Runs a device application on this computer instead of a board.

Usage: deno run -A bridge/host/run.ts APPLICATION.wasm --id ID [options]

  --id ID           the device's name at the server
  --server ADDRESS  name or address of the server; may be repeated, tried in turn (127.0.0.1)
  --port N          its TCP port                           (8123)
  --timeout MS      silence that counts as an outage; must be the same at the server (2000)
  --key-file FILE   file with the device's key, 64 hex digits, as \`server/main.ts keys add ID\` prints it
  --key HEX         the key itself: other users of this computer can see it in the list of processes
  --dialect N       2: Holdfast's own; 1: micropython-iot's, for its servers, without a key (2)
  --speed N         calls the application's onTick N times as often as it asks for, and shortens its sleeps (1)
  --help

What the application logs, and each change of a pin ("pin 2: 0"), goes to stdout; the state of the
link to stderr. Lines on stdin work the board's inputs: "0=1" sets pin 0 to 1, "adc=512" the
analogue input. Pins are 1 until they are set.`;

/** Exit codes: 0 ended by a signal, 1 the application failed, 2 wrong arguments or no application. */
async function main(): Promise<number> {
  let options: BoardOptions | undefined;
  let board: Board;
  const kept = new Kept();
  try {
    options = parse(Deno.args);
    if (!options) {
      console.log(HELP);
      return 0;
    }
    board = new Board({ ...options, kept });
  } catch (error) {
    if (!isUsersFault(error)) throw error;
    console.error(`run: ${error.message}\n(--help lists the options)`);
    return 2;
  }
  const inputs = createInterface({ input: process.stdin });
  inputs.on("line", (line) => {
    try {
      setInput(board, line);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      console.error(`run: ${error.message}`);
    }
  });
  const stopped = new AbortController();
  const stop = () => {
    stopped.abort();
    void board.close();
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  try {
    for (;;) {
      await board.ended;
      const { asleep } = kept;
      if (asleep === undefined || stopped.signal.aborted) return 0;
      console.error(`sleeps for ${asleep.ms} ms, with ${asleep.waiting.length} messages`);
      await pause(asleep.ms / (options.speed ?? 1), stopped.signal);
      if (stopped.signal.aborted) return 0;
      board = new Board({ ...options, kept });
    }
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    console.error(`run: the application failed: ${error.stack ?? error.message}`);
    return 1;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, stop);
    inputs.close();
    await board.close();
  }
}

/** Resolves after this many ms, or when the signal comes. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.min(ms, LONGEST_TIMER));
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise.finally(() => clearTimeout(timer));
}

/** Parses the arguments; undefined after printing the help. */
function parse(args: string[]): BoardOptions | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      id: { type: "string" },
      server: { type: "string", multiple: true, default: ["127.0.0.1"] },
      port: { type: "string", default: "8123" },
      timeout: { type: "string", default: "2000" },
      key: { type: "string" },
      "key-file": { type: "string" },
      dialect: { type: "string", default: "2" },
      speed: { type: "string", default: "1" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) {
    throw badArgument("give exactly one .wasm file");
  }
  if (values.id === undefined) throw badArgument("give the device an --id");
  const key = toKey(values.key, values["key-file"]);
  return {
    application: load(file),
    id: values.id,
    host: values.server,
    port: toNumber("--port", values.port),
    timeout: toNumber("--timeout", values.timeout),
    dialect: toDialect(values.dialect),
    ...(key === undefined ? {} : { key }),
    speed: toNumber("--speed", values.speed),
    onLog: (line) => console.log(line),
    onPin: (pin, level) => console.log(`pin ${pin}: ${level}`),
    onPwm: (pin, duty, hz) => console.log(`pin ${pin}: ${duty}/1023 at ${hz} Hz`),
    onState: stateShower(),
  };
}

function load(file: string): WebAssembly.Module {
  try {
    return loadModule(file);
  } catch (cause) {
    if (cause instanceof WebAssembly.CompileError) {
      throw badArgument(`${file} is not a WebAssembly module: ${cause.message}`);
    }
    if (cause instanceof LocalError || !(cause instanceof Error)) throw cause;
    throw badArgument(`${file} cannot be read: ${cause.message}`);
  }
}

/** Prints the link's state, but only when it changes. */
function stateShower(): (connected: boolean, reason?: PeerError | LocalError) => void {
  let shown = "";
  return (connected, reason) => {
    const state = connected ? "link up" : `no link: ${reason!.code}: ${reason!.message}`;
    if (state !== shown) console.error(state);
    shown = state;
  };
}

function setInput(board: Board, line: string): void {
  const [, input, value] = line.match(/^\s*(adc|\d+)\s*=\s*(\d+)\s*$/) ?? [];
  if (input === undefined) {
    throw badArgument(
      `set an input with a line such as "0=1" or "adc=512", not ${JSON.stringify(line)}`,
    );
  }
  if (input === "adc") board.analogue = Number(value);
  else board.setPin(Number(input), Number(value));
}

if (import.meta.main) Deno.exit(await main());
