/** Converts bytes to packets and back. The packets are `mqtt-packet`'s; the limits on their length are ours. */
import { Buffer } from "node:buffer";
import { generate, type Packet, parser } from "mqtt-packet";
import { BrokerError } from "./errors.ts";

export type { Packet };

/** 4 is MQTT 3.1.1. */
export type Version = 4 | 5;

/** Longest packet that is read as a whole, in bytes. A topic alone may have 65,535. */
export const MOST_BYTES = 256 * 1024;

/** Most bytes of a packet's encoded length. */
const LENGTH_BYTES = 4;

/** First four bits of a message's first byte. */
const PUBLISH = 3;

/** A packet that was received. */
export interface Decoded {
  readonly packet: Packet;
  /** Whether it is a message that was cut because it is too long. */
  readonly isCut: boolean;
}

export function encode(packet: Packet, version: Version): Uint8Array {
  return generate(packet, { protocolVersion: version });
}

/**
 * Splits received bytes into packets. It buffers at most `MOST_BYTES` and the last chunk, whatever length a packet
 * claims.
 */
export class Decoder {
  readonly #parser;
  #bytes = Buffer.alloc(0);
  #skip = 0; // bytes to skip of a message that is cut
  #parsed: Packet | undefined;
  #error: unknown;

  constructor(version: Version) {
    this.#parser = parser({ protocolVersion: version });
    this.#parser.on("packet", (packet) => this.#parsed = packet);
    this.#parser.on("error", (error) => this.#error = error);
  }

  /** The packets that are complete by now. @throws {BrokerError} MALFORMED; TOO_LARGE */
  *take(bytes: Uint8Array): Generator<Decoded> {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const skipped = Math.min(this.#skip, this.#bytes.length);
      this.#skip -= skipped;
      this.#bytes = this.#bytes.subarray(skipped);
      const length = this.#length();
      if (length === undefined) return;
      const isCut = length.header + length.body > MOST_BYTES;
      if (isCut && this.#bytes[0]! >> 4 !== PUBLISH) {
        throw new BrokerError(
          "TOO_LARGE",
          `a packet of ${length.body} bytes that is not a message`,
        );
      }
      const body = isCut ? MOST_BYTES - length.header : length.body;
      const end = length.header + body;
      if (this.#bytes.length < end) return;
      const packet = isCut
        ? Buffer.concat([
          this.#bytes.subarray(0, 1),
          lengthOf(body),
          this.#bytes.subarray(length.header, end),
        ])
        : this.#bytes.subarray(0, end);
      this.#bytes = this.#bytes.subarray(end);
      this.#skip = length.body - body;
      yield { packet: this.#parse(packet), isCut };
    }
  }

  /** The length of the next packet; undefined: not known yet. */
  #length(): { header: number; body: number } | undefined {
    let body = 0;
    for (let i = 0; i < LENGTH_BYTES; i++) {
      const byte = this.#bytes[1 + i];
      if (byte === undefined) return undefined;
      body |= (byte & 127) << 7 * i;
      if (byte < 128) return { header: 2 + i, body };
    }
    throw new BrokerError("MALFORMED", "the length of a packet has more than four bytes");
  }

  #parse(bytes: Buffer): Packet {
    this.#parsed = undefined;
    this.#error = undefined;
    try {
      this.#parser.parse(bytes);
    } catch (error) {
      this.#error = error;
    }
    const packet = this.#parsed as Packet | undefined;
    const isWhole = packet && this.#error === undefined && hasId(packet);
    if (isWhole && hasSingleProperties(packet)) return packet;
    const missing = isWhole ? "a property occurs twice" : "it is incomplete";
    const why = this.#error instanceof Error ? this.#error.message : missing;
    throw new BrokerError("MALFORMED", `a packet that cannot be read: ${why}`, {
      cause: this.#error,
    });
  }
}

/** Packets without an id. */
const WITHOUT_ID: readonly string[] = [
  "auth",
  "connack",
  "connect",
  "disconnect",
  "pingreq",
  "pingresp",
];

/** Whether a packet has its id, if it needs one: the parser accepts packets that are too short. */
function hasId({ cmd, messageId = 0, ...more }: Packet): boolean {
  if (WITHOUT_ID.includes(cmd) || (cmd === "publish" && (more as { qos: number }).qos === 0)) {
    return true;
  }
  return messageId > 0;
}

/** Properties of MQTT 5 that may occur several times. */
const SEVERAL: readonly string[] = ["userProperties", "subscriptionIdentifier"];

/** Whether all other properties occur once and are complete: the parser makes lists of repeated ones. */
function hasSingleProperties(packet: Packet): boolean {
  const { properties = {} } = packet as { properties?: Record<string, unknown> };
  return Object.entries(properties).every(([name, value]) =>
    SEVERAL.includes(name) || (value !== null && value !== undefined && !Array.isArray(value))
  );
}

/** Encodes a length. */
function lengthOf(body: number): Buffer {
  const bytes: number[] = [];
  do {
    const rest = body >> 7;
    bytes.push(body & 127 | (rest > 0 ? 128 : 0));
    body = rest;
  } while (body > 0);
  return Buffer.from(bytes);
}
