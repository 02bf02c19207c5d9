/** Turns the command line into the server's options. */
import { parseArgs } from "node:util";
import { type Keys, readKeys } from "../admission/keys.ts";
import { loadApps } from "../apps/load.ts";
import { defaultLimits } from "../link/limits.ts";
import { logTo } from "../observe/log.ts";
import { LocalError } from "../protocol/errors.ts";
import { parseSpan } from "../protocol/span.ts";
import { loadTls } from "./certificate.ts";
import { readConfig } from "./config.ts";
import { readDescriptions } from "./descriptions.ts";
import { OPTIONS } from "./serve_options.ts";

/** Longest time of --send-away, in ms: an hour. */
const MOST_SEND_AWAY = 3_600_000;

export type Options = ReturnType<typeof parse>;

/** @throws {LocalError} BAD_ARGUMENT: the file of `--config` @throws {TypeError} of `parseArgs` */
export function parse(args: string[]) {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.config === undefined || values.help) return values;
  return parseArgs({ args: [...readConfig(values.config), ...args], options: OPTIONS }).values;
}

/** @param print Prints a line of the log. @throws {LocalError} BAD_ARGUMENT */
export async function toServerOptions(
  { open, host, store, durability, app, ...rest }: Options,
  print: (line: string) => void,
) {
  const format = rest.log;
  if (format !== "text" && format !== "json") {
    throw badArgument(`--log takes text or json, not ${format}`);
  }
  if (durability !== "full" && durability !== "normal") {
    throw badArgument(`--durability takes full or normal, not ${durability}`);
  }
  if (store === "") {
    throw badArgument(
      "--store takes the name of a file, the URL of a PostgreSQL database, or :memory:",
    );
  }
  const log = logTo(print, format);
  const stock = rest.stock.flatMap(toIds);
  const keys: Keys = rest.keys === undefined ? new Map() : readKeys(rest.keys);
  if (rest.keys !== undefined) {
    if (keys.size === 0 && stock.length === 0 && !open) {
      throw badArgument(`there is no key in ${rest.keys}: keys add ID --keys ${rest.keys}`);
    }
  }
  const alone = Object.keys(rest).find((name) => name.startsWith("mqtt-"));
  if (alone !== undefined && rest.mqtt === undefined) {
    throw badArgument(`--${alone} needs a broker: add --mqtt mqtt://HOST`);
  }
  const loaded = await loadApps(app, rest.connect.length > 0 || rest.mqtt !== undefined);
  if (rest.web !== undefined && !(toNumber("--web", rest.web) <= 65_535)) {
    throw badArgument(`--web takes a port, 0 to 65535, not ${rest.web}`);
  }
  const oldest = rest["dead-letters-max-age"];
  const lettersMaxAge = oldest === undefined ? undefined : parseSpan(oldest);
  if (oldest !== undefined && lettersMaxAge === undefined) {
    throw badArgument(
      `--dead-letters-max-age takes a duration such as 90s, 30m, 36h or 7d, not ${oldest}`,
    );
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
    deadLetters: rest["dead-letters"],
    lettersMaxAge,
    sendAway: toNumber("--send-away", rest["send-away"], MOST_SEND_AWAY),
    ...(rest.descriptions !== undefined && { descriptions: readDescriptions(rest.descriptions) }),
    log,
    limits: Object.fromEntries(rest.limit.map(toLimit)),
    ...(tls && { tls }),
    ...(loaded && { app: loaded }),
  } as const;
}

function toIds(list: string): string[] {
  const ids = list.split(",");
  if (ids.includes("")) throw badArgument(`--stock takes ids separated by commas: "${list}"`);
  return ids;
}

function toLimit(text: string): [string, number] {
  const [, name = "", value = ""] = text.match(/^([^=]*)=?(.*)$/s)!;
  if (!Object.hasOwn(defaultLimits, name)) {
    throw badArgument(
      `--limit ${name}: there is no such limit; use one of ${
        Object.keys(defaultLimits).join(", ")
      }`,
    );
  }
  return [name, toNumber(`--limit ${name}`, value)];
}

function toNumber(name: string, text: string, most = Infinity): number {
  if (!/^\d+$/.test(text)) throw badArgument(`${name} takes a whole number, not "${text}"`);
  if (Number(text) > most) throw badArgument(`${name} takes at most ${most}, not ${text}`);
  return Number(text);
}

function badArgument(message: string, cause?: Error): LocalError {
  return new LocalError("BAD_ARGUMENT", message, { cause });
}
