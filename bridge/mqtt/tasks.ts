/** What a session asks of the store. */
import { Buffer } from "node:buffer";
import type { Packet } from "./codec.ts";

/** Something to be published. */
export interface Publication {
  /** Its row in the store. */
  readonly seq: number;
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
}

/** A publication that is under way. */
export interface InFlight extends Publication {
  /** The broker has it, and may deliver it. */
  isReleased: boolean;
}

/** A message has come: what it does is to be done. With QoS 2 its id is to be kept. */
export interface Delivery {
  readonly does: "deliver";
  readonly packet: number;
  readonly qos: 0 | 1 | 2;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly isRetained: boolean;
  /** Its end was left out. */
  readonly isCut: boolean;
}

/** What is to be made safe before the broker may know of it. */
export type Task =
  | Delivery
  /** The broker is there. Without a session it knows nothing: ids are to be forgotten, and released ones are sent ones. */
  | { readonly does: "resume"; readonly isPresent: boolean }
  /** The broker will not send a message again: its id is to be forgotten. */
  | { readonly does: "forget"; readonly packet: number }
  /** The broker has a publication: it is to be `released`. */
  | { readonly does: "release"; readonly packet: number; readonly seq: number }
  /** A publication is done, or refused for this reason: it is to be deleted. */
  | {
    readonly does: "complete";
    readonly packet: number;
    readonly seq: number;
    readonly topic: string;
    readonly refused?: string;
  };

export function decodeTask(
  { messageId = 0, qos, topic, payload, retain }: Extract<Packet, { cmd: "publish" }>,
  isCut: boolean,
): Delivery {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  return {
    does: "deliver",
    packet: messageId,
    qos,
    topic,
    payload: bytes,
    isRetained: retain,
    isCut,
  };
}
