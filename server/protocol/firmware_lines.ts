/** Messages between server and firmware: texts that start with %x02, see `client-as/FIRMWARE.md`. */
import { Buffer } from "node:buffer";
import { FALLS } from "./falls.ts";
import { FIRMWARE } from "./lines.ts";
import { proofOf } from "./proof.ts";

/** The application that a device runs, according to its hello. */
export interface RunningApp {
  /** 1 to 32 letters, digits, `_`, `-`, `.`. */
  readonly name: string;
  /** 0 to 2^32 - 1. */
  readonly version: number;
  /** The first 8 characters of the .wasm's SHA-256, in base64url. */
  readonly hash: string;
}

/** An application that is offered to a device. */
export interface Offer {
  readonly name: string;
  readonly version: number;
  /** SHA-256 of the .wasm, in base64url: 43 characters. */
  readonly hash: string;
  /** Bytes of the .wasm. */
  readonly size: number;
  /** Whether to accept it even if its version is lower than the running one's. */
  readonly older: boolean;
  /** Whether to accept it even if the same bytes fell back before. */
  readonly again: boolean;
  /** Its imports, from `needsOf`; undefined: an older server did not store them. */
  readonly needs?: number;
}

/** Reasons why a device refuses an application. */
export const REFUSALS = [
  "older",
  "failed",
  "size",
  "mac",
  "hash",
  "module",
  "import",
  "flash",
  "gap",
  "offer",
  "busy",
] as const;

type Fall = keyof typeof FALLS;

/** A firmware's message about a deploy. `hash` is the application's, as in `RunningApp`. */
export type DeployWord =
  | { readonly is: "taken"; readonly hash: string; readonly offset: number }
  | { readonly is: "going" | "kept"; readonly hash: string }
  | {
    readonly is: "refused";
    readonly hash: string;
    readonly reason: typeof REFUSALS[number];
    readonly detail?: string;
  }
  | { readonly is: "fellBack"; readonly hash: string; readonly reason: Fall };

const NAME = /^[A-Za-z0-9_.-]{1,32}$/;
const HASH = /^[A-Za-z0-9_-]{8}$/;

/** Longest detail of a refusal that is kept, in UTF-16 units. */
const LONGEST_DETAIL = 64;

/** Bytes of a piece besides its data: %x02 "p" SP offset SP. */
const PIECE_FRAME = 9;

/** Longest piece in bytes, however long a text may be: the most that a chip can write to its flash at once. */
const LONGEST_PIECE = 384;

/** Whether this is a valid name for an application. */
export function isAppName(name: string): boolean {
  return NAME.test(name);
}

/** Whether this is a valid version of an application. */
export function isAppVersion(version: number): boolean {
  return Number.isInteger(version) && version >= 0 && version < 2 ** 32;
}

/** Parses `app=` of a hello; undefined: it is invalid. */
export function parseRunning(said: string): RunningApp | undefined {
  const [name = "", digits = "", hash = "", ...more] = said.split("/");
  const version = numberOf(digits, 2 ** 32 - 1);
  if (more.length > 0 || version === undefined || !NAME.test(name) || !HASH.test(hash)) {
    return undefined;
  }
  return { name, version, hash };
}

/** The short form of a hash that devices use. */
export function shortHash(hash: string): string {
  return hash.slice(0, 8);
}

/** Formats the imports that the next offer needs. */
export function formatNeeds(needs: number): string {
  return `${FIRMWARE}i ${needs}`;
}

/** @param key The device's, if it has one. */
export function formatOffer(offer: Offer, key?: Uint8Array): string {
  const { hash, size, version, name, needs } = offer;
  const flags = +offer.older + 2 * +offer.again + 4 * +(needs !== undefined);
  const text = `${FIRMWARE}o ${hash} ${size} ${version} ${flags} ${name}`;
  if (!key) return text;
  return `${text} ${base64(Uint8Array.fromHex(proofOf(key, text)))}`;
}

/** Formats the piece from `offset` on that fits a text of this many bytes. @returns it, and the next offset */
export function formatPiece(
  image: Uint8Array,
  offset: number,
  lineBytes: number,
): [text: string, next: number] {
  const room = Math.floor((lineBytes - PIECE_FRAME) / 4) * 3;
  const length = Math.min(LONGEST_PIECE, room - room % 4);
  const next = Math.min(image.length, offset + length);
  return [`${FIRMWARE}p ${offset} ${base64(image.subarray(offset, next))}`, next];
}

/** Formats the message that everything has been sent. */
export function formatGo(hash: string): string {
  return `${FIRMWARE}g ${shortHash(hash)}`;
}

/** Tells the device to give up the deploy. */
export const GIVE_UP = `${FIRMWARE}x`;

/** Whether a text is a server's message to a firmware. Older servers accepted such texts from applications, too. */
export function isForFirmware(text: string): boolean {
  return text === GIVE_UP || FOR_FIRMWARE.test(text);
}

/** How needs, offer, piece and go begin. */
// deno-lint-ignore no-control-regex
const FOR_FIRMWARE = /^\x02[iopg] /;

/** Kinds of messages from a firmware that are about a deploy. */
export const DEPLOY_KINDS = ["o", "g", "k", "n", "r"] as const;

/**
 * Parses a firmware's message about a deploy; undefined: it is invalid.
 *
 * @param kind The first character after %x02.
 * @param words What follows, split at spaces.
 */
export function parseDeployWord(
  kind: typeof DEPLOY_KINDS[number],
  words: readonly string[],
): DeployWord | undefined {
  const [hash = "", word = "", ...more] = words;
  if (!HASH.test(hash)) return undefined;
  if (kind === "n") {
    const reason = REFUSALS.find((one) => one === word);
    const detail = more.join(" ").slice(0, LONGEST_DETAIL).toWellFormed();
    return reason && { is: "refused", hash, reason, ...(detail !== "" && { detail }) };
  }
  if (more.length > 0) return undefined;
  if (kind === "r") {
    return Object.hasOwn(FALLS, word) ? { is: "fellBack", hash, reason: word as Fall } : undefined;
  }
  if (kind === "o") {
    const offset = numberOf(word, 2 ** 32 - 1);
    return offset === undefined ? undefined : { is: "taken", hash, offset };
  }
  if (words.length > 1) return undefined;
  return { is: kind === "g" ? "going" : "kept", hash };
}

function numberOf(digits: string, most: number): number | undefined {
  if (!/^\d{1,10}$/.test(digits)) return undefined;
  const number = Number(digits);
  return number <= most ? number : undefined;
}

/** Encodes bytes in base64url without padding. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

/** Decodes base64url. @throws {SyntaxError} it is not base64url */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text, { alphabet: "base64url" });
}
