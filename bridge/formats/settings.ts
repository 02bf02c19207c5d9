/**
 * The settings sector of a device: its WiFi, its server, its name. The firmware's side is
 * `firmware/settings.c`; both are tested with `tests/vectors/settings`, and SETTINGS.md explains the format.
 * The simulated board reads its application's `configure` with this. Runs in a browser, too.
 *
 * ```ts
 * import { decodeSettings, encodeSettings } from "./settings.ts";
 *
 * const sector = encodeSettings({ ssid: "Home", server: "192.168.1.10", id: "kitchen" });
 * console.log(decodeSettings(sector));
 * // { state: "ok", settings: { ssid: "Home", server: "192.168.1.10", id: "kitchen" } }
 * ```
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { wrongName } from "../../server/protocol/name.ts";
import { crc32 } from "./crc32.ts";
import {
  decodeStatic,
  encodeStatic,
  STATIC_BYTES,
  type StaticAddress,
  wrongStatic,
} from "./ipv4.ts";

/** Bytes of the sector in flash. */
export const SECTOR_BYTES = 4096;

/** Greatest length of header and fields in bytes: the firmware reads no more of the sector. */
export const USED_BYTES = 512;

/** The fields' numbers in the sector. */
export const Tag = {
  ssid: 1,
  password: 2,
  server: 3,
  port: 4,
  id: 5,
  key: 6,
  timeout: 7,
  dialect: 8,
  log: 9,
  // 10 is LINE_TAG
  server2: 11,
  ip: 12,
  country: 13,
  suite: 14,
} as const;

/** A device's settings. A missing field has the firmware's default. */
export interface Settings {
  /** Name of the WiFi network, 1 to 32 bytes of UTF-8. */
  ssid?: string;
  /** Its password, 8 to 64 bytes, or empty. Default: none, an open network. */
  password?: string;
  /** Name or IPv4 address of the server, 1 to 64 of the characters `0-9 A-Z a-z . _ -`. A board cannot look up a name
   * that ends in `.local`: it has no mDNS. */
  server?: string;
  /** Another name or address of the same server, with the same port, for when `server` does not answer. Default: none. */
  server2?: string;
  /** TCP port of the server, 1 to 65535. Default 8123. */
  port?: number;
  /** The device's name at the server, 1 to 64 bytes of UTF-8. */
  id?: string;
  /** The key that the server has for this id, 32 bytes. Default: none. Dialect 1 has no keys. */
  key?: Uint8Array;
  /** The suite to use with the key: 3 encrypts the link; 4 adds forward secrecy, which costs a board 0.25 s at each
   * connection. Default 3. */
  suite?: 3 | 4;
  /** Silence that counts as an outage, in ms, 100 to 3,600,000. Default 2000. */
  timeout?: number;
  /** The protocol's dialect. Default 2. */
  dialect?: 1 | 2;
  /** Whether the console's lines go to the server, too. Default false. */
  log?: boolean;
  /** The board's address in the WiFi. Default: DHCP. */
  ip?: StaticAddress;
  /** The country, two capital letters like DE: the board uses all WiFi channels that are allowed there. Default: none,
   * and the board finds no hidden network on channels 12 and 13. */
  country?: string;
  /** Fields of other versions, by their tags: kept, and ignored. */
  unknown?: Record<number, Uint8Array>;
}

/** What an application can set on its board with `configure`: settings, and one field that is not stored. */
export interface Configuration extends Settings {
  /** Longest text of a message, 121 to 512 bytes. Default 512. */
  line?: number;
}

/** Why a sector that is not blank cannot be read; the firmware prints the same words. */
export type Damage = "magic" | "version" | "length" | "checksum" | "fields";

/** The contents of a sector. */
export type Sector =
  | { state: "ok"; settings: Settings }
  | { state: "blank" }
  | { state: "damaged"; damage: Damage };

/** The firmware's defaults. */
export const defaults = { port: 8123, timeout: 2000, dialect: 2, suite: 3, log: false } as const;

const MAGIC = [0x48, 0x46, 0x53, 0x54]; // "HFST"
const VERSION = 1;
const HEADER = 12;

/** The tag of `Configuration.line`. In the sector it counts as a field of another version. */
const LINE_TAG = 10;

type Stored = keyof typeof Tag;
type Name = Stored | "line";

const names = new Map<number, Stored>(
  Object.entries(Tag).map(([name, tag]) => [tag, name as Stored]),
);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of the whole sector. @throws {LocalError} BAD_ARGUMENT, which names the field */
export function encodeSettings(settings: Settings): Uint8Array<ArrayBuffer> {
  const fields = encodeFields(settings);
  const sector = new Uint8Array(SECTOR_BYTES).fill(0xff);
  const view = new DataView(sector.buffer);
  sector.set(MAGIC);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, fields.length, true);
  view.setUint32(8, crc32(sector.subarray(4, 8), fields), true);
  sector.set(fields, HEADER);
  return sector;
}

