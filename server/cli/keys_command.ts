/** The command that manages the file of keys. */
import { badArgument } from "./arguments.ts";
import type { KeyedSuite } from "../protocol/greeting.ts";
import { addKey, exposure, readKeys, removeKey } from "../admission/keys.ts";
import { askForKey } from "./keys_prompt.ts";
import { command } from "./command.ts";
import { tell } from "./print.ts";

const SUITES: ReadonlyMap<string, KeyedSuite> = new Map([
  ["02", 2],
  ["03", 3],
  ["04", 4],
]);

export const keysCommand = command({
  name: "keys",
  usage: ["add ID", "remove ID", "list"],
  summary: "Manages the keys with which devices prove who they are",
  about:
    `\`add\` makes a key for a device and prints it, once. A running server reloads the file when it
gets a SIGHUP.`,
  options: {
    keys: {
      type: "string",
      takes: "FILE",
      complete: "file",
      help: "the file of keys; created if needed, readable by its owner only (keys.json)",
    },
    key: {
      type: "string",
      takes: "-",
      help:
        "adds a key that the device already has, such as one from the flasher: 64 hex digits on stdin; on a terminal it prompts. Prints nothing",
    },
    suite: {
      type: "string",
      takes: "02|03|04",
      complete: ["02", "03", "04"],
      help:
        "minimum suite for this key: 03 encrypts everything; 04 adds forward secrecy, for clients that support it; 02 only authenticates, for clients that cannot encrypt (03)",
    },
    replace: { type: "boolean", help: "replaces the key of a device" },
    json: { type: "boolean", help: "prints JSON, one line for each device; errors too" },
  },
  async run(words, { keys: path = "keys.json", key, suite: said, replace = false, json }) {
    const [action, id] = words as [string, string];
    const bad = (message: string) => badArgument("keys", message);
    if (key !== undefined && action !== "add") throw bad("--key belongs to keys add");
    if (key !== undefined && key !== "-") {
      throw bad(
        "--key takes only -, and reads the key from stdin: on the command line others could read it, and " +
          "the shell would keep it in its history",
      );
    }
    if (replace && action !== "add") throw bad("--replace belongs to keys add");
    if (said !== undefined && action !== "add") throw bad("--suite belongs to keys add");
    const suite = SUITES.get(said ?? "03");
    if (suite === undefined) throw bad(`--suite takes 02, 03 or 04, not ${JSON.stringify(said)}`);
    if (action === "add" && key !== undefined) {
      await addKey(path, id, { given: await askForKey(id), suite, replace });
    } else if (action === "add") {
      const made = await addKey(path, id, { suite, replace });
      showKey(json ? JSON.stringify({ id, key: made }) : made);
    } else if (action === "remove") await removeKey(path, id);
    else for (const [id, { suite }] of readKeys(path)) tell(json, { id, suite: `0${suite}` }, id);
    const complaint = exposure(path);
    if (complaint) console.error(`holdfast: warning: ${complaint}`);
  },
});

/** The key is shown only once, so a failure to print it is an error. */
function showKey(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw badArgument(
      "keys",
      `the key was stored, but could not be printed (${error.message}): make a new one with --replace`,
    );
  }
}
