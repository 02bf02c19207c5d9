/**
 * What both ends' drivers need of the machine they run on: the time, the turns of its event loop, and TCP.
 * `node.ts` is the real one; the simulator brings its own, in which everything follows from a seed.
 */
import type { PeerError } from "../protocol/errors.ts";

/** How long a machine runs. */
export interface Boot {
  /** Names this start of it. */
  id: string;
  /** ms since then, also while it sleeps. */
  uptime: number;
}

/** The longest time that `Clock.after` takes, in ms: more than this the system's timers take for 1. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** Time and turns. */
export interface Clock {
  /** ms on a clock that never goes back. */
  now(): number;
  /** ms since 1970, on a clock that somebody may set. */
  date(): number;
  /** Outlives the process, unlike `now`, and nobody sets it, unlike `date`. undefined: unknown. */
  boot?(): Boot | undefined;
  /** Calls `run` once, when `ms` have passed: at most `LONGEST_TIMER`. @returns forgets it */
  after(ms: number, run: () => void): () => void;
  /** Calls `run` as soon as the code that runs now has returned. */
  soon(run: () => void): void;
  /** Calls `run` when this turn of the event loop has brought all that it brings. */
  endOfTurn(run: () => void): void;
  /**
   * Calls `run` when all that has arrived at the sockets by now was handed to their owners. An event loop that is
   * late runs its timers first, so a peer can seem silent whose bytes lie there unread.
   *
   * @param sockets How many are open.
   */
  caughtUp(sockets: number, run: () => void): void;
}

/** Callbacks of a socket's owner, never called from within a call that it makes. */
export interface SocketEvents {
  /** Bytes were read; they are valid until this returns. */
  data(bytes: Uint8Array): void;
  /** All that was written is in the system's hands. */
  drained(): void;
  /** It is gone, and not by `close`. Told once, and nothing after it. */
  ended(reason: PeerError): void;
}

/** One TCP connection, with TLS or without. Nothing is read before `start`. */
export interface Socket {
  /** The other end: address and port. */
  readonly address: string;
  /** The other end's address without its port. */
  readonly hostname: string;
  /**
   * Bytes that the system has taken so far. While `write` has returned false and this does not grow, the other end
   * takes nothing.
   */
  readonly taken: number;
  /** Begins to read. To be called once, for a socket that was accepted; one from `connect` begins by itself. */
  start(events: SocketEvents): void;
  /**
   * Hands over bytes, or a text as UTF-8. Bytes must not change until all was taken.
   *
   * @returns whether the system has taken all that was ever written. If not, `drained` follows. False when the
   * connection has ended: then nothing follows.
   */
  write(data: Uint8Array | string): boolean;
  /** Stops reading. One more piece may come. */
  pause(): void;
  /** Reads on. */
  resume(): void;
  /** Tells the other end that nothing more comes, and reads on. Once, when the system has taken all that was written. */
  finish(): void;
  /** Ends the connection at once, and frees it. Bytes that the system has not taken yet are lost. */
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
  /** Name or address of this machine's. */
  hostname: string;
  /** 0: any free one. */
  port: number;
  /** Connections that the system keeps until they are accepted. */
  backlog: number;
  /** For TLS. */
  tls?: Tls | undefined;
}

/** A port that is listened on. */
export interface Listener {
  /** Its number. */
  readonly port: number;
  /**
   * Takes another certificate for connections from now on.
   *
   * @throws {LocalError} BAD_ARGUMENT if it is not a certificate, if the key does not belong to it, or if the listener had none before; then
   * nothing has changed
   */
  setTls(tls: Tls): void;
  /** Resolves when the port is free. Connections accepted before stay. */
  close(): Promise<void>;
}

/** How TLS is spoken to a server; all of it in PEM. */
export interface ConnectTls {
  /** The certificate that signed the server's. Default: those that the system trusts. */
  caCert?: string;
  /** For a server that asks for one: this side's certificate, and those between it and one that the server trusts. */
  cert?: string;
  /** Its private key. */
  key?: string;
}

/** Where to connect. */
export interface ConnectOptions {
  /** Name or address. */
  hostname: string;
  /** What `resolve` has found for it; then it is not looked up again. */
  addresses?: readonly string[] | undefined;
  /** TCP port. */
  port: number;
  /** For TLS; true: the certificates that the system trusts, and none of this side. */
  tls?: ConnectTls | true | undefined;
}

/** The machine. */
export interface Platform extends Clock {
  /** How many more files this process may open, sockets among them; undefined if it cannot be known. */
  freeFiles?(): number | undefined;
  /** The machine's name; undefined: unknown. */
  machine?(): string | undefined;
  /**
   * Begins to listen.
   *
   * @param accept Given each connection, with TLS before its handshake: that happens after `start`.
   * @param failed Told why the system cannot accept one, again and again for as long as that lasts.
   * @throws {Error} the system's, with a `code` such as EADDRINUSE
   * @throws {LocalError} BAD_ARGUMENT for a malformed certificate, or a key that does not belong to it
   */
  listen(
    options: ListenOptions,
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener>;
  /**
   * Looks up what a name means, as long as that may take.
   *
   * @param ended Told once, not from within this call: the addresses, one at least, the best one first; or NO_ADDRESS.
   * @returns forgets it
   */
  resolve(hostname: string, ended: (found: readonly string[] | PeerError) => void): () => void;
  /** Starts to connect. `opened` is told when bytes can be written, and reading begins; `ended` if that fails. */
  connect(options: ConnectOptions, events: SocketEvents & { opened(): void }): Socket;
}
