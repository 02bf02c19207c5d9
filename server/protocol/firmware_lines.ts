/** What server and firmware say to each other: the texts that start with %x02, as `client-as/FIRMWARE.md` has them. */
import { Buffer } from "node:buffer";
import { FALLS } from "./falls.ts";
import { FIRMWARE } from "./lines.ts";
import { proofOf } from "./proof.ts";

/** The application that a device runs, as its hello says. */
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
  /** Also if it is older than the one that runs. */
  readonly older: boolean;
  /** Also if the same bytes fell back before. */
  readonly again: boolean;
  /** What it imports, as `needsOf` has it; undefined: a server of before did not note it. */
  readonly needs?: number;
}

/** Why a device refuses an application, or what it is told about it. */
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

/** What a firmware says of a deploy. `hash` is the application's, as in `RunningApp`. */
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

/** Bytes of an offset and what else a piece has beside its data: %x02 "p" SP offset SP. */
const PIECE_FRAME = 9;

/** Longest piece in bytes, however long a text may be: what a chip can write to its flash at once. */
const LONGEST_PIECE = 384;

/** Whether an application may be called so. */
export function isAppName(name: string): boolean {
  return NAME.test(name);
}

/** Whether a number may be an application's version. */
export function isAppVersion(version: number): boolean {
  return Number.isInteger(version) && version >= 0 && version < 2 ** 32;
}

/** What `app=` says in a hello; undefined: nothing that it may say. */
export function parseRunning(said: string): RunningApp | undefined {
  const [name = "", digits = "", hash = "", ...more] = said.split("/");
  const version = numberOf(digits, 2 ** 32 - 1);
  if (more.length > 0 || version === undefined || !NAME.test(name) || !HASH.test(hash)) {
    return undefined;
  }
  return { name, version, hash };
}

/** How a device names an application by its whole hash. */
export function shortHash(hash: string): string {
  return hash.slice(0, 8);
}

/** What is offered next needs these imports. */
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

/** The bytes from `offset` on that fit a text of this many bytes, as a message. @returns it, and where the next one begins */
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

/** All has been sent. */
export function formatGo(hash: string): string {
  return `${FIRMWARE}g ${shortHash(hash)}`;
}

/** Tells the device to give it up. */
export const GIVE_UP = `${FIRMWARE}x`;

/** Whether a server has said this to a firmware. An older one took such texts of applications, too. */
export function isForFirmware(text: string): boolean {
  return text === GIVE_UP || FOR_FIRMWARE.test(text);
}

/** What needs, offer, piece and go begin with. */
// deno-lint-ignore no-control-regex
const FOR_FIRMWARE = /^\x02[iopg] /;

/** Kinds of messages from a firmware that are about a deploy. */
export const DEPLOY_KINDS = ["o", "g", "k", "n", "r"] as const;

/**
 * What a firmware says of a deploy; undefined: nothing that it may say.
 *
 * @param kind The first character behind %x02.
 * @param words What follows, as it came between spaces.
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

/** Bytes in base64url without padding. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

/** The bytes of base64url. @throws {SyntaxError} it is not base64url */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text, { alphabet: "base64url" });
}
