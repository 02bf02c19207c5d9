/** The part of the command line that looks after the file of keys. */
import { parseArgs } from "node:util";
import { badArgument } from "./arguments.ts";
import { addKey, exposure, readKeys, removeKey } from "../admission/keys.ts";
import { askForKey } from "./keys_prompt.ts";
import { printable } from "../observe/log.ts";

const HELP = `Looks after the keys with which devices prove who they are.

Usage: deno run -A server/main.ts keys add ID [--key -] [--replace] [--keys FILE]
       deno run -A server/main.ts keys remove ID [--keys FILE]
       deno run -A server/main.ts keys list [--keys FILE]

  add ID            make a key for the device ID, and print it: this once, and to nobody else
  remove ID         the device ID has no key any more
  list              the ids that have one
  --key -           add the key that the device has already (the flasher made it, say): 64 hex digits
                    from stdin; a terminal asks for them. Nothing is printed then
  --replace         give a device another key
  --keys FILE       where they are; created if need be, for its owner alone      (keys.json)
  --help

A server that runs reads its file again when it gets a SIGHUP.
`;

/**
 * Runs `keys` with the arguments behind it.
 *
 * @throws {LocalError} BAD_ARGUMENT
 * @throws {TypeError} of `parseArgs`
 */
export async function runKeysCommand(args: string[]): Promise<void> {
  const { values, positionals: [action, ...ids] } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      keys: { type: "string", default: "keys.json" },
      key: { type: "string" },
      replace: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const { keys: path, key, replace, help } = values;
  if (help) return console.log(HELP);
  if (action !== "add" && action !== "remove" && action !== "list") {
    throw badArgument("keys", "say keys add ID, keys remove ID or keys list");
  }
  if (key !== undefined && action !== "add") throw badArgument("keys", "--key belongs to keys add");
  if (key !== undefined && key !== "-") {
    throw badArgument(
      "keys",
      "--key takes - alone, and the key comes on stdin: on the command line others could read it, and " +
        "the shell would keep it in its history",
    );
  }
  if (replace && action !== "add") throw badArgument("keys", "--replace belongs to keys add");
  if (ids.length !== (action === "list" ? 0 : 1)) {
    throw badArgument(
      "keys",
      action === "list" ? "keys list takes no id" : `keys ${action} takes one id`,
    );
  }
  if (action === "add" && key !== undefined) {
    await addKey(path, ids[0]!, replace, await askForKey(ids[0]!));
  } else if (action === "add") showKey(await addKey(path, ids[0]!, replace));
  else if (action === "remove") await removeKey(path, ids[0]!);
  else for (const id of readKeys(path).keys()) console.log(printable(id));
  const complaint = exposure(path);
  if (complaint) console.error(`holdfast: warning: ${complaint}`);
}

/** The key is shown this once: if that fails, nobody must think that it was. */
function showKey(key: string): void {
  const bytes = new TextEncoder().encode(`${key}\n`);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw badArgument(
      "keys",
      `the key was made, but not printed (${error.message}): --replace makes another`,
    );
  }
}
