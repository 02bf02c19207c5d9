/** The server's command line: `deno run -A server/main.ts --open --app echo`. */
import { exposure, type Keys, readKeys } from "./admission/keys.ts";
import { isArgumentError } from "./cli/arguments.ts";
import { runBackupCommand } from "./cli/backup_command.ts";
import { Control } from "./cli/control.ts";
import { isChannelsCommand, runChannelsCommand } from "./cli/channels_command.ts";
import { isLinksCommand, parseLink, runLinksCommand } from "./cli/links_command.ts";
import { runDeadLettersCommand } from "./cli/dead_letters_command.ts";
import { isDevicesCommand, runDevicesCommand } from "./cli/devices_command.ts";
import { runKeysCommand } from "./cli/keys_command.ts";
import { loadTls } from "./cli/certificate.ts";
import { readDescriptions } from "./cli/descriptions.ts";
import { carryOut, giveOrStart, parseOrder } from "./cli/orders.ts";
import { HELP, type Options, parse, toServerOptions } from "./cli/options.ts";
import { Printing } from "./cli/printing.ts";
import { boardAddresses } from "./cli/reachable.ts";
import { surviveUncaught } from "./cli/uncaught.ts";
import type { MqttFromFiles } from "../bridge/mqtt/options.ts";
import { defaultLimits, type Limits, LocalError, Server, type ServerOptions } from "./mod.ts";
import { parsePlace } from "./channels/links.ts";
import { joinAddress } from "./transport/address.ts";
import { expiry } from "./transport/tls_pair.ts";

/** For commands. */
const give = giveOrStart(Server.listen);

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Codes of errors with which nothing is wrong with the arguments. */
const FAILURES: ReadonlySet<string> = new Set([
  "BACKUP_FAILED",
  "CLOSED",
  "FORGOTTEN",
  "OUTBOX_FULL",
  "STORE_FAILED",
]);

/** Exit codes of a request that was not answered with a value. */
const OUTCOMES: Readonly<Record<string, number>> = {
  FAULT: 3,
  EXPIRED: 4,
  UNANSWERED: 5,
  UNDECIDED: 5,
};

/** Exit codes: 0 ended by a signal, 1 could not start or not save, 2 wrong arguments; of a request, see `OUTCOMES`. */
async function main(): Promise<number> {
  try {
    if (Deno.args[0] === "keys") {
      await runKeysCommand(Deno.args.slice(1));
      return 0;
    }
    if (Deno.args[0] === "backup") {
      await runBackupCommand(Deno.args.slice(1), give);
      return 0;
    }
    if (Deno.args[0] === "dead-letters") {
      await runDeadLettersCommand(Deno.args.slice(1), give);
      return 0;
    }
    if (isDevicesCommand(Deno.args)) {
      await runDevicesCommand(Deno.args, give);
      return 0;
    }
    if (isLinksCommand(Deno.args)) {
      await runLinksCommand(Deno.args, give);
      return 0;
    }
    if (isChannelsCommand(Deno.args)) {
      await runChannelsCommand(Deno.args, give);
      return 0;
    }
    const values = parse(Deno.args);
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    return await serve(values);
  } catch (error) {
    return failed(error);
  }
}

async function serve(values: Options): Promise<number> {
  const printing = new Printing();
  printing.takeConsole();
  try {
    return await runServer(values, printing);
  } catch (error) {
    return failed(error);
  } finally {
    await printing.flush();
  }
}

async function runServer(values: Options, printing: Printing): Promise<number> {
  const stopped = Promise.withResolvers<void>();
  let reread = false;
  let reload = () => void (reread = true);
  const early: string[] = []; // what an application fails with while it is loaded
  let report = (message: string): void => void early.push(message);
  if (values.app.length > 0) {
    surviveUncaught((error) => report(error instanceof Error && error.stack || String(error)));
  }
  const options = await toServerOptions(values, printing.log);
  // Before it says that it listens: from then on somebody may want to stop it.
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stopped.resolve);
  // It would end a server that has nothing to read again, too.
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", () => reload());
  const links = values.connect.map(parseLink);
  for (const { from, to } of links) [from, to].forEach(parsePlace);
  const mqtt = await bridgeToMqtt(values);
  const server = await listen({ ...options, ...(mqtt && { observe: mqtt.bridge.observe }) });
  printing.tell(server.events);
  tellWhereBoardsReachIt(server, options.hostname);
  report = (message) => server.events.emit({ event: "app_failed", message });
  early.forEach(report);
  if (options.tls) warn(server, "CERTIFICATE_EXPIRED", expiry(options.tls));
  warn(server, "CERTIFICATE_EXPIRED", mqtt?.expired);
  warnOfExposure(server, values);
  if (values.app.length === 0 && !mqtt) warnOfNoApp(server, options.limits);
  await prepare(server, async () => {
    for (const { from, to, map } of links) await server.connect(from, to, map && { map });
    await mqtt?.bridge.start(server);
  });
  let keys = options.keys;
  reload = () => void (keys = reloadFiles(server, values, keys, mqtt));
  if (reread) reload(); // the files were changed while it was starting
  {
    // No longer than the store is locked: the next server's socket has the same name.
    using _control = openControl(server, values.store);
    await stopped.promise;
  }
  // A second signal ends it without ceremony.
  for (const signal of SIGNALS) Deno.removeSignalListener(signal, stopped.resolve);
  try {
    mqtt?.bridge.close();
    await server.close();
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new Failure(error.message, { cause: error });
  }
  return 0;
}

