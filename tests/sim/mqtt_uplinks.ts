/**
 * The books of uplinks, messages from devices that reach subscribers: events, messages to topics of their own, wills
 * and welcomes. See `mqtt_books.ts`.
 */
import { parseMarked, textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import type { Message } from "./broker_session.ts";
import { KEPT, LIFE, OWN, PREFIX } from "./mqtt_plan.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** Messages of one device. */
interface Uplinks {
  /** In the order of processing. */
  readonly safe: string[];
  /** How many of them have arrived. */
  came: number;
  /** The values of its retained topic, and the newest. */
  readonly kept: Set<string>;
  newest: string | undefined;
  /** Messages to publish when it comes and goes. */
  readonly will: Set<string>;
  readonly welcome: Set<string>;
  /** It had set its will before its welcome. */
  isOrdered: boolean;
  /** Which of the two arrived last. */
  life: "will" | "welcome" | undefined;
  /** The operator had it forgotten, so it may be welcomed again. */
  isForgotten: boolean;
}

export class UplinkBooks {
  readonly #devices = new Map<string, Uplinks>();
  /** What was under way when the broker forgot it, and may come again. */
  readonly #again: string[] = [];
  /** The same when it went back, which may also be lost. */
  readonly #lost = new Set<string>();

  #of(id: string): Uplinks {
    let uplinks = this.#devices.get(id);
    if (uplinks) return uplinks;
    uplinks = {
      safe: [],
      came: 0,
      kept: new Set(),
      newest: undefined,
      will: new Set(),
      welcome: new Set(),
      isOrdered: false,
      life: undefined,
      isForgotten: false,
    };
    this.#devices.set(id, uplinks);
    return uplinks;
  }

  /** A message was processed. */
  processed(id: string, line: string): void {
    const marked = parseMarked(line);
    const uplinks = this.#of(id);
    if (marked?.mark === "event") {
      const text = textOf(valueOf(marked.value));
      if (marked.name !== OWN) uplinks.safe.push(`${PREFIX}/${id}/event/${marked.name} ${text}`);
      else if (text.startsWith("{")) {
        uplinks.kept.add(uplinks.newest = String(JSON.parse(text).value));
      } else uplinks.safe.push(text);
    }
    if (marked?.mark !== "set" || !marked.name.startsWith(`${OWN}/`)) return;
    if (marked.name === `${OWN}/will`) return void uplinks.will.add(marked.value);
    if (uplinks.welcome.size === 0) uplinks.isOrdered = uplinks.will.size > 0;
    uplinks.welcome.add(marked.value);
  }

  forgets(id: string): void {
    const uplinks = this.#of(id);
    uplinks.isForgotten = true;
    uplinks.will.clear();
    uplinks.welcome.clear();
  }

  /** A device's message reaches subscribers. */
  comes(id: string, { topic, payload }: Message): void {
    const message = `${topic} ${payload}`;
    if (topic === `${OWN}/${id}/${LIFE}`) return this.#lives(id, message);
    const { safe, kept } = this.#of(id);
    if (topic === `${OWN}/${id}/${KEPT}`) {
      if (!kept.has(String(payload))) throw new Violation(`${message}: ${id} has not said that`);
      return;
    }
    let { came } = this.#of(id);
    while (came < safe.length && safe[came] !== message && this.#lost.has(safe[came]!)) came++;
    if (safe[came] === message) return void (this.#of(id).came = came + 1);
    if (this.isAgain(message)) return;
    const place = safe.indexOf(message);
    const what = place < 0 ? "is not safe" : place < came ? "comes again" : "comes too early";
    throw new Violation(`${id}: a subscriber is told ${message}, which ${what}`);
  }

  /** Whether this is an allowed repeat. */
  isAgain(message: string): boolean {
    const again = this.#again.indexOf(message);
    if (again >= 0) this.#again.splice(again, 1);
    return again >= 0;
  }

  /** A will or a welcome. After the first welcome they alternate. */
  #lives(id: string, message: string): void {
    const uplinks = this.#of(id);
    const life = message.includes("gone") ? "will" : "welcome";
    if (!uplinks[life].has(message) && !uplinks.isForgotten) {
      throw new Violation(`${message} is told, and ${id} has not said so`);
    }
    const isKnown = uplinks.isOrdered && !uplinks.isForgotten && this.#lost.size === 0;
    if (uplinks.life === life && isKnown && !this.isAgain(message)) {
      throw new Violation(`${id}: a ${life} comes a second time`);
    }
    if (uplinks.life !== undefined || life === "welcome") uplinks.life = life;
  }

  /** The broker has forgotten what was under way. @param isLost Whether the bridge cannot know that */
  forgot(underWay: readonly string[], isLost: boolean): void {
    this.#again.push(...underWay);
    for (const uplinks of this.#devices.values()) uplinks.newest = undefined; // it is not sent again
    if (isLost) { for (const message of underWay) this.#lost.add(message); }
  }

  /** What is wrong at the end; undefined: nothing. */
  unfinished(retained: ReadonlyMap<string, string>, isFresh: (topic: string) => boolean) {
    for (const [id, { safe, came, newest, welcome, life }] of this.#devices) {
      const missing = safe.slice(came).find((message) => !this.#lost.has(message));
      if (missing !== undefined) return `${id}: ${missing} has not come`;
      const topic = `${OWN}/${id}/${KEPT}`;
      if (newest !== undefined && isFresh(topic) && retained.get(topic) !== newest) {
        return `${topic} should say ${newest}, and says ${retained.get(topic)}`;
      }
      if (welcome.size > 0 && life !== "welcome" && this.#lost.size === 0) {
        return `${id} is there, and was not welcomed`;
      }
    }
    return undefined;
  }
}
