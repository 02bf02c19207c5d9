/** The command that shows what happens at a server, as it happens. */
import { asText } from "../observe/log.ts";
import type { LogEvent } from "../web/log_routes.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { tell } from "./print.ts";
import { REACH } from "./reach.ts";

export const tailCommand = command({
  name: "tail",
  usage: ["[ID]…"],
  summary:
    "Shows what happens at a server as it happens, until it is stopped: of these devices, or all",
  about:
    `What devices report and tell as events is in it, beside what the server logs. Where the command reads too slowly, it
says how many lines it has missed.`,
  options: {
    ...REACH,
    event: {
      type: "string",
      multiple: true,
      takes: "NAME,NAME",
      help: "these events alone: reported, connected, warning …",
    },
  },
  async run(words, { event: events, ...values }, reach) {
    const names = events.flatMap((list) => list.split(","));
    if (names.includes("")) {
      throw badArgument("tail", "--event takes names with a comma between them");
    }
    const query = new URLSearchParams([
      ...words.map((id) => ["device", id]),
      ...names.map((name) => ["event", name]),
    ]);
    await reach.ask("tail", values, async (api) => {
      for await (const event of api.stream<LogEvent>(`/api/log?${query}`)) {
        tell(values.json, event, `${event.time} ${lineOf(event)}`);
      }
    }, true);
  },
});

/** An event as it is logged; what has no words there follows as it is. */
function lineOf({ time: _, ...event }: LogEvent): string {
  const { text, rest } = asText(event);
  return Object.keys(rest).length === 0 ? text : `${text} ${JSON.stringify(rest)}`;
}