/** Says what was wrong. @returns the exit code */
function failed(error: unknown): number {
  const outcome = error instanceof LocalError ? OUTCOMES[error.code] : undefined;
  if (error instanceof Failure || isFailure(error) || outcome !== undefined) {
    console.error(`holdfast: ${(error as Error).message}`);
    return outcome ?? 1;
  }
  if (error instanceof LocalError || isArgumentError(error)) {
    console.error(`holdfast: ${error.message}\n(--help lists the options)`);
    return 2;
  }
  throw error;
}

/**
 * Takes over what is in the files of keys, certificates and passwords by now; where something is wrong, the old ones stay.
 *
 * @param inUse The keys at present.
 * @returns the keys from now on
 */
function reloadFiles(
  server: Server,
  values: Options,
  inUse: Keys,
  mqtt: MqttFromFiles | undefined,
): Keys {
  const attempt = (kept: string, take: () => void) => {
    try {
      take();
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      warn(server, error.code, `${error.message}; the old ${kept} stay`);
    }
  };
  let keys = inUse;
  attempt("keys", () => {
    if (values.keys === undefined) return;
    const read = readKeys(values.keys, inUse.size);
    server.setKeys(read);
    keys = read;
    server.events.emit({ event: "keys", message: `${keys.size} from ${values.keys}` });
  });
  attempt("descriptions", () => {
    const { descriptions: folder } = values;
    if (folder === undefined) return;
    const descriptions = readDescriptions(folder);
    server.setDescriptions(descriptions);
    const { length } = Object.keys(descriptions);
    server.events.emit({ event: "descriptions", message: `${length} from ${folder}` });
  });
  attempt("certificate and its key", () => {
    const tls = loadTls(values["tls-cert"], values["tls-key"]);
    if (!tls) return;
    const expired = expiry(tls);
    if (expired) throw new LocalError("BAD_ARGUMENT", `${values["tls-cert"]}: ${expired}`);
    server.setTls(tls);
    server.events.emit({ event: "certificate", message: `from ${values["tls-cert"]}` });
  });
  attempt("credentials at the broker", () => {
    const files = mqtt?.reload();
    if (files === undefined) return;
    server.events.emit({ event: "credentials", message: `for the broker from ${files}` });
  });
  warnOfExposure(server, values);
  return keys;
}

function warnOfExposure(server: Server, values: Options): void {
  const { keys, "tls-key": key, "mqtt-key": mqttKey, "mqtt-password-file": password } = values;
  if (keys !== undefined) warn(server, "KEYS_EXPOSED", exposure(keys));
  if (key !== undefined) warn(server, "KEYS_EXPOSED", exposure(key, "the private key"));
  if (mqttKey !== undefined) warn(server, "KEYS_EXPOSED", exposure(mqttKey, "the private key"));
  if (password !== undefined) warn(server, "KEYS_EXPOSED", exposure(password, "the password"));
}

/** Whoever sets up a board needs an address to enter; where the server was told one, `listening` says it. */
function tellWhereBoardsReachIt(server: Server, hostname: string): void {
  if (hostname !== "0.0.0.0" && hostname !== "::") return;
  const message = "a board in the same network finds the server at this address";
  for (const address of boardAddresses()) {
    server.events.emit({
      event: "reachable",
      address: joinAddress(address, server.port),
      message,
    });
  }
}

/** Loaded only if there is a broker. @throws {LocalError} BAD_ARGUMENT */
async function bridgeToMqtt({ mqtt, ...values }: Options): Promise<MqttFromFiles | undefined> {
  if (mqtt === undefined) return undefined;
  const { bridgeFrom } = await import("../bridge/mqtt/options.ts");
  return bridgeFrom({ mqtt, ...values });
}

/** Does what is to be done before anything else. @throws {LocalError} BAD_ARGUMENT: the server is closed then */
async function prepare(server: Server, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    await server.close();
    throw error;
  }
}

function warnOfNoApp(server: Server, limits: Partial<Limits>): void {
  const { inbox } = { ...defaultLimits, ...limits };
  const which = server.links.length > 0 ? "devices without a link" : "devices";
  const message =
    `there is no --app, so nothing reads what ${which} send: it is acknowledged and ` +
    `kept, up to ${inbox} messages of each device (limit inbox); what follows stays on the device`;
  warn(server, "NO_APP", message);
}

/** Takes the orders of commands, if there is a file to lay the socket beside. */
function openControl(server: Server, store: string): Control | undefined {
  if (store === ":memory:" || Deno.build.os === "windows") return undefined;
  try {
    return new Control(store, (order) => carryOut(server, parseOrder(order)));
  } catch (error) {
    warn(server, "NO_CONTROL", `commands such as \`backup\` cannot reach this server: ${error}`);
    return undefined;
  }
}

function warn(server: Server, code: string, message: string | undefined): void {
  if (message) server.events.emit({ event: "warning", code, message });
}

/** Nothing is wrong with the arguments. */
class Failure extends Error {}

function isFailure(error: unknown): error is LocalError {
  return error instanceof LocalError && FAILURES.has(error.code);
}

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
    const address = joinAddress(options.hostname!, options.port!);
    throw new Failure(`cannot listen on ${address}: ${reason}`);
  }
}

if (import.meta.main) Deno.exit(await main());
