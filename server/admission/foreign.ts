/** Recognises clients of other protocols that connect here by mistake, and advises their users. */
import { PeerError } from "../protocol/errors.ts";

/** The first bytes of a foreign protocol. */
interface Foreign {
  name: string;
  /** One character for each byte. */
  start: RegExp;
  advice: string;
}

const FOREIGN: readonly Foreign[] = [
  {
    name: "TLS",
    // deno-lint-ignore no-control-regex
    start: /^\x16\x03[\0-\x04]/,
    advice:
      "a client that speaks TLS has connected to this port, which does not: start the server with " +
      "--tls-cert and --tls-key, or switch TLS off in the client",
  },
  {
    name: "MQTT",
    // deno-lint-ignore no-control-regex
    start: /^\x10[^]{1,4}\0(\x04MQTT|\x06MQIsdp)/,
    advice: "an MQTT client has connected, but this is not a broker: point the client at one",
  },
  {
    name: "HTTP",
    start:
      /^(?:(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE) [/*h]|CONNECT \S+ HTTP|PRI \* HTTP)/,
    advice:
      "a browser or another HTTP client has connected, but this port is for devices: use the port " +
      "of --web, and let health checks only test that this port is open",
  },
];

/** The id as kevinkk525's fork of micropython-iot sends it: 2c, the length of a header, ff. */
const FORK = /^2c00ff./;

const FORK_ADVICE =
  "its hello is that of kevinkk525's fork of micropython-iot, whose messages this server " +
  "cannot read: put peterhinch's client on the board, or Holdfast's firmware";

/**
 * An error that names the protocol of bytes that cannot be a hello, if it is known.
 *
 * @param bytes The first bytes so far.
 */
export function foreign(bytes: Uint8Array): PeerError | undefined {
  const text = Array.from(bytes.subarray(0, 32), (byte) => String.fromCharCode(byte)).join("");
  const known = FOREIGN.find(({ start }) => start.test(text));
  if (!known) return undefined;
  const { name, advice } = known;
  return new PeerError("BAD_HELLO", `this is ${name}, not a hello`, { advice });
}

/** Advice for a device whose id in dialect 1 looks like another protocol. */
export function adviceAbout(name: string): string | undefined {
  return FORK.test(name) ? FORK_ADVICE : undefined;
}
