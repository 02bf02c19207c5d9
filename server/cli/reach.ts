/**
 * How a command reaches a server: over a socket of this machine or by URL. A command that needs no device works without
 * a running server: it runs one on the store while it works. All ways use the same API.
 */
import { HoldfastError, LocalError } from "../protocol/errors.ts";
import { isPostgres } from "../store/postgres/conninfo.ts";
import { apiRouter, type Served } from "../web/api_routes.ts";
import { badArgument } from "./arguments.ts";
import { controlPath, isListening } from "./control.ts";
import type { Options } from "./option.ts";
import { type Start, withStoppedServer } from "./stopped_server.ts";

/** The socket's path in the systemd unit. */
const USUAL = "/run/holdfast/control.sock";

/** A stream sends something every 15 s; after this silence, in ms, its server is gone. */
const SILENCE = 45_000;

/** Options of every command that calls a server. */
export const REACH = {
  store: {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "the server with this store; if none runs, the store itself",
  },
  control: {
    type: "string",
    takes: "PATH",
    complete: "file",
    help:
      `the server that listens there, see its option --control ($HOLDFAST_CONTROL, or ${USUAL})`,
  },
  url: { type: "string", takes: "URL", help: "the server that has its page there, see --web" },
  "token-file": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "the token with which it lets programs in ($HOLDFAST_TOKEN)",
  },
  json: { type: "boolean", help: "prints JSON, one line for each item; errors too" },
} as const satisfies Options;

/** The options that say which server is meant. */
export interface Where {
  readonly store?: string | undefined;
  readonly control?: string | undefined;
  readonly url?: string | undefined;
  readonly "token-file"?: string | undefined;
}

/** The error that a server has answered with, or why no server has answered. */
export class CommandError extends HoldfastError {}

/** Codes for a server that is gone: it ended during an answer, or could not be reached. */
const GONE = ["CLOSED", "NO_SERVER"];

export function isServerGone(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && GONE.includes(error.code);
}

/** The API of a server. */
export class Api {
  readonly #ask: (request: Request) => Promise<Response>;
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(
    ask: (request: Request) => Promise<Response>,
    base = "http://localhost",
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.#ask = ask;
    this.#base = base;
    this.#headers = headers;
  }

  /** Gets JSON. @throws {CommandError} */
  async get<T>(path: string): Promise<T> {
    return await this.#json("GET", path);
  }

  /** @throws {CommandError} */
  async post<T>(path: string, body: unknown = {}): Promise<T> {
    return await this.#json("POST", path, body);
  }

  /** @throws {CommandError} */
  async delete<T>(path: string): Promise<T> {
    return await this.#json("DELETE", path);
  }

  /**
   * The data of a stream's events.
   *
   * @param begun Called when the server has accepted the request.
   * @throws {CommandError} also when the stream ends or falls silent
   */
  async *stream<T>(path: string, begun: () => void = () => {}): AsyncGenerator<T> {
    const silent = new AbortController();
    const { body } = await this.open("GET", path, undefined, silent.signal);
    begun();
    let rest = "";
    let timer: ReturnType<typeof setTimeout> | undefined;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
    };
    wait();
    try {
      for await (const piece of body!.pipeThrough(new TextDecoderStream())) {
        wait();
        const lines = (rest + piece).split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length));
        }
      }
    } catch (error) {
      if (!(error instanceof TypeError || silent.signal.aborted)) throw error;
    } finally {
      clearTimeout(timer);
    }
    const why = silent.signal.aborted ? "the server no longer answers" : "the server has ended";
    throw new CommandError("CLOSED", why);
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.open(method, path, body);
    try {
      return await response.json();
    } catch {
      throw stranger(response);
    }
  }

  /** An answer with a status of success. @throws {CommandError} */
  async open(
    method: string,
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<Response> {
    const response = await this.#ask(
      new Request(this.#base + path, {
        method,
        headers: { ...this.#headers, ...(body !== undefined && JSON_BODY) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(signal && { signal }),
      }),
    );
    if (response.ok) return response;
    throw await errorOf(response);
  }
}

const JSON_BODY = { "content-type": "application/json" };

