/** The server's command line: `deno run -A server/main.ts --open --app echo`. */
import { exposure, type Keys, readKeys } from "./admission/keys.ts";
import { isArgumentError } from "./cli/arguments.ts";
import { COMMANDS, OVERVIEW } from "./cli/commands.ts";
import { runCommand } from "./cli/command.ts";
import { Control, controlPath } from "./cli/control.ts";
import { drain } from "./cli/drain.ts";
import { parseLink } from "./cli/link_commands.ts";
import { forgetOldLetters } from "./cli/old_letters.ts";
import { reachWith } from "./cli/reach.ts";
import { loadTls } from "./cli/certificate.ts";
import { readDescriptions } from "./cli/descriptions.ts";
import { type Options, parse, toServerOptions } from "./cli/options.ts";
import { HELP } from "./cli/serve_options.ts";
import { ReaderGone } from "./cli/print.ts";
import { Printing } from "./cli/printing.ts";
import { boardAddresses } from "./cli/reachable.ts";
import { isTraced, traceMessages } from "./cli/tracing.ts";
import { surviveUncaught } from "./cli/uncaught.ts";
import { readCredentials, webOptions } from "./cli/web_options.ts";
import type { MqttFromFiles } from "../bridge/mqtt/options.ts";
import {
  defaultLimits,
  HoldfastError,
  type Limits,
  LocalError,
  Server,
  type ServerOptions,
} from "./mod.ts";
import { parsePlace } from "./channels/links.ts";
import { isPostgres, parseConnInfo } from "./store/postgres/conninfo.ts";
import { isLoopback, joinAddress } from "./transport/address.ts";
import { nodePlatform } from "./transport/node.ts";
import { expiry } from "./transport/tls_pair.ts";
import { waitFor } from "./transport/wait_for.ts";
import { printable } from "./observe/log.ts";
import { type ApiOptions, apiRouter } from "./web/api_routes.ts";
import type { Router } from "./web/routes.ts";
import type { Web } from "./web/web.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Exit codes by error code. Other errors exit with 2: wrong arguments. */
const EXITS: Readonly<Record<string, number>> = {
  BACKUP_FAILED: 1,
  CLOSED: 1,
  GIVEN_UP: 1,
  FORGOTTEN: 1,
  INBOX_FULL: 1,
  OUTBOX_FULL: 1,
  STORE_FAILED: 1,
  TOO_MANY_STREAMS: 1,
  DEPLOY_REFUSED: 3,
  FAULT: 3,
  FELL_BACK: 3,
  UNSUPPORTED: 3,
  NOT_SENT: 3,
  EXPIRED: 4,
  UNANSWERED: 5,
  UNDECIDED: 5,
  NO_SERVER: 6,
  BAD_TOKEN: 6,
  NOT_FOR_US: 6,
  NOT_LOGGED_IN: 6,
  NOT_OWNER: 6,
  READ_ONLY: 6,
};

