/** Users of the broker: they publish settings, orders, requests and messages for devices, and sometimes nonsense. */
import { textOf } from "../../server/protocol/channel_lines.ts";
import { ASKED, RULES, valueFrom } from "./channel_plan.ts";
import { ANSWERS, type MqttBooks, type Publication } from "./mqtt_books.ts";
import { STARTED } from "./mqtt_discovery.ts";
import {
  DOOR,
  type FleetBrokerFault,
  inboxOf,
  type MqttPlan,
  NEWS,
  OWN,
  PREFIX,
} from "./mqtt_plan.ts";
import type { Surroundings } from "../../bridge/testing/process.ts";

/** What a broker needs from its world. */
export interface BrokerWorld extends Surroundings {
  readonly scenario: {
    readonly faultsEnd: number;
    readonly gather: number;
    readonly storeTime: number | undefined;
  };
  readonly log?: ((line: string) => void) | undefined;
  count(kind: string): void;
  killServer(): void;
  /** Applies a fault to the server of a fleet that has the connection to the broker. */
  strikeBridge(kind: FleetBrokerFault): void;
  /** Somebody changes a channel at some device that has a link, which will report it. @returns whether there is one */
  turnKnob(): boolean;
}

/** Share of publications that set nothing, and share that is retained. */
const ODD = 0.1;
const RETAINED = 0.05;

/** Share of publications that say that Home Assistant has started. */
const STARTS = 0.1;

/** The most additional publications to a broker that has forgotten the bridge. */
const MORE = 4;

/** How many requests they make at a time. */
const QUESTIONS = 20;

/** Where they publish. */
interface Broker {
  readonly world: BrokerWorld;
  readonly plan: MqttPlan;
  readonly books: MqttBooks;
  readonly takesPublications: boolean;
  /** Keeps a retained message. */
  keep(message: Publication): void;
  /** Delivers a message to its subscribers. */
  offer(message: Publication): void;
}

export class People {
  /** How much they still have to publish. */
  toPublish: number;
  #isWaiting = false;

  constructor(readonly broker: Broker) {
    this.toPublish = broker.plan.messages;
  }

  start(): void {
    if (this.toPublish === 0 || this.#isWaiting) return;
    const { broker, broker: { plan, world: { clock, random } } } = this;
    this.#isWaiting = true;
    clock.after(1 + random.below(plan.pause + 1), () => {
      this.#isWaiting = false;
      if (broker.takesPublications) { // otherwise they come later
        this.toPublish--;
        this.#publish();
      }
      this.start();
    });
  }

  /** Publishes more, when the bridge has subscribed again after the broker has forgotten. */
  sayMore(): void {
    this.toPublish += this.broker.world.random.below(MORE + 1);
    this.start();
  }

  /** Sends requests to devices again and again, for this many ms. */
  askFor(ms: number): void {
    const { broker, broker: { books: { things }, world: { clock, random } } } = this;
    for (let i = 1; i <= QUESTIONS; i++) {
      clock.after(Math.floor(i * ms / QUESTIONS), () => {
        if (broker.takesPublications) this.#ask(random.pick([...things.keys()]), 2);
      });
    }
  }

  #publish(): void {
    const { broker, broker: { plan, books: { things }, world: { random, log } } } = this;
    const id = random.pick([...things.keys()]);
    const qos = random.pick([2, 2, 2, 2, 1, 0] as const);
    if (plan.isDescribed && random.chance(STARTS)) return this.#startHome(qos);
    if (random.chance(ODD)) return broker.offer(odd(id, qos, random.below(7)));
    const told = plan.hasOwnTopics ? ["tell", "tell"] as const : [];
    switch (random.pick(["set", "set", "set", "ask", "ask", "do", "do", ...told])) {
      case "ask":
        return this.#ask(id, qos === 1 ? 2 : qos);
      case "do":
        return this.#do(id, qos);
      case "tell":
        return this.#tell(id, qos);
    }
    const channel = random.pick(Object.keys(RULES));
    const value = valueFrom(things.get(id)!.count(), random);
    const topic = `${PREFIX}/${id}/${channel}/set`;
    const retain = random.chance(RETAINED);
    const message = { topic, payload: textOf(value), qos, retain };
    log?.(`somebody publishes ${topic} ${message.payload}, QoS ${qos}`);
    if (retain) broker.keep(message);
    // Version 5 tells subscribers that it was retained; 3.1.1 only tells later subscribers.
    if (retain && plan.version === 5) return broker.offer(message);
    broker.offer({ ...message, retain: false, target: { id, channel, value } });
  }

