/** A connection of node:net, with TLS over it or without, as a {@linkcode Socket}. */
import net from "node:net";
import tls from "node:tls";
import { PeerError } from "../protocol/errors.ts";
import { joinAddress } from "./address.ts";
import type { ConnectOptions, ConnectTls, Socket, SocketEvents } from "./platform.ts";

/**
 * Longer data is written in pieces of this many bytes, one after the other, to see whether the other end
 * accepts anything: node reports a write only when all of it is accepted.
 */
const PIECE_BYTES = 16 * 1024;

/** A text of at most this length has at most PIECE_BYTES in UTF-8. */
const PIECE_CHARACTERS = PIECE_BYTES / 3;

const encoder = new TextEncoder();

/** Texts for people, by the system's error code. */
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

/** Methods of node's TCP handle that node's TLS does not use: see `pause`. */
interface Handle {
  readStart?(): void;
  readStop?(): void;
}

export class NodeSocket implements Socket {
  readonly hostname: string;
  readonly #port: number;
  /** The TCP socket. */
  readonly #raw: net.Socket;
  /** The stream for the bytes: the TCP socket, or TLS over it. */
  #stream: net.Socket;
  readonly #context: tls.SecureContext | undefined;
  /** Undefined before the start, and after the end. */
  #events: SocketEvents | undefined;
  #closed = false;
  /** With TLS, whether the handshake is done. */
  #secure = false;
  /** Why it ended before it was started. */
  #failure: PeerError | undefined;
  /** Pieces that wait until the previous one is accepted. */
  #waiting: (Uint8Array | string)[] = [];
  /** Whether the system has yet to accept something. */
  #busy = false;
  /** Bytes accepted before `#busy`. */
  #taken = 0;

  /** @param context With TLS: the server's certificate and key. */
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
    raw.on("error", this.#onError); // never removed: an error event without a listener ends the process
  }

  /** An accepted connection from which nothing was read. */
  static accepted(raw: net.Socket, context?: tls.SecureContext): NodeSocket {
    // Both are undefined if the other end has gone meanwhile.
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
    } catch (error) { // not a valid host name
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
        rejectUnauthorized: true, // whatever the environment says (NODE_TLS_REJECT_UNAUTHORIZED)
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

  /** Listens for its end. */
  #watch(): void {
    const stream = this.#stream;
    if (stream !== this.#raw) {
      stream.once("secure", () => this.#secure = true);
      stream.on("error", this.#onError);
      // For a server's socket that fails after its handshake, node:tls emits only this.
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
    // After the handshake such an error means garbage, not a missing TLS.
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
    if (data.length === 0) return !this.#busy; // Deno's TLS never finishes an empty write
    if (typeof data === "string") {
      if (data.length > PIECE_CHARACTERS) data = encoder.encode(data);
      // Writing a text is faster: encoding it here costs a tenth more for 50 bytes, a quarter for 8 KB.
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

  /** Writes pieces until one is not accepted at once. Returns whether all were. */
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
    // Errors are reported elsewhere. A callback for data that was accepted at once may come late, during the next
    // write.
    if (error || !this.#busy || this.#closed || this.#stream.writableLength > 0) return;
    this.#busy = false;
    if (this.#handWaiting()) this.#events?.drained();
  };

  pause(): void {
    this.#stream.pause();
    // In Deno, paused TLS continues to read from its TCP socket, and buffers everything.
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

/** Finds these addresses, without a lookup. */
function foundAlready(addresses: readonly string[]): net.LookupFunction {
  const all = addresses.map((address) => ({ address, family: net.isIP(address) }));
  return (_hostname, { all: wantsAll }, found) => {
    // Asynchronous, like a real lookup.
    if (wantsAll) queueMicrotask(() => found(null, all));
    else queueMicrotask(() => found(null, all[0]!.address, all[0]!.family));
  };
}

/** A system error in words for people. */
export function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const words = WORDS[(error as NodeJS.ErrnoException).code ?? ""];
  return words ? `${words} (${error.message})` : error.message;
}

/** The error if the first bytes that TLS receives are not TLS. */
function oneSidedTls(cause: unknown): PeerError | undefined {
  if (!(cause instanceof Error) || !/InvalidContentType|wrong version/.test(cause.message)) {
    return undefined;
  }
  const message = "the other end does not speak TLS";
  return new PeerError("LOST", message, { cause, advice: ONE_SIDED_TLS });
}

/** Every socket error is the fault of the peer or of the network. */
function lost(error: unknown): PeerError {
  // For a host with several addresses there is an error for each; the first is shown.
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  return new PeerError("LOST", inWords(cause), { cause });
}