/** How commands get to a server. */
export interface Reach {
  /**
   * Asks whichever server is meant.
   *
   * @param command The command whose arguments these are.
   * @param use Makes the requests.
   * @param needsDevices Whether the command needs a running server.
   * @throws {LocalError} BAD_ARGUMENT @throws {CommandError} what `use` throws
   */
  ask<T>(
    command: string,
    where: Where,
    use: (api: Api) => Promise<T>,
    needsDevices?: boolean,
  ): Promise<T>;
}

/** @param start `Server.listen`, for stores that no server has open. */
export function reachWith(start: Start<Served>): Reach {
  return {
    async ask(command, where, use, needsDevices = false) {
      const { store, url, control } = placeOf(command, where);
      if (url !== undefined) return await use(remote(command, url, where["token-file"]));
      const path = control ?? controlPath(store!);
      if (await isListening(path)) return await use(local(path));
      if (store === undefined) {
        throw noServer(`no server listens at ${path}: start one with --control ${path}`);
      }
      if (needsDevices) {
        throw noServer(`no server runs on ${store}: ${command} needs one that does`);
      }
      // A server without a socket may run; opening the store reports that.
      return await withStoppedServer(store, command, start, async (server) => {
        const done = new AbortController();
        const router = apiRouter(server, done.signal);
        const asker = { may: "own", address: undefined } as const;
        try {
          return await use(new Api((request) => router.answer(request, asker)));
        } finally {
          done.abort();
        }
      });
    },
  };
}

/** @throws {LocalError} BAD_ARGUMENT */
function placeOf(command: string, { store, control, url }: Where): Where {
  if ([store, control, url].filter((one) => one !== undefined).length > 1) {
    throw badArgument(command, "give only one of --store, --control and --url");
  }
  if (store === ":memory:" || store === "" || isPostgres(store ?? "")) {
    throw badArgument(
      command,
      `--store takes the name of a file here; for a server with another store use --control`,
    );
  }
  if ((store ?? control ?? url) !== undefined) return { store, control, url };
  const usual = Deno.env.get("HOLDFAST_CONTROL") ?? USUAL;
  if (Deno.env.has("HOLDFAST_CONTROL") || exists(usual)) return { control: usual };
  throw badArgument(
    command,
    `${command} needs to know the server: give --store FILE, --control PATH or --url URL`,
  );
}

function local(path: string): Api {
  return new Api(async (request) => {
    // The client lives as long as the process, because an answer may be a stream.
    const client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
    try {
      return await fetch(request, { client });
    } catch {
      throw new LocalError("CLOSED", "the server has ended; it may or may not have done this");
    }
  });
}

/** @throws {LocalError} BAD_ARGUMENT */
function remote(command: string, text: string, tokenFile: string | undefined): Api {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "") {
    throw badArgument(command, `--url takes http://HOST:PORT or https://HOST:PORT, not ${text}`);
  }
  const token = tokenFile === undefined ? Deno.env.get("HOLDFAST_TOKEN") : read(command, tokenFile);
  const base = url.href.replace(/\/$/, "");
  const ask = async (request: Request) => {
    try {
      return await fetch(request);
    } catch (error) {
      const { message, cause } = error as Error;
      const why = cause instanceof Error ? cause.message : message;
      throw noServer(`${base} cannot be reached or did not answer: ${why}`);
    }
  };
  return new Api(ask, base, token === undefined ? {} : { authorization: `Bearer ${token}` });
}

/** @throws {LocalError} BAD_ARGUMENT */
function read(command: string, path: string): string {
  let token: string;
  try {
    token = Deno.readTextFileSync(path).trim();
  } catch (error) {
    throw badArgument(command, `--token-file ${path} cannot be read: ${(error as Error).message}`);
  }
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw badArgument(command, `--token-file ${path} is empty: it must hold a token`);
}

async function errorOf(response: Response): Promise<HoldfastError> {
  const text = await response.text();
  try {
    const { code, message } = JSON.parse(text);
    if (typeof code === "string") return new CommandError(code, String(message));
  } catch {
    // The answer is not in our format.
  }
  return stranger(response);
}

function stranger({ status, statusText }: Response): CommandError {
  return noServer(`the server there is not a Holdfast server; it answered ${status} ${statusText}`);
}

function noServer(message: string): CommandError {
  return new CommandError("NO_SERVER", message);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
