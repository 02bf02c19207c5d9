/** A connection of node:net, with TLS over it or without, as a {@linkcode Socket}. */
import net from "node:net";
import tls from "node:tls";
import { PeerError } from "../protocol/errors.ts";
import { joinAddress } from "./address.ts";
import type { ConnectOptions, ConnectTls, Socket, SocketEvents } from "./platform.ts";

/**
 * More than this is written in pieces, one after the other, so that one can see whether the other end takes
 * anything: node counts a write when all of it is taken. In bytes.
 */
const PIECE_BYTES = 16 * 1024;

/** A text of at most this length has at most PIECE_BYTES in UTF-8. */
const PIECE_CHARACTERS = PIECE_BYTES / 3;

const encoder = new TextEncoder();

/** What people read, in place of a number of the system. */
const WORDS: Record<string, string> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the other end reset the connection",
  EPIPE: "the other end closed the connection",
  ETIMEDOUT: "the other end did not answer",
  ENOTFOUND: "there is no host of this name",
  EAI_AGAIN: "the name of the host cannot be looked up",
  EHOSTUNREACH: "the other end cannot be reached",
  ENETUNREACH: "the network cannot be reached",
};

const ONE_SIDED_TLS =
  "TLS is on at one end and off at the other: give the device the certificate (`tls`), or start the " +
  "server without --tls-cert";

/** What node's handle of a TCP socket has, and node's TLS does not use: see `pause`. */
interface Handle {
  readStart?(): void;
  readStop?(): void;
}

export class NodeSocket implements Socket {
  readonly hostname: string;
  readonly #port: number;
  /** The TCP socket. */
  readonly #raw: net.Socket;
  /** What bytes pass through: the TCP socket, or TLS over it. */
  #stream: net.Socket;
  readonly #context: tls.SecureContext | undefined;
  /** Undefined before the start, and after the end. */
  #events: SocketEvents | undefined;
  #closed = false;
  /** With TLS, whether the handshake is done. */
  #secure = false;
  /** Why it ended before it was started. */
  #failure: PeerError | undefined;
  /** Pieces that wait until the one before them is taken. */
  #waiting: (Uint8Array | string)[] = [];
  /** Whether the system has something still to take. */
  #busy = false;
  /** Bytes taken before `#busy`. */
  #taken = 0;

