/** What a broker says when it refuses, and what it grants. */
import type { Packet, Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";

/** Reasons of CONNACK in MQTT 3.1.1. */
const RETURN_CODES = [
  "",
  "it does not speak this version of MQTT",
  "it does not take the client id",
  "it is not available",
  "user or password are wrong",
  "not authorized",
];

/** Reason codes of MQTT 5 that need other words than their number. */
const REASONS: Readonly<Record<number, string>> = {
  0x80: "unspecified error",
  0x81: "malformed packet",
  0x82: "protocol error",
  0x83: "implementation specific error",
  0x84: "it does not speak this version of MQTT",
  0x85: "it does not take the client id",
  0x86: "user or password are wrong",
  0x87: "not authorized",
  0x88: "it is not available",
  0x89: "it is busy",
  0x8a: "banned",
  0x8b: "it is shutting down",
  0x8d: "keepalive timeout",
  0x8e: "another client has the same id",
  0x8f: "the topic filter is not accepted",
  0x90: "the topic's name is not accepted",
  0x91: "the packet's id is in use",
  0x93: "more was sent at once than it takes",
  0x95: "the packet is too large",
  0x97: "quota exceeded",
  0x99: "the payload has the wrong format",
  0x9a: "it keeps no messages (retain)",
  0x9b: "it does not support this QoS",
};

/** From this on a reason code is a failure. */
const FAILURE = 0x80;

/** Why a packet refuses; undefined: it does not, or does not say. */
export function refusal(packet: Packet): string | undefined {
  const { reasonCode: code = 0, properties: { reasonString } = {} } = packet as {
    reasonCode?: number;
    properties?: { reasonString?: string };
  };
  if (code < FAILURE) return packet.cmd === "disconnect" ? "without a reason" : undefined;
  return reasonOf(code, reasonString);
}

/** What a reason code means. */
export function reasonOf(code: number, said?: string): string {
  const words = REASONS[code] ?? "a reason without words";
  const more = said === undefined ? "" : `: ${said}`;
  return `${words} (0x${code.toString(16)}${more})`;
}

/** What a broker grants. */
export interface Granted {
  receiveMaximum: number;
  maximumPacketSize: number;
  serverKeepAlive?: number;
}

/** @throws {BrokerError} REFUSED; UNEXPECTED */
export function checkConnack(
  packet: Extract<Packet, { cmd: "connack" }>,
  version: Version,
): Granted {
  const { returnCode = 0, properties = {} } = packet;
  const why = version === 5 ? refusal(packet) : RETURN_CODES[returnCode] ?? `code ${returnCode}`;
  if (why) throw new BrokerError("REFUSED", `the broker refuses the connection: ${why}`);
  const { receiveMaximum = 0xffff, maximumPacketSize = Infinity, serverKeepAlive } = properties;
  if (receiveMaximum === 0 || maximumPacketSize === 0) {
    throw new BrokerError(
      "UNEXPECTED",
      "the broker takes 0 messages, or 0 bytes: it may not say so",
    );
  }
  if ((properties.maximumQoS ?? 2) < 2) {
    throw new BrokerError("REFUSED", "the broker has no QoS 2, which the bridge needs");
  }
  if (properties.retainAvailable === false) {
    throw new BrokerError(
      "REFUSED",
      "the broker keeps no messages (retain), which the bridge needs",
    );
  }
  return {
    receiveMaximum,
    maximumPacketSize,
    ...(serverKeepAlive !== undefined && { serverKeepAlive }),
  };
}
