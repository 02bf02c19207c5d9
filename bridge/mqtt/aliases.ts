/**
 * Topic aliases (MQTT 5): once a topic was sent with a number, the number alone may replace it, which costs 3 bytes.
 * They are valid for one connection.
 *
 * A broker accepts few; mosquitto ten. So a topic that is used once must not take a number from one that is used all
 * the time, for example when the states of all devices are published. If no number is left, a topic takes that of the
 * least recently used one, but only when it is used again while it is among the last topics without a number.
 *
 * In the other direction there are none: we tell the broker that we accept none, so it must not use any.
 */
import type { Packet } from "./codec.ts";
import { BrokerError } from "./errors.ts";

/** Most aliases that are used, even if a broker accepts more. */
const MOST = 1000;

/** A PUBLISH packet. */
export type Publish = Extract<Packet, { cmd: "publish" }>;

export class TopicAliases {
  readonly #most: number;
  readonly #numbers = new Map<string, number>(); // least recently used first
  readonly #without = new Set<string>(); // the last topics without a number, in the same order

  /** @param most The broker's topic alias maximum; it may be 0. */
  constructor(most: number) {
    this.#most = Math.min(most, MOST);
  }

  /**
   * The packet with a number, and without its topic if the broker knows it; undefined: unchanged. The result must be
   * sent.
   */
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

  /** Finds a number for a topic that has none. */
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
