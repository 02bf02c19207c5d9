/** Tasks of a session for the store. */
import { Buffer } from "node:buffer";
import type { Packet } from "./codec.ts";

/** A message to publish. */
export interface Publication {
  /** Its row in the store. */
  readonly seq: number;
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
  /** MQTT 5 properties as they are stored: JSON of {@link Properties}. */
  readonly properties?: string;
}

/** MQTT 5 properties of an answer. */
export interface Properties {
  /** The request's correlation data, in base64. */
  readonly correlation?: string;
  /** Why there is no answer. */
  readonly error?: string;
}

/** A publication that is under way. */
export interface InFlight extends Publication {
  /** The broker has it, and may deliver it. */
  isReleased: boolean;
}

/** A message that must be carried out. With QoS 2 its id must be kept. */
export interface Delivery {
  readonly does: "deliver";
  readonly packet: number;
  readonly qos: 0 | 1 | 2;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly isRetained: boolean;
  /** Whether its end was cut off. */
  readonly isCut: boolean;
  /** When it expires, in ms on the session's clock. MQTT 5. */
  readonly expiresAt?: number;
  /** Where the answer should go. MQTT 5. */
  readonly responseTopic?: string;
  /** Data to repeat in the answer. MQTT 5. */
  readonly correlation?: Uint8Array;
}

/** Something to make safe before the broker may know of it. */
export type Task =
  | Delivery
  /**
   * The broker is connected. Without a session it knows nothing: forget ids, and treat released publications as sent.
   */
  | { readonly does: "resume"; readonly isPresent: boolean }
  /** The broker will not send a message again: forget its id. */
  | { readonly does: "forget"; readonly packet: number }
  /** The broker has a publication: mark it `released`. */
  | { readonly does: "release"; readonly packet: number; readonly seq: number }
  /** A publication is done, or refused for this reason: delete it. */
  | {
    readonly does: "complete";
    readonly packet: number;
    readonly seq: number;
    readonly topic: string;
    readonly refused?: string;
  }
  | SubscriptionTask;

/** Tasks about topic filters. */
export type SubscriptionTask =
  /** These will be subscribed: note that the broker may have them. */
  | { readonly does: "subscribe"; readonly filters: readonly string[] }
  /** The broker has granted these, and refused those. */
  | {
    readonly does: "subscribed";
    readonly granted: readonly string[];
    readonly refused: readonly RefusedFilter[];
  }
  /** These will be unsubscribed: note that the broker may not have them any more. */
  | { readonly does: "unsubscribe"; readonly filters: readonly string[] }
  /** The broker no longer has these. */
  | { readonly does: "unsubscribed"; readonly filters: readonly string[] };

/** A topic filter that the broker may have. */
export interface Filter {
  readonly filter: string;
  /** Whether the broker has confirmed it. */
  readonly isGranted: boolean;
}

/** A filter that the broker refuses. */
export interface RefusedFilter {
  readonly filter: string;
  readonly why: string;
}

/** Packets that answer another one by its id. */
export type AnswerCommand = "puback" | "pubrec" | "pubrel" | "pubcomp";

/** Output of the parts of a session. */
export interface Outlet {
  /** Sends a packet to the broker. */
  send(packet: Packet): void;
  /** Answers the broker, if it is connected. @param reason A reason code of MQTT 5. */
  answer(cmd: AnswerCommand, packet: number, reason?: number): void;
  /** Sends bytes to the broker. */
  write(bytes: Uint8Array): void;
  /** Adds a task for the owner of the store. */
  ask(task: Task): void;
}

/** Turns a message into a task. */
export function decodeTask(
  { messageId = 0, qos, topic, payload, retain, properties = {} }: Extract<
    Packet,
    { cmd: "publish" }
  >,
  isCut: boolean,
  now: number,
): Delivery {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  const { messageExpiryInterval: expiry, responseTopic, correlationData: correlation } = properties;
  return {
    does: "deliver",
    packet: messageId,
    qos,
    topic,
    payload: bytes,
    isRetained: retain,
    isCut,
    ...(expiry !== undefined && { expiresAt: now + expiry * 1000 }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlation !== undefined && { correlation }),
  };
}
