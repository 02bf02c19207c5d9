/** The files of `--tls-cert` and `--tls-key`. */
import { createPrivateKey } from "node:crypto";
import { LocalError } from "../protocol/errors.ts";
import type { Tls } from "../transport/platform.ts";
import { checkCertificates } from "../transport/tls_pair.ts";

/** Reads certificate and key. @throws {LocalError} BAD_ARGUMENT, naming the file */
export function loadTls(cert?: string, key?: string): Tls | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw badArgument("--tls-key needs --tls-cert as well");
  if (key === undefined) throw badArgument("--tls-cert needs --tls-key as well");
  const tls = { cert: readPem("--tls-cert", cert), key: readPem("--tls-key", key) };
  check(`--tls-cert ${cert}`, "certificate", () => checkCertificates(tls.cert));
  check(`--tls-key ${key}`, "private key", () => createPrivateKey(tls.key));
  return tls;
}

function readPem(option: string, path: string): string {
  try {
    return Deno.readTextFileSync(path).replace(/^\ufeff/, "");
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw badArgument(`${option} ${path} cannot be read: ${error.message}`);
  }
}

function check(file: string, what: string, parse: () => void): void {
  try {
    parse();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw badArgument(`${file} cannot be read: it does not hold a complete ${what}`, cause);
  }
}

function badArgument(message: string, cause?: Error): LocalError {
  return new LocalError("BAD_ARGUMENT", message, { cause });
}
