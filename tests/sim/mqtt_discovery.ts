/**
 * The books of announcements to Home Assistant, and a model of what it shows. It shows a component until an
 * announcement has nothing but the component's platform, or an empty payload removes all components of the device. See
 * `mqtt_books.ts`.
 */
import type { DescriptionsByName } from "../../server/mod.ts";
import type { Message } from "./broker_session.ts";
import { PREFIX } from "./mqtt_plan.ts";
import type { ThingBooks } from "./thing_books.ts";

/** Prefix of its topics. */
export const HOME = "homeassistant";

/** The topic at which it says that it has started. */
export const STARTED = `${HOME}/status`;

/** The second version lacks a channel, so that a booting device may gain or lose one. */
export const DESCRIPTIONS: DescriptionsByName = {
  "sim": { channels: { temp: { kind: "sensor" }, button: { kind: "event" } } },
  "sim@2": { channels: { temp: { kind: "sensor" } } },
};

/** The components that it shows for each version. */
function shownOf(version: string): readonly string[] {
  return version === "2" ? ["sensor__temp"] : ["event__button", "sensor__temp"];
}

/** A diagnostic component of devices that have sent their milliseconds. */
const TOLD_BY_HELLO = "sensor___started";

interface Config {
  readonly dev: { readonly sw?: string };
  readonly cmps: Readonly<Record<string, object>>;
}

export class DiscoveryBooks {
  /** The shown components, by the topics that announced them. */
  readonly #shown = new Map<string, Set<string>>();
  /** When it was last told of them: growing numbers. */
  readonly #toldAt = new Map<string, number>();
  /** When each of its start messages that must have an effect was sent to the bridge. */
  #startedAt = new WeakMap<Message, number>();
  #count = 0;
  /** Devices of which it has not been told since it started. */
  readonly #owed = new Set<string>();
  /** The broker has gone back to an earlier state: an announcement may never have arrived. */
  #isLoose = false;

  /** It receives a message. */
  comes({ topic, payload }: Message): void {
    this.#owed.delete(topic);
    this.#toldAt.set(topic, ++this.#count);
    if (payload.length === 0) return void this.#shown.delete(topic);
    const shown = this.#shown.get(topic) ?? new Set();
    this.#shown.set(topic, shown);
    for (const [name, component] of Object.entries(parse(String(payload)).cmps)) {
      if (isGone(component)) shown.delete(name); // if it was ever announced
      else shown.add(name);
    }
  }

  /**
   * The start message is sent to the bridge, and perhaps again after the bridge has acted on it.
   *
   * @param isHaunted Whether the bridge may take it for a message that the broker no longer knows.
   */
  goes(message: Message, isHaunted: boolean): void {
    if (isHaunted) this.#startedAt.delete(message);
    else if (!this.#startedAt.has(message)) this.#startedAt.set(message, ++this.#count);
  }

  /** The bridge has taken the start message. */
  starts(message: Message): void {
    const at = this.#startedAt.get(message);
    if (at === undefined) return;
    for (const topic of this.#shown.keys()) {
      if (this.#toldAt.get(topic)! < at) this.#owed.add(topic);
    }
  }

  /** The broker has forgotten what was under way, and the bridge cannot know that. */
  wentBack(): void {
    this.#isLoose = true;
    this.#owed.clear();
    this.#startedAt = new WeakMap(); // those that come again may already have had their effect
  }

  /** What is wrong at the end, in worlds with descriptions; undefined: nothing. */
  unfinished(
    retained: ReadonlyMap<string, string>,
    things: ReadonlyMap<string, ThingBooks>,
    isFresh: (topic: string) => boolean,
  ): string | undefined {
    const [owed] = this.#owed;
    if (owed !== undefined) return `${owed} is not told again to Home Assistant, which has started`;
    for (const [id, { thing }] of things) {
      const topic = `${HOME}/device/${PREFIX}__${id}/config`;
      if (!isFresh(topic)) continue;
      const text = retained.get(topic);
      const version = thing?.application?.version;
      if (version === undefined || text === undefined) {
        if (version === undefined && text === undefined) continue;
        return `${topic} says ${text}, and the device runs ${version}`;
      }
      const { dev, cmps } = parse(text);
      const wanted = String(shownOf(version));
      if (dev.sw !== version || listOf(Object.keys(cmps)) !== wanted) {
        return `${topic} says ${text}, and the device runs ${version}`;
      }
      const shown = listOf(this.#shown.get(topic) ?? []);
      if (shown !== wanted && !this.#isLoose) return `${id} has ${wanted}, and shows ${shown}`;
    }
    return undefined;
  }
}

function parse(text: string): Config {
  return JSON.parse(text);
}

function isGone(component: object): boolean {
  return Object.keys(component).join() === "p";
}

function listOf(names: Iterable<string>): string {
  return String([...names].filter((name) => name !== TOLD_BY_HELLO).sort());
}
