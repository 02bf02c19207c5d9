/** Topics: `PREFIX/ID/CHANNEL` and what belongs to it. Ids and channels are one level each. */
import { LocalError } from "../../server/protocol/errors.ts";

/** What a topic's level must not have, and the character that marks what stands for it. */
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

/** Levels that are no channels: what stands for a channel of such a name is no level that `escapeLevel` makes. */
const AVAILABILITY = "availability";
const DIAGNOSTICS = "diagnostics";
const NO_CHANNELS: readonly string[] = [AVAILABILITY, DIAGNOSTICS];

function escapeChannel(name: string): string {
  return NO_CHANNELS.includes(name) ? `%${name}` : escapeLevel(name);
}

function unescapeChannel(level: string): string | undefined {
  const name = level.slice(1);
  if (level === `%${name}` && NO_CHANNELS.includes(name)) return name;
  return NO_CHANNELS.includes(level) ? undefined : unescapeLevel(level);
}

/** Where a device's channel is set. */
export interface SetTopic {
  readonly device: string;
  readonly channel: string;
}

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
  /** All topics with which channels are set. */
  readonly settings: string;
  /** They begin with it and a slash. */
  readonly prefix: string;

  /** @param prefix One or more levels. @throws {LocalError} BAD_ARGUMENT */
  constructor(prefix: string) {
    checkPrefix(prefix);
    this.prefix = prefix;
    this.status = `${prefix}/status`;
    this.settings = `${prefix}/+/+/set`;
  }

  /** What a channel is. */
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
    return `${this.#device(device)}/${AVAILABILITY}`;
  }

  /** What a device says about itself. */
  diagnostics(device: string): string {
    return `${this.#device(device)}/${DIAGNOSTICS}`;
  }

  /** Whose topic it is; undefined: no device's. */
  deviceOf(topic: string): string | undefined {
    const [id = "", ...more] = this.#levels(topic);
    return more.length > 0 && unescapeLevel(id) || undefined;
  }

  /** Which channel a topic sets; undefined: it is none of these. */
  parse(topic: string): SetTopic | undefined {
    const [id = "", name = "", set, ...more] = this.#levels(topic);
    const [device, channel] = [unescapeLevel(id), unescapeChannel(name)];
    if (set !== "set" || more.length > 0 || !device || !channel) return undefined;
    return { device, channel };
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
