/** Recognises clients of other protocols that connect here by mistake, and says what their user should do. */
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
      "a browser or another HTTP client has connected, but this port is for devices: point them at " +
      "it, and health checks at nothing but its being open",
  },
];

/** A name as kevinkk525's fork of micropython-iot says it: 2c, the length of a header, ff. */
const FORK = /^2c00ff./;

const FORK_ADVICE =
  "its hello is that of kevinkk525's fork of micropython-iot, whose messages this server " +
  "cannot read: put peterhinch's client on the board, or Holdfast's firmware";

/**
 * Makes of a hello that cannot be one an error that says what it is, if that is known.
 *
 * @param bytes What came first, as far as it has come.
 */
export function foreign(bytes: Uint8Array): PeerError | undefined {
  const text = Array.from(bytes.subarray(0, 32), (byte) => String.fromCharCode(byte)).join("");
  const known = FOREIGN.find(({ start }) => start.test(text));
  if (!known) return undefined;
  const { name, advice } = known;
  return new PeerError("BAD_HELLO", `this is ${name}, not a hello`, { advice });
}

/** What to do about a device that says a name of dialect 1, if it seems to speak something else. */
export function adviceAbout(name: string): string | undefined {
  return FORK.test(name) ? FORK_ADVICE : undefined;
}
