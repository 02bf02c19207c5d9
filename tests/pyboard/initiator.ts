/**
 * An initiator in this process: does what `pb_link` does on a Pyboard, in TypeScript and faster. With a session it
 * numbers its lines, and keeps each until its arrival is certain.
 *
 * @module
 */
import { Outcome, type Testbed, Wire } from "./testbed.ts";

/** The initiator at the other end of the wires, in any language. */
export interface Initiator extends AsyncDisposable {
  /** Messages that have arrived. */
  readonly heard: string[];
  /** Texts that were sent over the wires. */
  readonly sent: string[];
  /** Other lines that have arrived, except keepalives: a letter and its text. */
  readonly told: string[];
  /** How many texts it still has to send. */
  readonly pending: number;
  /** Queues a text. */
  write(text: string, options?: { qos?: boolean }): void;
  /** Throws if it cannot go on. */
  check(): void;
  /** Its last known state. */
  story(): string;
}

export interface InitiatorOptions {
  id?: string;
  port: number;
  timeout?: number;
  /** Seconds between reports. */
  report?: number;
  /** The configuration's elements after the password. */
  more?: number[];
  /** Lines are numbered, and the configuration says so. */
  session?: number;
  /** ms to wait for the other board, at its wire and as the master of the bus. `pb_link`: 1,000 and 5,000. */
  patience?: number;
  /** ms between exchanges. */
  poll?: number;
  /** Whether it uses the reset wire. */
  reset?: boolean;
  heard?: string[];
  sent?: string[];
}

const BUFFER = 200;
const HOLD = 0x8000;
const WAIT_FOR_WIRE = 700;
const WAIT_FOR_MASTER = 700;
const RESET_PULSE = 30;
/** Pause after a responder's start, in ms. `pb_link` waits 1,000 ms. */
const SETTLE = 20;
const SEQUENCE = { first: 0x30, count: 64 };

/** The responder does not answer as it should. */
class Broken extends Error {}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class LocalInitiator implements Initiator {
  readonly heard: string[];
  readonly sent: string[];
  readonly told: string[] = [];
  keepalives = 0;
  /** How often it had to start again. */
  failures = 0;
  #testbed: Testbed;
  #options: InitiatorOptions;
  #lines: { text: string; line: Uint8Array<ArrayBuffer> }[] = [];
  #sequence = 0;
  #tag = "";
  #mayWrite = true;
  #stopped = false;
  #over: Promise<void>;
  #failure: unknown;

  constructor(testbed: Testbed, options: InitiatorOptions) {
    this.#testbed = testbed;
    this.#options = options;
    this.heard = options.heard ?? [];
    this.sent = options.sent ?? [];
    this.#over = this.#run().catch((error) => void (this.#failure = error));
  }

  write(text: string, { qos = true } = {}): void {
    const bits = qos ? 3 : 0;
    let head = `${bits}`;
    if (this.#options.session !== undefined) {
      const sequence = SEQUENCE.first + this.#sequence++ % SEQUENCE.count;
      head = `${bits + 4}${String.fromCharCode(sequence)}`;
    }
    this.#lines.push({ text, line: encoder.encode(`${head}${text}\n`) });
  }

  get pending(): number {
    return this.#lines.length;
  }

  check(): void {
    if (this.#failure) throw this.#failure;
  }

  story(): string {
    const { heard, sent, told, failures } = this;
    return `initiator: heard ${heard.length}, sent ${sent.length}, told ${told}, ${failures} failures`;
  }

  get #config(): Uint8Array<ArrayBuffer> {
    const { id = "1", port, timeout = 1000, report = 0, more = [], session } = this.#options;
    const tail = session === undefined ? more : [0, session];
    const list = [id, port, "127.0.0.1", timeout, report, "", "", ...tail, "cfg"];
    return encoder.encode(JSON.stringify(list) + "\n");
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#testbed.set(Wire.syn, 1);
      if (this.#options.reset ?? true) {
        this.#testbed.set(Wire.reset, 0);
        await sleep(RESET_PULSE);
        this.#testbed.set(Wire.reset, 1);
      }
      this.#testbed.set(Wire.syn, 0);
      while (this.#testbed.get(Wire.ack) && !this.#stopped) await sleep(2);
      await sleep(SETTLE);
      this.#mayWrite = true;
      let configured = false;
      try {
        while (!this.#stopped) {
          const next = configured ? this.#lines[0] : { text: undefined, line: this.#config };
          const gone = await this.#exchange(next?.line);
          if (gone && configured) this.sent.push(this.#lines.shift()!.text);
          if (gone) configured = true;
          await sleep(this.#options.poll ?? 3);
        }
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        this.failures++;
        // `pb_link` loses the line that it was about to send; an initiator with numbered lines sends it again.
        if (configured && this.#options.session === undefined) this.#lines.shift();
      }
    }
  }

  /** One exchange. @returns whether the line was sent */
  async #exchange(line: Uint8Array<ArrayBuffer> | undefined): Promise<boolean> {
    const goes = line !== undefined && this.#mayWrite;
    await this.#send(word(goes ? line.length : 0));
    if (goes) await this.#send(line);
    const size = await this.#receive(2);
    const value = size[0]! + size[1]! * 256;
    this.#mayWrite = !(value & HOLD);
    const length = value & ~HOLD;
    if (length > BUFFER) throw new Error(`the responder sends ${length} bytes`);
    if (length) this.#take(decoder.decode(await this.#receive(length)));
    return goes;
  }

  #take(lines: string): void {
    if (!lines.endsWith("\n")) throw new Error(`no whole lines: ${lines}`);
    for (const line of lines.slice(0, -1).split("\n")) {
      if (line[0] === "n") this.heard.push(line.slice(1));
      else if (line[0] === "m") {
        const tag = line.slice(1, 5);
        if (tag !== this.#tag) this.heard.push(line.slice(5));
        this.#tag = tag;
      } else if (line === "k") this.keepalives++;
      else this.told.push(line);
    }
  }

  async #send(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#testbed.set(Wire.syn, 1);
    this.#testbed.slaveSend(bytes);
    await this.#master(bytes.slice());
    await this.#ack(1);
    this.#testbed.set(Wire.syn, 0);
    await this.#ack(0);
  }

  async #receive(length: number): Promise<Uint8Array> {
    await this.#ack(1);
    this.#testbed.set(Wire.syn, 1);
    this.#testbed.slaveReceive(length);
    const bytes = new Uint8Array(length);
    await this.#master(bytes);
    await this.#ack(0);
    this.#testbed.set(Wire.syn, 0);
    return bytes;
  }

  async #master(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { patience = WAIT_FOR_MASTER } = this.#options;
    await this.#until(() => this.#testbed.slaveOutcome(bytes) !== Outcome.pending, patience);
    if (this.#testbed.slaveOutcome(bytes) !== Outcome.complete) throw new Broken("cut off");
  }

  #ack(level: number): Promise<void> {
    const { patience = WAIT_FOR_WIRE } = this.#options;
    return this.#until(() => this.#testbed.get(Wire.ack) === level, patience);
  }

  async #until(condition: () => boolean, most: number): Promise<void> {
    for (const started = performance.now(); !condition();) {
      if (this.#stopped || performance.now() - started > most) {
        this.#testbed.slaveStop();
        throw new Broken("no answer");
      }
      await sleep(1);
    }
  }

  /** Stops it at once; its wires float. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#over;
    this.#testbed.slaveStop();
    this.#testbed.set(Wire.syn, 1);
    this.#testbed.set(Wire.reset, 1);
  }
}

function word(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([value & 255, value >> 8]);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
