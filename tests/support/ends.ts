/**
 * The two ends of a link, each with a host around it, but without sockets and clocks: whoever uses them
 * says what arrives and when, and finds what came of it in `outcome`.
 *
 * @module
 */
import { Can, Core, type CoreSize, Event } from "../../bridge/host/core.ts";
import { LocalError, PeerError } from "../../server/errors.ts";
import { defaultLimits } from "../../server/limits.ts";
import { Session } from "../../server/session.ts";
import { DeviceRecord } from "../../server/store/mod.ts";
import { LineSplitter } from "../../server/wire.ts";

/** What came out of an end since it was last asked. */
export interface Outcome {
  /** Bytes sent, a character each (Latin-1). */
  out: string;
  /** What the application got. */
  messages: string[];
  /** `connect`, or `close` and the reason. */
  events: string[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

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

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** How a message is written. */
interface WriteOptions {
  qos?: boolean;
  wait?: boolean;
}

/** What the two have in common. */
export abstract class End {
  /** The time in ms; to be set by whoever lets it pass. */
  now = 0;
  /** When bytes went out last. */
  sent = 0;
  abstract readonly timeout: number;
  /** Whether the end is to send keepalives. */
  abstract readonly talking: boolean;
  /** Messages that were written and are done with. */
  abstract readonly done: number;
  /** When it must be woken. */
  abstract readonly deadline: number;
  /** What arrived and was not read yet: there was no room. */
  protected unread = new Uint8Array(0) as Uint8Array;
  protected holding = false;
  #outcome: Outcome = { out: "", messages: [], events: [] };

  /** What came out since this was last called. */
  take(): Outcome {
    const outcome = this.#outcome;
    this.#outcome = { out: "", messages: [], events: [] };
    return outcome;
  }

  /** Something happens, by its name in `tests/vectors/README.md`. Returns false if it is none for this end. */
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
  pass(until: number, woken: (quiet: number) => void = () => {}): void {
    if (until < this.now) throw new Error("time goes back");
    this.settle();
    for (let wakes = 0; this.deadline <= until; wakes++) {
      if (wakes > 100_000) throw new Error("the end never comes to rest");
      const { sent, talking } = this;
      this.now = Math.max(this.now, this.deadline);
      this.settle();
      if (talking && this.talking) woken(this.now - sent);
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

  /** What only one of the two knows. */
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

export const clientSettings = {
  line: 64,
  outbox: 512,
  inbox: 512,
  recent: 64,
  window: 16,
  timeout: 2000,
  seed: 1,
  hello: "1\n",
};

/** From this state on there is a connection. */
const GREETING = 2;

/** The core that is flashed, and what carries out what it asks for. */
export class ClientEnd extends End {
  #core: Core;
  #blocked = false;

  constructor(
    readonly module: WebAssembly.Module,
    readonly settings: typeof clientSettings = clientSettings,
  ) {
    super();
    this.#core = this.#boot();
  }

  #boot(): Core {
    const { hello, ...settings } = this.settings;
    const sizes: CoreSize & { timeout: number; seed: number } = settings;
    return new Core(new WebAssembly.Instance(this.module), bytesOf(hello), sizes, this.now);
  }

  override get timeout(): number {
    return this.settings.timeout;
  }

  override get talking(): boolean {
    return this.#core.state >= GREETING && !this.#blocked;
  }

  override get done(): number {
    return this.#core.done;
  }

  override get deadline(): number {
    return this.now + this.#core.wait;
  }

  protected override happen(name: string): boolean {
    switch (name) {
      case "opened":
        this.#core.opened(this.now);
        this.sent = this.now;
        break;
      case "lost":
        this.#core.closed(this.now);
        this.unread = new Uint8Array(0);
        break;
      case "restart":
        this.#core = this.#boot();
        this.unread = new Uint8Array(0);
        break;
      case "block":
      case "unblock":
        this.#blocked = name === "block";
        break;
      default:
        return false;
    }
    return true;
  }

  protected override accept(text: string, { qos = true }: WriteOptions): boolean {
    return this.#core.write(bytesOf(text), qos);
  }

  protected override settle(): void {
    const can = (this.#blocked ? 0 : Can.send) | (this.holding ? 0 : Can.receive);
    while (this.#step(can) || this.#read());
  }

  #step(can: number): boolean {
    const event = this.#core.poll(this.now, can);
    switch (event) {
      case Event.connect:
        this.ask("connect");
        break;
      case Event.close:
        this.ask(`close ${this.#core.reason}`);
        this.unread = new Uint8Array(0);
        break;
      case Event.send:
        this.send(this.#core.piece);
        break;
      case Event.message:
        this.handOut(decoder.decode(this.#core.piece));
        this.#core.take();
        break;
    }
    return event !== Event.none;
  }

  #read(): boolean {
    const n = Math.min(this.unread.length, this.#core.roomToReceive);
    if (n === 0 || this.#core.state < GREETING) return false;
    this.#core.receive(this.unread.subarray(0, n), this.now);
    this.unread = this.unread.slice(n);
    return true;
  }
}

export const serverSettings = { timeout: 2000, line: 64, inbox: 16, outbox: 16, ids: 0 };

/** The server's session of one device, and what a connection does for it. */
export class ServerEnd extends End {
  #record = new DeviceRecord();
  #session: Session;
  #splitter: LineSplitter | undefined;
  #done = 0;

  constructor(readonly settings: typeof serverSettings = serverSettings) {
    super();
    this.#record.nextId = settings.ids;
    this.#session = this.#start();
  }

  #start(): Session {
    const { line: lineBytes, inbox, outbox, timeout } = this.settings;
    return new Session(this.#record, timeout, { ...defaultLimits, lineBytes, inbox, outbox });
  }

  override get timeout(): number {
    return this.settings.timeout;
  }

  override get talking(): boolean {
    return this.#session.connected;
  }

  override get done(): number {
    return this.#done;
  }

  override get deadline(): number {
    return this.#session.deadline();
  }

  protected override happen(name: string): boolean {
    switch (name) {
      case "hello":
        this.unread = new Uint8Array(0);
        this.#splitter = new LineSplitter(this.settings.line + 2);
        this.#session.connect(this.now);
        break;
      case "lost":
        this.#drop();
        break;
      case "restart":
        this.#drop();
        this.#session = this.#start();
        break;
      default:
        return false;
    }
    return true;
  }

  protected override accept(text: string, { qos = true, wait = false }: WriteOptions): boolean {
    try {
      return this.#session.write(text, { qos, wait }, () => this.#done++);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      return false;
    }
  }

  #drop(): void {
    this.#session.disconnect();
    this.#splitter = undefined;
    this.unread = new Uint8Array(0);
  }

  protected override settle(): void {
    try {
      for (let busy = true; busy;) {
        busy = this.#read();
        this.#handOutAll();
        this.#session.tick(this.now);
        const output = this.#session.transmit(this.now);
        if (output === "") continue;
        this.send(bytesOf(output));
        busy = true;
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#handOutAll(); // what came before the fault counts
      this.ask(`close ${error.code}`);
      this.#drop();
    }
  }

  #read(): boolean {
    if (this.unread.length === 0 || !this.#splitter || !this.#session.wantsInput) return false;
    const lines = this.#splitter.push(this.unread);
    this.unread = new Uint8Array(0);
    this.#session.receive(lines, this.now);
    return true;
  }

  #handOutAll(): void {
    do {
      if (this.holding) continue;
      for (let text = this.#session.peek(); text !== undefined; text = this.#session.peek()) {
        this.handOut(text);
        this.#session.shift();
      }
    } while (this.#session.resume());
  }
}