/** Exit codes: 0 done, or ended by a signal, 1 failed, 2 wrong arguments; others see `EXITS`. */
async function main([word, ...rest]: readonly string[]): Promise<number> {
  const json = rest.includes("--json");
  try {
    if (word === undefined || word === "serve" || word.startsWith("-")) {
      if (word === "--help") {
        console.log(`${OVERVIEW}\n\n${HELP}`);
        return 0;
      }
      const values = parse(word === "serve" ? rest : Deno.args);
      if (!values.help) return await serve(values);
      console.log(HELP);
      return 0;
    }
    const command = COMMANDS.find(({ name }) => name === word);
    if (!command) {
      const names = COMMANDS.map(({ name }) => name).join(", ");
      throw new LocalError(
        "BAD_ARGUMENT",
        `there is no command '${word}'; the commands are serve, ${names}`,
      );
    }
    await runCommand(command, rest, reachWith(Server.listen));
    return 0;
  } catch (error) {
    return error instanceof ReaderGone ? 0 : failed(error, json);
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
  stopped.promise.catch(() => {}); // it is awaited below
  let reread = false;
  let reload = () => void (reread = true);
  const early: string[] = []; // errors of applications while they are loaded
  let report = (message: string): void => void early.push(message);
  if (values.app.length > 0) {
    surviveUncaught((error) => report(error instanceof Error && error.stack || String(error)));
  }
  const { lettersMaxAge, sendAway, ...options } = await toServerOptions(values, printing.log);
  // Before it reports that it listens: from then on somebody may stop it.
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stopped.resolve);
  // Without a listener SIGHUP would end the process, also if there is nothing to reload.
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
  const prepared = prepare(server, async () => {
    for (const { from, to, map } of links) await server.connect(from, to, map && { map });
    await mqtt?.bridge.start(server);
  });
  prepared.catch(stopped.reject);
  await waitFor(prepared, nodePlatform); // so that the page shows a failing store, and the server can be stopped
  const ending = new AbortController();
  if (lettersMaxAge !== undefined) {
    forgetOldLetters(server, lettersMaxAge, nodePlatform, ending.signal);
  }
  if (isTraced()) await traceMessages(server, ending.signal);
  const api: ApiOptions = {
    eachDevice: values["metrics-devices"],
    ...(mqtt && { bridge: () => mqtt.bridge.state }),
  };
  const web = await openPage(server, values, api, options.tls);
  let keys = options.keys;
  reload = () => void (keys = reloadFiles(server, values, keys, { mqtt, web }));
  if (reread) reload(); // the files were changed while it was starting
  {
    // Closed before the store is unlocked: the next server's socket has the same name.
    await using _control = await openControl(server, values, web?.router, api);
    await stopped.promise;
  }
  ending.abort();
  // A second signal ends the process at once.
  for (const signal of SIGNALS) Deno.removeSignalListener(signal, stopped.resolve);
  try {
    mqtt?.bridge.close();
    // No new connections are accepted from here on.
    if (sendAway > 0) await server.sendAway(sendAway);
    await drain(server, nodePlatform);
    await web?.close();
    await server.close();
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw new Failure(error.message, { cause: error });
  }
  return 0;
}

/** Prints an error. @param json As JSON. @returns the exit code */
function failed(error: unknown, json = false): number {
  const isArgument = isArgumentError(error);
  if (!(error instanceof Failure || error instanceof HoldfastError || isArgument)) throw error;
  const code = error instanceof HoldfastError ? error.code : isArgument ? "BAD_ARGUMENT" : "FAILED";
  const exit = error instanceof Failure ? 1 : EXITS[code] ?? 2;
  const message = printable(error.message);
  const hint = exit === 2 && !message.includes("--help") ? "\n(--help lists the options)" : "";
  console.error(json ? JSON.stringify({ code, message }) : `holdfast: ${message}${hint}`);
  return exit;
}

/**
 * Reloads the files of keys, certificates and passwords; a broken file is reported, and the old values stay.
 *
 * @param inUse The present keys.
 * @returns the keys from now on
 */
function reloadFiles(
  server: Server,
  values: Options,
  inUse: Keys,
  { mqtt, web }: { mqtt: MqttFromFiles | undefined; web: Web | undefined },
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
    web?.setTls(tls);
    server.events.emit({ event: "certificate", message: `from ${values["tls-cert"]}` });
  });
  attempt("credentials at the broker", () => {
    const files = mqtt?.reload();
    if (files === undefined) return;
    server.events.emit({ event: "credentials", message: `for the broker from ${files}` });
  });
  attempt("password and tokens of the page", () => {
    const { "web-password-file": file } = values;
    if (!web || file === undefined) return;
    web.setCredentials(readCredentials(file));
    server.events.emit({ event: "credentials", message: `for the page from ${file}` });
  });
  warnOfExposure(server, values);
  return keys;
}

function warnOfExposure(server: Server, values: Options): void {
  const { keys, store, "tls-key": key, "mqtt-key": mqttKey, "mqtt-password-file": password } =
    values;
  const web = values.web === undefined ? undefined : values["web-password-file"];
  if (keys !== undefined) warn(server, "KEYS_EXPOSED", exposure(keys));
  if (isPostgres(store) && parseConnInfo(store).hasPassword && Deno.args.some(has(store))) {
    const better =
      "put it into PGPASSWORD or ~/.pgpass, or put the store into the file of --config";
    warn(
      server,
      "PASSWORD_EXPOSED",
      `the list of processes shows the database's password: ${better}`,
    );
  }
  if (key !== undefined) warn(server, "KEYS_EXPOSED", exposure(key, "the private key"));
  if (mqttKey !== undefined) warn(server, "KEYS_EXPOSED", exposure(mqttKey, "the private key"));
  if (password !== undefined) warn(server, "KEYS_EXPOSED", exposure(password, "the password"));
  if (web !== undefined) {
    warn(server, "PASSWORD_EXPOSED", exposure(web, "the hash of the password"));
  }
}

