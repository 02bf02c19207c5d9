/** The command line's options for a broker. */
import { LocalError } from "../../server/protocol/errors.ts";
import { parseSpan } from "../../server/protocol/span.ts";
import { LONGEST_TIMER } from "../../server/transport/platform.ts";
import { checkCertificates, checkPair, expiry } from "../../server/transport/tls_pair.ts";
import type { MqttCredentials, MqttTls } from "./access.ts";
import type { HomeAssistantOptions } from "./announcer.ts";
import { MqttBridge, type MqttOptions } from "./bridge.ts";
import type { Version } from "./codec.ts";
import { AVAILABILITIES } from "./discovery.ts";

/** The options as strings. */
export interface MqttArguments {
  mqtt: string;
  "mqtt-prefix"?: string | undefined;
  "mqtt-home-assistant"?: boolean | undefined;
  "mqtt-home-assistant-prefix"?: string | undefined;
  "mqtt-home-assistant-availability"?: string | undefined;
  "mqtt-password-file"?: string | undefined;
  "mqtt-ca"?: string | undefined;
  "mqtt-cert"?: string | undefined;
  "mqtt-key"?: string | undefined;
  "mqtt-version"?: string | undefined;
  "mqtt-max-age"?: string | undefined;
  "mqtt-deadline"?: string | undefined;
  "mqtt-own-topics"?: string[] | undefined;
  "mqtt-offline-after"?: string[] | undefined;
  "mqtt-sleeping"?: string[] | undefined;
}

/** A bridge whose credentials are in files. */
export interface MqttFromFiles {
  readonly bridge: MqttBridge;
  /** A warning if the bridge's certificate has expired. */
  readonly expired: string | undefined;
  /**
   * Reads the files again, and uses their contents from the next connection on.
   *
   * @returns their names; undefined: there are no files
   * @throws {LocalError} BAD_ARGUMENT, naming the file; then nothing has changed
   */
  reload(): string | undefined;
}

const VERSIONS: Readonly<Record<string, Version>> = { "3.1.1": 4, "5": 5 };

/** Environment variable with the user's password, if it is not in a file. */
const PASSWORD = "HOLDFAST_MQTT_PASSWORD";

/** Options that are names of files. */
const FILES = ["mqtt-password-file", "mqtt-ca", "mqtt-cert", "mqtt-key"] as const;

/** Makes the bridge. @throws {LocalError} BAD_ARGUMENT */
export function bridgeFrom(values: MqttArguments): MqttFromFiles {
  const options = optionsFrom(values);
  const bridge = new MqttBridge(options);
  const files = FILES.flatMap((name) => values[name] ?? []);
  return {
    bridge,
    expired: expired(values, options),
    reload() {
      if (files.length === 0) return undefined;
      const credentials = credentialsFrom(values, parse(values.mqtt));
      const complaint = expired(values, credentials);
      if (complaint !== undefined) throw bad(complaint);
      bridge.setCredentials(credentials);
      return files.join(", ");
    },
  };
}

function expired({ "mqtt-cert": file }: MqttArguments, { tls }: MqttCredentials) {
  if (tls === undefined || tls === true || tls.cert === undefined) return undefined;
  const complaint = expiry({ cert: tls.cert });
  return complaint && `--mqtt-cert ${file}: ${complaint}`;
}

function optionsFrom(values: MqttArguments): MqttOptions {
  const url = parse(values.mqtt);
  const { hostname, port, username, password, pathname, search, hash } = url;
  if (password !== "") {
    const why = "everyone on this machine can read the command line: put it into a file, " +
      `--mqtt-password-file FILE, or into the environment, ${PASSWORD}`;
    throw bad(`--mqtt takes no password: ${why}`);
  }
  if (!/^\/?$/.test(pathname) || search !== "" || hash !== "") {
    throw bad(`--mqtt takes mqtt://USER@HOST:PORT and nothing after it`);
  }
  const { "mqtt-prefix": prefix, "mqtt-max-age": maxAge } = values;
  const { "mqtt-deadline": deadline, "mqtt-own-topics": ownTopics } = values;
  const version = VERSIONS[values["mqtt-version"] ?? "5"];
  if (version === undefined) {
    throw bad(`--mqtt-version takes 5 or 3.1.1, not ${values["mqtt-version"]}`);
  }
  return {
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    version,
    ...(port !== "" && { port: Number(port) }),
    ...(username !== "" && { username: decodeURIComponent(username) }),
    ...credentialsFrom(values, url),
    ...(prefix !== undefined && { prefix }),
    ...(maxAge !== undefined && { maxAge: toAge("--mqtt-max-age", maxAge) }),
    ...(ownTopics && { ownTopics }),
    ...perDevice("--mqtt-offline-after", "offlineAfter", values["mqtt-offline-after"]),
    ...perDevice("--mqtt-sleeping", "sleeping", values["mqtt-sleeping"]),
    ...(deadline !== undefined && { deadline: toWhole("--mqtt-deadline", deadline, 1) }),
    ...homeAssistantFrom(values),
  };
}

