/** The file that says who may open the page: a password for people, tokens for programs. It holds only their hashes. */
import { Buffer } from "node:buffer";
import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { LocalError } from "../protocol/errors.ts";
import type { Right } from "./routes.ts";

/** Cost of a guess: 32 MB, and some 100 ms of a core. */
const COST = { log2N: 15, r: 8, p: 1 };

/** Greatest cost that a file may ask for: 128 MB. */
const MOST_COST = { log2N: 17, r: 8, p: 4 };

const MOST_TOKENS = 64;

/** Shortest and longest password, in characters. */
export const SHORTEST_PASSWORD = 8;
export const LONGEST_PASSWORD = 256;

/** The right that a token may have. */
export type TokenRight = Extract<Right, "look" | "act">;

interface Token {
  /** Hex. Tokens have 256 bits and cannot be guessed, so a fast hash is enough. */
  readonly sha256: string;
  readonly may: TokenRight;
}

export class Credentials {
  /** `scrypt LOG2N R P SALT HASH`, the last two in base64url; undefined: nobody can log in. */
  readonly password: string | undefined;
  readonly tokens: ReadonlyMap<string, Token>;

  private constructor(password: string | undefined, tokens: ReadonlyMap<string, Token>) {
    this.password = password;
    this.tokens = tokens;
  }

  static readonly none = new Credentials(undefined, new Map());

  /** @throws {LocalError} BAD_ARGUMENT: what is wrong in the file */
  static parse(text: string): Credentials {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw bad(`it is not JSON: ${(error as Error).message}`);
    }
    const { password, tokens = {}, ...others } = objectOf(json, "it");
    const [other] = Object.keys(others);
    if (other !== undefined) throw bad(`there must be no field ${JSON.stringify(other)}`);
    if (password !== undefined) {
      if (typeof password !== "string") throw bad("password must be a string");
      parseHash(password);
    }
    const entries = Object.entries(objectOf(tokens, "tokens"));
    if (entries.length > MOST_TOKENS) throw bad(`there are more than ${MOST_TOKENS} tokens`);
    return new Credentials(
      password,
      new Map(entries.map(([name, it]) => [name, tokenOf(name, it)])),
    );
  }

  /** The text of the file. */
  format(): string {
    const tokens = Object.fromEntries(this.tokens);
    const { password } = this;
    return `${JSON.stringify({ ...(password !== undefined && { password }), tokens }, null, 2)}\n`;
  }

  /** Replaces the password. @param hash From `hashPassword`. */
  withPassword(hash: string): Credentials {
    return new Credentials(hash, this.tokens);
  }

  /** Adds a token. @returns the credentials, and the token, which cannot be read from the file */
  withToken(name: string, may: TokenRight): [Credentials, string] {
    if (!/^[\w.-]{1,64}$/.test(name)) throw bad("a token's name is 1 to 64 of a-z A-Z 0-9 _ . -");
    if (this.tokens.has(name)) throw bad(`there is already a token ${name}`);
    if (this.tokens.size >= MOST_TOKENS) {
      throw bad(`there are already ${MOST_TOKENS} tokens: remove one first`);
    }
    const token = `hft_${base64(randomBytes(32))}`;
    const tokens = new Map(this.tokens).set(name, { sha256: sha256(token), may });
    return [new Credentials(this.password, tokens), token];
  }

  /** @throws {LocalError} BAD_ARGUMENT: there is no such token */
  withoutToken(name: string): Credentials {
    const tokens = new Map(this.tokens);
    if (!tokens.delete(name)) throw bad(`there is no token ${JSON.stringify(name)}`);
    return new Credentials(this.password, tokens);
  }

  /** Checks a password; slow on purpose. */
  async isPassword(password: string): Promise<boolean> {
    if (this.password === undefined || password.length > LONGEST_PASSWORD) return false;
    const { hash, ...how } = parseHash(this.password);
    return timingSafeEqual(await derive(password, { ...how, length: hash.length }), hash);
  }

  /** The right of a token; undefined: the token is unknown. */
  rightOf(token: string): TokenRight | undefined {
    const hash = sha256(token); // a hash may be compared byte by byte: timing reveals nothing of the token
    return [...this.tokens.values()].find(({ sha256 }) => sha256 === hash)?.may;
  }
}

/** The text that the file keeps instead of a password. @throws {LocalError} BAD_ARGUMENT */
export async function hashPassword(password: string): Promise<string> {
  if (password.length < SHORTEST_PASSWORD || password.length > LONGEST_PASSWORD) {
    throw bad(`a password must have ${SHORTEST_PASSWORD} to ${LONGEST_PASSWORD} characters`);
  }
  const salt = randomBytes(16);
  const hash = await derive(password, { ...COST, salt, length: 32 });
  return ["scrypt", COST.log2N, COST.r, COST.p, ...[salt, hash].map(base64)].join(" ");
}

interface Cost {
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
}

function parseHash(text: string): Cost & { hash: Buffer } {
  const [, log2N, r, p, salt, hash] =
    text.match(/^scrypt (\d{1,2}) (\d{1,2}) (\d{1,2}) ([\w-]{16,}) ([\w-]{40,})$/) ?? [];
  const cost = { log2N: Number(log2N), r: Number(r), p: Number(p) };
  const isFair = cost.log2N >= 10 && cost.r >= 1 && cost.p >= 1 &&
    cost.log2N <= MOST_COST.log2N && cost.r <= MOST_COST.r && cost.p <= MOST_COST.p;
  if (hash === undefined || !isFair) {
    throw bad("password must be a hash made by `web password`");
  }
  return { ...cost, salt: Buffer.from(salt!, "base64url"), hash: Buffer.from(hash, "base64url") };
}

function derive(
  password: string,
  { log2N, r, p, salt, length }: Cost & { length: number },
): Promise<Buffer> {
  const options = { N: 2 ** log2N, r, p, maxmem: 256 * 2 ** log2N * r };
  return new Promise((resolve, reject) => {
    scrypt(password.normalize("NFKC"), salt, length, options, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}

function tokenOf(name: string, value: unknown): Token {
  const { sha256, may } = objectOf(value, `token ${JSON.stringify(name)}`);
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw bad(`token ${JSON.stringify(name)} has no sha256`);
  }
  if (may !== "look" && may !== "act") {
    throw bad(`token ${JSON.stringify(name)} must have "may": "look" or "act"`);
  }
  return { sha256, may };
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw bad(`${what} must be an object`);
}

const base64 = (bytes: Buffer) => bytes.toString("base64url");
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
