/**
 * The file that holds the devices' keys: a JSON object of ids and 64 hex digits each. What is in it
 * appears in no error and in no log.
 */
import { KEY_BYTES, parseKey } from "../protocol/proof.ts";
import { LocalError } from "../protocol/errors.ts";
import { toHex } from "../protocol/greeting.ts";
import { byteLength } from "../protocol/lines.ts";

/** A key for each id. */
export type Keys = Map<string, Uint8Array>;

/** Longest id in bytes: our devices take no longer one. */
const LONGEST_ID = 128;

/** So long one command waits for another to finish, in ms. */
const PATIENCE = 2000;

/**
 * Reads a file of keys.
 *
 * @throws {LocalError} BAD_ARGUMENT: missing, not permitted, or not such a file
 */
export function readKeys(path: string): Keys {
  let text;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw unusable(path, error);
  }
  return parseKeys(path, text);
}

function parseKeys(path: string, text: string): Keys {
  if (text.trim() === "") return new Map();
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // What the parser says quotes the text.
    throw refusal(path, "is not JSON: a comma or a quote may be wrong in it");
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw refusal(path, 'is not a JSON object: it must say { "ID": "64 hex digits", ... }');
  }
  const keys: Keys = new Map();
  for (const [id, key] of Object.entries(content)) {
    checkId(id);
    keys.set(id, parseKey(id, typeof key === "string" ? key : ""));
  }
  return keys;
}

/**
 * A complaint if others than the file's owner and its group may read or change it.
 *
 * @throws {LocalError} BAD_ARGUMENT
 */
export function exposure(path: string): string | undefined {
  let mode;
  try {
    mode = Deno.statSync(path).mode;
  } catch (error) {
    throw unusable(path, error);
  }
  if (mode === null || (mode & 0o006) === 0) return undefined; // null: no such thing on this system
  return `every user of this machine can ${mode & 0o002 ? "change" : "read"} the keys in ` +
    `${JSON.stringify(path)}: chmod 600 it, and replace those keys`;
}

/**
 * Adds a key. The file is created, for its owner alone, if there is none.
 *
 * @param given 64 hex digits; a fresh one if there are none
 * @returns the key, 64 hex digits
 * @throws {LocalError} BAD_ARGUMENT, also if the id has a key and `replace` is not set
 */
export async function addKey(
  path: string,
  id: string,
  replace = false,
  given?: string,
): Promise<string> {
  checkId(id);
  const key = given === undefined
    ? crypto.getRandomValues(new Uint8Array(KEY_BYTES))
    : parseKey(id, given);
  await change(path, (keys) => {
    if (keys.has(id) && !replace) {
      throw badArgument(`${JSON.stringify(id)} has a key: --replace gives it another`);
    }
    keys.set(id, key);
  });
  return toHex(key);
}

/** @throws {LocalError} BAD_ARGUMENT, also if the id has no key */
export async function removeKey(path: string, id: string): Promise<void> {
  await change(path, (keys) => {
    if (!keys.delete(id)) throw badArgument(`${JSON.stringify(id)} has no key in ${path}`);
  });
}

/** Changes a file of keys as a whole: whoever reads it meanwhile finds the old keys or the new ones. */
async function change(path: string, use: (keys: Keys) => void): Promise<void> {
  const real = locate(path)?.path ?? path;
  const draft = `${real}.new`;
  using file = await createAlone(path, draft);
  try {
    const old = locate(path);
    if (old) adopt(draft, old);
    const keys: Keys = old ? readKeys(real) : new Map();
    use(keys);
    const content = Object.fromEntries(Array.from(keys, ([id, key]) => [id, toHex(key)]));
    const bytes = new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync();
    Deno.renameSync(draft, real);
  } catch (error) {
    Deno.removeSync(draft);
    throw unusable(path, error);
  }
}

/** A file that is there. */
interface Place {
  /** Without symbolic links. */
  path: string;
  info: Deno.FileInfo;
}

/** Where a file really is; undefined if it is not there yet. */
function locate(path: string): Place | undefined {
  try {
    const real = Deno.realPathSync(path);
    return { path: real, info: Deno.statSync(real) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw unusable(path, error);
  }
}

/** Creates the file that the new keys are written to. As long as it is there, no one else changes them. */
async function createAlone(path: string, draft: string): Promise<Deno.FsFile> {
  for (let waited = 0;; waited += 20) {
    try {
      return Deno.openSync(draft, { write: true, createNew: true, mode: 0o600 });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw unusable(path, error);
    }
    if (waited >= PATIENCE) {
      throw refusal(path, `is being changed; if no other command does that, remove ${draft}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whoever may read the old file, a server with an account of its own perhaps, may read the new one. */
function adopt(draft: string, { info: { mode, uid, gid } }: Place): void {
  if (Deno.build.os === "windows") return;
  if (Deno.uid() === 0) Deno.chownSync(draft, uid, gid);
  if (mode !== null) Deno.chmodSync(draft, mode & 0o777);
}

/** An id that every device can say. @throws {LocalError} BAD_ARGUMENT */
function checkId(id: string): void {
  if (id === "") throw badArgument("an id has one character at least");
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(id) || !id.isWellFormed()) {
    throw badArgument(`${JSON.stringify(id)} cannot be an id: no control characters`);
  }
  if (byteLength(id) > LONGEST_ID) throw badArgument(`an id has ${LONGEST_ID} bytes at most`);
}

function unusable(path: string, error: unknown): unknown {
  if (error instanceof LocalError || !(error instanceof Error)) return error;
  if (error instanceof Deno.errors.NotFound) {
    return refusal(
      path,
      "does not exist: `keys add ID --keys FILE` creates one in a folder that does",
    );
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return refusal(path, "is out of reach: its user needs access to it and to its folder");
  }
  if (error instanceof Deno.errors.InvalidData) return refusal(path, "is not a text file");
  return refusal(path, `cannot be used: ${error.message}`);
}

function refusal(path: string, what: string): LocalError {
  return badArgument(`the file of keys ${JSON.stringify(path)} ${what}`);
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
