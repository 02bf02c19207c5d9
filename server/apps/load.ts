/** Loads applications into the server. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { share } from "../channels/share.ts";
import { LocalError } from "../protocol/errors.ts";
import type { App, Server } from "../mod.ts";

/**
 * Loads applications; several share each device.
 *
 * @param isWatched Whether something else listens to channels; then an application that takes plain lines
 * shares its devices, too.
 * @throws {LocalError} BAD_ARGUMENT: one cannot be loaded, or they cannot share a device
 */
export async function loadApps(
  names: readonly string[],
  isWatched = false,
): Promise<App | undefined> {
  const apps = new Map<string, App>();
  for (const name of names) {
    if (apps.has(name)) throw badArgument(`--app ${name} was given twice`);
    apps.set(name, await loadApp(name));
  }
  if (apps.size === 0 || (apps.size === 1 && !isWatched)) return apps.values().next().value;
  try {
    return share<Server>(Object.fromEntries(apps));
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    throw badArgument(`--app: ${error.message}`, error);
  }
}

/**
 * Loads an application: a bare name is one of those that come with the server, anything else a file.
 *
 * @throws {LocalError} BAD_ARGUMENT
 */
export async function loadApp(name: string): Promise<App> {
  const url = /^\w+$/.test(name)
    ? new URL(`./${name}.ts`, import.meta.url)
    : pathToFileURL(resolve(name)); // not put into a URL as text: a path may contain #, ? and %
  let module;
  try {
    module = await import(url.href);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw badArgument(`--app ${name} cannot be loaded: ${cause.message}`, cause);
  }
  if (typeof module.default !== "function") {
    throw badArgument(`--app ${name} has no default export that is a function`);
  }
  return module.default;
}

function badArgument(message: string, cause?: Error): LocalError {
  return new LocalError("BAD_ARGUMENT", message, { cause });
}
