/**
 * The lines that people are to run at the server, in its folder: a fresh clone, with nothing installed but Node. For sh,
 * PowerShell and cmd, unless a device's id has characters that these take for their own.
 *
 * @module
 */

/** Deno without an installation. The version is that of the README. */
export const DENO = "npx -y deno@2.9.6";

const MAIN = `${DENO} run -A server/main.ts`;

/** Where the key command keeps them by default, and where the server is told to find them. */
const KEYS = "--keys keys.json";

/** Values that the page does not ask for, because they are the same everywhere. */
const USUAL_PORT = 8123;

/** What can be done with a device's key at the server. */
const ACTIONS = {
  add: ["add", " --key -"],
  replace: ["add", " --key - --replace"],
  unsealed: ["add", " --key - --replace --suite 02"],
  remove: ["remove", ""],
} as const;

/** The line which gives the server a device's key; it asks for the key. Or the one which takes it away. */
export function keysLine(id: string, action: keyof typeof ACTIONS = "add"): string {
  const [command, options] = ACTIONS[action];
  // An id that starts with a hyphen would be taken for an option.
  const rest = id.startsWith("-") ? `${options} -- ${quote(id)}` : ` ${quote(id)}${options}`;
  return `${MAIN} keys ${command}${rest}`;
}

function quote(id: string): string {
  if (/^[0-9A-Za-z._-]+$/.test(id)) return id;
  // Double quotes where nothing in them means anything: cmd knows no others.
  if (/^[\p{L}\p{N} ._-]+$/u.test(id)) return `"${id}"`;
  return `'${id.replaceAll("'", "'\\''")}'`;
}

/** How to start a server. */
export interface ServerStart {
  /** Whether it admits devices without a key. */
  open: boolean;
  /** Whether it knows the keys that `keysLine` has given it. */
  keys: boolean;
  /** What it runs for each device, if that is known. */
  app?: string | undefined;
  port?: number | undefined;
}

/** The line which starts the server. */
export function serverLine({ open, keys, app, port = USUAL_PORT }: ServerStart): string {
  const options = [
    keys ? KEYS : "",
    open ? "--open" : "",
    app === undefined ? "" : `--app ${app}`,
    port === USUAL_PORT ? "" : `--port ${port}`,
  ];
  return [MAIN, ...options.filter((option) => option !== "")].join(" ");
}
