/**
 * What both ends' drivers need from the machine they run on: the time, the turns of its event loop, and
 * TCP. `node.ts` is the real one; the simulator has its own, in which everything follows from a seed.
 */
import type { PeerError } from "../protocol/errors.ts";

/** How long a machine has been running. */
export interface Boot {
  /** Identifies this boot. */
  id: string;
  /** ms since the boot, sleep included. */
  uptime: number;
}

/** The longest time that `Clock.after` accepts, in ms: the system's timers treat more as 1 ms. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** Time, and turns of the event loop. */
export interface Clock {
  /** ms on a monotonic clock. */
  now(): number;
  /** ms since 1970, on a clock that may be set. */
  date(): number;
  /** A clock that outlives the process, unlike `now`, and is never set, unlike `date`. undefined: unknown. */
  boot?(): Boot | undefined;
  /** Calls `run` once, after `ms`: at most `LONGEST_TIMER`. @returns a function that cancels this */
  after(ms: number, run: () => void): () => void;
  /** Calls `run` as soon as the running code has returned. */
  soon(run: () => void): void;
  /** Calls `run` at the end of this turn of the event loop. */
  endOfTurn(run: () => void): void;
  /**
   * Calls `run` when everything that has arrived at the sockets by now was handed to their owners. A late event
   * loop runs its timers first, so a peer may seem silent although its bytes have arrived.
   *
   * @param sockets Number of open sockets.
   */
  caughtUp(sockets: number, run: () => void): void;
}

/** Callbacks of a socket's owner; never called during one of the owner's own calls to the socket. */
export interface SocketEvents {
  /** Bytes were read; they are valid until this returns. */
  data(bytes: Uint8Array): void;
  /** The system has accepted everything that was written. */
  drained(): void;
  /** The connection has ended, not by `close`. Called once, and nothing after it. */
  ended(reason: PeerError): void;
}

/** One TCP connection, with TLS or without. Nothing is read before `start`. */
export interface Socket {
  /** The other end's address and port. */
  readonly address: string;
  /** The other end's address without its port. */
  readonly hostname: string;
  /**
   * Bytes that the system has accepted so far. If `write` has returned false and this does not grow, the other end
   * reads nothing.
   */
  readonly taken: number;
  /** Starts to read. To be called once for an accepted socket; one from `connect` starts by itself. */
  start(events: SocketEvents): void;
  /**
   * Writes bytes, or a text as UTF-8. The bytes must not change until all are accepted.
   *
   * @returns whether the system has accepted everything written so far. If not, `drained` follows. If the
   * connection has ended, false, and nothing follows.
   */
  write(data: Uint8Array | string): boolean;
  /** Stops reading. One more piece may come. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /**
   * Tells the other end that nothing more comes, and continues to read. To be called once, when the system has accepted
   * everything.
   */
  finish(): void;
  /** Closes the connection at once, and frees it. Bytes that the system has not accepted yet are lost. */
  close(): void;
}

/** Certificate and private key, in PEM. */
export interface Tls {
  /** The server's certificate, and those between it and one that clients trust. */
  cert: string;
  /** Its private key. */
  key: string;
}

/** Where to listen. */
export interface ListenOptions {
  /** A name or address of this machine. */
  hostname: string;
  /** 0: any free one. */
  port: number;
  /** Most connections that the system queues until they are accepted. */
  backlog: number;
  /** Certificate and key for TLS; undefined: plain TCP. */
  tls?: Tls | undefined;
}

/** A port that is listened on. */
export interface Listener {
  /** Its number. */
  readonly port: number;
  /**
   * Replaces the certificate, for new connections.
   *
   * @throws {LocalError} BAD_ARGUMENT if it is not a certificate, if the key does not belong to it, or if the listener
   * has no TLS; then nothing has changed
   */
  setTls(tls: Tls): void;
  /** Resolves when the port is free. Connections accepted before stay. */
  close(): Promise<void>;
}

/** Options of a TLS client; all in PEM. */
export interface ConnectTls {
  /** The certificate that signed the server's. Default: the system's trusted ones. */
  caCert?: string;
  /** For a server that asks for one: this client's certificate, and those between it and one that the server trusts. */
  cert?: string;
  /** Its private key. */
  key?: string;
}

/** Where to connect. */
export interface ConnectOptions {
  /** Name or address. */
  hostname: string;
  /** The result of `resolve`; then the name is not looked up again. */
  addresses?: readonly string[] | undefined;
  /** TCP port. */
  port: number;
  /** For TLS; true: trusts the system's certificates, and uses no client certificate. */
  tls?: ConnectTls | true | undefined;
}

/** The machine that a driver runs on: its clock and its network. */
export interface Platform extends Clock {
  /** How many more files, sockets included, this process may open; undefined if unknown. */
  freeFiles?(): number | undefined;
  /** The machine's name; undefined: unknown. */
  machine?(): string | undefined;
  /**
   * Starts to listen.
   *
   * @param accept Called with each connection; with TLS before its handshake, which happens after
   * `start`.
   * @param failed Called repeatedly with the reason while the system cannot accept connections.
   * @throws {Error} the system's, with a `code` such as EADDRINUSE
   * @throws {LocalError} BAD_ARGUMENT for a malformed certificate, or a key that does not belong to it
   */
  listen(
    options: ListenOptions,
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener>;
  /**
   * Looks up a name, however long that takes.
   *
   * @param ended Called once, asynchronously, with the addresses, at least one, the best first; or with NO_ADDRESS.
   * @returns a function that cancels the lookup
   */
  resolve(hostname: string, ended: (found: readonly string[] | PeerError) => void): () => void;
  /** Starts to connect. `opened` is called when bytes can be written and reading starts; `ended` if that fails. */
  connect(options: ConnectOptions, events: SocketEvents & { opened(): void }): Socket;
}
