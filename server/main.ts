/** The server's command line: `deno run -A server/main.ts --open --app echo`. */
import { exposure, readKeys } from "./admission/keys.ts";
import { isArgumentError } from "./cli/arguments.ts";
import { runDeadLettersCommand } from "./cli/dead_letters_command.ts";
import { runKeysCommand } from "./cli/keys_command.ts";
import { HELP, loadTls, type Options, parse, toServerOptions } from "./cli/options.ts";
import { surviveUncaught } from "./cli/uncaught.ts";
import { defaultLimits, type Limits, LocalError, Server, type ServerOptions } from "./mod.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Exit codes: 0 ended by a signal, 1 could not start or not save, 2 wrong arguments. */
async function main(): Promise<number> {
  const stopped = Promise.withResolvers<void>();
  let server: Server | undefined;
  let reload = () => {};
  try {
    if (Deno.args[0] === "keys") {
      await runKeysCommand(Deno.args.slice(1));
      return 0;
    }
    if (Deno.args[0] === "dead-letters") {
      await runDeadLettersCommand(Deno.args.slice(1));
      return 0;
    }
    const values = parse(Deno.args);
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    if (values.app !== undefined) {
      surviveUncaught((error) => {
        const message = error instanceof Error && error.stack || String(error);
        if (server) server.events.emit({ event: "app_failed", message });
        else {
          console.error(`holdfast: --app ${values.app} has failed: ${message}`);
          Deno.exit(1);
        }
      });
    }
    const options = await toServerOptions(values);
    // Before it says that it listens: from then on somebody may want to stop it.
    for (const signal of SIGNALS) Deno.addSignalListener(signal, stopped.resolve);
    // It would end a server that has nothing to read again, too.
    if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", () => reload());
    server = await listen(options);
    if (values.keys !== undefined) warnOfExposure(server, values.keys);
    if (values.app === undefined) warnOfNoApp(server, options.limits);
    reload = () => reloadFiles(server!, values);
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

/** Takes over what is in the files of keys and certificate by now; where something is wrong, the old ones stay. */
function reloadFiles(server: Server, { keys, ...values }: Options): void {
  const attempt = (kept: string, take: () => void) => {
    try {
      take();
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      const message = `${error.message}; the old ${kept} stay`;
      server.events.emit({ event: "warning", code: error.code, message });
    }
  };
  attempt("keys", () => {
    if (keys === undefined) return;
    const read = readKeys(keys);
    server.setKeys(read);
    server.events.emit({ event: "keys", message: `${read.size} from ${keys}` });
    warnOfExposure(server, keys);
  });
  attempt("certificate and its key", () => {
    const tls = loadTls(values["tls-cert"], values["tls-key"]);
    if (!tls) return;
    server.setTls(tls);
    server.events.emit({ event: "certificate", message: `from ${values["tls-cert"]}` });
  });
}

function warnOfExposure(server: Server, path: string): void {
  const message = exposure(path);
  if (message) server.events.emit({ event: "warning", code: "KEYS_EXPOSED", message });
}

function warnOfNoApp(server: Server, limits: Partial<Limits>): void {
  const { inbox } = { ...defaultLimits, ...limits };
  const message = "there is no --app, so nothing reads what devices send: it is acknowledged and " +
    `kept, up to ${inbox} messages of each device (limit inbox); what follows stays on the device`;
  server.events.emit({ event: "warning", code: "NO_APP", message });
}

class CannotListen extends Error {}

async function listen(options: ServerOptions): Promise<Server> {
  try {
    return await Server.listen(options);
  } catch (cause) {
    if (cause instanceof LocalError || !(cause instanceof Error)) throw cause;
    const { code } = cause as { code?: string };
    let reason = cause.message;
    if (code === "EADDRINUSE") {
      reason = "that port is in use. Stop the other server, or choose --port N";
    } else if (code === "EACCES") {
      reason = "not permitted. Ports below 1024 need root";
    }
    throw new CannotListen(`cannot listen on ${options.hostname}:${options.port}: ${reason}`);
  }
}

if (import.meta.main) Deno.exit(await main());
