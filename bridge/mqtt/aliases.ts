/**
 * Numbers in place of topics (MQTT 5): who has sent a topic with a number may send the number alone from then on, which
 * costs 3 bytes in place of the topic. They count for one connection.
 *
 * A broker takes few; mosquitto ten. So a topic that is used once must not take a number from one that is used all the
 * time, as when the states of all devices are published: where there is no number left, a topic takes that of the one
 * that was not used for the longest time, but only when it comes again, while it is among the last that came without.
 *
 * The other way there are none: we tell the broker that we take none, so it must not use any.
 */
import type { Packet } from "./codec.ts";
import { BrokerError } from "./errors.ts";

/** As many are used, though a broker takes more. */
const MOST = 1000;

/** A message. */
export type Publish = Extract<Packet, { cmd: "publish" }>;

export class TopicAliases {
  readonly #most: number;
  readonly #numbers = new Map<string, number>(); // longest unused first
  readonly #without = new Set<string>(); // the last topics that have none, likewise

  /** @param most The broker's topic alias maximum; it may be 0. */
  constructor(most: number) {
    this.#most = Math.min(most, MOST);
  }

  /** The packet with a number, and without its topic if the broker knows it; undefined: as it is. It must go out. */
  shorten(packet: Publish): Publish | undefined {
    const { topic, properties } = packet;
    const known = this.#numbers.get(topic);
    const topicAlias = known ?? this.#find(topic);
    if (topicAlias === undefined) return undefined;
    this.#numbers.delete(topic);
    this.#numbers.set(topic, topicAlias);
    return {
      ...packet,
      topic: known === undefined ? topic : "",
      properties: { ...properties, topicAlias },
    };
  }

  /** A number for a topic that has none. */
  #find(topic: string): number | undefined {
    if (this.#numbers.size < this.#most) return this.#numbers.size + 1;
    if (this.#most === 0) return undefined;
    if (this.#without.delete(topic)) {
      const [oldest, number] = this.#numbers.entries().next().value!;
      this.#numbers.delete(oldest);
      return number;
    }
    this.#without.add(topic);
    if (this.#without.size > this.#most) {
      this.#without.delete(this.#without.values().next().value!);
    }
    return undefined;
  }
}

/** @throws {BrokerError} UNEXPECTED: a message has an alias for its topic */
export function checkNoAlias({ properties }: Publish): void {
  if (properties?.topicAlias === undefined) return;
  const message = "a message has a topic alias that the bridge did not allow";
  throw new BrokerError("UNEXPECTED", message);
}
