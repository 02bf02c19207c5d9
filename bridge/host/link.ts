/**
 * A core, a socket and the clock: carries out what the core asks for. What to send, and what becomes of
 * the messages that arrive, is for whoever owns the link.
 */
import { LocalError, type PeerCode, PeerError } from "../../server/protocol/errors.ts";
import { parseKey } from "../../server/protocol/proof.ts";
import { wrongMetadata } from "../../server/protocol/greeting.ts";
import { Can, Core, type CoreOptions, type CoreSize, Event, type Position, UP } from "./core.ts";
import { Socket } from "./socket.ts";

/** Which device this is, and where its server is. */
export interface LinkOptions {
  /** This device's name at the server: 1 to 128 bytes of UTF-8 without control characters. */
  id: string;
  /** Name or address of the server. Default "127.0.0.1". */
  host?: string;
  /** TCP port of the server. Default 8123. */
  port?: number;
  /** Silence that is taken for an outage, in ms; the same at both ends. 100 to 3,600,000. Default 2000. */
  timeout?: number;
  /** The wire to speak: 2 is Holdfast's own, 1 is micropython-iot's, for its servers. Default 2. */
  dialect?: 1 | 2;
  /** Proves this device to the server, and the server to it: 64 hex digits, or 32 bytes. Default: none. */
  key?: string | Uint8Array;
  /** What the server is told about this device at each connection: `key=value` pairs with a space between
   * them, 64 bytes at most, without control characters. Dialect 2. Default: nothing. */
  metadata?: string;
  /** Over TLS: the certificate in PEM that signed the server's, or true for those that the system trusts. */
  tls?: { caCert: string } | true;
  /** Called when the link comes up, and when it is lost or could not be made: then with the reason. */
  onState?: (connected: boolean, reason?: PeerError) => void;
}

/** What a core is booted with, and where it connects to. */
export type BootOptions = Omit<LinkOptions, "onState"> & {
  /** Where it goes on in the server's stream. */
  position?: Position | undefined;
  /** What differs from the size that the link was made with. */
  size?: Partial<CoreSize>;
};

/** What a server's limit for a hello leaves for the id. */
const MOST_ID_BYTES = 128;

/** What a link needs of its owner, who may call `pump` in any of these. */
export interface LinkOwner {
  /** The time to write to the core, and to see what it is done with: before every poll. */
  exchange(core: Core): void;
  /** Whether a message can be taken now. */
  canReceive(): boolean;
  /**
   * Is offered a message, valid until it returns.
   *
   * @returns whether it is processed, and may be acknowledged. If not, it will be offered again as soon as
   * one can be received
   * @throws {PeerError} if the connection must end
   */
  receive(message: Uint8Array): boolean;
  /** The core's position has changed: to be kept before this returns. */
  positionChanged(position: Position): void;
  /** The same as `LinkOptions.onState`. */
  stateChanged(connected: boolean, reason?: PeerError): void;
}

const MESSAGES: Partial<Record<PeerCode, string>> = {
  NO_ANSWER: "the server did not accept the connection in time",
  NO_GREETING: "the server accepted the connection, but sent nothing",
  SILENT: "nothing was heard from the server for the timeout",
  STALLED: "the server took nothing from its socket for the timeout",
  BAD_GREETING:
    "the server did not answer in dialect 2: is it micropython-iot's? Then say `dialect: 1`",
  BAD_PROOF: "the server does not have this device's key",
  BAD_POSITION: "the server acknowledged what was never sent",
  GAP: "a message from the server is missing",
  LINE_TOO_LONG: "the server sent a line longer than `size.line`",
  BAD_LINE: "the server sent a line that starts with no id",
};

/** What the server says when it refuses, by its code. */
const REFUSALS = [
  "for a reason that this version does not know",
  "it has no key for this id, and is not open",
  "the keys differ",
  "it has a key for this id, and this device gave none",
  "it has no key for this id, so it cannot prove itself",
  "the greeting was malformed",
  "it has too many connections or devices",
];

/** Does nothing before the first `pump`, and then goes on until it is closed. */
export class Link {
  readonly core: Core;
  #owner: LinkOwner;
  #size: CoreSize;
  #address!: { hostname: string; port: number };
  #tls: LinkOptions["tls"];
  #position: Position;
  #socket: Socket | undefined;
  #up = false;
  #pumping = false;
  #again = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDue = 0;

