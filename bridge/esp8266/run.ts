/** Runs the firmware and an application on an emulated chip: `deno run -A bridge/esp8266/run.ts main --id 1`. */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { parseKey } from "../../server/protocol/proof.ts";
import { badArgument, isUsersFault, toDialect, toKey, toNumber } from "../host/arguments.ts";
import { Emulator, type EmulatorOptions, type WifiOutcome } from "./emulator/emulator.ts";

const ROOT = new URL("../../", import.meta.url);

const HELP = `Runs the firmware and an application on an emulated chip, in this terminal.

Usage: deno run -A bridge/esp8266/run.ts APPLICATION --id ID [options]

  APPLICATION       one of client-as/build, by its name, or a .wasm
  --aot             instead: the one that is compiled into the firmware
  --id ID           the device's name at the server
  --server ADDRESS  name or address of the server; give it twice for two addresses, tried in turn (127.0.0.1)
  --port N          its TCP port                                 (8123)
  --timeout MS      silence that counts as an outage             (2000)
  --key-file FILE   file with the device's key, 64 hex digits, as \`server/main.ts keys add ID\` prints it
  --key HEX         the key itself: other users of this computer can see it in the list of processes
  --dialect N       2, or 1 for micropython-iot's servers        (2)
  --log             sends the console's lines to the server, too
  --blank           starts without settings, like a new chip
  --firmware FILE   built by \`deno task firmware\`      (bridge/esp8266/build/emulator/emulator.elf,
                    with --aot bridge/esp8266/build/emulator-aot/emulator.elf)
  --help            this text

Prints the chip's serial line, and each change of a pin. Lines on stdin control the chip: "0=1" sets pin 0,
"adc=512" the analogue input, "reset" resets it, "power" interrupts its power for a moment, "hang" makes it
hang, "lose" takes the WiFi away, "wifi=not-found" (up, wrong-password, refused, no-dhcp) sets the outcome of
the next joins.`;

/** Returns the exit code: 0 ended by a signal, 1 the chip failed, 2 wrong arguments. */
async function main(): Promise<number> {
  const options = parse(Deno.args);
  if (!options) {
    console.log(HELP);
    return 0;
  }
  await using emulator = new Emulator(options);
  const inputs = createInterface({ input: process.stdin });
  inputs.on("line", (line) => act(emulator, line.trim()));
  const ended = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => ended.resolve());
  }
  const watch = setInterval(() => {
    try {
      emulator.check();
    } catch (error) {
      ended.reject(error);
    }
  }, 200);
  try {
    await ended.promise;
    return 0;
  } finally {
    clearInterval(watch);
    inputs.close();
  }
}

function act(emulator: Emulator, line: string): void {
  const [, input, value] = line.match(/^(adc|\d+)\s*=\s*(\d+)$/) ?? [];
  const [, outcome] = line.match(/^wifi=(up|not-found|wrong-password|refused|no-dhcp)$/) ?? [];
  if (input === "adc") emulator.setAnalogue(Number(value));
  else if (input !== undefined && Number(input) <= 16) {
    emulator.setPin(Number(input), Number(value) ? 1 : 0);
  } else if (outcome !== undefined) emulator.wifi = outcome as WifiOutcome;
  else if (line === "reset") emulator.reset("external");
  else if (line === "power") emulator.reset("power-on");
  else if (line === "hang") emulator.hang();
  else if (line === "lose") emulator.loseWifi();
  else if (line !== "") console.error(`run: unknown input: ${line} (--help lists the inputs)`);
}

/** Undefined: help is wanted. @throws {LocalError} BAD_ARGUMENT */
function parse(args: string[]): EmulatorOptions | undefined {
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
      log: { type: "boolean", default: false },
      blank: { type: "boolean", default: false },
      aot: { type: "boolean", default: false },
      firmware: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { id, log, blank, dialect, aot } = values;
  const [server, server2, ...more] = values.server;
  if (more.length > 0) throw badArgument("--server can be given at most twice");
  if (aot && positionals.length > 0) {
    throw badArgument("with --aot the application is in the firmware: do not name one");
  }
  if (!aot && positionals.length !== 1) throw badArgument("name one application");
  if (id === undefined && !blank) throw badArgument("give the device an --id");
  const key = toKey(values.key, values["key-file"]);
  const built = `bridge/esp8266/build/${aot ? "emulator-aot" : "emulator"}/emulator.elf`;
  const firmware = values.firmware ?? new URL(built, ROOT).pathname;
  read(firmware, `run \`deno task firmware${aot ? " --aot APPLICATION" : ""}\``);
  return {
    firmware,
    ...(aot ? {} : { application: application(positionals[0]!) }),
    ...(blank ? {} : {
      settings: {
        ssid: "emulated",
        server: server!,
        ...(server2 === undefined ? {} : { server2 }),
        port: toNumber("--port", values.port),
        id: id!,
        timeout: toNumber("--timeout", values.timeout),
        dialect: toDialect(dialect),
        log,
        ...(key === undefined ? {} : { key: parseKey(id!, key) }),
      },
    }),
    onLine: (line) => console.log(line),
    onPin: (pin, level) => console.log(`pin ${pin}: ${level}`),
    onPwm: (pin, duty, hz) => console.log(`pin ${pin}: ${duty}/1023 at ${hz} Hz`),
  };
}

function application(name: string): { name: string; wasm: Uint8Array } {
  const file = name.endsWith(".wasm")
    ? name
    : new URL(`client-as/build/${name}.wasm`, ROOT).pathname;
  const label = name.replace(/^.*\//, "").replace(/\.wasm$/, "");
  return { name: label, wasm: read(file, "run `deno task build`") };
}

function read(file: string, fix: string): Uint8Array<ArrayBuffer> {
  try {
    return Deno.readFileSync(file);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw badArgument(`${file} cannot be read (${cause.message}): ${fix}`);
  }
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main();
  } catch (error) {
    if (isUsersFault(error)) {
      console.error(`run: ${error.message}\n(--help lists the options)`);
      Deno.exitCode = 2;
    } else if (error instanceof Deno.errors.NotFound) {
      console.error("run: qemu-system-xtensa is missing: apt-get install qemu-system-misc");
      Deno.exitCode = 1;
    } else {
      console.error(`run: ${error instanceof Error ? error.message : error}`);
      Deno.exitCode = 1;
    }
  }
}
