/**
 * Watches connections of dialect 2 at the server: neither end may send more than the other's credit, and the books are
 * told of each hello.
 */
import { byteLength, concat, FRAME, lineId } from "../../server/protocol/lines.ts";
import { HELLO, WELCOME } from "../../server/protocol/greeting.ts";
import { Credit } from "./credit.ts";
import { DOWN } from "../../bridge/testing/network.ts";
import { OpenedTap } from "./opened.ts";
import type { DevicePlan } from "./scenario.ts";
import type { Tap } from "../../bridge/testing/socket.ts";

/** Characters of each field of a hello, and before two of them: its rxEpoch and its window. */
const WORD = 8;
const RX_EPOCH = 3 + 2 * WORD;
const WINDOW = 3 + 4 * WORD;

const NEWLINE = 10;

const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Cuts a stream into lines. */
class Lines {
  #rest = NOTHING;

  push(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    for (let end; (end = bytes.indexOf(NEWLINE)) >= 0; bytes = bytes.subarray(end + 1)) {
      const line = bytes.subarray(0, end);
      lines.push(decoder.decode(this.#rest.length > 0 ? concat(this.#rest, line) : line));
      this.#rest = NOTHING;
    }
    if (bytes.length > 0) this.#rest = concat(this.#rest, bytes);
    return lines;
  }
}

/** A connection as seen at the server. */
class Wire implements Tap {
  #up = new Lines();
  #down = new Lines();
  #isOver = false; // not dialect 2, or not a device of ours
  #toDevice: Credit | undefined;
  #fromDevice: Credit | undefined;

  constructor(
    readonly plan: DevicePlan | undefined,
    readonly heardHello: (rxEpoch: number) => void,
  ) {
    this.#isOver = plan === undefined;
  }

  /** The server has read. */
  read(bytes: Uint8Array): void {
    if (this.#isOver) return;
    for (const line of this.#up.push(bytes)) {
      if (this.#toDevice) this.#pass(line, this.#fromDevice, this.#toDevice);
      else if (line.startsWith(HELLO)) {
        this.#toDevice = creditOf(`server to ${this.plan!.id}`, line);
        this.heardHello(wordAt(line, RX_EPOCH));
      } else {
        this.#isOver = true;
        return;
      }
    }
  }

  /** The server writes. */
  wrote(bytes: Uint8Array): void {
    if (this.#isOver) return;
    for (const line of this.#down.push(bytes)) {
      if (this.#fromDevice) this.#pass(line, this.#toDevice, this.#fromDevice);
      else if (line.startsWith(WELCOME)) this.#fromDevice = creditOf(this.plan!.id, line);
    }
  }

  #pass(line: string, messages: Credit | undefined, acks: Credit | undefined): void {
    if (line.charCodeAt(0) <= 4) return; // a proof
    if (line.length === 2) acks?.acknowledged(lineId(line));
    else if (line.length > 2) messages?.sent(lineId(line), byteLength(line) - 2 + FRAME);
  }
}

/**
 * A watcher for the server's end of a connection.
 *
 * @param heardHello Called when the server has read a hello of dialect 2.
 */
export function wireOf(
  plan: DevicePlan | undefined,
  clock: { readonly now: number },
  heardHello: (rxEpoch: number) => void,
): Tap {
  return new OpenedTap(new Wire(plan, heardHello), plan, DOWN, clock);
}

function wordAt(line: string, at: number): number {
  return parseInt(line.slice(at, at + WORD), 16);
}

/** The credit that a greeting's sender gives. */
function creditOf(who: string, line: string): Credit {
  return new Credit(who, wordAt(line, WINDOW), wordAt(line, WINDOW + WORD));
}
