/** The command line's options for a broker. */
import { LocalError } from "../../server/protocol/errors.ts";
import { LONGEST_TIMER } from "../../server/transport/platform.ts";
import type { Version } from "./codec.ts";
import type { HomeAssistantOptions } from "./announcer.ts";
import { MqttBridge, type MqttOptions } from "./bridge.ts";
import { AVAILABILITIES } from "./discovery.ts";

/** As they are typed. */
export interface MqttArguments {
  mqtt: string;
  "mqtt-prefix"?: string | undefined;
  "mqtt-home-assistant"?: boolean | undefined;
  "mqtt-home-assistant-prefix"?: string | undefined;
  "mqtt-home-assistant-availability"?: string | undefined;
  "mqtt-password-file"?: string | undefined;
  "mqtt-ca"?: string | undefined;
  "mqtt-version"?: string | undefined;
  "mqtt-deadline"?: string | undefined;
  "mqtt-own-topics"?: string[] | undefined;
  "mqtt-offline-after"?: string[] | undefined;
  "mqtt-sleeping"?: string[] | undefined;
}

const VERSIONS: Readonly<Record<string, Version>> = { "3.1.1": 4, "5": 5 };

/** The bridge that is wanted. @throws {LocalError} BAD_ARGUMENT */
export function bridgeFrom(values: MqttArguments): MqttBridge {
  return new MqttBridge(optionsFrom(values));
}

function optionsFrom(values: MqttArguments): MqttOptions {
  const { protocol, hostname, port, username, password, pathname, search, hash } = parse(
    values.mqtt,
  );
  const isSecure = protocol === "mqtts:";
  if (password !== "") {
    const why = "everybody on this machine can read the command line: put it into a file, " +
      "--mqtt-password-file FILE";
    throw bad(`--mqtt takes no password, as ${why}`);
  }
  if (!/^\/?$/.test(pathname) || search !== "" || hash !== "") {
    throw bad(`--mqtt takes mqtt://USER@HOST:PORT and nothing behind it`);
  }
  const { "mqtt-password-file": file, "mqtt-ca": ca, "mqtt-prefix": prefix } = values;
  const { "mqtt-deadline": deadline, "mqtt-own-topics": ownTopics } = values;
  if (file !== undefined && username === "") {
    throw bad("--mqtt-password-file needs a user: --mqtt mqtt://USER@HOST");
  }
  if (ca !== undefined && !isSecure) throw bad("--mqtt-ca is for TLS: --mqtt mqtts://HOST");
  const version = VERSIONS[values["mqtt-version"] ?? "5"];
  if (version === undefined) {
    throw bad(`--mqtt-version takes 5 or 3.1.1, not ${values["mqtt-version"]}`);
  }
  return {
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    version,
    ...(port !== "" && { port: Number(port) }),
    ...(username !== "" && { username: decodeURIComponent(username) }),
    ...(file !== undefined &&
      { password: read("--mqtt-password-file", file).replace(/\r?\n$/, "") }),
    ...(isSecure && { tls: ca === undefined ? true : { caCert: read("--mqtt-ca", ca) } }),
    ...(prefix !== undefined && { prefix }),
    ...(ownTopics && { ownTopics }),
    ...perDevice("--mqtt-offline-after", "offlineAfter", values["mqtt-offline-after"]),
    ...perDevice("--mqtt-sleeping", "sleeping", values["mqtt-sleeping"]),
    ...(deadline !== undefined && { deadline: toWhole("--mqtt-deadline", deadline, 1) }),
    ...homeAssistantFrom(values),
  };
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

/** MS for all devices, ID=MS for one. @throws {LocalError} BAD_ARGUMENT */
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

function parse(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
    decodeURIComponent(url.username);
  } catch {
    url = undefined;
  }
  // The text is not repeated: somebody may have put a password into it.
  if (url && ["mqtt:", "mqtts:"].includes(url.protocol) && url.hostname !== "") return url;
  throw bad("--mqtt takes mqtt://USER@HOST:PORT, or mqtts:// for TLS");
}

function read(option: string, file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch (cause) {
    throw new LocalError("BAD_ARGUMENT", `${option}: ${(cause as Error).message}`, { cause });
  }
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
