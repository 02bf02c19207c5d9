/**
 * Frames on a device's serial line, between the lines of its console: those of Improv-Serial version 1
 * (improv-wifi.com/serial) for WiFi, and two commands of ours for the other settings. The firmware's side
 * is `firmware/improv.c`. Runs in a browser, too.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { decodeFields, encodeFields, type Settings, Tag } from "./settings.ts";

/** The types of frames. */
export const FrameType = { state: 1, error: 2, command: 3, result: 4 } as const;

/** Commands to a device. */
export const Command = {
  wifi: 1,
  state: 2,
  info: 3,
  scan: 4,
  /** Ours: sets fields of the settings. */
  set: 0x48,
  /** Ours: reads the settings, without password and key. */
  get: 0x49,
} as const;

/** The byte of a state frame. */
export const State = { ready: 2, joining: 3, joined: 4 } as const;

/** The byte of an error frame. */
export const Failure = {
  none: 0,
  invalid: 1,
  unknownCommand: 2,
  notJoined: 3,
  /** The flash could not be written. */
  unknown: 0xff,
} as const;

/** One frame. */
export interface Frame {
  type: number;
  /** 255 bytes at most. */
  data: Uint8Array;
}

const MAGIC = new TextEncoder().encode("IMPROV");
const VERSION = 1;
const HEADER = MAGIC.length + 3;
/** Most bytes of a command's own data: its number and length come first. */
const MOST_DATA = 253;

const NEWLINE = 10;

/** The bytes of a frame. */
export function encodeFrame({ type, data }: Frame): Uint8Array<ArrayBuffer> {
  if (data.length > 255) throw new LocalError("BAD_ARGUMENT", "a frame has at most 255 bytes");
  const frame = Uint8Array.of(...MAGIC, VERSION, type, data.length, ...data, 0, NEWLINE);
  frame[frame.length - 2] = sum(frame.subarray(0, -2));
  return frame;
}

/** A frame that asks the device to do something. */
export function encodeCommand(
  command: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  if (data.length > MOST_DATA) {
    throw new LocalError("BAD_ARGUMENT", `a command has at most ${MOST_DATA} bytes`);
  }
  const rpc = Uint8Array.of(command, data.length, ...data);
  return encodeFrame({ type: FrameType.command, data: rpc });
}

/** Asks the device to join a network, with Improv-Serial's own command. Its other settings stay. */
export function encodeWifi(ssid: string, password: string): Uint8Array<ArrayBuffer> {
  encodeFields({ ssid, password }); // the same limits
  const [name, secret] = [ssid, password].map((text) => new TextEncoder().encode(text));
  const data = Uint8Array.of(name!.length, ...name!, secret!.length, ...secret!);
  return encodeCommand(Command.wifi, data);
}

/**
 * Asks the device to change its settings: `null` removes a field; fields that are not named stay. Long changes
 * take several frames; the device restarts after each.
 *
 * @throws {LocalError} BAD_ARGUMENT if the device would refuse it
 */
export function encodeChanges(
  changes: { [Name in keyof typeof Tag]?: Settings[Name] | null },
): Uint8Array<ArrayBuffer>[] {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  const set = Object.fromEntries(given.filter(([, value]) => value !== null)) as Settings;
  encodeFields(set); // also checks that they go together
  const frames: Uint8Array<ArrayBuffer>[] = [];
  let data: number[] = [];
  // Removals first: a key must be gone before dialect 1 is set, and dialect 1 before a key.
  const removals = given.filter(([, value]) => value === null);
  for (const [name, value] of [...removals, ...Object.entries(set)]) {
    const field = value === null
      ? [Tag[name as keyof typeof Tag], 0]
      : [...encodeFields({ [name]: value })];
    if (data.length + field.length > MOST_DATA) {
      frames.push(encodeCommand(Command.set, Uint8Array.from(data)));
      data = [];
    }
    data.push(...field);
  }
  if (data.length > 0) frames.push(encodeCommand(Command.set, Uint8Array.from(data)));
  return frames;
}

/** A device's answer to a command: its number and data. Undefined if the frame is not such an answer. */
export function decodeResult(
  { type, data }: Frame,
): { command: number; data: Uint8Array } | undefined {
  if (type !== FrameType.result || data.length < 2 || data[1] !== data.length - 2) return undefined;
  return { command: data[0]!, data: data.subarray(2) };
}

/** The texts in the answer to one of Improv-Serial's own commands. Undefined if they are malformed. */
export function decodeTexts(data: Uint8Array): string[] | undefined {
  const texts: string[] = [];
  for (let at = 0; at < data.length;) {
    const end = at + 1 + data[at]!;
    if (end > data.length) return undefined;
    texts.push(new TextDecoder().decode(data.subarray(at + 1, end)));
    at = end;
  }
  return texts;
}

/**
 * The answer to {@linkcode Command.get}: the device's fields, without password and key, and whether it has
 * a key.
 *
 * @throws {LocalError} BAD_ARGUMENT if they are malformed
 */
export function decodeFieldsRead(data: Uint8Array): { settings: Settings; key: boolean } {
  const fields: number[] = [];
  let key = false;
  for (let at = 0; at < data.length;) {
    const end = at + 2 + (data[at + 1] ?? 0);
    if (data[at] === Tag.key && end === at + 2) key = true;
    else fields.push(...data.subarray(at, end));
    at = end;
  }
  return { settings: decodeFields(Uint8Array.from(fields)), key };
}

/** The contents of a stream: frames, and the text between them. */
export interface Pieces {
  frames: Frame[];
  /** Everything else, for a console. */
  text: Uint8Array;
}

/** Finds the frames in a stream that arrives in pieces. Bytes that only look like a frame are text. */
export class FrameReader {
  #held: number[] = [];

  push(chunk: Uint8Array): Pieces {
    const frames: Frame[] = [];
    const text: number[] = [];
    const bytes = [...this.#held, ...chunk];
    let at = 0;
    while (at < bytes.length) {
      const frame = frameAt(bytes, at);
      if (frame === "more") break;
      if (frame === undefined) {
        text.push(bytes[at++]!);
      } else {
        frames.push(frame);
        at += HEADER + frame.data.length + 2;
      }
    }
    this.#held = bytes.slice(at);
    return { frames, text: Uint8Array.from(text) };
  }
}

/** The frame that starts here; undefined: no frame does; "more": only further bytes can tell. */
function frameAt(bytes: number[], at: number): Frame | undefined | "more" {
  const start = [...MAGIC, VERSION];
  for (const [i, byte] of start.entries()) {
    if (at + i >= bytes.length) return "more";
    if (bytes[at + i] !== byte) return undefined;
  }
  const type = bytes[at + start.length];
  const length = bytes[at + start.length + 1];
  if (type === undefined || length === undefined) return "more";
  const end = at + HEADER + length;
  if (end >= bytes.length) return "more";
  if (bytes[end] !== sum(bytes.slice(at, end))) return undefined;
  if (end + 1 >= bytes.length) return "more";
  if (bytes[end + 1] !== NEWLINE) return undefined;
  return { type, data: Uint8Array.from(bytes.slice(at + HEADER, end)) };
}

function sum(bytes: Iterable<number>): number {
  let total = 0;
  for (const byte of bytes) total += byte;
  return total & 0xff;
}
