/** The server's command line: `deno run -A server/main.ts --open --app echo`. */
import { parseArgs } from "node:util";
import { isArgumentError } from "./cli/arguments.ts";
import { exposure, readKeys } from "./admission/keys.ts";
import { runKeysCommand } from "./cli/keys_command.ts";
import {
  type App,
  defaultLimits,
  LocalError,
  type Log,
  logTo,
  Server,
  type ServerOptions,
} from "./mod.ts";

const HELP = `Holdfast server: keeps a link to every device, through outages.

Usage: deno run -A server/main.ts --keys FILE | --open [--app echo | --app ./my_app.ts] [options]
       deno run -A server/main.ts keys add ID | remove ID | list [--keys FILE]

Who may connect; one of these must be said:
  --keys FILE       the devices that \`keys add ID\` has made a key for, if they prove that they have it;
                    a SIGHUP reads the file again, and cuts off whose key has changed
  --stock ID,ID     these too, without a key: boards with micropython-iot's client
  --open            every device that can reach the port and has no key here

What must not be lost:
  --store FILE      keep messages and positions in this SQLite file; it is created if need be.
                    Without, or with :memory:, they are forgotten when the server ends (:memory:)
  --durability full|normal  what an acknowledged message survives on disk: a loss of power, or only
                    the end of the server, but several times as fast             (full)

  --tls-cert FILE   speak TLS, with this certificate (PEM)
  --tls-key FILE    and its private key (PEM)
  --port N          TCP port, 0: any free one           (8123)
  --host ADDRESS    address to listen on                (0.0.0.0: every interface)
  --timeout MS      silence that is taken for an outage; the same on the devices (2000)
  --app NAME|FILE   run this for every device: echo, main, remote, qos, qos_fast, or a module of
                    yours whose default export is (device, server) => Promise<void>
  --log text|json   a line for every change of a connection, on stderr           (text)
  --limit NAME=N    a limit, several times: ${Object.keys(defaultLimits).join(", ")}
  --help
`;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Exit codes: 0 ended by a signal, 1 could not start or not save, 2 wrong arguments. */
async function main(): Promise<number> {
  const stopped = Promise.withResolvers<void>();
  let server: Server;
  let reload = () => {};
  try {
    if (Deno.args[0] === "keys") {
      await runKeysCommand(Deno.args.slice(1));
      return 0;
    }
    const values = parse(Deno.args);
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    const options = await toServerOptions(values);
    // Before it says that it listens: from then on somebody may want to stop it.
    for (const signal of SIGNALS) Deno.addSignalListener(signal, stopped.resolve);
    // It would end a server that has no keys, too.
    if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", () => reload());
    server = await listen(options);
    const { keys } = values;
    if (keys !== undefined) reload = () => reloadKeys(server, keys, options.log);
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
  try {
    await server.close();
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    console.error(`holdfast: ${error.message}`);
    return 1;
  }
  return 0;
}

/** Takes over what is in the file of keys by now; if there is something wrong with it, the old keys stay. */
function reloadKeys(server: Server, path: string, log: Log): void {
  try {
    const keys = readKeys(path);
    server.setKeys(keys);
    log({ event: "keys", message: `${keys.size} from ${path}` });
    warnOfExposure(path, log);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    log({ event: "warning", code: error.code, message: `${error.message}; the old keys stay` });
  }
}

function warnOfExposure(path: string, log: Log): void {
  const message = exposure(path);
  if (message) log({ event: "warning", code: "KEYS_EXPOSED", message });
}

class CannotListen extends Error {}

async function listen(options: ServerOptions): Promise<Server> {
  try {
    return await Server.listen(options);
  } catch (cause) {
    if (cause instanceof LocalError || !(cause instanceof Error)) throw cause;
    if (options.tls && !("code" in cause)) { // no errno: not the network's fault
      throw badArgument(`--tls-cert and --tls-key do not go together: ${cause.message}`);
    }
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
      durability: { type: "string", default: "full" },
      keys: { type: "string" },
      stock: { type: "string", multiple: true, default: [] },
      "tls-cert": { type: "string" },
      "tls-key": { type: "string" },
      app: { type: "string" },
      log: { type: "string", default: "text" },
      limit: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  }).values;
}

async function toServerOptions({ open, host, store, durability, app, ...rest }: Options) {
  const format = rest.log;
  if (format !== "text" && format !== "json") {
    throw badArgument(`--log takes text or json, not ${format}`);
  }
  if (durability !== "full" && durability !== "normal") {
    throw badArgument(`--durability takes full or normal, not ${durability}`);
  }
  if (store === "") throw badArgument("--store takes the name of a file, or :memory:");
  const log = logTo((line) => console.error(line), format);
  const stock = rest.stock.flatMap(toIds);
  const keys = rest.keys === undefined ? new Map<string, Uint8Array>() : readKeys(rest.keys);
  if (rest.keys !== undefined) {
    if (keys.size === 0 && stock.length === 0 && !open) {
      throw badArgument(`there is no key in ${rest.keys}: keys add ID --keys ${rest.keys}`);
    }
    warnOfExposure(rest.keys, log);
  }
  const tls = loadTls(rest["tls-cert"], rest["tls-key"]);
  return {
    open,
    keys,
    stock,
    hostname: host,
    port: toNumber("--port", rest.port),
    timeout: toNumber("--timeout", rest.timeout),
    store,
    durability,
    log,
    limits: Object.fromEntries(rest.limit.map(toLimit)),
    ...(tls && { tls }),
    ...(app === undefined ? {} : { app: await loadApp(app) }),
  } as const;
}

function toIds(list: string): string[] {
  const ids = list.split(",");
  if (ids.includes("")) throw badArgument(`--stock takes ids with a comma between them: "${list}"`);
  return ids;
}

function loadTls(cert?: string, key?: string): ServerOptions["tls"] {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw badArgument("--tls-key needs --tls-cert beside it");
  if (key === undefined) throw badArgument("--tls-cert needs --tls-key beside it");
  return { cert: readPem("--tls-cert", cert), key: readPem("--tls-key", key) };
}

function readPem(option: string, path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw badArgument(`${option} ${path} cannot be read: ${error.message}`);
  }
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

if (import.meta.main) Deno.exit(await main());
