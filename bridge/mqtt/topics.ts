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

/** The level that is no channel: what stands for a channel of this name is no level that `escapeLevel` makes. */
const AVAILABILITY = "availability";
const ESCAPED_CHANNEL = `%${AVAILABILITY}`;

function escapeChannel(name: string): string {
  return name === AVAILABILITY ? ESCAPED_CHANNEL : escapeLevel(name);
}

function unescapeChannel(level: string): string | undefined {
  if (level === ESCAPED_CHANNEL) return AVAILABILITY;
  return level === AVAILABILITY ? undefined : unescapeLevel(level);
}

/** Where a device's channel is set. */
export interface SetTopic {
  readonly device: string;
  readonly channel: string;
}

export class Topics {
  /** Whether the bridge is there: online or offline, retained. */
  readonly status: string;
  /** All topics with which channels are set. */
  readonly settings: string;
  readonly #prefix: string;

  /** @param prefix One or more levels. @throws {LocalError} BAD_ARGUMENT */
  constructor(prefix: string) {
    // deno-lint-ignore no-control-regex
    if (!/^[^+#\x00]{1,256}$/.test(prefix) || /^\$|^\/|\/$|\/\//.test(prefix)) {
      const rule =
        "1 to 256 characters, no + # or NUL, no $ or / at its beginning, no / at its end";
      throw new LocalError("BAD_ARGUMENT", `a prefix has ${rule}: ${JSON.stringify(prefix)}`);
    }
    this.#prefix = prefix;
    this.status = `${prefix}/status`;
    this.settings = `${prefix}/+/+/set`;
  }

  /** What a channel is. */
  state(device: string, channel: string): string {
    return `${this.#device(device)}/${escapeChannel(channel)}`;
  }

  /** What has happened. */
  event(device: string, channel: string): string {
    return `${this.#device(device)}/event/${escapeChannel(channel)}`;
  }

  /** Whether a device is there. */
  availability(device: string): string {
    return `${this.#device(device)}/${AVAILABILITY}`;
  }

  /** Which channel a topic sets; undefined: it is none of these. */
  parse(topic: string): SetTopic | undefined {
    if (!topic.startsWith(`${this.#prefix}/`)) return undefined;
    const [id = "", name = "", set, ...more] = topic.slice(this.#prefix.length + 1).split("/");
    const [device, channel] = [unescapeLevel(id), unescapeChannel(name)];
    if (set !== "set" || more.length > 0 || !device || !channel) return undefined;
    return { device, channel };
  }

  #device(id: string): string {
    return `${this.#prefix}/${escapeLevel(id)}`;
  }
}
