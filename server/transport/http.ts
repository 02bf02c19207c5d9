/**
 * An HTTP server that idle connections cannot fill up: connections are limited in all and for each address, and an
 * idle one makes room for another. Requests and responses are those of the web.
 */
import http from "node:http";
import https from "node:https";
import type net from "node:net";
import { Readable } from "node:stream";
import { LocalError } from "../protocol/errors.ts";
import { isLoopback, joinAddress, peerOf } from "./address.ts";
import { nodePlatform } from "./node.ts";
import type { Clock, Tls } from "./platform.ts";
import { checkPair } from "./tls_pair.ts";

/** Most connections in all, and of one address; in IPv6, of one network. */
export const MOST_CONNECTIONS = 256;
export const MOST_OF_ONE = 64;

/** A connection without a complete request for this many ms is closed. */
export const IDLE = 30_000;

/** A connection that reads nothing of its answer for this many ms is closed, too. */
export const STALLED = 60_000;

/** Interval between checks of the connections, in ms. */
const INTERVAL = 5000;

/** Options of an HTTP server. */
export interface HttpOptions {
  readonly port: number;
  readonly hostname: string;
  readonly tls?: Tls | undefined;
  /** Answers a request; never rejects. @param address The client's address, without its port. */
  answer(request: Request, address: string): Response | Promise<Response>;
  /** The answer if the server itself has failed with a request. */
  failed(error: unknown): Response;
  readonly clock?: Pick<Clock, "after" | "now">;
}

/** A connected client. */
interface Guest {
  readonly raw: net.Socket;
  /** The key of `keyOf`; undefined: a client on this machine, which may be a proxy. */
  readonly peer: string | undefined;
  /** Since when it is idle; undefined: a request is being answered. */
  idle: number | undefined;
  /** Since when it has not accepted the last write; undefined: it has. */
  writing: number | undefined;
}

export class Http {
  readonly #options: HttpOptions;
  readonly #clock: Pick<Clock, "after" | "now">;
  readonly #server: http.Server | https.Server;
  /** By the other end's address and port; the longest idle come first. */
  readonly #connections = new Map<string, Guest>();
  #cancel: () => void;
  #port = 0;

  private constructor(options: HttpOptions) {
    this.#options = options;
    this.#clock = options.clock ?? nodePlatform;
    const serve = (asked: http.IncomingMessage, answer: http.ServerResponse) =>
      void this.#serve(asked, answer);
    const { tls } = options;
    if (tls) checkPair(tls);
    this.#server = tls ? https.createServer({ ...tls }, serve) : http.createServer(serve);
    this.#server.on("connection", (raw: net.Socket) => this.#accept(raw));
    this.#server.on("clientError", (_: Error, socket: net.Socket) => socket.destroy());
    this.#cancel = this.#clock.after(INTERVAL, this.#look);
  }

  /**
   * Starts to listen.
   *
   * @throws {LocalError} BAD_ARGUMENT: certificate and key cannot be used
   * @throws {Error} the operating system's, with a code such as EADDRINUSE
   */
  static async listen(options: HttpOptions): Promise<Http> {
    const it = new Http(options);
    const { port, hostname: host } = options;
    try {
      await new Promise<void>((resolve, reject) => {
        it.#server.once("error", reject);
        it.#server.listen({ port, host }, resolve);
      });
    } catch (error) {
      it.#cancel();
      throw error;
    }
    it.#port = (it.#server.address() as net.AddressInfo).port;
    it.#server.on("error", () => {}); // too many open files: new connections wait in the system's queue
    return it;
  }

  /** The port that it listens on, or did. */
  get port(): number {
    return this.#port;
  }

