/**
 * Checks certificates and private keys before they are used: `node:tls` accepts anything, and fails only when a client
 * connects.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { LocalError } from "../protocol/errors.ts";
import type { Tls } from "./platform.ts";

/** @throws {LocalError} BAD_ARGUMENT: one of them cannot be read, or the key belongs to another certificate */
export function checkPair({ cert, key }: Tls): void {
  let belongs;
  try {
    belongs = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw badArgument("the certificate or its private key cannot be read", cause);
  }
  if (!belongs) {
    throw new LocalError("BAD_ARGUMENT", "the private key does not belong to the certificate");
  }
}

/** @param pem One certificate, or several. @throws {LocalError} BAD_ARGUMENT: one of them cannot be read */
export function checkCertificates(pem: string): void {
  try {
    // All of them: TLS uses the first, and silently skips later ones that it cannot read.
    for (const one of pem.split(/^(?=-----BEGIN )/m)) {
      if (one.startsWith("-----BEGIN ")) new X509Certificate(one);
    }
    new X509Certificate(pem);
  } catch (cause) {
    throw badArgument("the certificate cannot be read", cause);
  }
}

/** A warning if a certificate has expired. */
export function expiry({ cert }: Pick<Tls, "cert">): string | undefined {
  const { validTo } = new X509Certificate(cert);
  return Date.parse(validTo) < Date.now() ? `the certificate has expired (${validTo})` : undefined;
}

function badArgument(message: string, cause: unknown): LocalError {
  if (!(cause instanceof Error)) throw cause;
  return new LocalError("BAD_ARGUMENT", `${message}: ${cause.message}`, { cause });
}
