/**
 * The client's end of a link, controlled by the test.
 *
 * @module
 */
import { Can, Core, Event, type Position, UP } from "../../bridge/host/core.ts";
import { bytesOf, End, type WriteOptions } from "./ends.ts";
import { FixedRandom } from "./fixed_random.ts";

/** See `tests/vectors/README.md`. */
export interface ClientSettings {
  dialect: 1 | 2;
  id: string;
  /** "": none. */
  metadata: string;
  /** 64 hex digits; "": none. */
  key: string;
  line: number;
  outbox: number;
  inbox: number;
  recent: number;
  window: number;
  timeout: number;
  /** The suite with a key. */
  suite: 2 | 3;
  seed: number;
  /** Epoch of the first stream, 8 hex digits; each boot has the next. */
  epoch: string;
  /** The position at the first boot: an epoch of 8 hex digits, and a number. */
  rxEpoch: string;
  rxNext: number;
}

export const clientSettings: Readonly<ClientSettings> = {
  dialect: 1,
  id: "1",
  metadata: "",
  key: "",
  suite: 2,
  line: 64,
  outbox: 512,
  inbox: 512,
  recent: 64,
  window: 16,
  timeout: 2000,
  seed: 1,
  epoch: "c0000001",
  rxEpoch: "00000000",
  rxNext: 0,
};

/** From this state on there is a connection. */
const GREETING = 2;

/** A core that asks for more steps than this at one time would never stop. */
const MOST_STEPS = 10_000;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The core as it is flashed, and a host that does what the core asks for. */
export class ClientEnd extends End {
  readonly settings: ClientSettings;
  #core: Core;
  #random = new FixedRandom(0xc1);
  #boots = 0;
  #blocked = false;

  constructor(readonly module: WebAssembly.Module, settings: Partial<ClientSettings> = {}) {
    super();
    this.settings = { ...clientSettings, ...settings };
    const { rxEpoch, rxNext } = this.settings;
    this.#core = this.#boot({ epoch: parseInt(rxEpoch, 16), next: rxNext });
  }

  #boot(position?: Position): Core {
    const { key, seed, epoch, ...settings } = this.settings;
    this.#random.words = [seed, parseInt(epoch, 16) + this.#boots++];
    const options = { ...settings, key: key === "" ? undefined : bytesOf(key, true), position };
    return this.#random.during(() => new Core(this.module, {}, options, this.now));
  }

  /** The core's state. */
  get state(): number {
    return this.#core.state;
  }

  override get timeout(): number {
    return this.settings.timeout;
  }

  override get longestPause(): number {
    const { state } = this.#core;
    if (this.#blocked || state < GREETING) return Infinity;
    if (state === UP) return this.timeout / 4;
    return this.settings.dialect === 1 ? this.timeout / 2 : Infinity;
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
        this.#random.during(() => this.#core.opened(this.now));
        this.sent = this.now;
        break;
      case "lost":
        this.#core.closed(this.now);
        this.unread = new Uint8Array(0);
        break;
      case "restart":
      case "reset":
        this.#core = this.#boot(name === "reset" ? this.#core.position : undefined);
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

  /** A message's deadline has passed. Returns the core's answer. */
  expire(number: number): string {
    const fate = this.#core.expire(number) ?? "open";
    this.settle();
    return fate;
  }

  protected override settle(): void {
    const can = (this.#blocked ? 0 : Can.send) | (this.holding ? 0 : Can.receive);
    let steps = 0;
    while (this.#step(can) || this.#read()) {
      if (++steps > MOST_STEPS) throw new Error("the core asks for something again and again");
    }
  }

  #step(can: number): boolean {
    const core = this.#core;
    const event = core.poll(this.now, can);
    switch (event) {
      case Event.connect:
        this.ask("connect");
        break;
      case Event.close: {
        const { reason } = core;
        this.ask(`close ${reason}${reason === "REFUSED" ? ` ${core.refusal}` : ""}`);
        this.unread = new Uint8Array(0);
        break;
      }
      case Event.send:
        this.send(core.piece);
        break;
      case Event.message:
        this.handOut(decoder.decode(core.piece));
        core.take();
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
