/**
 * `deno task flasher`: builds the page that flashes boards, and serves it on this computer, where browsers
 * trust it with a serial port; or writes it into a folder, to be hosted elsewhere.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { buildSite, type Site, weigh } from "./build.ts";
import { DENO } from "./plan/commands.ts";
import { readImages } from "./images.ts";
import { answer } from "./serve.ts";

const HELP = `deno task flasher [options]

Builds the page that flashes ESP8266s, into bridge/flasher/build, and serves it together with the images
that \`deno task firmware\` has built. Open the address that it prints in a browser that has Web Serial.

  --port N      TCP port, 0: any free one  (8080)
  --host NAME   address to listen on; browsers open serial ports for pages of this computer only, or
                over HTTPS  (127.0.0.1)
  --build-only  build, print the size of the page, and exit; no server
  --out DIR     with --build-only: put the page, and the images, there; host it anywhere, over HTTPS
  --json        print one line of JSON on stdout instead of text
  --help        this text

Exit code: 0 ended by a signal or built, 1 could not build or listen, 2 wrong options.`;

/** Where the page is built to without --out. */
const BUILD = new URL("./build/", import.meta.url);

/** Limit for what is loaded before the page can be used: bytes, compressed. */
export const ENTRY_BUDGET = 60_000;

interface Options {
  port: number;
  host: string;
  buildOnly: boolean;
  out: string | URL;
  json: boolean;
}

/** @throws {Error} with a message for the user */
function parse(args: string[]): Options | "help" {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: "string", default: "8080" },
      host: { type: "string", default: "127.0.0.1" },
      "build-only": { type: "boolean", default: false },
      out: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const port = /^\d+$/.test(values.port) ? Number(values.port) : NaN;
  if (!(port <= 65535)) {
    throw new Error(`--port takes a whole number from 0 to 65535, not "${values.port}"`);
  }
  if (values.out !== undefined && !values["build-only"]) {
    throw new Error("--out belongs to --build-only");
  }
  if (values.host === "") throw new Error("--host takes a name or an address");
  return {
    port,
    host: values.host,
    buildOnly: values["build-only"],
    out: values.out ?? BUILD,
    json: values.json,
  };
}

/** Writes a site into a folder, which may exist: files that are not part of the page stay. */
async function write(site: Site, folder: string | URL): Promise<void> {
  const base = folder instanceof URL ? folder.pathname : folder;
  for (const [path, bytes] of site) {
    const file = `${base.replace(/\/$/, "")}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(file, bytes);
  }
}

async function run({ port, host, buildOnly, out, json }: Options): Promise<void> {
  const site = await buildSite([], !buildOnly);
  const weight = await weigh(site);
  const images = await readImages();
  const firmware = [...images.keys()].filter((path) => path.endsWith("/manifest.json"))
    .map((path) => path.split("/")[1]!);
  // Files of an earlier build have other names, and would stay for ever.
  if (out === BUILD) await Deno.remove(BUILD, { recursive: true }).catch(ignoreMissing);
  await write(buildOnly ? new Map([...site, ...images]) : site, out);
  if (weight.entry > ENTRY_BUDGET) {
    throw new Failure(`the page weighs ${weight.entry} bytes, allowed ${ENTRY_BUDGET}`);
  }
  const facts = { weight, firmware };
  if (buildOnly) {
    if (json) console.log(JSON.stringify({ ...facts, out: String(out) }));
    else console.log(`${describe(facts)}\nbuilt into ${out instanceof URL ? out.pathname : out}`);
    return;
  }
  const stop = new AbortController();
  const server = Deno.serve({
    port,
    hostname: host,
    signal: stop.signal,
    onListen: ({ port }) => {
      // localhost rather than an address: both are secure contexts, and one is easier to read.
      const name = host === "127.0.0.1" ? "localhost" : host.includes(":") ? `[${host}]` : host;
      const url = `http://${name}:${port}/`;
      if (json) console.log(JSON.stringify({ url, ...facts }));
      else console.log(`${describe(facts)}\n\nOpen ${url}  (Ctrl-C ends it)`);
    },
  }, (request) => answer(request, site, readImages));
  const end = () => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, end);
  await server.finished;
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, end);
}

function describe(
  { weight, firmware }: { weight: { entry: number; loader: number }; firmware: string[] },
): string {
  const images = firmware.length > 0
    ? `firmware: ${firmware.join(", ")}`
    : `no firmware yet: ${DENO} task firmware --board nonos --sdk FOLDER builds it, and the page takes files of yours`;
  const kb = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`;
  return `first load ${kb(weight.entry)} compressed (allowed ${kb(ENTRY_BUDGET)}), ` +
    `with the first board ${kb(weight.loader)} more\n${images}`;
}

class Failure extends Error {}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

async function main(): Promise<number> {
  let options;
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`flasher: ${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  try {
    await run(options);
    return 0;
  } catch (error) {
    if (error instanceof Failure) console.error(`flasher: ${error.message}`);
    else if (error instanceof Deno.errors.AddrInUse) {
      console.error(`flasher: port ${options.port} is in use: choose another with --port`);
    } else if (error instanceof Deno.errors.PermissionDenied) {
      console.error(`flasher: not permitted: ${error.message}`);
    } else throw error;
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
