/**
 * Requests that come over MQTT. Each reaches the device at most once, and has one answer: the device's, or why there is
 * none. A row says that an answer is owed; it exists from the transaction in which the message was accepted until the
 * one in which the answer is published. The request itself does not survive a restart: if a server finds rows when it
 * starts, it answers them with UNDECIDED.
 */
import { Buffer } from "node:buffer";
import type { Thing, Transaction } from "../../server/mod.ts";
import { isName, NAME_RULE, textOf, type Value } from "../../server/protocol/channel_lines.ts";
import { HoldfastError, LocalError } from "../../server/protocol/errors.ts";
import { FaultError } from "../../server/protocol/fault.ts";
import { Refusal, timeOf, valueIn } from "./payload.ts";
import { bytesOf, type Message } from "./rows.ts";
import type { Delivery, Properties } from "./tasks.ts";
import type { CommandTopic, Topics } from "./topics.ts";

/** Longest correlation data, in bytes, as it is kept until the answer is published. */
const LONGEST_CORRELATION = 1024;

/** What it needs from the bridge. */
export interface RequestsHost {
  readonly topics: Topics;
  /** As `Clock.now`. */
  now(): number;
  /** Whether the server knows a device with this id. */
  knows(id: string): boolean;
  /** A device that the server knows. */
  thing(id: string): Promise<Thing>;
  transaction(use: (tx: Transaction) => void): Promise<void>;
  /** Adds a publication. */
  put(tx: Transaction, message: Message): void;
  /** Whether this many more bytes may wait for the broker. */
  hasRoom(bytes: number): boolean;
}

/** Where an answer goes, and its correlation data. */
interface Asker {
  readonly topic: string;
  /** The correlation data, in base64. */
  readonly correlation?: string;
}

/** A request to a device. */
interface Question {
  readonly device: string;
  readonly channel: string;
  readonly value: Value | undefined;
  /** When the answer is due, in ms on the clock of `RequestsHost.now`. */
  readonly deadline: number;
}

export class Requests {
  readonly #host: RequestsHost;
  readonly #most: number;
  /** Deadline of requests without an expiry, in ms. */
  readonly #patience: number;
  readonly #owed = new Set<number>(); // rows of the requests under way
  readonly #taken = new WeakMap<Transaction, number>(); // how many requests a transaction adds
  #last = 0;
  #isClosed = false;

  /**
   * @param most Most requests under way at once.
   * @param patience Deadline of requests without an expiry, in ms.
   */
  constructor(host: RequestsHost, most: number, patience: number) {
    this.#host = host;
    this.#most = most;
    this.#patience = patience;
  }

  /** Answers requests of an earlier process, which may or may not have reached the device. */
  async start(tx: Transaction): Promise<void> {
    const why = new LocalError("UNDECIDED", STARTED_AGAIN);
    for (const { topic, correlation } of await tx.all(`SELECT * FROM mqtt_requests ORDER BY id`)) {
      const asker = {
        topic: String(topic),
        ...(correlation !== null && { correlation: String(correlation) }),
      };
      this.#host.put(tx, faultFor(asker, why));
    }
    tx.run(`DELETE FROM mqtt_requests`);
  }

