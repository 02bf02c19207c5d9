/** The command that shows a server's events as they happen. */
import { asText } from "../observe/log.ts";
import type { LogEvent } from "../web/log_routes.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { tell } from "./print.ts";
import { isServerGone, REACH } from "./reach.ts";

/** Delay before a server that has ended is called again, in ms. */
const PAUSE = 1000;

export const tailCommand = command({
  name: "tail",
  usage: ["[ID]…"],
  summary:
    "Shows the events of a server as they happen, until you stop it: those of these devices, or all",
  about:
    `It shows what the server logs, and what devices report and send as events; messages only if you ask
for them. When the server ends, the command waits for the next one, and says so on stderr: what happens meanwhile is not
shown. If it reads too slowly, it says how many lines it has missed.`,
  options: {
    ...REACH,
    event: {
      type: "string",
      multiple: true,
      takes: "NAME,NAME",
      help: "only these events: reported, connected, warning, message …",
    },
    messages: {
      type: "boolean",
      help: "also shows all messages from and to devices, as soon as they are safe",
    },
    match: {
      type: "string",
      takes: "TEXT",
      help: "only lines that contain this, in upper or lower case",
    },
  },
  async run(ids, { event: events, messages, match = "", ...values }, reach) {
    const names = events.flatMap((list) => list.split(","));
    if (names.includes("")) {
      throw badArgument("tail", "--event takes names separated by commas");
    }
    const query = new URLSearchParams([
      ...ids.map((id) => ["device", id]),
      ...names.map((name) => ["event", name]),
      ...messages ? [["messages", ""]] : [],
    ]);
    const wanted = match.toLowerCase();
    let isThere = false;
    let wasThere = false;
    const begun = () => {
      if (wasThere) note(values.json, "BACK", "the server is back");
      isThere = wasThere = true;
    };
    for (;;) {
      try {
        await reach.ask("tail", values, async (api) => {
          for await (const event of api.stream<LogEvent>(`/api/log?${query}`, begun)) {
            const line = lineOf(event);
            if (!line.toLowerCase().includes(wanted)) continue;
            tell(values.json, event, `${event.time} ${line}`);
          }
        }, true);
      } catch (error) {
        if (!wasThere || !isServerGone(error)) throw error;
        if (isThere) note(values.json, error.code, `${error.message}; waiting for it`);
        isThere = false;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  },
});

/** Prints a note on stderr, like an error. */
function note(json: boolean, code: string, message: string): void {
  console.error(json ? JSON.stringify({ code, message }) : `holdfast: ${message}`);
}

/** An event as the log words it; fields that the log does not word follow as JSON. */
function lineOf({ time: _, ...event }: LogEvent): string {
  if (event.event === "message") {
    const { device, way, text } = event;
    return `message ${JSON.stringify(device)} ${way === "in" ? "from it" : "to it"}: ${text}`;
  }
  const { text, rest } = asText(event);
  return Object.keys(rest).length === 0 ? text : `${text} ${JSON.stringify(rest)}`;
}
