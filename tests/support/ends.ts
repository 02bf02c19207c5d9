/**
 * The common part of the two ends of a link that a test controls: each has a host around it, but neither socket nor
 * clock. The test says what arrives and when, and gets the output from `take`. `client_end.ts` and `server_end.ts` are
 * the two.
 *
 * @module
 */
import { concat } from "../../server/protocol/lines.ts";

/** Output of an end since it was last asked. */
export interface Outcome {
  /** Bytes sent, a character each (Latin-1). */
  out: string;
  /** What the application got. */
  messages: string[];
  /** `connect`; `close` or `failed` and the reason; `log`, `firmware` or `metadata` and the text. */
  events: string[];
}

const encoder = new TextEncoder();

/** Bytes as a string of characters up to 255, so that they can be compared and shown. */
export function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** The bytes of a string of characters up to 255. */
export function fromLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The UTF-8 of a text, or the bytes of hex digits. */
export function bytesOf(value: string | number | undefined, hex = false): Uint8Array {
  if (typeof value !== "string") throw new Error("a text is missing");
  return hex ? Uint8Array.fromHex(value) : encoder.encode(value);
}

/** How a message is written. */
export interface WriteOptions {
  qos?: boolean;
  wait?: boolean;
}

/** The common part of both ends. */
export abstract class End {
  /** The time in ms, set by whoever lets it pass. */
  now = 0;
  /** When bytes were last sent. */
  sent = 0;
  abstract readonly timeout: number;
  /** Longest time in ms in which the end may send nothing; Infinity while it need not send anything. */
  abstract readonly longestPause: number;
  /** Number of written messages that are done. */
  abstract readonly done: number;
  /** When it must be woken, in ms. */
  abstract readonly deadline: number;
  /** Bytes that arrived and were not read yet, because there was no room. */
  protected unread = new Uint8Array(0) as Uint8Array;
  protected holding = false;
  #outcome: Outcome = { out: "", messages: [], events: [] };

  /** Output since the last call. */
  take(): Outcome {
    const outcome = this.#outcome;
    this.#outcome = { out: "", messages: [], events: [] };
    return outcome;
  }

  /** An input, by its name in `tests/vectors/README.md`. Returns false if it is not for this end. */
  input(name: string, value?: string | number): boolean {
    switch (name) {
      case "in":
      case "inHex":
        this.receive(bytesOf(value, name === "inHex"));
        return true;
      case "write":
      case "writeAfter":
      case "writeOff":
      case "refused":
      case "refusedOff": {
        const options = { qos: !name.endsWith("Off"), wait: name === "writeAfter" };
        const accepted = this.write(String(value), options);
        if (accepted === name.startsWith("refused")) {
          throw new Error(`${JSON.stringify(value)} was ${accepted ? "accepted" : "refused"}`);
        }
        return true;
      }
      case "hold":
      case "take":
        this.holding = name === "hold";
        break;
      case "skip":
        this.#skip(Number(value));
        return true;
      default:
        if (!this.happen(name)) return false;
    }
    this.settle();
    return true;
  }

  /** Bytes arrive. */
  receive(bytes: Uint8Array): void {
    this.unread = concat(this.unread, bytes);
    this.settle();
  }

  /** The application writes. Returns whether that was accepted. */
  write(text: string, options: WriteOptions = {}): boolean {
    const accepted = this.accept(text, options);
    this.settle();
    return accepted;
  }

  /** Lets time pass, and wakes the end whenever it wants to be. */
  pass(until: number, tooQuiet: (pause: number) => void = () => {}): void {
    if (until < this.now) throw new Error("time goes back");
    this.settle();
    for (let wakes = 0; this.deadline <= until; wakes++) {
      if (wakes > 100_000) throw new Error("the end never comes to rest");
      const { sent, longestPause } = this;
      this.now = Math.max(this.now, this.deadline);
      this.settle();
      const pause = this.now - sent;
      if (pause > longestPause && pause > this.longestPause) tooQuiet(pause);
    }
    this.now = until;
    this.settle();
  }

  #skip(count: number): void {
    for (let n = 0; n < count; n++) {
      this.write("-");
      const { out } = this.#outcome;
      const id = out.slice(-4, -2);
      this.#outcome.out = out.slice(0, -4);
      this.receive(bytesOf(`${id}\n`));
    }
  }

  /** Inputs that only one of the two ends knows. */
  protected abstract happen(name: string): boolean;
  protected abstract accept(text: string, options: WriteOptions): boolean;
  /** Does all that can be done at this time. */
  protected abstract settle(): void;

  protected send(bytes: Uint8Array): void {
    this.#outcome.out += latin1(bytes);
    this.sent = this.now;
  }

  protected handOut(message: string): void {
    this.#outcome.messages.push(message);
  }

  protected ask(event: string): void {
    this.#outcome.events.push(event);
  }
}