  /** Stops. Requests under way are answered when the bridge starts again. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * A request has come. An impossible one is answered at once.
   *
   * @throws {Refusal} it cannot even be answered
   */
  take(target: CommandTopic, delivery: Delivery, tx: Transaction): void {
    const { topics } = this.#host;
    const asker = askerOf(target, delivery, topics);
    try {
      this.#accept(target, asker, delivery, tx);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      const answer = faultFor(asker, error);
      if (!this.#host.hasRoom(bytesOf(answer))) throw error;
      this.#host.put(tx, answer);
    }
  }

  #accept(
    { device, channel }: CommandTopic,
    asker: Asker,
    delivery: Delivery,
    tx: Transaction,
  ): void {
    const { topics } = this.#host;
    const now = this.#host.now();
    const { responseTopic, correlation } = delivery;
    const wrong = responseTopic === undefined ? undefined : topics.wrongResponse(responseTopic);
    if (wrong !== undefined) {
      throw new Refusal("BAD_RESPONSE_TOPIC", `the response topic: ${wrong}`);
    }
    if (correlation && correlation.length > LONGEST_CORRELATION) {
      throw bad(`correlation data may have at most ${LONGEST_CORRELATION} bytes`);
    }
    if (!isName(channel)) throw bad(`this is not a channel: ${NAME_RULE}`);
    const value = valueIn(delivery);
    const time = timeOf(delivery, now) ?? this.#patience;
    if (!this.#host.knows(device)) {
      throw new Refusal(
        "UNKNOWN_DEVICE",
        `no device has ever connected as ${JSON.stringify(device)}`,
      );
    }
    const taken = this.#taken.get(tx) ?? 0;
    if (this.#owed.size + taken >= this.#most) {
      throw new Refusal("TOO_MANY_REQUESTS", `${this.#most} requests are under way`);
    }
    if (!this.#host.hasRoom(bytesOf({ ...asker, payload: "" }))) {
      throw new Refusal("BROKER_BEHIND", "the queue to the broker is full: try again later");
    }
    this.#taken.set(tx, taken + 1);
    const id = ++this.#last;
    const sql = `INSERT INTO mqtt_requests (id, topic, correlation) VALUES (?, ?, ?)`;
    tx.run(sql, id, asker.topic, asker.correlation ?? null);
    tx.afterCommit(() =>
      void this.#ask(id, asker, { device, channel, value, deadline: now + time })
    );
  }

  async #ask(id: number, asker: Asker, question: Question): Promise<void> {
    if (this.#isClosed) return;
    this.#owed.add(id);
    const answer = await this.#answer(asker, question);
    try {
      if (this.#isClosed) return;
      await this.#host.transaction((tx) => {
        tx.run(`DELETE FROM mqtt_requests WHERE id = ?`, id);
        this.#host.put(tx, answer);
      });
    } catch {
      // The server was closed: the row stays, and is answered after its restart.
    } finally {
      this.#owed.delete(id);
    }
  }

  async #answer(asker: Asker, { device, channel, value, deadline }: Question): Promise<Message> {
    const time = Math.max(1, Math.ceil(deadline - this.#host.now()));
    try {
      if (!this.#host.knows(device)) {
        throw new Refusal("UNKNOWN_DEVICE", "it was forgotten");
      }
      const thing = await this.#host.thing(device);
      const said = await thing.request(channel, value, { deadline: time });
      return messageFor(asker, said === undefined ? "" : textOf(said));
    } catch (error) {
      return faultFor(asker, error);
    }
  }
}

const STARTED_AGAIN = "the server was restarted, so it is unknown whether the device was asked";

/** Where the answer goes. An invalid response topic, or one too long to keep, is ignored. */
function askerOf(
  { device, channel }: CommandTopic,
  { responseTopic, correlation }: Delivery,
  topics: Topics,
): Asker {
  const isGood = responseTopic !== undefined && topics.wrongResponse(responseTopic) === undefined;
  const isShort = correlation !== undefined && correlation.length <= LONGEST_CORRELATION;
  return {
    topic: isGood ? responseTopic : topics.response(device, channel),
    ...(isShort && { correlation: Buffer.from(correlation).toString("base64") }),
  };
}

function messageFor({ topic, correlation }: Asker, payload: string, error?: string): Message {
  const properties: Properties = {
    ...(correlation !== undefined && { correlation }),
    ...(error !== undefined && { error }),
  };
  const hasAny = Object.keys(properties).length > 0;
  return {
    topic,
    payload,
    retain: false,
    ...(hasAny && { properties: JSON.stringify(properties) }),
  };
}

/** The message for a failure. The device's codes are in lower case, the server's in upper case. */
function faultFor(asker: Asker, error: unknown): Message {
  const [code, message] = error instanceof FaultError
    ? [error.fault, error.words]
    : error instanceof HoldfastError
    ? [
      error.code === "BAD_ARGUMENT" || error.code === "BAD_TEXT" ? "BAD_VALUE" : error.code,
      error.message,
    ]
    : ["FAILED", String(error)];
  const why = message === "" ? {} : { message };
  return messageFor(asker, JSON.stringify({ error: code, ...why }), code);
}

function bad(message: string): Refusal {
  return new Refusal("BAD_VALUE", message);
}
