/**
 * `deno task firmware`: compiles the firmware for a board.
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { Application, BuildOptions, Built } from "./target.ts";
import { BuildError } from "./errors.ts";
import { type FlashMode, flashModes } from "../formats/image.ts";

const ROOT = new URL("../../", import.meta.url);
const BOARDS = ["emulator", "nonos"];
const FLAVOURS = ["wifi", "pyboard"];
/** The application of a flavour. */
const APPLICATION_OF: Record<string, string> = { pyboard: "pyboard" };
/** Modules that are not an application, or belong to another flavour. */
const NOT_FLASHED = ["core", ...Object.values(APPLICATION_OF)];

const HELP = `Compiles the firmware for a board, and the applications that go with it.

Usage: deno task firmware [options]

  --board NAME     emulator: for QEMU, needs only Debian's packages; nonos: for the chip (emulator)
  --sdk FOLDER     Espressif's NONOS SDK, for the chip: see bridge/esp8266/README.md
  --flavour NAME   wifi, or pyboard: for a board that gets its settings over I2C        (wifi)
  --app NAME|FILE  an application of client-as/build, or a .wasm; repeat it for more    (all of the flavour)
  --aot NAME|FILE  instead of --app: one application, translated to C ahead of time, as part of the
                   firmware (needs wabt)
  --flash-mode M   how the chip reads its flash: dout works on every module; dio, qout and qio are
                   faster, but some modules do not start with them; for the chip        (dout)
  --out FOLDER     folder for the files        (bridge/esp8266/build/BOARD[-FLAVOUR or -aot])
  --release FOLDER instead: all flavours and applications, with the page that flashes them, checksums and
                   licences, as a folder for any static web host (needs wabt)
  --measure        instead: what a message and a wake cost on the emulated chip (needs wabt and qemu)
  --json           prints only what was built, as JSON
  --help           this text

Exit codes: 0 built, 1 it could not be built (the message says what to do), 2 wrong arguments.`;

/** Wrong arguments on the command line. */
class UsageError extends Error {}

interface Options {
  board: string;
  sdk: string | undefined;
  flashMode: FlashMode | undefined;
  flavour: string;
  apps: string[];
  aot: boolean;
  out: string;
  /** The folder of a release. */
  release: string | undefined;
  measure: boolean;
  json: boolean;
}

/** Undefined: help is wanted. @throws {UsageError} */
function parse(args: string[]): Options | undefined {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        board: { type: "string", default: "emulator" },
        sdk: { type: "string" },
        "flash-mode": { type: "string" },
        flavour: { type: "string", default: "wifi" },
        app: { type: "string", multiple: true, default: [] },
        aot: { type: "string", multiple: true, default: [] },
        out: { type: "string" },
        release: { type: "string" },
        measure: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return undefined;
  const { board, flavour, json, sdk, measure, app, aot, release, "flash-mode": mode } = values;
  oneOf("--board", board, BOARDS);
  oneOf("--flavour", flavour, FLAVOURS);
  if (board === "nonos" && sdk === undefined) {
    throw new UsageError(
      "--board nonos needs --sdk FOLDER: Espressif's ESP8266_NONOS_SDK 3.0.x, see bridge/esp8266/README.md",
    );
  }
  if (mode !== undefined) {
    oneOf("--flash-mode", mode, flashModes);
    if (board !== "nonos") {
      throw new UsageError("--flash-mode needs --board nonos");
    }
  }
  if (release !== undefined) {
    const other = ["out", "aot", "measure", "flavour", "flash-mode"].find((name) =>
      args.some((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`))
    );
    if (other !== undefined) {
      throw new UsageError(
        `--release builds everything for a board: leave out --${other}`,
      );
    }
    if (release === "") throw new UsageError("--release needs the path of a folder");
  }
  if (aot.length > 0) {
    const fault = "--aot compiles one application into the firmware";
    if (aot.length > 1) throw new UsageError(`${fault}, not ${aot.length}`);
    if (app.length > 0) throw new UsageError(`${fault}: leave out --app`);
    if (flavour !== "wifi") {
      throw new UsageError(`${fault}, but --flavour ${flavour} has its own`);
    }
  }
  const kind = aot.length > 0 ? "aot" : flavour;
  const name = kind === "wifi" ? board : `${board}-${kind}`;
  const { out = new URL(`bridge/esp8266/build/${name}`, ROOT).pathname } = values;
  return {
    board,
    sdk,
    flashMode: mode as FlashMode | undefined,
    flavour,
    apps: [...app, ...aot],
    aot: aot.length > 0,
    out: absolute(out),
    release: release === undefined ? undefined : absolute(release),
    measure,
    json,
  };
}

function oneOf(option: string, value: string, values: readonly string[]): void {
  if (!values.includes(value)) {
    throw new UsageError(`${option} must be one of ${values.join(", ")}, not "${value}"`);
  }
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

/** The version that deno.json names. */
async function version(): Promise<string> {
  return JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))).version;
}

/** @throws {BuildError} if one cannot be read */
async function applications(flavour: string, names: string[]): Promise<Application[]> {
  const folder = new URL("client-as/build/", ROOT);
  const own = APPLICATION_OF[flavour];
  if (names.length === 0 && own) names = [own];
  if (names.length === 0) {
    const files = [...Deno.readDirSync(folder)].map(({ name }) => name);
    names = files.filter((name) => name.endsWith(".wasm")).map((name) => name.slice(0, -5)).sort()
      .filter((name) => !NOT_FLASHED.includes(name));
  }
  return await Promise.all(names.map(async (name) => {
    const file = name.endsWith(".wasm") ? absolute(name) : new URL(`${name}.wasm`, folder);
    try {
      const wasm = await Deno.readFile(file);
      return { name: name.replace(/^.*\//, "").replace(/\.wasm$/, ""), wasm };
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause;
      throw new BuildError(
        `the application ${name} cannot be read (${cause.message}): run \`deno task build\` to build it`,
        { cause },
      );
    }
  }));
}

