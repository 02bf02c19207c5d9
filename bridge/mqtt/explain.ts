/** Explains why there is no connection, and what to do. */
import { type HoldfastError, PeerError } from "../../server/protocol/errors.ts";
import { BrokerError } from "./errors.ts";
import type { Version } from "./codec.ts";
import { OLDER } from "./reasons.ts";

/** TLS error codes if the broker ends the handshake because of the bridge's certificate. */
const WANTED = /ALERT_CERTIFICATE_REQUIRED|ALERT_NO_CERTIFICATE/;
const NOT_TAKEN = /ALERT_(\w*CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED)$/;

/**
 * TLS error codes of this side: the signer of the broker's certificate is not trusted, or the certificate has another
 * name.
 */
const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ISSUER|CERT_CHAIN|CERT_SIGNATURE/;
const OF_ANOTHER = /ALTNAME/;
const OUT_OF_DATE = /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/;

/** @param isGreeting Whether CONNECT was sent and not answered. */
export function explain(
  reason: HoldfastError,
  isGreeting: boolean,
  version: Version,
): HoldfastError {
  if (reason.code !== "LOST") return reason;
  const certificate = ofCertificates(reason);
  if (certificate) return certificate;
  if (!isGreeting || version !== 5) return reason;
  // Old brokers refuse an unknown version like this.
  const hint =
    `${reason.message}, in answer to CONNECT; if the broker does not support MQTT 5, ${OLDER}`;
  return new PeerError("LOST", hint, { cause: reason });
}

function ofCertificates(reason: HoldfastError): BrokerError | undefined {
  const code = (reason.cause as { code?: unknown } | undefined)?.code;
  if (typeof code !== "string") return undefined;
  const [name, what] = described(code) ?? [];
  if (!name) return undefined;
  return new BrokerError(name, `${what} (${reason.message})`, { cause: reason });
}

function described(code: string): ["CERTIFICATE_REFUSED" | "BAD_CERTIFICATE", string] | undefined {
  if (WANTED.test(code)) {
    return [
      "CERTIFICATE_REFUSED",
      "the broker requires a certificate of the bridge: give --mqtt-cert",
    ];
  }
  if (NOT_TAKEN.test(code)) {
    const what = "the broker does not accept the bridge's certificate: check what it trusts, and " +
      "--mqtt-cert";
    return ["CERTIFICATE_REFUSED", what];
  }
  if (UNTRUSTED.test(code)) {
    const what = "the broker's certificate is not signed by anyone trusted here: check --mqtt-ca";
    return ["BAD_CERTIFICATE", what];
  }
  if (OF_ANOTHER.test(code)) {
    const what = "the broker's certificate is for another name: check the host in --mqtt";
    return ["BAD_CERTIFICATE", what];
  }
  if (OUT_OF_DATE.test(code)) {
    return [
      "BAD_CERTIFICATE",
      "the broker's certificate is not valid now: renew it, or check this machine's clock",
    ];
  }
  return undefined;
}