/** A test for arguments that contain this text. */
const has = (text: string) => (arg: string) => arg.includes(text);

/** Users need the server's address to set up a board. If --hostname gave one, the event `listening` shows it. */
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

/** The bridge's code is loaded only if there is a broker. @throws {LocalError} BAD_ARGUMENT */
async function bridgeToMqtt({ mqtt, ...values }: Options): Promise<MqttFromFiles | undefined> {
  if (mqtt === undefined) return undefined;
  const { bridgeFrom } = await import("../bridge/mqtt/options.ts");
  return bridgeFrom({ mqtt, ...values });
}

/**
 * The page's code is loaded only if it is used. @throws {LocalError} BAD_ARGUMENT @throws {Failure} the server is
 * closed then
 */
async function openPage(
  server: Server,
  values: Options,
  api: ApiOptions,
  tls: ServerOptions["tls"],
): Promise<Web | undefined> {
  const { web: port } = values;
  if (port === undefined) return undefined;
  const { Web } = await import("./web/web.ts");
  try {
    const options = webOptions(values, tls);
    const page = await Web.start(server, { ...api, ...options });
    server.events.emit({ event: "page", address: page.url });
    if (page.url.startsWith("http:") && !isLoopback(values["web-host"])) {
      const message =
        "the page has no TLS: anyone on the network can read its password and all that it shows; give --tls-cert and --tls-key";
      warn(server, "PASSWORD_EXPOSED", message);
    }
    return page;
  } catch (cause) {
    await server.close();
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw new Failure(`port ${port} is in use: choose another with --web PORT`, { cause });
  }
}

/** Runs what must be done before anything else. @throws {LocalError} BAD_ARGUMENT: the server is closed then */
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
    `there is no --app, so nothing reads what ${which} send: messages are acknowledged and ` +
    `kept, up to ${inbox} of each device (limit inbox); the rest stays on the device`;
  warn(server, "NO_APP", message);
}

/**
 * Opens the socket for commands, beside the store's file or at --control.
 *
 * @throws {Failure} --control was given and cannot be opened; the server is closed then
 */
async function openControl(
  server: Server,
  { store, control }: Options,
  page: Router | undefined,
  api: ApiOptions,
): Promise<AsyncDisposable | undefined> {
  if (
    control === undefined &&
    (store === ":memory:" || isPostgres(store) || Deno.build.os === "windows")
  ) {
    return undefined;
  }
  const streams = new AbortController();
  const router = page ?? apiRouter(server, streams.signal, api);
  const path = control ?? controlPath(store);
  try {
    const socket = await Control.open(path, (request) => {
      return router.answer(request, { may: "own", address: undefined });
    });
    return {
      [Symbol.asyncDispose]: async () => {
        streams.abort();
        await socket.close();
      },
    };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    if (control !== undefined) {
      await server.close();
      throw new Failure(`--control ${path}: ${why}`, { cause });
    }
    warn(server, "NO_CONTROL", `commands such as \`backup\` cannot reach this server: ${why}`);
    return undefined;
  }
}

function warn(server: Server, code: string, message: string | undefined): void {
  if (message) server.events.emit({ event: "warning", code, message });
}

/** A failure that is not about the arguments. */
class Failure extends Error {}

async function listen(options: ServerOptions): Promise<Server> {
  try {
    return await Server.listen(options);
  } catch (cause) {
    if (cause instanceof LocalError || !(cause instanceof Error)) throw cause;
    const { code } = cause as { code?: string };
    let reason = cause.message;
    if (code === "EADDRINUSE") {
      reason = "that port is in use: stop the other server, or choose another port with --port N";
    } else if (code === "EACCES") {
      reason = "not permitted: ports below 1024 need root";
    }
    const address = joinAddress(options.hostname!, options.port!);
    throw new Failure(`cannot listen on ${address}: ${reason}`);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