  /** Boots the core in `module`. @throws {LocalError} BAD_ARGUMENT */
  constructor(
    owner: LinkOwner,
    module: WebAssembly.Module,
    imports: WebAssembly.Imports,
    options: BootOptions,
    size: CoreSize,
  ) {
    this.#owner = owner;
    this.#size = size;
    this.core = new Core(module, imports, this.#settings(options), now());
    this.#aim(options);
    this.#position = this.core.position;
  }

  /**
   * Drops the connection, boots the core anew and goes on as somebody else, or elsewhere, from the next
   * `pump` on. The owner is told of no connection that is lost by that.
   *
   * @throws {LocalError} BAD_ARGUMENT, and nothing is changed
   */
  boot(options: BootOptions): void {
    this.core.boot(this.#settings(options), now());
    this.#aim(options);
    this.#position = this.core.position;
    this.#socket?.close();
    this.#socket = undefined;
    this.#up = false;
  }

  /** Checks the options, and returns what is the core's of them. */
  #settings(options: BootOptions): CoreOptions {
    const { id, port = 8123, timeout = 2000, dialect = 2 } = options;
    const bytes = new TextEncoder().encode(id).length;
    // deno-lint-ignore no-control-regex
    if (bytes < 1 || bytes > MOST_ID_BYTES || /[\x00-\x1f\x7f]/.test(id) || !id.isWellFormed()) {
      throw badArgument(
        `id must be 1 to ${MOST_ID_BYTES} bytes without control characters, not ${
          JSON.stringify(id)
        }`,
      );
    }
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw badArgument(`port must be 1 to 65535, not ${port}`);
    }
    if (!Number.isInteger(timeout) || timeout < 100 || timeout > 3_600_000) {
      throw badArgument(`timeout must be 100 to 3600000 ms, not ${timeout}`);
    }
    if (dialect !== 1 && dialect !== 2) throw badArgument(`dialect must be 1 or 2, not ${dialect}`);
    const key = options.key === undefined ? undefined : parseKey(id, options.key);
    if (key && dialect === 1) throw badArgument("dialect 1 has no keys");
    const { metadata = "" } = options;
    const wrong = metadata === "" ? undefined : wrongMetadata(metadata);
    if (wrong) throw badArgument(wrong);
    if (metadata !== "" && dialect === 1) throw badArgument("dialect 1 has no metadata");
    const size = { ...this.#size, ...options.size };
    return { ...size, id, metadata, timeout, dialect, key, position: options.position };
  }

  #aim({ host = "127.0.0.1", port = 8123, tls }: BootOptions): void {
    this.#address = { hostname: host, port };
    this.#tls = tls;
  }

  /** Whether the link is up at present. */
  get up(): boolean {
    return this.#up;
  }

  /** Lets the core do all that can be done now. To be called when there is something new for it. */
  pump = (): void => {
    this.#again = true;
    if (this.#pumping) return; // called by the owner, from below
    this.#pumping = true;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        while (this.#step() && !this.#closed);
      }
    } finally {
      this.#pumping = false;
    }
    if (!this.#closed) this.#setTimer();
  };

  /** Carries out what the core asks for; false once that is nothing. */
  #step(): boolean {
    const { core } = this;
    this.#owner.exchange(core);
    const can = (this.#socket?.canSend ? Can.send : 0) |
      (this.#owner.canReceive() ? Can.receive : 0);
    const event = core.poll(now(), can);
    switch (event) {
      case Event.connect:
        this.#connect();
        break;
      case Event.close:
        this.#drop(this.#reason());
        break;
      case Event.send:
        this.#socket!.send(core.piece);
        break;
      case Event.message:
        this.#receive();
        break;
    }
    if (this.#closed) return false; // by the owner, from within
    if (core.state === UP && !this.#up) {
      this.#up = true;
      this.#keepPosition();
      this.#owner.stateChanged(true);
    }
    if (event !== Event.none) return true;
    this.#socket?.flush();
    return this.#socket?.moveInput(core, now()) ?? false;
  }

  #reason(): PeerError {
    const { reason, refusal } = this.core;
    if (reason !== "REFUSED") return new PeerError(reason, MESSAGES[reason] ?? reason);
    return new PeerError(
      reason,
      `the server refuses this device: ${REFUSALS[refusal] ?? REFUSALS[0]}`,
    );
  }

  /** Before the core may say to the other end that it has got so far. */
  #keepPosition(): void {
    const { epoch, next } = this.core.position;
    if (epoch === this.#position.epoch && next === this.#position.next) return;
    this.#position = { epoch, next };
    this.#owner.positionChanged(this.#position);
  }

  #receive(): void {
    let processed;
    try {
      processed = this.#owner.receive(this.core.piece);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.core.closed(now());
      this.#drop(error);
      return;
    }
    if (this.#closed || !processed) return;
    this.core.take();
    this.#keepPosition();
  }

  #connect(): void {
    const socket = this.#socket = new Socket(this.#address, this.#tls, {
      opened: () => {
        this.core.opened(now());
        this.pump();
      },
      wake: this.pump,
      ended: (reason) => {
        if (socket !== this.#socket) return; // the core gave it up before
        this.core.closed(now());
        this.#drop(reason);
        this.pump();
      },
    });
  }

  #drop(reason: PeerError): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#up = false;
    this.#owner.stateChanged(false, reason);
  }

  #setTimer(): void {
    const due = now() + this.core.wait;
    if (this.#timer !== undefined && this.#timerDue <= due) return; // it looks again then
    clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.pump();
    }, Math.max(0, due - now()));
  }

  /** Ends the link without a word to its owner. Resolves when nothing is left of it. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#up = false;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    await socket?.ended;
  }
}

/** The clock of cores and boards, in ms. */
export function now(): number {
  return Math.floor(performance.now());
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
