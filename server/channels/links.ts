/**
 * Links between devices: what one channel reports becomes the setting of another. A link is kept in the memos of its
 * source device, so it is as durable as that device and goes when that is forgotten.
 *
 * A link follows what happens at its source: an event, or a report that the device makes unasked. Settings by the
 * server and their answers are not passed on, so links may form a cycle without endless loops.
 */
import type { Events } from "../observe/events.ts";
import { isName, textOf, type Value, valueOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { wrongName } from "../protocol/name.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { Collector, Operation, SetOptions } from "../store/transaction.ts";

/** The memo's key. */
const LINKS = "link";

/** Most links from one device. */
const MOST_LINKS = 64;

/** Most values in one link's map. */
const MOST_VALUES = 64;

/** Longest text of all links from one device, in UTF-16 units. */
const LONGEST_MEMO = 16 * 1024;

/** Longest reason of a setting. */
const LONGEST_BY = 64;

/** Translates values, by their text; "*" stands for all others. Without "*" other values are not passed on. */
export type LinkMap = Readonly<Record<string, Value>>;

/** Options of a link. */
export interface LinkOptions {
  /**
   * Translates values: `{ pressed: 1, "*": 0 }`. Default: the same value; 1 for an event that has none. 64 values at
   * most.
   */
  map?: Record<string, unknown>;
}

/** One channel that follows another. */
export interface ChannelLink {
  /** The source: the id of a device (a slash in it as %2F), a slash, and its channel. */
  readonly from: string;
  /** The channel that is set, in the same form. */
  readonly to: string;
  /** As in `LinkOptions`. */
  readonly map?: LinkMap;
}

/** Escapes in the device's id of `device/channel`. */
const ESCAPED = /%(2F|25)/gi;

/** A channel of a device. */
export interface Place {
  readonly device: string;
  readonly channel: string;
}

/**
 * Parses `device/channel`. The first slash separates: in a device's id a slash is written as %2F, and %2F as %252F.
 *
 * @throws {LocalError} BAD_ARGUMENT
 */
export function parsePlace(text: string): Place {
  const slash = text.indexOf("/");
  const device = text.slice(0, Math.max(0, slash)).replace(ESCAPED, decodeURIComponent);
  const channel = text.slice(slash + 1);
  const wrong = slash < 0 ? "give a device's id, a slash and a channel" : wrongName(device);
  if (wrong === undefined && isName(channel)) return { device, channel };
  throw bad(`${JSON.stringify(text)}: ${wrong ?? "a channel is 1 to 32 of a-z 0-9 _ - /"}`);
}

/** The inverse of `parsePlace`. */
export function formatPlace({ device, channel }: Place): string {
  return `${device.replace(/%(?=2F|25)|\//gi, encodeURIComponent)}/${channel}`;
}

/** @throws {LocalError} BAD_ARGUMENT */
export function checkMap(map: Record<string, unknown> | undefined): LinkMap | undefined {
  if (map === undefined) return undefined;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw bad('a map of values is an object: {"pressed": 1, "*": 0}');
  }
  const values = Object.entries(map);
  if (values.length === 0 || values.length > MOST_VALUES) {
    throw bad(`a map has 1 to ${MOST_VALUES} values, not ${values.length}`);
  }
  return Object.fromEntries(values.map(([text, value]) => [text, valueOf(textOf(value))]));
}

/** The part of a device that links need. */
export interface Linked {
  readonly id: string;
  readonly device: DeviceDriver;
  /** Whether a channel is known, or there is room for it. */
  hasRoom(channel: string): boolean;
  /** Sets a channel, as a part of a transaction. @throws {LocalError} BAD_ARGUMENT */
  setting(channel: string, value: unknown, options: SetOptions): Operation;
}

/** A link as it is stored in a memo of its device. */
export interface Kept {
  readonly channel: string;
  readonly to: Place;
  readonly map?: LinkMap;
}

/** All links of a server. */
export class Links {
  readonly #events: Events;
  readonly #find: (id: string) => Linked | undefined;
  readonly #from = new Map<string, readonly Kept[]>();
  readonly #leads = new Map<string, number>(); // number of links to a device

  /** @param find A device that the server knows. */
  constructor(events: Events, find: (id: string) => Linked | undefined) {
    this.#events = events;
    this.#find = find;
  }

  get all(): ChannelLink[] {
    return [...this.#from].flatMap(([device, links]) =>
      links.map(({ channel, to, map }) => ({
        from: formatPlace({ device, channel }),
        to: formatPlace(to),
        ...(map && { map }),
      }))
    );
  }