  /** @param context With TLS: what the server proves itself with. */
  private constructor(
    raw: net.Socket,
    hostname: string,
    port: number,
    context: tls.SecureContext | undefined,
  ) {
    this.#raw = this.#stream = raw;
    this.hostname = hostname;
    this.#port = port;
    this.#context = context;
    raw.setNoDelay(true);
    raw.on("error", this.#onError); // for good: an error that nobody listens to ends the process
  }

  /** A connection that was accepted, and has not been read from. */
  static accepted(raw: net.Socket, context?: tls.SecureContext): NodeSocket {
    // Both are unknown if the other end has gone meanwhile.
    return new NodeSocket(raw, raw.remoteAddress ?? "", raw.remotePort ?? 0, context);
  }

  /** Starts to connect. */
  static connect(options: ConnectOptions, events: SocketEvents & { opened(): void }): NodeSocket {
    const { hostname, port, tls, addresses } = options;
    const raw = new net.Socket();
    const socket = new NodeSocket(raw, hostname, port, undefined);
    socket.#events = events;
    raw.once("connect", () => {
      if (socket.#closed) return;
      if (tls) socket.#connectTls(tls, events);
      else socket.#opened(events);
    });
    try {
      const lookup = addresses && foundAlready(addresses);
      raw.connect({ host: hostname, port, autoSelectFamily: true, ...(lookup ? { lookup } : {}) });
    } catch (error) { // a host name that can be none
      queueMicrotask(() => socket.#onError(error));
    }
    return socket;
  }

  #connectTls(options: ConnectTls | true, events: { opened(): void }): void {
    const { caCert, cert, key } = options === true ? {} as ConnectTls : options;
    try {
      this.#stream = tls.connect({
        socket: this.#raw,
        host: this.hostname,
        rejectUnauthorized: true, // whatever the environment says
        ...(caCert !== undefined && { ca: caCert }),
        ...(cert !== undefined && { cert, key }),
      });
    } catch (error) {
      return this.#onError(error);
    }
    this.#stream.once("secureConnect", () => {
      if (!this.#closed) this.#opened(events);
    });
    this.#watch();
  }

  #opened(events: { opened(): void }): void {
    if (this.#stream === this.#raw) this.#watch();
    events.opened();
    if (!this.#closed) this.#read();
  }

  get address(): string {
    return joinAddress(this.hostname, this.#port);
  }

  start(events: SocketEvents): void {
    if (this.#closed) return;
    this.#events = events;
    const failure = this.#failure;
    if (failure) return queueMicrotask(() => this.#end(failure));
    if (this.#context) {
      const options = { isServer: true, secureContext: this.#context };
      this.#stream = new tls.TLSSocket(this.#raw, options);
    }
    this.#watch();
    this.#read();
  }

  /** Sees when it ends. */
  #watch(): void {
    const stream = this.#stream;
    if (stream !== this.#raw) {
      stream.once("secure", () => this.#secure = true);
      stream.on("error", this.#onError);
      // This is all that node:tls tells of a server's socket that fails after its handshake.
      stream.on("_tlsError", this.#onError);
    }
    stream.on("end", this.#onEnd);
    stream.on("close", this.#onEnd);
  }

  #read(): void {
    this.#stream.on("data", this.#onData);
    this.#stream.resume();
  }

  #onData = (bytes: Uint8Array): void => this.#events?.data(bytes);

  #onEnd = (): void => this.#end(new PeerError("LOST", "the other end closed the connection"));

  #onError = (error: unknown): void => {
    // After the handshake it is garbage, whoever made it.
    this.#end(this.#secure ? lost(error) : oneSidedTls(error) ?? lost(error));
  };

  #end(reason: PeerError): void {
    const events = this.#events;
    if (!events && !this.#closed) this.#failure ??= reason;
    if (!events) return;
    this.close();
    events.ended(reason);
  }

  get taken(): number {
    return this.#busy ? this.#taken : this.#stream.bytesWritten;
  }

  write(data: Uint8Array | string): boolean {
    if (this.#closed) return false;
    if (data.length === 0) return !this.#busy; // Deno's TLS never comes to an end with nothing
    if (typeof data === "string") {
      if (data.length > PIECE_CHARACTERS) data = encoder.encode(data);
      // A text is the faster way: encoding it here costs a tenth more for 50 bytes, a quarter for 8 KB.
      else if (!this.#busy) return this.#hand(data);
    }
    if (data.length <= PIECE_BYTES) {
      if (!this.#busy) return this.#hand(data);
      this.#waiting.push(data);
      return false;
    }
    for (let at = 0; at < data.length; at += PIECE_BYTES) {
      this.#waiting.push((data as Uint8Array).subarray(at, at + PIECE_BYTES));
    }
    return this.#handWaiting();
  }

  /** Hands pieces on until one is not taken at once. Returns whether all are. */
  #handWaiting(): boolean {
    while (!this.#busy && this.#waiting.length > 0) this.#hand(this.#waiting.shift()!);
    return !this.#busy;
  }

  #hand(piece: Uint8Array | string): boolean {
    const stream = this.#stream;
    stream.write(piece, "utf8", this.#onTaken);
    if (stream.writableLength === 0) return true;
    this.#busy = true;
    this.#taken = stream.bytesWritten - byteLength(piece);
    return false;
  }

  #onTaken = (error?: Error | null): void => {
    // The error itself is told otherwise. Of what was taken at once one is told late: it may be the next one's turn.
    if (error || !this.#busy || this.#closed || this.#stream.writableLength > 0) return;
    this.#busy = false;
    if (this.#handWaiting()) this.#events?.drained();
  };

  pause(): void {
    this.#stream.pause();
    // Under Deno, TLS that is paused goes on reading from its TCP socket, and keeps all of that.
    if (this.#stream !== this.#raw) this.#handle?.readStop?.();
  }

  resume(): void {
    if (this.#closed) return;
    this.#stream.resume();
    if (this.#stream !== this.#raw) this.#handle?.readStart?.();
  }

  get #handle(): Handle | null {
    return (this.#raw as unknown as { _handle: Handle | null })._handle;
  }

  finish(): void {
    if (!this.#closed) this.#stream.end();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = undefined;
    this.#waiting = [];
    this.#stream.destroy();
    this.#raw.destroy();
  }
}

function byteLength(piece: Uint8Array | string): number {
  return typeof piece === "string" ? encoder.encode(piece).length : piece.length;
}

/** In place of a lookup. */
function foundAlready(addresses: readonly string[]): net.LookupFunction {
  const all = addresses.map((address) => ({ address, family: net.isIP(address) }));
  return (_hostname, { all: wantsAll }, found) => {
    // As a lookup does: not from within the call.
    if (wantsAll) queueMicrotask(() => found(null, all));
    else queueMicrotask(() => found(null, all[0]!.address, all[0]!.family));
  };
}

/** What people read of an error of the system. */
export function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const words = WORDS[(error as NodeJS.ErrnoException).code ?? ""];
  return words ? `${words} (${error.message})` : error.message;
}

/** What TLS fails with when the first thing that it hears is something else. */
function oneSidedTls(cause: unknown): PeerError | undefined {
  if (!(cause instanceof Error) || !/InvalidContentType|wrong version/.test(cause.message)) {
    return undefined;
  }
  const message = "the other end does not speak TLS";
  return new PeerError("LOST", message, { cause, advice: ONE_SIDED_TLS });
}

/** Whatever a socket fails with is the fault of the peer or of the network. */
function lost(error: unknown): PeerError {
  // Of a host with several addresses, each has failed in its own way.
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  return new PeerError("LOST", inWords(cause), { cause });
}
