/** The table of routes, each with the right that it requires, and how requests are answered. */
import { HoldfastError } from "../protocol/errors.ts";

/**
 * Rights, each including the previous ones. Only the owner of the server's files ("own") may do what
 * concerns files.
 */
export type Right = "nothing" | "look" | "act" | "own";

const RANK: Readonly<Record<Right, number>> = { nothing: 0, look: 1, act: 2, own: 3 };

/** A request that matches a route. */
export interface Asked<Names extends string = string> {
  readonly request: Request;
  /** The named parts of the path, decoded. */
  readonly params: Readonly<Record<Names, string>>;
  readonly query: URLSearchParams;
  /** The right of whoever asks. */
  readonly may: Right;
  /** The client's address, without its port; undefined: a Unix socket on this machine. */
  readonly address: string | undefined;
}

/** A row of the table. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** Segments; `:name` stands for any one: `/api/devices/:id/send`. */
  readonly path: string;
  readonly needs: Right;
  /** @throws {Refusal} @throws {HoldfastError} Both become answers. */
  answer(asked: Asked): Response | Promise<Response>;
}

type Names<Path extends string> = Path extends `${string}/:${infer Name}/${infer Rest}`
  ? Name | Names<`/${Rest}`>
  : Path extends `${string}/:${infer Name}` ? Name
  : never;

/** Makes a route whose types know the names in its path. */
export function route<Path extends string>(
  method: Route["method"],
  path: Path,
  needs: Right,
  answer: (asked: Asked<Names<Path>>) => Response | Promise<Response>,
): Route {
  return { method, path, needs, answer };
}

/** An error that becomes an answer with its reason. */
export class Refusal extends Error {
  /** @param code For programs, like those of `LocalError`. */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** Statuses of errors that the server's own calls throw. */
const STATUSES: Readonly<Record<string, number>> = {
  BAD_ARGUMENT: 400,
  BAD_TEXT: 400,
  CLEARED: 409,
  CLOSED: 503,
  DEPLOY_REFUSED: 502,
  ELSEWHERE: 409,
  EXPIRED: 504,
  FAULT: 502,
  FELL_BACK: 502,
  FORGOTTEN: 410,
  GIVEN_UP: 409,
  INBOX_FULL: 503,
  OUTBOX_FULL: 503,
  STORE_FAILED: 503,
  UNANSWERED: 504,
  UNDECIDED: 504,
  UNKNOWN_DEVICE: 404,
  UNSUPPORTED: 422,
};

/** Headers of answers for programs. */
const API = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** An answer for programs. */
export function json(value: unknown, status = 200, headers: HeadersInit = {}): Response {
  return Response.json(value, { status, headers: { ...API, ...headers } });
}

/** Turns an error into an answer. */
export function refused(error: unknown): Response {
  if (error instanceof Refusal) {
    const { status, code, message, headers } = error;
    return json({ code, message }, status, headers);
  }
  if (!(error instanceof HoldfastError)) throw error;
  return json({ code: error.code, message: error.message }, STATUSES[error.code] ?? 500);
}

/** Who asks, as far as known. */
export type Asker = Pick<Asked, "may" | "address">;

export class Router {
  readonly #routes: readonly { route: Route; segments: readonly string[] }[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, segments: route.path.split("/") }));
  }

  /** Answers a request. Never rejects because of its contents. */
  async answer(request: Request, asker: Asker): Promise<Response> {
    try {
      const response = await this.#answer(request, asker);
      if (request.method !== "HEAD") return response;
      await response.body?.cancel();
      return new Response(null, response);
    } catch (error) {
      return refused(error);
    }
  }

  #answer(request: Request, asker: Asker): Response | Promise<Response> {
    const { pathname, searchParams: query } = new URL(request.url);
    const segments = pathname.split("/").map(decoded);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const allowed: string[] = [];
    for (const { route, segments: pattern } of this.#routes) {
      const params = match(pattern, segments);
      if (!params) continue;
      if (route.method !== method) {
        allowed.push(route.method === "GET" ? "GET, HEAD" : route.method);
        continue;
      }
      check(asker.may, route.needs);
      return route.answer({ request, params, query, ...asker });
    }
    if (allowed.length === 0) throw new Refusal(404, "NOT_FOUND", "there is nothing at this path");
    const allow = allowed.join(", ");
    throw new Refusal(405, "BAD_METHOD", `this path takes only ${allow}`, { allow });
  }
}

function check(may: Right, needs: Right): void {
  if (RANK[may] >= RANK[needs]) return;
  if (may === "nothing") throw new Refusal(401, "NOT_LOGGED_IN", "log in first, or send a token");
  if (needs === "own") {
    throw new Refusal(
      403,
      "NOT_OWNER",
      "this can only be done on the server's machine, over its socket",
    );
  }
  throw new Refusal(
    403,
    "READ_ONLY",
    "this page is read-only: start the server with --web-admin, or use a token that may act",
  );
}

function match(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index]!;
    if (part.startsWith(":")) params[part.slice(1)] = segment;
    else if (part !== segment) return undefined;
  }
  return params;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Refusal(
      400,
      "BAD_ARGUMENT",
      "a % in the path is not followed by a valid character code",
    );
  }
}
