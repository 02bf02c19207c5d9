/** Options of a client: its identity and its server. */
import { LocalError, type PeerError } from "../../server/protocol/errors.ts";
import { METADATA_BYTES, wrongMetadata } from "../../server/protocol/greeting.ts";
import { byteLength } from "../../server/protocol/lines.ts";
import { wrongName } from "../../server/protocol/name.ts";
import { parseKey } from "../../server/protocol/proof.ts";
import { joinAddress } from "../../server/transport/address.ts";
import type { ConnectOptions } from "../../server/transport/platform.ts";
import { isIP } from "node:net";
import { type CoreOptions, NO_MS, type Position, type TxStream } from "./core.ts";
import { type CoreSize, leastInbox } from "./core_size.ts";

/** Which device this is, and where its server is. */
export interface ConnectionOptions {
  /** This device's id at the server: 1 to 64 bytes of UTF-8 without control characters. */
  id: string;
  /** Name or address of the server, or 1 to 8 of them for the same server or servers that share a store. Each may have
   * its own port ("10.0.0.3:9000", "[::1]:9000"). After an attempt without a link the client tries the next one, after
   * the last the first. After it has lost a link, it first tries the same address. A server that is about to stop sends
   * its devices to their next address at once. The client keeps what a name resolved to, and looks it up again while
   * attempts fail. While a lookup takes long, and when it fails, `onState` gets NO_ADDRESS, and the next address is
   * tried. Default "127.0.0.1". */
  host?: string | readonly string[];
  /** TCP port, 1 to 65535, for hosts without one of their own. Default 8123. */
  port?: number;
  /** Silence that counts as an outage, in ms: 100 to 3,600,000. Must be the same at both ends. Default 2000. */
  timeout?: number;
  /** The wire to speak: 2 is Holdfast's own, 1 is micropython-iot's, for its servers. Default 2. */
  dialect?: 1 | 2;
  /** The key with which device and server authenticate each other: 64 hex digits, or 32 bytes. Default: none. */
  key?: string | Uint8Array;
  /** Suite to use with a key: 3 encrypts and authenticates everything after the greeting; 4 adds forward secrecy:
   * recorded traffic stays secret even if the key leaks later; 2 authenticates only the greeting and encrypts nothing.
   * Older servers refuse suites that they do not know. Default 3. */
  suite?: 2 | 3 | 4;
  /** Metadata for the server at each connection: `key=value` pairs separated by one space, at most 128 bytes, without
   * control characters. Only in dialect 2. The client adds the device's time (`ms=`) if 14 bytes are left. Default: none. */
  metadata?: string;
  /** Use TLS: the certificate in PEM that signed the server's, or true for those that the system trusts. */
  tls?: { caCert: string } | true;
  /** Called when the link comes up, and with the reason when it is lost or an attempt fails. A `LocalError` is
   * STORE_FAILED: the client's memory has failed. */
  onState?: (connected: boolean, reason?: PeerError | LocalError) => void;
}

/** Options with which a core is booted, and the server it connects to. */
export type BootOptions = Omit<ConnectionOptions, "onState"> & {
  /** Where it continues in the server's stream. */
  position?: Position | undefined;
  /** Where it continues its own stream. */
  stream?: TxStream | undefined;
  /** Differences from the size that the driver was made with. */
  size?: Partial<CoreSize>;
};

/**
 * Checks the options, and returns those for the core.
 *
 * @param clock The device's ms, for its hellos.
 * @throws {LocalError} BAD_ARGUMENT
 */
export function coreOptions(
  options: BootOptions,
  size: CoreSize,
  clock?: () => number,
): CoreOptions {
  const { id, port = 8123, timeout = 2000, dialect = 2 } = options;
  const wrongId = wrongName(id);
  if (wrongId !== undefined) throw badArgument(`id ${JSON.stringify(id)}: ${wrongId}`);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw badArgument(`port must be 1 to 65535, not ${port}`);
  }
  if (!Number.isInteger(timeout) || timeout < 100 || timeout > 3_600_000) {
    throw badArgument(`timeout must be 100 to 3600000 ms, not ${timeout}`);
  }
  if (dialect !== 1 && dialect !== 2) throw badArgument(`dialect must be 1 or 2, not ${dialect}`);
  const key = options.key === undefined ? undefined : parseKey(id, options.key);
  if (key && dialect === 1) throw badArgument("dialect 1 has no keys");
  const { suite } = options;
  if (suite !== undefined && suite !== 2 && suite !== 3 && suite !== 4) {
    throw badArgument(`suite must be 2, 3 or 4, not ${suite}`);
  }
  if (suite !== undefined && !key) {
    throw badArgument("suite needs a key: give one, or leave suite out");
  }
  const { metadata = "" } = options;
  const wrong = metadata === "" ? undefined : wrongMetadata(metadata);
  if (wrong) throw badArgument(wrong);
  if (metadata !== "" && dialect === 1) throw badArgument("dialect 1 has no metadata");
  const chosen: CoreOptions = {
    ...size,
    ...options.size,
    id,
    metadata,
    timeout,
    dialect,
    key,
    suite,
    position: options.position,
    stream: options.stream,
  };
  return clock && dialect === 2 ? withClock(chosen, clock) : chosen;
}

/** The same, with the device's time after its metadata if there is room. */
function withClock(options: CoreOptions, clock: () => number): CoreOptions {
  const metadata = options.metadata ? `${options.metadata} ${NO_MS}` : NO_MS;
  const timed = { ...options, metadata, clock };
  const fits = byteLength(metadata) <= METADATA_BYTES && options.inbox >= leastInbox(timed);
  return fits ? timed : options;
}

/** Most names and addresses of a server. */
const MOST_HOSTS = 8;

/** The addresses of the server. @throws {LocalError} BAD_ARGUMENT */
export function addressesOf(
  { host = "127.0.0.1", port = 8123, tls }: BootOptions,
): ConnectOptions[] {
  const hosts = typeof host === "string" ? [host] : host;
  if (!Array.isArray(hosts) || hosts.length < 1 || hosts.length > MOST_HOSTS) {
    throw badArgument(`host must be a name or an address, or 1 to ${MOST_HOSTS} of them`);
  }
  const wrong = hosts.find((name) => typeof name !== "string" || name === "");
  if (wrong !== undefined) {
    throw badArgument(`host must be names and addresses, not ${JSON.stringify(wrong)}`);
  }
  const places = hosts.map((place) => ({ ...parsePlace(place, port), tls }));
  const names = places.map(({ hostname, port }) => joinAddress(hostname, port));
  if (new Set(names).size < names.length) {
    throw badArgument("host has the same address twice: give each once");
  }
  return places;
}

/** Parses a name or an address, optionally with a port. With a port, an IPv6 address is in brackets. */
function parsePlace(place: string, port: number): { hostname: string; port: number } {
  if (isIP(place)) return { hostname: place, port };
  const [, bracketed, name, digits] = place.match(/^(?:\[([^\]]*)\]|([^:[\]]+))(?::(\d+))?$/) ?? [];
  const hostname = bracketed ?? name;
  const own = digits === undefined ? port : Number(digits);
  const isRight = hostname !== undefined && (bracketed === undefined || isIP(bracketed) === 6);
  if (isRight && own >= 1 && own <= 65535) return { hostname, port: own };
  throw badArgument(
    `host ${
      JSON.stringify(place)
    }: it is a name or an address, with a port of 1 to 65535 behind a colon or without`,
  );
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
