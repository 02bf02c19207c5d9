/** Commands that manage a store: backups and dead letters. */
import { resolve } from "node:path";
import type { DeadLetterView } from "../web/acts.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { pathOf } from "./device_commands.ts";
import { print } from "./print.ts";
import { REACH } from "./reach.ts";

export const backupCommand = command({
  name: "backup",
  usage: ["FILE"],
  summary: "Makes a backup of a store, while its server runs or not",
  about:
    `An earlier backup in FILE is replaced when this one is complete. The backup is one file, and a store of its own: to put
it back, stop the server, move away the store and the files beside it (-wal, .sock), and copy the backup to its place.
The backup is made on the server's machine, so --url is refused.`,
  options: REACH,
  async run(words, values, reach) {
    const [file] = words as [string];
    const body = { path: resolve(file) };
    const answer = await reach.ask("backup", values, (api) => api.post("/api/backup", body));
    if (values.json) print(JSON.stringify(answer));
  },
});

export const deadLettersCommand = command({
  name: "dead-letters",
  usage: ["list", "revive ID NUMBER", "discard ID NUMBER"],
  summary: "Manages dead letters: messages with which the application has failed again and again",
  about:
    `\`list\` prints a line for each: device, number, time, error and text, as JSON. After \`revive\` the message comes to
the application again, after those that wait; \`discard\` deletes it.`,
  options: REACH,
  async run(words, values, reach) {
    const [action, device, number] = words as [string, string, string];
    if (action === "list") {
      const letters = await reach.ask("dead-letters", values, (api) => {
        return api.get<DeadLetterView[]>("/api/dead-letters");
      });
      return letters.forEach((letter) => print(JSON.stringify(letter)));
    }
    if (!/^\d+$/.test(number)) {
      const message = `NUMBER must be a number that list shows, not ${JSON.stringify(number)}`;
      throw badArgument("dead-letters", message);
    }
    const path = pathOf(device, "dead-letters", number);
    const answer = await reach.ask("dead-letters", values, (api) => {
      return action === "revive" ? api.post(`${path}/revive`) : api.delete(path);
    });
    if (values.json) print(JSON.stringify(answer));
  },
});
