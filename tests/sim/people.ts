/** Those who publish settings at the broker, and now and then what is none. */
import { textOf } from "../../server/protocol/channel_lines.ts";
import { RULES, valueFrom } from "./channel_plan.ts";
import { type MqttBooks, PREFIX, type Publication } from "./mqtt_books.ts";
import type { MqttPlan } from "./mqtt_plan.ts";
import type { Surroundings } from "./process.ts";

/** What a broker needs of its world. */
export interface BrokerWorld extends Surroundings {
  readonly scenario: { readonly faultsEnd: number };
  readonly log?: ((line: string) => void) | undefined;
  count(kind: string): void;
  killServer(): void;
}

/** Of what they publish, the share that sets nothing, and the share that is retained. */
const ODD = 0.1;
const RETAINED = 0.05;

/** Where they publish. */
interface Broker {
  readonly world: BrokerWorld;
  readonly plan: MqttPlan;
  readonly books: MqttBooks;
  readonly takesPublications: boolean;
  /** Keeps a retained message. */
  keep(message: Publication): void;
  /** Gives a message to whoever has asked for it. */
  offer(message: Publication): void;
}

export class People {
  /** How much they have still to say. */
  toPublish: number;

  constructor(readonly broker: Broker) {
    this.toPublish = broker.plan.settings;
  }

  start(): void {
    if (this.toPublish === 0) return;
    const { broker, broker: { plan, world: { clock, random } } } = this;
    clock.after(1 + random.below(plan.pause + 1), () => {
      this.start();
      if (!broker.takesPublications) return; // they come later
      this.toPublish--;
      this.#publish();
    });
  }

  #publish(): void {
    const { broker, broker: { plan, books: { things }, world: { random, log } } } = this;
    const id = random.pick([...things.keys()]);
    const qos = random.pick([2, 2, 2, 2, 1, 0] as const);
    if (random.chance(ODD)) return broker.offer(odd(id, qos, random.below(5)));
    const channel = random.pick(Object.keys(RULES));
    const value = valueFrom(things.get(id)!.count(), random);
    const topic = `${PREFIX}/${id}/${channel}/set`;
    const retain = random.chance(RETAINED);
    const message = { topic, payload: textOf(value), qos, retain };
    log?.(`somebody publishes ${topic} ${message.payload}, QoS ${qos}`);
    if (retain) broker.keep(message);
    // Version 5 says that it was; 3.1.1 says so only to those who subscribe later.
    if (retain && plan.version === 5) return broker.offer(message);
    broker.offer({ ...message, retain: false, target: { id, channel, value } });
  }
}

/** What sets nothing. */
function odd(id: string, qos: 0 | 1 | 2, way: number): Publication {
  const topic = [`${PREFIX}/nobody/led/set`, `${PREFIX}/${id}/LED/set`, `${PREFIX}//led/set`][way];
  const payload = way === 3 ? "" : way === 4 ? Uint8Array.of(0xc3, 0x28) : "1";
  return { topic: topic ?? `${PREFIX}/${id}/led/set`, payload, qos, retain: false };
}
