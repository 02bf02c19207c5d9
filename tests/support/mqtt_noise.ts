/**
 * What a hostile or broken broker might send.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { encode, type Packet, type Version } from "../../bridge/mqtt/codec.ts";
import type { Random } from "./random.ts";

const ANSWERS = ["puback", "pubrec", "pubrel", "pubcomp"] as const;

/** Packets that no broker sends, or not to this client. */
const OTHERS = ["connect", "subscribe", "unsubscribe", "pingreq", "auth"] as const;

/** Bytes of a broker, from good packets to noise. @param ids Ids of packets that the client has sent */
export function brokerNoise(
  random: Random,
  version: Version,
  topics: readonly string[],
  ids: readonly number[],
): Uint8Array {
  if (random.once(8)) return frame(random.int(0, 255), random.bytes(random.int(0, 40)));
  if (random.once(30)) return random.bytes(random.int(1, 40));
  const bytes = packet(random, version, topics, ids);
  return random.once(3) ? spoilt(random, bytes) : bytes;
}

/** A packet; its length is right by default. */
export function frame(head: number, body: Uint8Array, length = body.length): Uint8Array {
  const bytes = [head];
  do {
    const rest = length >> 7;
    bytes.push(length & 127 | (rest > 0 ? 128 : 0));
    length = rest;
  } while (length > 0);
  return Uint8Array.of(...bytes, ...body);
}

/** A CONNACK, right or wrong. */
export function greeting(random: Random, version: Version): Uint8Array {
  const sessionPresent = random.once(2);
  const code = random.once(8) ? random.int(1, 255) : 0;
  if (version === 4) return encode({ cmd: "connack", sessionPresent, returnCode: code }, version);
  const properties = {
    ...(random.once(4) && { receiveMaximum: random.pick([0, 1, 2, 65_535]) }),
    ...(random.once(8) && { maximumPacketSize: random.pick([0, 1, 60, 1000, 0xffff_ffff]) }),
    ...(random.once(4) && { serverKeepAlive: random.pick([0, 1, 65_535]) }),
    ...(random.once(20) && { maximumQoS: 1 }),
    ...(random.once(20) && { retainAvailable: false }),
  };
  return encode({ cmd: "connack", sessionPresent, reasonCode: code, properties }, version);
}

function packet(
  random: Random,
  version: Version,
  topics: readonly string[],
  ids: readonly number[],
): Uint8Array {
  const messageId = random.pick([...ids, random.int(1, 20), random.int(0, 65_535)]);
  const failed = version === 5 && random.once(8) ? { reasonCode: random.int(0, 255) } : {};
  const make = random.pick<() => Packet>([
    () => ({ cmd: random.pick(ANSWERS), messageId, ...failed } as Packet),
    () => ({ cmd: random.pick(ANSWERS), messageId, ...failed } as Packet),
    () => message(random, version, topics),
    () => message(random, version, topics),
    () => ({ cmd: random.pick(["suback", "unsuback"]), messageId, granted: granted(random) }),
    () => ({ cmd: "pingresp" }),
    () => ({ cmd: "disconnect", ...failed } as Packet),
    () => ({ cmd: random.pick(OTHERS), messageId, clientId: "x", subscriptions: [] } as never),
  ]);
  try {
    return encode(make(), version);
  } catch {
    return greeting(random, version); // `generate` cannot make that
  }
}

/** A broker's reason codes for topic filters. */
function granted(random: Random): number[] {
  return Array.from({ length: random.int(0, 5) }, () => random.pick([0, 1, 2, 2, 2, 128, 135]));
}

/** Properties of MQTT 5. */
function properties(random: Random) {
  return {
    ...(random.once(3) && { responseTopic: random.pick(["answers", "a/#", "holdfast/1/x", "\0"]) }),
    ...(random.once(3) && { correlationData: Buffer.from(random.bytes(random.int(0, 2000))) }),
    ...(random.once(3) && { messageExpiryInterval: random.pick([0, 1, 60, 0xffff_ffff]) }),
  };
}

function message(random: Random, version: Version, topics: readonly string[]): Packet {
  return {
    ...(version === 5 && { properties: properties(random) }),
    cmd: "publish",
    topic: random.pick(topics),
    payload: random.pick(["1", "", "x".repeat(random.int(1, 5000)), '{"a":', "\0"]),
    qos: random.pick([0, 1, 2]),
    dup: random.once(2),
    retain: random.once(4),
    messageId: random.once(3) ? random.int(1, 65_535) : random.int(1, 20),
  };
}

function spoilt(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  switch (random.int(0, 3)) {
    case 0: // a byte is changed
      copy[random.int(0, copy.length - 1)] = random.bits();
      return copy;
    case 1: // the end is missing
      return copy.subarray(0, random.int(0, copy.length));
    case 2: // there is more than its length says
      return Uint8Array.of(...copy, ...random.bytes(random.int(1, 3)));
    default: // its length is too small, or too large
      return frame(copy[0]!, copy.subarray(2), random.int(0, 2 * copy.length));
  }
}