  /** Replaces the certificate, for new connections. @throws {LocalError} BAD_ARGUMENT; the old one stays then */
  setTls(tls: Tls): void {
    if (!("setSecureContext" in this.#server)) {
      throw new LocalError("BAD_ARGUMENT", "this listener has no TLS");
    }
    checkPair(tls);
    this.#server.setSecureContext({ ...tls });
  }

  /** Closes all connections, also those being answered. Resolves when the port is free. */
  async close(): Promise<void> {
    this.#cancel();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { raw } of this.#connections.values()) raw.destroy();
    await closed;
  }

  #accept(raw: net.Socket): void {
    raw.on("error", () => {}); // an error event without a listener ends the process
    const address = raw.remoteAddress;
    // Undefined if the other end has gone meanwhile.
    if (address === undefined || !this.#makeRoom(address)) return void raw.destroy();
    const name = nameOf(raw);
    const peer = keyOf(address);
    const connection = { raw, peer, idle: this.#clock.now(), writing: undefined };
    this.#connections.set(name, connection);
    raw.on("close", () => {
      if (this.#connections.get(name) === connection) this.#connections.delete(name);
    });
  }

  /** Whether there is room for one more; closes an idle one if needed. */
  #makeRoom(address: string): boolean {
    const peer = keyOf(address);
    const all = [...this.#connections.values()];
    const theirs = all.filter((one) => peer !== undefined && one.peer === peer);
    const crowd = theirs.length >= MOST_OF_ONE
      ? theirs
      : all.length >= MOST_CONNECTIONS
      ? all
      : undefined;
    if (!crowd) return true;
    const leaves = crowd.find(({ idle }) => idle !== undefined);
    leaves?.raw.destroy();
    return leaves !== undefined;
  }

  readonly #look = (): void => {
    this.#cancel = this.#clock.after(INTERVAL, this.#look);
    const now = this.#clock.now();
    for (const { raw, idle = now, writing = now } of this.#connections.values()) {
      if (now - idle >= IDLE || now - writing >= STALLED) raw.destroy();
    }
  };

  async #serve(asked: http.IncomingMessage, answer: http.ServerResponse): Promise<void> {
    const name = nameOf(asked.socket);
    const connection = this.#connections.get(name);
    if (!connection) return; // it has gone
    connection.idle = undefined;
    try {
      const response = await this.#answer(asked);
      await send(response, answer, (isWriting) => {
        connection.writing = isWriting ? this.#clock.now() : undefined;
      });
    } catch {
      connection.raw.destroy(); // half an answer is useless
    }
    if (this.#connections.get(name) !== connection) return;
    // Moved behind the others, as it was busy until now.
    connection.idle = this.#clock.now();
    this.#connections.delete(name);
    this.#connections.set(name, connection);
  }

  async #answer(asked: http.IncomingMessage): Promise<Response> {
    const { answer, failed } = this.#options;
    let request: Request;
    try {
      request = requestOf(asked, this.#options.tls ? "https" : "http");
    } catch {
      return new Response("this request cannot be answered\n", { status: 400 });
    }
    try {
      return await answer(request, asked.socket.remoteAddress ?? "");
    } catch (error) {
      return failed(error);
    }
  }
}

/** A name of a connection: the same for its TLS socket and for the TCP socket beneath it. */
function nameOf({ remoteAddress = "", remotePort = 0 }: net.Socket): string {
  return joinAddress(remoteAddress, remotePort);
}

/** The key under which connections are counted; undefined: this machine's are not counted. */
function keyOf(address: string): string | undefined {
  const peer = peerOf(address);
  return isLoopback(peer) ? undefined : peer;
}

/** @throws {TypeError} it is not a valid request, or `Request` cannot express it */
function requestOf(asked: http.IncomingMessage, scheme: string): Request {
  const { method = "GET", url = "/", headersDistinct } = asked;
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  // The host is checked by its header, not here.
  return new Request(new URL(url, `${scheme}://localhost`), {
    method,
    headers,
    ...(hasBody && { body: Readable.toWeb(asked) as ReadableStream, duplex: "half" }),
  } as RequestInit);
}

/**
 * Sends a response.
 *
 * @param writing Called when data is handed over, and when it was accepted. @throws {Error} the connection has ended
 */
async function send(
  response: Response,
  answer: http.ServerResponse,
  writing: (isWriting: boolean) => void,
): Promise<void> {
  const gone = new Promise<never>((_, reject) => {
    answer.once("close", () => reject(new Error("the connection has ended")));
  });
  gone.catch(() => {}); // it always rejects in the end
  const done = (run: (done: () => void) => void) => {
    writing(true);
    return Promise.race([new Promise<void>(run), gone]).finally(() => writing(false));
  };
  const reader = response.body?.getReader();
  try {
    answer.writeHead(response.status, [...response.headers].flat());
    answer.flushHeaders();
    while (reader) {
      const { done: isOver, value } = await Promise.race([reader.read(), gone]);
      if (isOver) break;
      await done((taken) => answer.write(value, () => taken()));
    }
    await done((taken) => answer.end(() => taken()));
  } catch (error) {
    await reader?.cancel().catch(() => {});
    throw error;
  }
}
