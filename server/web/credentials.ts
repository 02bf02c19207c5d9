/** The file that says who may open the page: a password for people, tokens for programs. It has neither, only hashes. */
import { Buffer } from "node:buffer";
import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { LocalError } from "../protocol/errors.ts";
import type { Right } from "./routes.ts";

/** What a guess costs: 32 MB, and some 100 ms of a core. */
const COST = { log2N: 15, r: 8, p: 1 };

/** Greatest cost that a file may ask for: 128 MB. */
const MOST_COST = { log2N: 17, r: 8, p: 4 };

const MOST_TOKENS = 64;

/** Characters of a password. */
export const SHORTEST_PASSWORD = 8;
export const LONGEST_PASSWORD = 256;

/** What a token may be for. */
export type TokenRight = Extract<Right, "look" | "act">;

interface Token {
  /** Hex. Tokens have 256 bits: nobody guesses them, so a fast hash will do. */
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

  /** @throws {LocalError} BAD_ARGUMENT: what is wrong in it */
  static parse(text: string): Credentials {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw bad(`it is not JSON: ${(error as Error).message}`);
    }
    const { password, tokens = {}, ...others } = objectOf(json, "it");
    const [other] = Object.keys(others);
    if (other !== undefined) throw bad(`there is no ${JSON.stringify(other)} in such a file`);
    if (password !== undefined) {
      if (typeof password !== "string") throw bad("password is not a text");
      parseHash(password);
    }
    const entries = Object.entries(objectOf(tokens, "tokens"));
    if (entries.length > MOST_TOKENS) throw bad(`there are more than ${MOST_TOKENS} tokens`);
    return new Credentials(
      password,
      new Map(entries.map(([name, it]) => [name, tokenOf(name, it)])),
    );
  }

  /** As the file has it. */
  format(): string {
    const tokens = Object.fromEntries(this.tokens);
    const { password } = this;
    return `${JSON.stringify({ ...(password !== undefined && { password }), tokens }, null, 2)}\n`;
  }

  /** Another password in place of the one there was. @param hash of `hashPassword` */
  withPassword(hash: string): Credentials {
    return new Credentials(hash, this.tokens);
  }

  /** Another token. @returns with it the token, which nobody can read from the file */
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

  /** Takes long on purpose. */
  async isPassword(password: string): Promise<boolean> {
    if (this.password === undefined || password.length > LONGEST_PASSWORD) return false;
    const { hash, ...how } = parseHash(this.password);
    return timingSafeEqual(await derive(password, { ...how, length: hash.length }), hash);
  }

  /** What a token permits; undefined: the token is unknown. */
  rightOf(token: string): TokenRight | undefined {
    const hash = sha256(token); // of a hash that is compared byte by byte nobody learns the token
    return [...this.tokens.values()].find(({ sha256 }) => sha256 === hash)?.may;
  }
}

/** The text that the file keeps in place of a password. @throws {LocalError} BAD_ARGUMENT */
export async function hashPassword(password: string): Promise<string> {
  if (password.length < SHORTEST_PASSWORD || password.length > LONGEST_PASSWORD) {
    throw bad(`a password has ${SHORTEST_PASSWORD} to ${LONGEST_PASSWORD} characters`);
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
    throw bad("password is not a hash that `web password` has made");
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
    throw bad(`token ${JSON.stringify(name)} may "look" or "act"`);
  }
  return { sha256, may };
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw bad(`${what} is no object`);
}

const base64 = (bytes: Buffer) => bytes.toString("base64url");
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
