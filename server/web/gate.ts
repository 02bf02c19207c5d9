/** Decides who may do what: by session, by token, or as a program on this machine. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { LocalError } from "../protocol/errors.ts";
import { Attempts } from "./attempts.ts";
import { readJson } from "./body.ts";
import { type Credentials, LONGEST_PASSWORD } from "./credentials.ts";
import { fields } from "./fields.ts";
import type { Recorded } from "./history.ts";
import { json, Refusal, type Right, type Route, route } from "./routes.ts";

/** How long a session lasts, in s. */
const SESSION = 30 * 24 * 3600;

/** Most passwords that are checked at once: each takes 32 MB and a core. */
const MOST_CHECKS = 2;

/** Most bytes of the body with the password: 4 for each character, and the JSON around it. */
const MOST_LOGIN = 4 * LONGEST_PASSWORD + 256;

/** Options of a gate. */
export interface GateOptions {
  /** Initial credentials; undefined: nobody needs a password. */
  readonly credentials: Credentials | undefined;
  /** What users may do once they are let in. */
  readonly most: Extract<Right, "look" | "act">;
  /** Whether browsers connect over TLS. */
  readonly isSecure: boolean;
  /** The initial secret that signs sessions. */
  readonly secret: Uint8Array;
  /** ms since 1970. */
  date(): number;
  /** ms on a monotonic clock. */
  now(): number;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #attempts: Attempts;
  readonly #cookie: string;
  #credentials: Credentials | undefined;
  #secret: Uint8Array;
  /** Signs sessions. It depends on the password, so a new password ends old sessions. */
  #key!: Uint8Array;
  #checks = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#attempts = new Attempts(options.now);
    // With this prefix browsers accept the cookie only from this host, and only over TLS.
    this.#cookie = options.isSecure ? "__Host-holdfast" : "holdfast";
    this.#secret = options.secret;
    this.setCredentials(options.credentials);
  }

  /** Replaces the credentials. */
  setCredentials(credentials: Credentials | undefined): void {
    this.#credentials = credentials;
    const password = credentials?.password ?? "";
    this.#key = createHmac("sha256", this.#secret).update(password).digest();
  }

  /** Replaces the secret that signs sessions, which ends all present sessions. */
  setSecret(secret: Uint8Array): void {
    this.#secret = secret;
    this.setCredentials(this.#credentials);
  }

  /** The right of a request. @throws {Refusal} the token is unknown */
  rightOf(request: Request): Right {
    const credentials = this.#credentials;
    const { most } = this.#options;
    if (!credentials) return most;
    const authorization = request.headers.get("authorization");
    if (authorization !== null) {
      const [, token] = authorization.match(/^Bearer +(\S+)$/i) ?? [];
      const right = token === undefined ? undefined : credentials.rightOf(token);
      if (right === undefined) {
        const headers = { "www-authenticate": "Bearer" };
        throw new Refusal(401, "BAD_TOKEN", "the server does not know this token", headers);
      }
      return most === "act" ? right : "look";
    }
    return this.#hasSession(request) ? most : "nothing";
  }

  /** Routes to log in and out. */
  routes(): Route[] {
    return [
      route(
        "GET",
        "/api/session",
        "nothing",
        ({ may }) => json({ may, login: this.#credentials !== undefined }),
      ),
      route("POST", "/api/session", "nothing", async ({ request, address }) => {
        const body = await readJson(request, { most: MOST_LOGIN });
        const { password } = fields(body, { password: "string" });
        await this.#check(password, address ?? "");
        return json({ may: this.#options.most }, 200, {
          "set-cookie": this.#setCookie(this.#begin(), SESSION),
        });
      }),
      route(
        "DELETE",
        "/api/session",
        "nothing",
        () => json({ may: "nothing" }, 200, { "set-cookie": this.#setCookie("", 0) }),
      ),
    ];
  }

  /** @throws {Refusal} */
  async #check(password: string, address: string): Promise<void> {
    const credentials = this.#credentials;
    if (credentials?.password === undefined) {
      throw new Refusal(
        403,
        "NO_PASSWORD",
        "no password is set: set one with `holdfast web password`",
      );
    }
    if (this.#checks >= MOST_CHECKS) throw tooOften(1000);
    const pause = this.#attempts.begin(address);
    if (pause > 0) throw tooOften(pause);
    this.#checks++;
    try {
      if (!await credentials.isPassword(password)) {
        throw new Refusal(403, "BAD_PASSWORD", "the password is wrong");
      }
    } finally {
      this.#checks--;
    }
    this.#attempts.succeeded(address);
  }

  #begin(): string {
    const until = Math.floor(this.#options.date() / 1000) + SESSION;
    return `${until}.${this.#sign(until)}`;
  }

  #sign(until: number): string {
    return createHmac("sha256", this.#key).update(`session ${until}`).digest("base64url");
  }

  #hasSession(request: Request): boolean {
    const { date } = this.#options;
    if (this.#credentials?.password === undefined) return false;
    const cookies = (request.headers.get("cookie") ?? "").split(/; */);
    const mine = cookies.find((cookie) => cookie.startsWith(`${this.#cookie}=`));
    const [, until, signature] = mine?.match(/=(\d{1,12})\.([\w-]{43})$/) ?? [];
    if (signature === undefined || Number(until) * 1000 <= date()) return false;
    return timingSafeEqual(
      new TextEncoder().encode(signature),
      new TextEncoder().encode(this.#sign(Number(until))),
    );
  }

  #setCookie(value: string, age: number): string {
    const secure = this.#options.isSecure ? "; Secure" : "";
    return `${this.#cookie}=${value}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict${secure}`;
  }
}

function tooOften(ms: number): Refusal {
  const seconds = Math.ceil(ms / 1000);
  return new Refusal(429, "TOO_OFTEN", `too many wrong passwords: wait for ${seconds} s`, {
    "retry-after": String(seconds),
  });
}

const TABLE = "CREATE TABLE IF NOT EXISTS web_secret (secret TEXT NOT NULL)";

/** A new secret. */
export function makeSecret(): Uint8Array {
  return randomBytes(32);
}

/**
 * The secret that signs sessions, kept in the store so that sessions outlive the server. Without a database it
 * lasts as long as this server.
 *
 * @param made The secret if the store has none yet.
 */
export async function secretOf(
  server: Pick<Recorded, "transaction">,
  made = makeSecret(),
): Promise<Uint8Array> {
  let hex = made.toHex();
  try {
    await server.transaction((tx) => tx.run(TABLE));
    await server.transaction(async (tx) => {
      const [row] = await tx.all("SELECT secret FROM web_secret");
      if (row) hex = String(row.secret);
      else tx.run("INSERT INTO web_secret VALUES (?)", hex);
    });
  } catch (error) {
    if (!(error instanceof LocalError && error.code === "BAD_ARGUMENT")) throw error; // no database
  }
  return Uint8Array.fromHex(hex);
}
