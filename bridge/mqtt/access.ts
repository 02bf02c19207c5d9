/** The broker's address, and the bridge's credentials there, which may change while it runs. */
import { LocalError } from "../../server/protocol/errors.ts";
import type { ConnectOptions, ConnectTls } from "../../server/transport/platform.ts";
import { checkCertificates, checkPair } from "../../server/transport/tls_pair.ts";

/** TLS options for the broker; all in PEM. */
export interface MqttTls {
  /** The certificate that signed the broker's. Default: the system's trusted ones. */
  caCert?: string;
  /** For a broker that asks for one: the bridge's certificate, and those between it and one that the broker trusts. */
  cert?: string;
  /** The private key of `cert`. */
  key?: string;
}

/** Credentials that may be replaced while the bridge runs. */
export interface MqttCredentials {
  /** TLS; true: trusts the system's certificates, and uses no client certificate. Default: no TLS. */
  tls?: MqttTls | true;
  /** The user's password. */
  password?: string;
}

/** The address and credentials of a connection. */
export interface Access {
  readonly place: ConnectOptions;
  readonly password: Uint8Array | undefined;
}

/** @throws {LocalError} BAD_ARGUMENT */
export function access(
  hostname: string,
  port: number,
  { tls, password }: MqttCredentials,
): Access {
  if (tls !== undefined && tls !== true) checkTls(tls);
  return {
    place: { hostname, port, tls },
    password: password === undefined ? undefined : new TextEncoder().encode(password),
  };
}

function checkTls({ caCert, cert, key }: ConnectTls): void {
  if (caCert !== undefined) named("caCert", () => checkCertificates(caCert));
  if (cert === undefined && key === undefined) return;
  if (cert === undefined || key === undefined) {
    const message = "give both a certificate and its private key, or neither";
    throw new LocalError("BAD_ARGUMENT", message);
  }
  named("cert", () => checkCertificates(cert));
  checkPair({ cert, key });
}

/** Adds the name of what is wrong to an error. */
function named(name: string, check: () => void): void {
  try {
    check();
  } catch (cause) {
    if (!(cause instanceof LocalError)) throw cause;
    throw new LocalError(cause.code, `${name}: ${cause.message}`, { cause });
  }
}