function credentialsFrom(values: MqttArguments, { protocol, username }: URL): MqttCredentials {
  const password = passwordFrom(values["mqtt-password-file"], username);
  const isSecure = protocol === "mqtts:";
  const alone = FILES.slice(1).find((name) => values[name] !== undefined);
  if (alone !== undefined && !isSecure) throw bad(`--${alone} is for TLS: --mqtt mqtts://HOST`);
  return {
    ...(password !== undefined && { password }),
    ...(isSecure && { tls: tlsFrom(values) }),
  };
}

function passwordFrom(file: string | undefined, username: string): string | undefined {
  const from = file === undefined ? PASSWORD : "--mqtt-password-file";
  const said = file === undefined ? Deno.env.get(PASSWORD) : undefined;
  if (file === undefined && said === undefined) return undefined;
  if (username === "") throw bad(`${from} needs a user: --mqtt mqtt://USER@HOST`);
  const password = said ?? read(from, file!);
  const line = password.replace(/\r?\n$/, "");
  if (line === "") throw bad(`${from} is empty: it must hold a password`);
  return line;
}

function tlsFrom(
  { "mqtt-ca": ca, "mqtt-cert": certFile, "mqtt-key": keyFile }: MqttArguments,
): MqttTls | true {
  if (ca === undefined && certFile === undefined && keyFile === undefined) return true;
  const tls: MqttTls = {};
  if (ca !== undefined) {
    const caCert = tls.caCert = read("--mqtt-ca", ca);
    named(`--mqtt-ca ${ca}`, () => checkCertificates(caCert));
  }
  if (certFile === undefined && keyFile === undefined) return tls;
  if (certFile === undefined) throw bad("--mqtt-key needs --mqtt-cert as well");
  if (keyFile === undefined) throw bad("--mqtt-cert needs --mqtt-key as well");
  const [cert, key] = [read("--mqtt-cert", certFile), read("--mqtt-key", keyFile)];
  named(`--mqtt-cert ${certFile}`, () => checkCertificates(cert));
  named(`--mqtt-key ${keyFile}`, () => checkPair({ cert, key }));
  return { ...tls, cert, key };
}

function homeAssistantFrom(
  {
    "mqtt-home-assistant": isWanted,
    "mqtt-home-assistant-prefix": prefix,
    "mqtt-home-assistant-availability": given,
  }: MqttArguments,
): { homeAssistant?: HomeAssistantOptions } {
  if (!isWanted) {
    if ((prefix ?? given) === undefined) return {};
    const option = prefix === undefined ? "availability" : "prefix";
    throw bad(`--mqtt-home-assistant-${option} needs --mqtt-home-assistant`);
  }
  const availability = AVAILABILITIES.find((one) => one === given);
  if (given !== undefined && !availability) {
    const all = AVAILABILITIES.join(", ");
    throw bad(`--mqtt-home-assistant-availability takes one of ${all}, not ${given}`);
  }
  return {
    homeAssistant: {
      ...(prefix !== undefined && { prefix }),
      ...(availability && { availability }),
    },
  };
}

/** @throws {LocalError} BAD_ARGUMENT */
function toWhole(option: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= LONGEST_TIMER) return value;
  throw bad(`${option} takes ms, ${least} to ${LONGEST_TIMER}, not ${JSON.stringify(text)}`);
}

/** Parses MS for all devices, ID=MS for one. @throws {LocalError} BAD_ARGUMENT */
function perDevice<Name extends string>(
  option: string,
  name: Name,
  texts: string[] | undefined,
): { [name in Name]?: (id: string) => number | undefined } {
  if (!texts) return {};
  let others: number | undefined;
  const byId = new Map<string, number>();
  for (const text of texts) {
    const end = text.lastIndexOf("=");
    const ms = toWhole(option, text.slice(end + 1), 0);
    if (end < 0) others = ms;
    else byId.set(text.slice(0, end), ms);
  }
  const of = (id: string) => byId.get(id) ?? others;
  return { [name]: of } as { [name in Name]?: typeof of };
}

/** @throws {LocalError} BAD_ARGUMENT */
function toAge(option: string, text: string): number {
  const age = parseSpan(text);
  if (age !== undefined) return age;
  throw bad(`${option} takes a duration such as 90s, 30m, 36h or 7d, not ${JSON.stringify(text)}`);
}

function parse(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
    decodeURIComponent(url.username);
  } catch {
    url = undefined;
  }
  // The error does not repeat the text, as it may contain a password.
  if (url && ["mqtt:", "mqtts:"].includes(url.protocol) && url.hostname !== "") return url;
  throw bad("--mqtt takes mqtt://USER@HOST:PORT, or mqtts:// for TLS");
}

function read(option: string, file: string): string {
  try {
    return Deno.readTextFileSync(file).replace(/^\ufeff/, "");
  } catch (cause) {
    throw new LocalError("BAD_ARGUMENT", `${option}: ${(cause as Error).message}`, { cause });
  }
}

/** Adds the name of the file to an error. */
function named(file: string, check: () => void): void {
  try {
    check();
  } catch (cause) {
    if (!(cause instanceof LocalError)) throw cause;
    throw new LocalError("BAD_ARGUMENT", `${file}: ${cause.message}`, { cause });
  }
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
