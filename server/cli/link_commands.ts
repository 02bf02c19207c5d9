/** Commands that link channels of devices: what one reports becomes the setting of another. */
import type { ChannelLink } from "../channels/links.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { print, tell } from "./print.ts";
import { REACH } from "./reach.ts";

export const connectCommand = command({
  name: "connect",
  usage: ["ID/CHANNEL ID/CHANNEL [MAP]"],
  summary: "Links two channels: the second is set to what the first reports or sends as an event",
  about:
    `The link outlives restarts, and the devices need not have connected yet. MAP translates values, as JSON:
'{"pressed": 1, "*": 0}'; "*" is all others. The server's option --connect makes a link when it starts.`,
  options: REACH,
  async run(words, values, reach) {
    const [from, to, map] = words as [string, string, string?];
    const body = { from, to, ...(map !== undefined && { map: parseMap(map) }) };
    const answer = await reach.ask("connect", values, (api) => api.post("/api/links", body));
    if (values.json) print(JSON.stringify(answer));
  },
});

export const disconnectCommand = command({
  name: "disconnect",
  usage: ["ID/CHANNEL ID/CHANNEL"],
  summary: "Removes a link between channels; the second channel keeps its setting",
  options: REACH,
  async run(words, values, reach) {
    const [from, to] = words as [string, string];
    const path = `/api/links?${new URLSearchParams({ from, to })}`;
    const answer = await reach.ask("disconnect", values, (api) => api.delete(path));
    if (values.json) print(JSON.stringify(answer));
  },
});

export const linksCommand = command({
  name: "links",
  usage: [""],
  summary: "Shows the links between channels: tx/button -> rx/led, and its map",
  options: REACH,
  async run(_words, values, reach) {
    const links = await reach.ask("links", values, (api) => api.get<ChannelLink[]>("/api/links"));
    for (const link of links) tell(values.json, link, asText(link));
  },
});

function asText({ from, to, map }: ChannelLink): string {
  return `${from} -> ${to}${map ? ` ${JSON.stringify(map)}` : ""}`;
}

/** @throws {LocalError} BAD_ARGUMENT */
function parseMap(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    throw badArgument("connect", `a map must be JSON, such as {"pressed": 1, "*": 0}, not ${text}`);
  }
}

/** A link from the server's command line. */
export interface LinkArgument {
  from: string;
  to: string;
  map?: Record<string, unknown>;
}

/** Parses `tx/button=rx/led`, optionally followed by a space and a map. @throws {LocalError} BAD_ARGUMENT */
export function parseLink(text: string): LinkArgument {
  // An id may contain = and spaces; a channel may not.
  const [, from, to, map] = /^(.*?\/[^=]*)=(.*?\/[^ ]*)(?: (.*))?$/s.exec(text) ?? [];
  if (from === undefined || to === undefined) {
    throw badArgument("serve", `--connect takes ID/CHANNEL=ID/CHANNEL, not ${text}`);
  }
  return { from, to, ...(map !== undefined && { map: parseMap(map) }) };
}