/** Reads a sector; its first {@linkcode USED_BYTES} are enough. */
export function decodeSettings(sector: Uint8Array): Sector {
  const used = sector.subarray(0, USED_BYTES);
  const damaged = (damage: Damage): Sector => ({ state: "damaged", damage });
  if (used.length < HEADER) return damaged("length");
  if (used.every((byte) => byte === 0xff)) return { state: "blank" };
  if (!MAGIC.every((byte, at) => used[at] === byte)) return damaged("magic");
  const view = new DataView(used.buffer, used.byteOffset, used.length);
  if (view.getUint16(4, true) !== VERSION) return damaged("version");
  const end = HEADER + view.getUint16(6, true);
  if (end > used.length) return damaged("length");
  const fields = used.subarray(HEADER, end);
  if (view.getUint32(8, true) !== crc32(used.subarray(4, 8), fields)) return damaged("checksum");
  try {
    return { state: "ok", settings: decodeFields(fields) };
  } catch (error) {
    if (error instanceof LocalError) return damaged("fields");
    throw error;
  }
}

/** The fields alone, in the order of their tags. @throws {LocalError} BAD_ARGUMENT, which names the field */
export function encodeFields(settings: Settings): Uint8Array<ArrayBuffer> {
  const fields = new Map<number, Uint8Array>();
  for (const [tag, name] of names) {
    if (settings[name] !== undefined) fields.set(tag, encodeValue(name, settings[name]));
  }
  const wrong = settings.id === undefined ? undefined : wrongName(settings.id);
  if (wrong !== undefined) throw bad("id", wrong);
  for (const [tag, value] of Object.entries(settings.unknown ?? {})) {
    const number = Number(tag);
    if (!Number.isInteger(number) || number < 0 || number > 255 || names.has(number)) {
      throw bad("unknown", `a tag must be 0 to 255 and have no name here, not ${tag}`);
    }
    if (value.length > 255) throw bad("unknown", `a value has at most 255 bytes`);
    fields.set(number, value);
  }
  checkTogether(settings);
  return join(fields);
}

/** The opposite of {@linkcode encodeFields}. @throws {LocalError} BAD_ARGUMENT, which names the field */
export function decodeFields(bytes: Uint8Array): Settings {
  const settings = decodeEach(bytes);
  checkTogether(settings);
  return settings;
}

/**
 * Reads the fields that an application gives to `configure`. They override what is stored. A key is allowed
 * together with dialect 1, and then not used.
 *
 * @throws {LocalError} BAD_ARGUMENT if the device would refuse it
 */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const { unknown = {}, ...configuration } = decodeEach(bytes);
  const { [LINE_TAG]: line, ...others } = unknown;
  return {
    ...configuration,
    ...(line ? { line: decodeValue("line", line) as number } : {}),
    ...(Object.keys(others).length > 0 ? { unknown: others } : {}),
  };
}

function decodeEach(bytes: Uint8Array): Settings {
  const settings: Settings = {};
  for (const [tag, value] of split(bytes)) {
    const name = names.get(tag);
    if (name === undefined) (settings.unknown ??= {})[tag] = value.slice();
    else Object.assign(settings, { [name]: decodeValue(name, value) });
  }
  return settings;
}

/**
 * Changes settings as a device does: fields that are not named stay, a field of length 0 is removed.
 *
 * @throws {LocalError} BAD_ARGUMENT if the device would refuse it
 */
export function changeSettings(settings: Settings, changes: Uint8Array): Settings {
  const fields = split(encodeFields(settings));
  for (const [tag, value] of split(changes)) {
    if (value.length === 0) fields.delete(tag);
    else fields.set(tag, value);
  }
  return decodeFields(join(fields));
}

/** The required fields of a device with WiFi that are missing. */
export function missingSettings(settings: Settings): ("ssid" | "server" | "id")[] {
  return (["ssid", "server", "id"] as const).filter((name) => settings[name] === undefined);
}

/** Fields by their tags. @throws {LocalError} BAD_ARGUMENT */
function split(bytes: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at]!;
    const length = bytes[at + 1];
    const end = at + 2 + (length ?? 0);
    if (length === undefined || end > bytes.length) {
      throw bad(nameOf(tag), "the field is longer than the bytes that are left");
    }
    if (fields.has(tag)) throw bad(nameOf(tag), "the field is given twice");
    fields.set(tag, bytes.subarray(at + 2, end));
    at = end;
  }
  return fields;
}

