/** The command that manages who may open the page. */
import { exposure } from "../admission/keys.ts";
import { Occupied, replaceFile } from "../admission/replace_file.ts";
import { LocalError } from "../protocol/errors.ts";
import { Credentials, hashPassword } from "../web/credentials.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { askFor } from "./keys_prompt.ts";
import { tell } from "./print.ts";
import { parseCredentials, readCredentials, unusable } from "./web_options.ts";

export const webCommand = command({
  name: "web",
  usage: ["password", "token NAME", "remove NAME", "list"],
  summary: "Manages who may open the page: a password for people, tokens for programs",
  about:
    `\`password\` prompts for one, or reads it from stdin; \`token\` makes one for a program, and prints it once. The file
has hashes of them, and a server reads it when it starts: --web-password-file.`,
  options: {
    file: {
      type: "string",
      takes: "FILE",
      complete: "file",
      help:
        "the file of password and tokens; created if needed, readable by its owner only (web.json)",
    },
    act: {
      type: "boolean",
      help: "the token may also act, if the server has --web-admin; without this it may only read",
    },
    json: { type: "boolean", help: "prints JSON, one line for each token; errors too" },
  },
  async run(words, { file: path = "web.json", act, json }) {
    const [action, name] = words as [string, string];
    if (act && action !== "token") throw badArgument("web", "--act belongs to web token");
    if (action === "password") {
      const question = "The page's password: type it, and press Enter. It is not shown.";
      const hash = await hashPassword(await askFor("password", question));
      await change(path, (credentials) => credentials.withPassword(hash));
    } else if (action === "token") {
      let made = "";
      await change(path, (old) => {
        const [credentials, token] = old.withToken(name, act ? "act" : "look");
        made = token;
        return credentials;
      });
      tell(json, { name, token: made }, made);
    } else if (action === "remove") {
      await change(path, (credentials) => credentials.withoutToken(name));
    } else {
      for (const [name, { may }] of readCredentials(path).tokens) {
        tell(json, { name, may }, `${name} may ${may}`);
      }
    }
    const complaint = exposure(path, "the hash of the password");
    if (complaint) console.error(`holdfast: warning: ${complaint}`);
  },
});

async function change(path: string, use: (old: Credentials) => Credentials): Promise<void> {
  try {
    await replaceFile(path, (old) => {
      return use(old?.trim() ? parseCredentials(path, old) : Credentials.none).format();
    });
  } catch (error) {
    if (error instanceof LocalError) throw error;
    throw unusable(path, error instanceof Occupied ? new Error(error.message) : error);
  }
}