async function builderOf(board: string): Promise<(options: BuildOptions) => Promise<Built>> {
  return (await import(`./targets/${board}/build.ts`)).build;
}

async function publish({ board, sdk, apps, json }: Options, folder: string): Promise<number> {
  const { release } = await import("./release.ts"); // with the page's bundler
  const flavours: Record<string, Application[]> = {};
  for (const flavour of FLAVOURS) {
    flavours[flavour] = await applications(flavour, flavour === "wifi" ? apps : []);
  }
  const { bytes, files } = await release({
    out: folder,
    board,
    sdk: sdk === undefined ? undefined : absolute(sdk),
    version: await version(),
    build: await builderOf(board),
    flavours,
    say: (line) => json || console.log(line),
  });
  if (json) console.log(JSON.stringify({ board, release: folder, bytes, files }));
  else {console.log(
      `\n${folder}: ${files.length} files, ${bytes} bytes; see README.txt in it`,
    );}
  return 0;
}

async function main(args: string[]): Promise<number> {
  const options = parse(args);
  if (!options) {
    console.log(HELP);
    return 0;
  }
  const { board, json, out, flavour, aot, sdk, flashMode } = options;
  const started = performance.now();
  if (options.measure) {
    const { measure, showMeasured } = await import("./measure.ts");
    const { measureWakes, showWakes } = await import("./measure/wake.ts");
    const say = (line: string) => json || console.log(line);
    const messages = await measure(`${out}/measure`, say);
    say("measuring a wake");
    const wakes = await measureWakes(`${out}/measure/wake`);
    if (json) console.log(JSON.stringify({ messages, wakes }));
    else console.log(`${showMeasured(messages)}\n\n${showWakes(wakes)}`);
    return 0;
  }
  if (options.release !== undefined) return await publish(options, options.release);
  await Deno.mkdir(out, { recursive: true });
  const build = await builderOf(board);
  const { files, sizes } = await build({
    out,
    version: await version(),
    flavour,
    applications: await applications(flavour, options.apps),
    aot,
    ...(sdk === undefined ? {} : { sdk: absolute(sdk) }),
    ...(flashMode === undefined ? {} : { flashMode }),
    say: (line) => json || console.log(line),
  });
  if (json) console.log(JSON.stringify({ board, flavour, aot, files, sizes }));
  else {
    const width = Math.max(...[...Object.keys(sizes), ...Object.keys(files)].map((k) => k.length));
    console.log();
    for (const [what, bytes] of Object.entries(sizes)) {
      console.log(`${what.padEnd(width)}  ${String(bytes).padStart(7)} bytes`);
    }
    for (const [what, file] of Object.entries(files)) console.log(`${what.padEnd(width)}  ${file}`);
    console.log(`\nbuilt in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`firmware: ${error.message}\n(--help lists the options)`);
      Deno.exitCode = 2;
    } else if (error instanceof BuildError) {
      console.error(`firmware: ${error.message}`);
      Deno.exitCode = 1;
    } else throw error;
  }
}
