/** The server's command line: `deno run -A server/main.ts --open --app echo`. */
import { parseArgs } from "node:util";
import { type App, defaultLimits, LocalError, logTo, Server, type ServerOptions } from "./mod.ts";

const HELP = `Holdfast server: keeps a link to every device, through outages.

Usage: deno run -A server/main.ts --open [--app echo | --app ./my_app.ts] [options]

  --open            admit every device that can reach the port
  --port N          TCP port, 0: any free one           (8123)
  --host ADDRESS    address to listen on                (0.0.0.0: every interface)
  --timeout MS      silence that is taken for an outage; the same on the devices (2000)
  --store :memory:  what a restart must not forget; :memory: keeps nothing       (:memory:)
  --app NAME|FILE   run this for every device: echo, main, remote, qos, qos_fast, or a module of
                    yours whose default export is (device, server) => Promise<void>
  --log text|json   a line for every change of a connection, on stderr           (text)
  --limit NAME=N    a limit, several times: ${Object.keys(defaultLimits).join(", ")}
  --help
`;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Exit codes: 0 ended by a signal, 1 could not start, 2 wrong arguments. */
async function main(): Promise<number> {
  const stopped = Promise.withResolvers<void>();
  let server: Server;
  try {
    const values = parse(Deno.args);
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    const options = await toServerOptions(values);
    // Before it says that it listens: from then on somebody may want to stop it.
    for (const signal of SIGNALS) Deno.addSignalListener(signal, stopped.resolve);
    server = await listen(options);
  } catch (error) {
    if (error instanceof LocalError || isArgumentError(error)) {
      console.error(`holdfast: ${error.message}\n(--help lists the options)`);
      return 2;
    }
    if (!(error instanceof CannotListen)) throw error;
    console.error(`holdfast: ${error.message}`);
    return 1;
  }
  await stopped.promise;
  // A second signal ends it without ceremony.
  for (const signal of SIGNALS) Deno.removeSignalListener(signal, stopped.resolve);
  await server.close();
  return 0;
}

class CannotListen extends Error {}

async function listen(options: ServerOptions): Promise<Server> {
  try {
    return await Server.listen(options);
  } catch (cause) {
    if (cause instanceof LocalError || !(cause instanceof Error)) throw cause;
    let reason = cause.message;
    if (cause instanceof Deno.errors.AddrInUse) {
      reason = "that port is in use. Stop the other server, or choose --port N";
    } else if (cause instanceof Deno.errors.PermissionDenied) {
      reason = "not permitted. Ports below 1024 need root";
    }
    throw new CannotListen(`cannot listen on ${options.hostname}:${options.port}: ${reason}`);
  }
}

type Options = ReturnType<typeof parse>;

function parse(args: string[]) {
  return parseArgs({
    args,
    options: {
      open: { type: "boolean", default: false },
      port: { type: "string", default: "8123" },
      host: { type: "string", default: "0.0.0.0" },
      timeout: { type: "string", default: "2000" },
      store: { type: "string", default: ":memory:" },
      app: { type: "string" },
      log: { type: "string", default: "text" },
      limit: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  }).values;
}

async function toServerOptions({ open, host, log, store, app, ...rest }: Options) {
  if (log !== "text" && log !== "json") throw badArgument(`--log takes text or json, not ${log}`);
  if (store !== ":memory:") throw badArgument(`--store takes :memory:, not ${store}`);
  return {
    open,
    hostname: host,
    port: toNumber("--port", rest.port),
    timeout: toNumber("--timeout", rest.timeout),
    store: store as ":memory:",
    log: logTo((line) => console.error(line), log),
    limits: Object.fromEntries(rest.limit.map(toLimit)),
    ...(app === undefined ? {} : { app: await loadApp(app) }),
  };
}

/** A bare name is one of the applications that come with the server, anything else a file. */
async function loadApp(name: string): Promise<App> {
  const url = /^\w+$/.test(name)
    ? new URL(`./apps/${name}.ts`, import.meta.url)
    : new URL(name, `file://${Deno.cwd()}/`);
  let module;
  try {
    module = await import(url.href);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw badArgument(`--app ${name} cannot be loaded: ${cause.message}`, cause);
  }
  if (typeof module.default !== "function") {
    throw badArgument(`--app ${name} has no default export that is a function`);
  }
  return module.default;
}

function toLimit(text: string): [string, number] {
  const [, name = "", value = ""] = text.match(/^([^=]*)=?(.*)$/s)!;
  if (!Object.hasOwn(defaultLimits, name)) {
    throw badArgument(`--limit ${name}: there is ${Object.keys(defaultLimits).join(", ")}`);
  }
  return [name, toNumber(`--limit ${name}`, value)];
}

function toNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw badArgument(`${name} takes a whole number, not "${text}"`);
  return Number(text);
}

function badArgument(message: string, cause?: Error): LocalError {
  return new LocalError("BAD_ARGUMENT", message, { cause });
}

/** What `parseArgs` throws. */
function isArgumentError(error: unknown): error is Error {
  return error instanceof TypeError && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
}

if (import.meta.main) Deno.exit(await main());
