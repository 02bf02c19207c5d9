/** Turns the command line into the page's options. */
import { LocalError } from "../protocol/errors.ts";
import { isLoopback } from "../transport/address.ts";
import type { Tls } from "../transport/platform.ts";
import { Credentials } from "../web/credentials.ts";
import type { WebOptions } from "../web/web.ts";
import type { Options } from "./options.ts";

/** @throws {LocalError} BAD_ARGUMENT */
export function webOptions(values: Options, tls: Tls | undefined): WebOptions {
  const { web, "web-host": hostname, "web-password-file": file, "web-url": url } = values;
  return {
    port: Number(web),
    hostname,
    admin: values["web-admin"],
    credentials: file === undefined ? undefined : readCredentials(file),
    // Browsers trust `localhost` without a certificate, and no public certificate covers it.
    tls: isLoopback(hostname) ? undefined : tls,
    url: url === undefined ? undefined : urlOf(url),
  };
}

/** @throws {LocalError} BAD_ARGUMENT */
export function readCredentials(path: string): Credentials {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw unusable(path, error);
  }
  return parseCredentials(path, text);
}

/** @throws {LocalError} BAD_ARGUMENT, with the file's name */
export function parseCredentials(path: string, text: string): Credentials {
  try {
    return Credentials.parse(text);
  } catch (error) {
    throw unusable(path, error);
  }
}

export function unusable(path: string, error: unknown): LocalError {
  if (!(error instanceof Error)) throw error;
  const why = error instanceof Deno.errors.NotFound
    ? "it does not exist: create it with `holdfast web password --file FILE`"
    : error.message;
  return new LocalError("BAD_ARGUMENT", `the password file ${JSON.stringify(path)}: ${why}`);
}

function urlOf(text: string): URL {
  const url = URL.parse(text);
  const isPlain = url && /^https?:$/.test(url.protocol) && url.pathname === "/" && !url.search &&
    !url.username && !url.hash;
  if (isPlain) return url;
  throw new LocalError(
    "BAD_ARGUMENT",
    `--web-url takes a URL such as https://holdfast.example/, not ${text}`,
  );
}