/** @throws {LocalError} BAD_ARGUMENT if they do not fit */
function join(fields: Map<number, Uint8Array>): Uint8Array<ArrayBuffer> {
  const sorted = [...fields].sort(([a], [b]) => a - b);
  const bytes = new Uint8Array(sorted.flatMap(([tag, value]) => [tag, value.length, ...value]));
  if (bytes.length <= USED_BYTES - HEADER) return bytes;
  throw new LocalError(
    "BAD_ARGUMENT",
    `the settings have ${bytes.length} bytes, more than the ${
      USED_BYTES - HEADER
    } that fit the sector`,
  );
}

function encodeValue(name: Name, value: unknown): Uint8Array {
  switch (name) {
    case "ssid":
      return text(name, value, 1, 32);
    case "password":
      return value === "" ? new Uint8Array(0) : text(name, value, 8, 64);
    case "server":
    case "server2":
      return text(name, value, 1, 64);
    case "country":
      return text(name, value, 2, 2);
    case "id":
      return text(name, value, 1, 64);
    case "key":
      if (value instanceof Uint8Array && value.length === 32) return value;
      throw bad(name, "must have 32 bytes");
    case "port":
      return number(name, value, 2, 1, 65535);
    case "timeout":
      return number(name, value, 4, 100, 3_600_000);
    case "dialect":
      return number(name, value, 1, 1, 2);
    case "suite":
      return number(name, value, 1, 3, 4);
    case "line":
      return number(name, value, 2, 121, 512);
    case "log":
      if (typeof value !== "boolean") throw bad(name, "must be true or false");
      return Uint8Array.of(value ? 1 : 0);
    case "ip": {
      const wrong = wrongStatic(value as StaticAddress);
      if (wrong) throw bad(`${name}.${wrong.part}`, wrong.what);
      return encodeStatic(value as StaticAddress);
    }
  }
}

function decodeValue(name: Name, value: Uint8Array): Configuration[Name] {
  switch (name) {
    case "ssid":
    case "password":
    case "server":
    case "server2":
    case "country":
    case "id": {
      let decoded: string;
      try {
        decoded = decoder.decode(value);
      } catch {
        throw bad(name, "must be UTF-8");
      }
      encodeValue(name, decoded); // the same limits
      return decoded;
    }
    case "key":
      return encodeValue(name, value).slice();
    case "port":
      return numberOf(name, value, 2);
    case "timeout":
      return numberOf(name, value, 4);
    case "dialect":
      return numberOf(name, value, 1) as 1 | 2;
    case "suite":
      return numberOf(name, value, 1) as 3 | 4;
    case "line":
      return numberOf(name, value, 2);
    case "log":
      if (value.length !== 1 || value[0]! > 1) throw bad(name, "must be one byte, 0 or 1");
      return value[0] === 1;
    case "ip": {
      if (value.length !== STATIC_BYTES) throw bad(name, `must have ${STATIC_BYTES} bytes`);
      const ip = decodeStatic(value);
      encodeValue(name, ip); // the same limits
      return ip;
    }
  }
}

function text(name: Name, value: unknown, least: number, most: number): Uint8Array {
  // deno-lint-ignore no-control-regex
  if (typeof value !== "string" || !value.isWellFormed() || /[\x00-\x1f\x7f]/.test(value)) {
    throw bad(name, "must be text without control characters");
  }
  const bytes = encoder.encode(value);
  if (bytes.length < least || bytes.length > most) {
    throw bad(name, `must have ${least} to ${most} bytes, not ${bytes.length}`);
  }
  if (name.startsWith("server") && !/^[0-9A-Za-z._-]+$/.test(value)) {
    throw bad(
      name,
      "must be a name or an IPv4 address, of 0-9 A-Z a-z . _ - only (the port is a field of its own)",
    );
  }
  if (name === "country" && !/^[A-Z]{2}$/.test(value)) {
    throw bad(name, "must be two capital letters, like DE");
  }
  return bytes;
}

function number(
  name: Name,
  value: unknown,
  bytes: number,
  least: number,
  most: number,
): Uint8Array {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw bad(name, `must be ${least} to ${most}`);
  }
  return Uint8Array.from({ length: bytes }, (_, at) => value >>> (8 * at));
}

function numberOf(name: Name, value: Uint8Array, bytes: number): number {
  if (value.length !== bytes) throw bad(name, `must have ${bytes} bytes`);
  const result = value.reduceRight((sum, byte) => sum * 256 + byte, 0);
  encodeValue(name, result); // the same limits
  return result;
}

function checkTogether(settings: Settings): void {
  if (settings.key && settings.dialect === 1) throw bad("key", "dialect 1 has no keys");
}

function nameOf(tag: number): string {
  return names.get(tag) ?? `tag ${tag}`;
}

/** The message does not show the value, which may be secret. */
function bad(name: string, message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", `settings: ${name}: ${message}`);
}
