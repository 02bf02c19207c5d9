/** The part of the command line that looks after the file of keys. */
import { badArgument } from "./arguments.ts";
import { addKey, exposure, readKeys, removeKey } from "../admission/keys.ts";
import { askForKey } from "./keys_prompt.ts";
import { command } from "./command.ts";
import { tell } from "./print.ts";

export const keysCommand = command({
  name: "keys",
  usage: ["add ID", "remove ID", "list"],
  summary: "Looks after the keys with which devices prove who they are",
  about:
    `\`add\` makes a key for a device, and prints it: this once, and to nobody else. A server that runs reads its file
again when it gets a SIGHUP.`,
  options: {
    keys: {
      type: "string",
      takes: "FILE",
      complete: "file",
      help: "where they are; created if need be, for its owner alone (keys.json)",
    },
    key: {
      type: "string",
      takes: "-",
      help:
        "add the key that the device has already (the flasher made it, say): 64 hex digits from stdin; a terminal asks for them. Nothing is printed then",
    },
    replace: { type: "boolean", help: "give a device another key" },
    json: { type: "boolean", help: "prints JSON, a line for each device; errors as well" },
  },
  async run(words, { keys: path = "keys.json", key, replace, json }) {
    const [action, id] = words as [string, string];
    const bad = (message: string) => badArgument("keys", message);
    if (key !== undefined && action !== "add") throw bad("--key belongs to keys add");
    if (key !== undefined && key !== "-") {
      throw bad(
        "--key takes - alone, and the key comes on stdin: on the command line others could read it, and " +
          "the shell would keep it in its history",
      );
    }
    if (replace && action !== "add") throw bad("--replace belongs to keys add");
    if (action === "add" && key !== undefined) {
      await addKey(path, id, replace, await askForKey(id));
    } else if (action === "add") {
      const made = await addKey(path, id, replace);
      showKey(json ? JSON.stringify({ id, key: made }) : made);
    } else if (action === "remove") await removeKey(path, id);
    else for (const id of readKeys(path).keys()) tell(json, { id }, id);
    const complaint = exposure(path);
    if (complaint) console.error(`holdfast: warning: ${complaint}`);
  },
});

/** The key is shown this once: if that fails, nobody must think that it was. */
function showKey(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
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
