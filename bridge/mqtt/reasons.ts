/** A broker's refusals and what it grants, from its packets. */
import type { Packet, Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";

/** What to do about a refusal. */
export const OLDER = "try --mqtt-version 3.1.1 (version: 4)";
const WHO = "check the user and the password given here and at the broker";
const RIGHTS =
  "either user or password is wrong, or the broker's rules do not admit this user: check both";
const ID = "allow ids of 23 letters and digits at the broker, and several for this user";
const AGAIN = "it will be tried again";
const OWNER = "ask the broker's operator";

/** Return codes of CONNACK in MQTT 3.1.1, and the codes of MQTT 5 that mean the same. */
const RETURN_CODES: Readonly<Record<number, number>> = {
  1: 0x84,
  2: 0x85,
  3: 0x88,
  4: 0x86,
  5: 0x87,
};

/** Reason codes of MQTT 5 in words, and what to do about them. */
const REASONS: Readonly<Record<number, [words: string, remedy?: string]>> = {
  0x80: ["unspecified error"],
  0x81: ["malformed packet"],
  0x82: ["protocol error"],
  0x83: ["implementation specific error"],
  0x84: ["it does not support this version of MQTT"],
  0x85: ["it does not accept the client id", ID],
  0x86: ["user or password is wrong", WHO],
  0x87: ["not authorized", RIGHTS],
  0x88: ["it is not available", AGAIN],
  0x89: ["it is busy", AGAIN],
  0x8a: ["banned", OWNER],
  0x8b: ["it is shutting down", AGAIN],
  0x8c: ["it requires authentication other than user and password", OWNER],
  0x8d: ["keepalive timeout"],
  0x8e: ["another client has the same id", "two servers must not run on copies of one store"],
  0x8f: ["the topic filter is not accepted"],
  0x90: ["the topic's name is not accepted"],
  0x91: ["the packet's id is in use"],
  0x93: ["more was sent at once than it accepts"],
  0x94: ["a topic alias is not accepted"],
  0x95: ["the packet is too large"],
  0x97: ["quota exceeded", OWNER],
  0x99: ["the payload has the wrong format"],
  0x9a: ["it does not support retained messages, which the bridge needs"],
  0x9b: ["it does not support QoS 2, which the bridge needs"],
  0x9c: ["another broker is to be used for now", "give its address"],
  0x9d: ["the broker has moved", "give its new address"],
  0x9f: ["connections come too fast", AGAIN],
};

/** Reason codes from here on are failures. */
const FAILURE = 0x80;

/** The reason of a refusal; undefined: it is not a refusal, or gives no reason. */
export function refusal(packet: Packet): string | undefined {
  const { reasonCode: code = 0, properties = {} } = packet as {
    reasonCode?: number;
    properties?: { reasonString?: string; serverReference?: string };
  };
  if (code < FAILURE) return packet.cmd === "disconnect" ? "without a reason" : undefined;
  return reasonOf(code, properties.reasonString, properties.serverReference);
}

/** A reason code in words. @param said The broker's own words. */
export function reasonOf(code: number, ...said: (string | undefined)[]): string {
  const [words = "an unknown reason"] = REASONS[code] ?? [];
  const all = [`0x${code.toString(16)}`, ...said].filter((text) => text);
  return `${words} (${all.join(": ")})`;
}

/** The reason of a refusal in CONNACK, and what to do. */
function refusedWith(
  packet: Extract<Packet, { cmd: "connack" }>,
  version: Version,
): string | undefined {
  const { returnCode = 0, reasonCode = 0 } = packet;
  const code = version === 5 ? reasonCode : returnCode;
  // A broker that only knows an older version refuses with that version's code 1.
  if (version === 5 && (code === 1 || code === 0x84)) return `it does not support MQTT 5; ${OLDER}`;
  if (code === 0) return undefined;
  const [words, remedy] = REASONS[version === 5 ? code : RETURN_CODES[code] ?? 0] ?? [];
  const why = (version === 5 && refusal(packet)) ||
    `${words ?? "an unknown reason"} (${code})`;
  return remedy === undefined ? why : `${why}; ${remedy}`;
}

/** What a broker grants. */
export interface Granted {
  receiveMaximum: number;
  maximumPacketSize: number;
  topicAliasMaximum: number;
  serverKeepAlive?: number;
}

/** @throws {BrokerError} REFUSED; UNEXPECTED */
export function checkConnack(
  packet: Extract<Packet, { cmd: "connack" }>,
  version: Version,
): Granted {
  const { properties = {} } = packet;
  const why = refusedWith(packet, version);
  if (why) throw new BrokerError("REFUSED", `the broker refuses the connection: ${why}`);
  const { receiveMaximum = 0xffff, maximumPacketSize = Infinity, serverKeepAlive } = properties;
  const { topicAliasMaximum = 0 } = properties;
  if (receiveMaximum === 0 || maximumPacketSize === 0) {
    throw new BrokerError(
      "UNEXPECTED",
      "the broker says that it accepts 0 messages, or 0 bytes, which is not allowed",
    );
  }
  if ((properties.maximumQoS ?? 2) < 2) {
    throw new BrokerError("REFUSED", "the broker does not support QoS 2, which the bridge needs");
  }
  if (properties.retainAvailable === false) {
    throw new BrokerError(
      "REFUSED",
      "the broker does not support retained messages, which the bridge needs",
    );
  }
  return {
    receiveMaximum,
    maximumPacketSize,
    topicAliasMaximum,
    ...(serverKeepAlive !== undefined && { serverKeepAlive }),
  };
}
