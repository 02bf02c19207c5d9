/** Topics: `PREFIX/ID/CHANNEL` and what belongs to it. Ids and channels are one level each. */
import { LocalError } from "../../server/protocol/errors.ts";

/** Characters that a topic's level must not have, and the escape character for them. */
// deno-lint-ignore no-control-regex
const SPECIAL = /[%+#/\x00]/g;

const ESCAPED = /%([0-9A-F]{2})/g;

/** A name as one level of a topic: `living/lamp` is `living%2Flamp`. */
export function escapeLevel(name: string): string {
  return name.replace(
    SPECIAL,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** What a level stands for; undefined: nothing that `escapeLevel` makes. */
export function unescapeLevel(level: string): string | undefined {
  const name = level.replace(ESCAPED, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return escapeLevel(name) === level ? name : undefined;
}

/** Levels that are no channel: of a channel that is called so there is a `%` before it, which `escapeLevel` never makes. */
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

/** What can be wanted of a channel. */
export type Command = "set" | "request" | "do";

/** What a topic asks for, and of which channel. */
export interface CommandTopic {
  readonly command: Command;
  readonly device: string;
  readonly channel: string;
}

/** Longest topic to which an answer goes, in UTF-16 units. */
const LONGEST_RESPONSE = 1024;

/** @throws {LocalError} BAD_ARGUMENT: topics cannot begin with it */
export function checkPrefix(prefix: string): void {
  // deno-lint-ignore no-control-regex
  if (/^[^+#\x00]{1,256}$/.test(prefix) && !/^\$|^\/|\/$|\/\//.test(prefix)) return;
  const rule = "1 to 256 characters, no + # or NUL, no $ or / at its beginning, no / at its end";
  throw new LocalError("BAD_ARGUMENT", `a prefix has ${rule}: ${JSON.stringify(prefix)}`);
}

export class Topics {
  /** Whether the bridge is there: online or offline, retained. */
  readonly status: string;
  /** All topics of the bridge, as a filter. */
  readonly all: string;
  /** All topics with which something is wanted of devices, as filters. */
  readonly commands: readonly string[];
  /** They begin with it and a slash. */
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

  /** Where it is set. */
  setting(device: string, channel: string): string {
    return `${this.state(device, channel)}/set`;
  }

  /** Where the device is asked. */
  request(device: string, channel: string): string {
    return `${this.#device(device)}/request/${escapeChannel(channel)}`;
  }

  /** What has happened. */
  event(device: string, channel: string): string {
    return `${this.#device(device)}/event/${escapeChannel(channel)}`;
  }

  /** Whether a device is there. */
  availability(device: string): string {
    return `${this.#device(device)}/availability`;
  }

  /** Where the answer to a request goes, if it does not say. */
  response(device: string, channel: string): string {
    return `${this.#device(device)}/response/${escapeChannel(channel)}`;
  }

  /** Whether a topic is the bridge's, and nobody else's. */
  owns(topic: string): boolean {
    return topic.startsWith(`${this.prefix}/`);
  }

  /** What a topic asks for, and of which channel; undefined: it is another topic. */
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
   * Why an answer may not go to a topic; undefined: it may. Of the bridge's own only those are left that are for
   * answers: else whoever may only ask could have it say what devices are, or want something of them without end.
   */
  wrongResponse(topic: string): string | undefined {
    // deno-lint-ignore no-control-regex
    if (!/^[^+#\x00]+$/.test(topic)) return "it is not a topic";
    if (topic.length > LONGEST_RESPONSE) return `it has more than ${LONGEST_RESPONSE} characters`;
    if (topic.startsWith("$")) return "it begins with $";
    if (!this.owns(topic)) return undefined;
    const [, word, channel, ...more] = this.#levels(topic);
    if (word === "response" && channel && more.length === 0) return undefined;
    return "it is one of the bridge's own";
  }

  /** What a device says about itself. */
  diagnostics(device: string): string {
    return `${this.#device(device)}/diagnostics`;
  }

  /** Whose topic it is; undefined: no device's. */
  deviceOf(topic: string): string | undefined {
    const [id = "", ...more] = this.#levels(topic);
    return more.length > 0 && unescapeLevel(id) || undefined;
  }

  /** Those behind the prefix. */
  #levels(topic: string): string[] {
    const { prefix } = this;
    return topic.startsWith(`${prefix}/`) ? topic.slice(prefix.length + 1).split("/") : [];
  }

  #device(id: string): string {
    return `${this.prefix}/${escapeLevel(id)}`;
  }
}
