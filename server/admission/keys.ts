/**
 * The file of the devices' keys: a JSON object that maps ids to 64 hex digits, with the prefix "03:" for a key that
 * requires sealed links, "04:" for one that requires forward secrecy. Errors and logs never show its contents.
 */
import {
  type DeviceKey,
  formatDeviceKey,
  KEY_BYTES,
  parseDeviceKey,
  parseKey,
} from "../protocol/proof.ts";
import { LocalError } from "../protocol/errors.ts";
import { type KeyedSuite, toHex } from "../protocol/greeting.ts";
import { wrongName, wrongOnWire } from "../protocol/name.ts";
import { type Disk, Occupied, realDisk, replaceFile } from "./replace_file.ts";

/** A key for each id. */
export type Keys = Map<string, DeviceKey>;

/** The entry, with `true` as its value, that says that a file has no keys on purpose. */
const NONE = "no keys";

/**
 * Reads a file of keys.
 *
 * @param inUse How many keys a running server has: a file without keys is not accepted in their place, unless it
 * says that this is on purpose.
 * @throws {LocalError} BAD_ARGUMENT: missing, not permitted, empty, or not such a file
 */
export function readKeys(path: string, inUse = 0): Keys {
  let text;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw unusable(path, error);
  }
  if (text.trim() === "") {
    throw refusal(path, "is empty: make a key with `keys add ID --keys FILE`");
  }
  const { keys, meant } = parseKeys(path, text);
  if (keys.size === 0 && inUse > 0 && !meant) {
    throw refusal(
      path,
      `has no key, and would remove all ${inUse}: if you want that, write { "${NONE}": true }`,
    );
  }
  return keys;
}

/** @returns the keys, and if there are none, whether the file says so */
function parseKeys(path: string, text: string): { keys: Keys; meant: boolean } {
  const json = text.replace(/^\ufeff/, ""); // editors on Windows put one first
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch {
    // The parser's message would quote the text.
    throw refusal(
      path,
      "is not JSON: look for a wrong comma or quote, or a missing end",
    );
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw refusal(path, 'is not a JSON object: it must be { "ID": "64 hex digits", ... }');
  }
  const entries = Object.entries(content);
  if (entries.length === 1 && entries[0]![0] === NONE && entries[0]![1] === true) {
    return { keys: new Map(), meant: true };
  }
  const twice = firstTwice(json);
  if (twice !== undefined) throw refusal(path, `has two keys for ${JSON.stringify(twice)}`);
  const keys: Keys = new Map();
  for (const [id, key] of entries) {
    const wrong = wrongOnWire(id);
    if (wrong !== undefined) throw refusal(path, `has the name ${JSON.stringify(id)}: ${wrong}`);
    keys.set(id, parseDeviceKey(id, typeof key === "string" ? key : ""));
  }
  return { keys, meant: false };
}

/** The first id that occurs twice in a file; JSON.parse would silently take the last one. */
function firstTwice(json: string): string | undefined {
  const names = new Set<string>();
  for (const [, text, isName] of json.matchAll(/("(?:[^"\\]|\\.)*")\s*(:)?/g)) {
    if (!isName) continue;
    const name = JSON.parse(text!);
    if (names.has(name)) return name;
    names.add(name);
  }
  return undefined;
}

/**
 * A warning if users other than a file's owner and group may read or change it.
 *
 * @param what The file's contents, in words.
 * @returns undefined also if there is no such file, or if this system has no file modes
 */
export function exposure(path: string, what = "the keys"): string | undefined {
  let mode;
  try {
    mode = Deno.statSync(path).mode;
  } catch {
    return undefined; // reading it will report why
  }
  if (mode === null || (mode & 0o006) === 0) return undefined;
  return `every user of this machine can ${mode & 0o002 ? "change" : "read"} ${what} in ` +
    `${JSON.stringify(path)}: chmod 600 it, and replace its contents`;
}

/** The key to add. */
export interface NewKey {
  /** 64 hex digits. Default: a fresh one. */
  given?: string;
  /** The minimum suite for a device with this key. Default: 3, sealed links. */
  suite?: KeyedSuite;
  /** Whether to replace an existing key. Default false. */
  replace?: boolean;
}

/**
 * Adds a key. Creates the file if needed, readable by its owner only.
 *
 * @returns the key, 64 hex digits
 * @throws {LocalError} BAD_ARGUMENT, also if the id has a key and `replace` is not set
 */
export async function addKey(
  path: string,
  id: string,
  { given, suite = 3, replace = false }: NewKey = {},
  disk: Disk = realDisk,
): Promise<string> {
  const wrong = wrongName(id);
  if (wrong !== undefined) throw badArgument(`${JSON.stringify(id)}: ${wrong}`);
  const bytes = given === undefined
    ? crypto.getRandomValues(new Uint8Array(KEY_BYTES))
    : parseKey(id, given);
  await change(path, (keys) => {
    if (keys.has(id) && !replace) {
      throw badArgument(`${JSON.stringify(id)} already has a key: replace it with --replace`);
    }
    keys.set(id, { bytes, suite });
  }, disk);
  return toHex(bytes);
}

/** @throws {LocalError} BAD_ARGUMENT, also if the id has no key */
export async function removeKey(path: string, id: string): Promise<void> {
  await change(path, (keys) => {
    if (!keys.delete(id)) throw badArgument(`${JSON.stringify(id)} has no key in ${path}`);
  }, realDisk);
}

/** Replaces a file of keys: a reader finds the old or the new contents, also after a loss of power. */
async function change(path: string, use: (keys: Keys) => void, disk: Disk): Promise<void> {
  try {
    await replaceFile(path, (old) => {
      const keys = old?.trim() ? parseKeys(path, old).keys : new Map<string, DeviceKey>();
      use(keys);
      const content = Object.fromEntries(
        Array.from(keys, ([id, key]) => [id, formatDeviceKey(key)]),
      );
      return `${JSON.stringify(keys.size === 0 ? { [NONE]: true } : content, null, 2)}\n`;
    }, disk);
  } catch (error) {
    throw error instanceof Occupied ? refusal(path, error.message) : unusable(path, error);
  }
}

function unusable(path: string, error: unknown): unknown {
  if (error instanceof LocalError || !(error instanceof Error)) return error;
  if (error instanceof Deno.errors.NotFound) {
    return refusal(
      path,
      "does not exist: create it with `keys add ID --keys FILE`, in a folder that exists",
    );
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return refusal(path, "cannot be accessed: give this user access to it and to its folder");
  }
  return refusal(path, `cannot be used: ${error.message}`);
}

function refusal(path: string, what: string): LocalError {
  return badArgument(`the file of keys ${JSON.stringify(path)} ${what}`);
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