  #startHome(qos: 0 | 1 | 2): void {
    this.broker.world.log?.(`Home Assistant has started, QoS ${qos}`);
    this.broker.offer({ topic: STARTED, payload: "online", qos, retain: false });
  }

  /** The message's expiry, possible in version 5 only, in whole seconds. @returns in ms */
  #patience(): number | undefined {
    const { world: { random }, plan: { version } } = this.broker;
    return version === 5 && random.chance(0.3) ? 1000 * (1 + random.skewed(0, 10)) : undefined;
  }

  /** Orders a device to do something, once. */
  #do(id: string, qos: 0 | 1 | 2): void {
    const { plan: { deadline } } = this.broker;
    const payload = `${id}${this.broker.books.things.get(id)!.count()}`;
    this.#send(`!${DOOR} ${payload}`, `${PREFIX}/${id}/do/${DOOR}`, {
      qos,
      payload,
      deadline,
      to: id,
    });
  }

  /** Publishes something to devices that listen. */
  #tell(id: string, qos: 0 | 1 | 2): void {
    const { books, world: { random } } = this.broker;
    const topic = random.chance(0.5) ? NEWS : inboxOf(id);
    const payload = String(books.things.get(id)!.count());
    // Two users may publish the same for two devices.
    const text = `${id}${payload}`;
    this.#send(`!${OWN} ${topic} ${text}`, topic, {
      qos,
      payload: text,
      deadline: Infinity,
      to: undefined,
    });
  }

  #send(
    line: string,
    topic: string,
    { qos, payload, deadline, to }: {
      qos: 0 | 1 | 2;
      payload: string;
      deadline: number;
      to: string | undefined;
    },
  ): void {
    const { broker, broker: { books, world: { clock, log } } } = this;
    const patience = this.#patience();
    log?.(`somebody publishes ${topic} ${payload}, QoS ${qos}, for ${patience ?? "long"}`);
    const downlink = books.downlinks.begins(line, topic, to, clock.now + (patience ?? deadline));
    const expires = patience === undefined ? {} : { expiresAt: clock.now + patience };
    broker.offer({ topic, payload, qos, retain: false, downlink, ...expires });
  }

  /** Sends a request to a device. */
  #ask(id: string, qos: 0 | 2): void {
    const {
      broker,
      broker: { books, plan: { version, deadline }, world: { clock, random, log } },
    } = this;
    const patience = this.#patience();
    const asked = books.asked.begins(books.things.get(id)!, patience ?? deadline);
    const payload = String(asked.request.value);
    const topic = `${PREFIX}/${id}/request/${ASKED}`;
    log?.(`somebody publishes ${topic} ${payload}, QoS ${qos}, for ${patience ?? deadline} ms`);
    broker.offer({
      topic,
      payload,
      qos,
      retain: false,
      asked,
      ...(version === 5 && { correlation: payload }),
      ...(version === 5 && random.chance(0.5) && { responseTopic: `${ANSWERS}/${id}` }),
      ...(patience !== undefined && { expiresAt: clock.now + patience }),
    });
  }
}

/** A publication that sets nothing. */
function odd(id: string, qos: 0 | 1 | 2, way: number): Publication {
  const topic = [
    `${PREFIX}/nobody/led/set`,
    `${PREFIX}/${id}/LED/set`,
    `${PREFIX}//led/set`,
    undefined,
    undefined,
    `${PREFIX}/nobody/request/${ASKED}`,
    `${PREFIX}/${id}/do/LED`,
  ][way];
  const payload = way === 3 ? "" : way === 4 ? Uint8Array.of(0xc3, 0x28) : "1";
  return { topic: topic ?? `${PREFIX}/${id}/led/set`, payload, qos, retain: false };
}
