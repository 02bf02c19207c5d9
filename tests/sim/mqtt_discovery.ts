/**
 * The books of announcements to Home Assistant, and a model of what it shows. It shows what a device has
 * until it is told that this is gone: a component without anything but its platform is, and so is all of a device of
 * which the topic says nothing. See `mqtt_books.ts`.
 */
import type { DescriptionsByName } from "../../server/mod.ts";
import type { Message } from "./broker_session.ts";
import { PREFIX } from "./mqtt_plan.ts";
import type { ThingBooks } from "./thing_books.ts";

/** Its topics begin with it. */
export const HOME = "homeassistant";

/** There it says that it has started. */
export const STARTED = `${HOME}/status`;

/** The second version lacks a channel: so a device that boots gains and loses one. */
export const DESCRIPTIONS: DescriptionsByName = {
  "sim": { channels: { temp: { kind: "sensor" }, button: { kind: "event" } } },
  "sim@2": { channels: { temp: { kind: "sensor" } } },
};

/** What it shows of each version. */
function shownOf(version: string): readonly string[] {
  return version === "2" ? ["sensor__temp"] : ["event__button", "sensor__temp"];
}

/** A diagnostic that devices have which have told their time. */
const TOLD_BY_HELLO = "sensor___started";

interface Config {
  readonly dev: { readonly sw?: string };
  readonly cmps: Readonly<Record<string, object>>;
}

export class DiscoveryBooks {
  /** What it shows, by the topics at which it was told. */
  readonly #shown = new Map<string, Set<string>>();
  /** When it was told of them last: numbers that grow. */
  readonly #toldAt = new Map<string, number>();
  /** When the bridge was sent each message with which it says that it has started. */
  readonly #startedAt = new WeakMap<Message, number>();
  #count = 0;
  /** Of these it has not been told since it has started. */
  readonly #owed = new Set<string>();
  /** The broker has gone back: something that Home Assistant was told may never have come. */
  #isLoose = false;

  /** It is told something. */
  comes({ topic, payload }: Message): void {
    this.#owed.delete(topic);
    this.#toldAt.set(topic, ++this.#count);
    if (payload.length === 0) return void this.#shown.delete(topic);
    const shown = this.#shown.get(topic) ?? new Set();
    this.#shown.set(topic, shown);
    for (const [name, component] of Object.entries(parse(String(payload)).cmps)) {
      if (isGone(component)) shown.delete(name); // if it has ever been told of it
      else shown.add(name);
    }
  }

  /** The bridge is sent the message that Home Assistant has started, and perhaps sent it again when it has acted on it. */
  goes(message: Message): void {
    if (!this.#startedAt.has(message)) this.#startedAt.set(message, ++this.#count);
  }

  /** The bridge has it that Home Assistant has started. */
  starts(message: Message): void {
    const at = this.#startedAt.get(message)!;
    for (const topic of this.#shown.keys()) {
      if (this.#toldAt.get(topic)! < at) this.#owed.add(topic);
    }
  }

  /** The broker has forgotten what was under way, and the bridge cannot know that. */
  wentBack(): void {
    this.#isLoose = true;
    this.#owed.clear();
  }

  /** What is not as it should be, when all is over, where devices are described. */
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
