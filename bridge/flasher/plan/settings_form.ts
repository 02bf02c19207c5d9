/** Reads the form's fields: settings, or what is wrong with each field. */
import { LocalError } from "../../../server/protocol/errors.ts";
import { doubtful, wrongPassword, wrongServer } from "./checks.ts";
import type { encodeChanges } from "../../formats/improv.ts";
import { defaults, encodeSettings, type Settings, Tag } from "../../formats/settings.ts";
import { describeNetwork, type NetworkFields, pasted, readNetwork } from "./network_form.ts";

/** The form's fields as they are typed. */
export interface Fields extends NetworkFields {
  ssid: string;
  password: string;
  server: string;
  port: string;
  id: string;
  /** 64 hex digits; empty: none. */
  key: string;
  timeout: string;
  dialect: string;
  /** With a key: forward secrecy. */
  forward: boolean;
  log: boolean;
}

export type FieldName = keyof Fields;

/** What is wrong, in words, by field. */
export type Problems = Partial<Record<FieldName, string>>;

/**
 * Reads the form: either the settings and their sector, or at least one problem.
 *
 * @param told the device gets its server, port, id and timeout, and perhaps a WiFi, from another board: these fields
 * are ignored, and the WiFi may be left empty
 */
export function readFields(
  fields: Fields,
  told = false,
): { settings: Settings; sector: Uint8Array } | { problems: Problems } {
  const problems: Problems = {};
  const settings: Settings = {};
  const take = (name: keyof Settings & FieldName, value: string | number, words: string) => {
    const field: Settings = { [name]: value };
    if (isPossible(field)) Object.assign(settings, field);
    else problems[name] = words;
  };

  const refuse = (name: FieldName, words: string | undefined) => {
    if (words !== undefined) problems[name] ??= words;
  };

  if (!told || fields.ssid !== "" || fields.password !== "") {
    take("ssid", fields.ssid, fields.ssid === "" ? "Enter the name of the WiFi." : TEXT.ssid);
    take("password", fields.password, TEXT.password);
    refuse("password", wrongPassword(fields.password));
  }
  if (!told) {
    const { host, port } = pasted(fields.server);
    take("server", host, host === "" ? "Enter the address of the server." : TEXT.server);
    refuse("server", wrongServer(host));
    take("port", wholeNumber(port ?? fields.port), TEXT.port);
    take("id", fields.id.trim(), fields.id.trim() === "" ? "Enter an id for the device." : TEXT.id);
    take("timeout", wholeNumber(fields.timeout), TEXT.timeout);
  }
  const network = readNetwork(fields, settings, told);
  Object.assign(settings, network.settings);
  Object.assign(problems, network.problems);
  settings.dialect = fields.dialect === "1" ? 1 : 2;
  settings.log = fields.log;
  if (fields.key !== "") {
    const key = parseKey(fields.key);
    if (key === undefined) problems.key = "A key has 64 hex digits: 0 to 9 and a to f.";
    else if (settings.dialect === 1) problems.key = "Dialect 1 has no keys: choose “None”.";
    else {
      settings.key = key;
      settings.suite = fields.forward ? 4 : 3;
    }
  }
  if (Object.keys(problems).length > 0) return { problems };
  // The firmware's defaults are left out; an empty password means an open network.
  for (const [name, value] of Object.entries({ ...defaults, password: "" })) {
    if (settings[name as keyof Settings] === value) delete settings[name as keyof Settings];
  }
  return { settings, sector: encodeSettings(settings) };
}

/** What is wrong with a WiFi, in words; undefined: nothing obvious. */
export function wrongWifi(ssid: string, password: string): string | undefined {
  if (ssid === "" || !isPossible({ ssid })) return TEXT.ssid;
  return isPossible({ password }) ? wrongPassword(password) : TEXT.password;
}

/** The changes that turn a board's settings into these: fields that are missing here are removed. */
export function allChanges(settings: Settings): Parameters<typeof encodeChanges>[0] {
  const names = Object.keys(Tag) as (keyof typeof Tag)[];
  return Object.fromEntries(names.map((name) => [name, settings[name] ?? null]));
}

/** Values that are valid but hardly ever meant, by field. */
export function doubtsAbout({ ssid, password }: Pick<Fields, "ssid" | "password">): Problems {
  const doubts: Problems = {};
  for (const [name, text] of Object.entries({ ssid, password })) {
    const words = doubtful(text);
    if (words !== undefined) doubts[name as "ssid" | "password"] = words;
  }
  return doubts;
}

const TEXT = {
  ssid:
    "A WiFi name has 32 bytes at most (a letter with an accent has two), and no control characters.",
  password: "A WiFi password has 8 to 64 characters; leave it empty for an open network.",
  server: "A name or an IPv4 address of 64 characters at most: letters, digits, dots and hyphens.",
  port: "A port is a number from 1 to 65535.",
  id:
    "A device id has 64 bytes at most (a letter with an accent has two), and no control characters.",
  timeout: "The timeout is a number of ms from 100 to 3600000.",
};

/** Whether the sector accepts these settings. */
function isPossible(settings: Settings): boolean {
  try {
    encodeSettings(settings);
    return true;
  } catch (error) {
    if (error instanceof LocalError) return false;
    throw error;
  }
}

/** Returns NaN, which no field accepts, if it is not a whole number. */
function wholeNumber(text: string): number {
  return /^\d{1,10}$/.test(text.trim()) ? Number(text) : NaN;
}

/** The bytes of a key, with or without spaces around it; undefined if it is not a key. */
export function parseKey(text: string): Uint8Array | undefined {
  const digits = text.trim();
  if (!/^[0-9a-f]{64}$/i.test(digits)) return undefined;
  return Uint8Array.from({ length: 32 }, (_, at) => parseInt(digits.slice(2 * at, 2 * at + 2), 16));
}

/** A new random key, 64 hex digits. */
export function makeKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Rows with the board's settings, for people; without secrets. */
export function describeSettings(settings: Settings): [name: string, value: string][] {
  const {
    ssid,
    password,
    server,
    server2,
    port = 8123,
    id,
    key,
    timeout = 2000,
    dialect = 2,
    suite = 3,
    log,
  } = settings;
  return [
    ["WiFi name", ssid ?? "none"],
    ["WiFi password", password ? "there is one" : "none"],
    ["Server", server === undefined ? "none" : `${server}:${port}`],
    ["Second server address", server2 === undefined ? "none" : `${server2}:${port}`],
    ["Device id", id ?? "none"],
    ["Key", key ? "there is one" : "none"],
    ["Forward secrecy", key && suite === 4 ? "yes" : "no"],
    ["Timeout", `${timeout} ms`],
    ["Dialect", String(dialect)],
    ["Console to the server", log ? "yes" : "no"],
    ...describeNetwork(settings),
  ];
}