  /** Devices that are targets of links. */
  get targets(): Iterable<string> {
    return this.#leads.keys();
  }

  /** Whether a device has a link from it or to it. */
  concern(device: string): boolean {
    return this.#from.has(device) || this.#leads.has(device);
  }

  /** Whether a channel is the source of a link. */
  follows(device: string, channel: string): boolean {
    return this.#from.get(device)?.some((link) => link.channel === channel) ?? false;
  }

  /** The server has come to know a device with these memos; without memos, it has forgotten the device. */
  met(device: string, memos?: ReadonlyMap<string, string>): void {
    const count = (links: readonly Kept[], by: 1 | -1) => {
      for (const { to } of links) {
        const leads = (this.#leads.get(to.device) ?? 0) + by;
        if (leads > 0) this.#leads.set(to.device, leads);
        else this.#leads.delete(to.device);
      }
    };
    count(this.#from.get(device) ?? [], -1);
    const links = memos ? linksIn(memos) : [];
    count(links, 1);
    if (links.length > 0) this.#from.set(device, links);
    else this.#from.delete(device);
  }

  /**
   * Adds to a transaction the settings that follow from a device's report or event. They never keep the device's own
   * message from being processed: what cannot be set is reported as a warning.
   */
  follow(source: Linked, channel: string, value: Value | undefined, tx: Collector): void {
    for (const link of this.#from.get(source.id) ?? []) {
      if (link.channel === channel) this.lead(source, link, value, tx);
    }
  }

  /** The same for one link. */
  lead({ id }: Linked, { channel, to, map }: Kept, value: Value | undefined, tx: Collector): void {
    const mapped = mappedBy(map, value);
    if (mapped === undefined) return;
    const from = formatPlace({ device: id, channel });
    const by = `link ${from}`.slice(0, LONGEST_BY);
    try {
      const target = this.#find(to.device);
      if (!target) throw new LocalError("UNKNOWN_DEVICE", "that device was forgotten");
      if (!target.hasRoom(to.channel)) throw bad("that device has too many channels");
      tx.add(target.setting(to.channel, mapped, { by }));
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      const message = `${from} to ${formatPlace(to)}: ${error.message}`;
      this.#events.emit({ event: "warning", device: id, code: "LINK_FAILED", message });
    }
  }

  /** Makes a link, as a part of a transaction. An existing link gets this map. */
  connecting(source: Linked, link: Kept): Operation {
    return this.#changing(source, (links) => {
      const others = links.filter((other) => !leads(other, link));
      if (others.length >= MOST_LINKS) {
        throw bad(`${source.id} already has ${MOST_LINKS} links, the most allowed`);
      }
      return [...others, link];
    });
  }

  /** Removes a link, as a part of a transaction. */
  disconnecting(source: Linked, link: Kept): Operation {
    return this.#changing(source, (links) => links.filter((other) => !leads(other, link)));
  }

  /** The stored link with the same source and target. */
  find(device: string, link: Kept): Kept | undefined {
    return this.#from.get(device)?.find((other) => leads(other, link));
  }

  #changing({ device }: Linked, change: (links: readonly Kept[]) => readonly Kept[]): Operation {
    const { record } = device.session;
    let before: string | undefined;
    return {
      device,
      apply: () => {
        before = record.memos.get(LINKS);
        const links = change(linksIn(record.memos));
        const text = links.length === 0 ? undefined : JSON.stringify(links);
        if (text !== undefined && text.length > LONGEST_MEMO) {
          throw bad(
            `the links from ${device.id} have too much text: at most ${LONGEST_MEMO} characters`,
          );
        }
        record.setMemo(LINKS, text);
      },
      undo: () => record.setMemo(LINKS, before),
      done: () => {
        this.met(device.id, record.memos);
        device.touch();
      },
    };
  }
}

function linksIn(memos: ReadonlyMap<string, string>): readonly Kept[] {
  const text = memos.get(LINKS);
  return text === undefined ? [] : JSON.parse(text);
}

/** Whether two links have the same source and target. */
function leads(one: Kept, other: Kept): boolean {
  return one.channel === other.channel && one.to.device === other.to.device &&
    one.to.channel === other.to.channel;
}

/** The value that a link passes on; undefined: none. */
function mappedBy(map: LinkMap | undefined, value: Value | undefined): Value | undefined {
  if (!map) return value === undefined ? 1 : value;
  const text = value === undefined ? "" : textOf(value);
  const key = Object.hasOwn(map, text) ? text : "*";
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
