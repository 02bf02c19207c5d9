/**
 * The commands that users run at the server, in its folder: a fresh clone, with nothing installed but Node. For sh,
 * PowerShell and cmd, unless a device's id has characters that are special in these.
 *
 * @module
 */

/** Deno without an installation. The version is that of the README. */
export const DENO = "npx -y deno@2.9.6";

const MAIN = `${DENO} run -A server/main.ts`;

/** Where `keys` stores them by default, and where the server is told to find them. */
const KEYS = "--keys keys.json";

/** Default values, which the commands leave out. */
const USUAL_PORT = 8123;

/** What can be done with a device's key at the server. */
const ACTIONS = {
  add: ["add", " --key -"],
  replace: ["add", " --key - --replace"],
  unsealed: ["add", " --key - --replace --suite 02"],
  remove: ["remove", ""],
} as const;

/** The command that gives the server a device's key, and asks for the key; or the one that removes it. */
export function keysLine(id: string, action: keyof typeof ACTIONS = "add"): string {
  const [command, options] = ACTIONS[action];
  // An id that starts with a hyphen would look like an option.
  const rest = id.startsWith("-") ? `${options} -- ${quote(id)}` : ` ${quote(id)}${options}`;
  return `${MAIN} keys ${command}${rest}`;
}

function quote(id: string): string {
  if (/^[0-9A-Za-z._-]+$/.test(id)) return id;
  // Double quotes if no character in them is special: cmd has no others.
  if (/^[\p{L}\p{N} ._-]+$/u.test(id)) return `"${id}"`;
  return `'${id.replaceAll("'", "'\\''")}'`;
}

/** How to start a server. */
export interface ServerStart {
  /** Whether it admits devices without a key. */
  open: boolean;
  /** Whether it uses the keys that `keysLine` has stored. */
  keys: boolean;
  /** What it runs for each device, if known. */
  app?: string | undefined;
  port?: number | undefined;
}

/** The command that starts the server. */
export function serverLine({ open, keys, app, port = USUAL_PORT }: ServerStart): string {
  const options = [
    keys ? KEYS : "",
    open ? "--open" : "",
    app === undefined ? "" : `--app ${app}`,
    port === USUAL_PORT ? "" : `--port ${port}`,
  ];
  return [MAIN, ...options.filter((option) => option !== "")].join(" ");
}
