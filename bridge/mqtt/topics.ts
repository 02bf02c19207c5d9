/** The bridge's topics: `PREFIX/ID/CHANNEL` and those below it. Ids and channels are one level each. */
import { LocalError } from "../../server/protocol/errors.ts";

/** Characters that a topic's level must not contain, and the escape character. */
// deno-lint-ignore no-control-regex
const SPECIAL = /[%+#/\x00]/g;

const ESCAPED = /%([0-9A-F]{2})/g;

/** Encodes a name as one level of a topic: `living/lamp` as `living%2Flamp`. */
export function escapeLevel(name: string): string {
  return name.replace(
    SPECIAL,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** The inverse of `escapeLevel`; undefined: it cannot make this level. */
export function unescapeLevel(level: string): string | undefined {
  const name = level.replace(ESCAPED, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return escapeLevel(name) === level ? name : undefined;
}

/** Reserved levels. A channel with such a name gets a `%` in front, which `escapeLevel` never makes. */
const WORDS: readonly string[] = [
  "availability",
  "diagnostics",
  "event",
  "set",
  "request",
  "response",
  "do",
];

function escapeChannel(name: string): string {
  return WORDS.includes(name) ? `%${name}` : escapeLevel(name);
}

function unescapeChannel(level: string): string | undefined {
  if (WORDS.includes(level)) return undefined;
  const word = level.slice(1);
  return level.startsWith("%") && WORDS.includes(word) ? word : unescapeLevel(level);
}

/** Commands to a channel. */
export type Command = "set" | "request" | "do";

/** The command and the channel of a topic. */
export interface CommandTopic {
  readonly command: Command;
  readonly device: string;
  readonly channel: string;
}

/** Longest response topic, in UTF-16 units. */
const LONGEST_RESPONSE = 1024;

/** @throws {LocalError} BAD_ARGUMENT: it cannot be a prefix of topics */
export function checkPrefix(prefix: string): void {
  // deno-lint-ignore no-control-regex
  if (/^[^+#\x00]{1,256}$/.test(prefix) && !/^\$|^\/|\/$|\/\//.test(prefix)) return;
  const rule = "1 to 256 characters, no + # or NUL, no $ or / at the start, no / at the end";
  throw new LocalError("BAD_ARGUMENT", `a prefix must have ${rule}: ${JSON.stringify(prefix)}`);
}

export class Topics {
  /** The bridge's status: online or offline, retained. */
  readonly status: string;
  /** All topics of the bridge, as a filter. */
  readonly all: string;
  /** All topics of commands, as filters. */
  readonly commands: readonly string[];
  /** The prefix of all topics, without the slash. */
  readonly prefix: string;

  /** @param prefix One or more levels. @throws {LocalError} BAD_ARGUMENT */
  constructor(prefix: string) {
    checkPrefix(prefix);
    this.prefix = prefix;
    this.status = `${prefix}/status`;
    this.all = `${prefix}/#`;
    this.commands = [`${prefix}/+/+/set`, `${prefix}/+/request/+`, `${prefix}/+/do/+`];
  }

  /** The topic of a channel's value. */
  state(device: string, channel: string): string {
    return `${this.#device(device)}/${escapeChannel(channel)}`;
  }

  /** The topic that sets a channel. */
  setting(device: string, channel: string): string {
    return `${this.state(device, channel)}/set`;
  }

  /** The topic for requests. */
  request(device: string, channel: string): string {
    return `${this.#device(device)}/request/${escapeChannel(channel)}`;
  }

  /** The topic of a channel's events. */
  event(device: string, channel: string): string {
    return `${this.#device(device)}/event/${escapeChannel(channel)}`;
  }

  /** The topic of a device's availability. */
  availability(device: string): string {
    return `${this.#device(device)}/availability`;
  }

  /** The default topic for the answer to a request. */
  response(device: string, channel: string): string {
    return `${this.#device(device)}/response/${escapeChannel(channel)}`;
  }

  /** Whether a topic belongs to the bridge. */
  owns(topic: string): boolean {
    return topic.startsWith(`${this.prefix}/`);
  }

  /** Parses the topic of a command; undefined: it is another topic. */
  parse(topic: string): CommandTopic | undefined {
    if (!this.owns(topic)) return undefined;
    const [id = "", one = "", other = "", ...more] = this.#levels(topic);
    if (more.length > 0) return undefined;
    const isSetting = other === "set";
    const command = isSetting ? "set" : one;
    if (command !== "set" && command !== "request" && command !== "do") return undefined;
    const [device, channel] = [unescapeLevel(id), unescapeChannel(isSetting ? one : other)];
    if (!device || !channel || (command === "set") !== isSetting) return undefined;
    return { command, device, channel };
  }

  /**
   * Why an answer may not go to a topic; undefined: it may. Of the bridge's own topics only those for answers are
   * allowed: otherwise a client that may only make requests could publish states in the bridge's name, or cause
   * endless commands.
   */
  wrongResponse(topic: string): string | undefined {
    // deno-lint-ignore no-control-regex
    if (!/^[^+#\x00]+$/.test(topic)) return "it is not a topic";
    if (topic.length > LONGEST_RESPONSE) return `it has more than ${LONGEST_RESPONSE} characters`;
    if (topic.startsWith("$")) return "it starts with $";
    if (!this.owns(topic)) return undefined;
    const [, word, channel, ...more] = this.#levels(topic);
    if (word === "response" && channel && more.length === 0) return undefined;
    return "it is one of the bridge's own";
  }

  /** The topic of a device's diagnostics. */
  diagnostics(device: string): string {
    return `${this.#device(device)}/diagnostics`;
  }

  /** The device of a topic; undefined: none. */
  deviceOf(topic: string): string | undefined {
    const [id = "", ...more] = this.#levels(topic);
    return more.length > 0 && unescapeLevel(id) || undefined;
  }

  /** The levels after the prefix. */
  #levels(topic: string): string[] {
    const { prefix } = this;
    return topic.startsWith(`${prefix}/`) ? topic.slice(prefix.length + 1).split("/") : [];
  }

  #device(id: string): string {
    return `${this.prefix}/${escapeLevel(id)}`;
  }
}
