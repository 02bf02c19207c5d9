/**
 * Both ends of connections of the real platform, with their events.
 *
 * @module
 */
import type { PeerError } from "../../server/protocol/errors.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type {
  ConnectOptions,
  Listener,
  Socket,
  SocketEvents,
  Tls,
} from "../../server/transport/platform.ts";
import { makeCertificate } from "./certificate.ts";
import { isAlone } from "./own_process.ts";
import { toolTest } from "./tools.ts";
import { until } from "./wait.ts";

export const MB = 1024 * 1024;

/** More than the system's buffers of a connection hold, in bytes. */
export const MORE_THAN_FITS = 48 * MB;

/** One end, with its events. */
export class End implements SocketEvents {
  socket!: Socket;
  heard = 0;
  text = "";
  told: string[] = [];
  reason: PeerError | undefined;
  /** Called with received bytes. */
  onData: (bytes: Uint8Array) => void = () => {};
  #decoder = new TextDecoder();

  opened(): void {
    this.told.push("opened");
  }

  data(bytes: Uint8Array): void {
    this.heard += bytes.length;
    if (this.text.length < 10_000) this.text += this.#decoder.decode(bytes, { stream: true });
    this.onData(bytes);
  }

  drained(): void {
    this.told.push("drained");
  }

  ended(reason: PeerError): void {
    this.told.push("ended");
    this.reason = reason;
  }

  is(state: string): Promise<unknown> {
    return until(() => this.told.includes(state), { what: () => `${state}, not ${this.told}` });
  }

  hears(text: string): Promise<unknown> {
    return until(() => this.text === text, { what: () => `${text}, not ${this.text}` });
  }
}

/** A listener, and the ends of connections to it. */
export class Place implements AsyncDisposable {
  readonly accepted: Socket[] = [];
  readonly #connected: Socket[] = [];
  listener!: Listener;

  static async open(tls?: Tls): Promise<Place> {
    const place = new Place();
    place.listener = await nodePlatform.listen(
      { hostname: "127.0.0.1", port: 0, backlog: 16, tls },
      (socket) => place.accepted.push(socket),
      (error) => {
        throw error;
      },
    );
    return place;
  }

  connect(tls?: ConnectOptions["tls"], hostname = "127.0.0.1"): End {
    const end = new End();
    end.socket = nodePlatform.connect({ hostname, port: this.listener.port, tls }, end);
    this.#connected.push(end.socket);
    return end;
  }

  /** The next connection that was accepted, started. */
  async next(): Promise<End> {
    const end = new End();
    end.socket = await until(() => this.accepted[0], { what: "a connection" });
    end.socket.start(end);
    this.#connected.push(this.accepted.shift()!);
    return end;
  }

  /** Both ends of a connection that is open. */
  async pair(tls?: ConnectOptions["tls"]): Promise<[client: End, server: End]> {
    const client = this.connect(tls);
    const server = await this.next();
    await client.is("opened");
    return [client, server];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.accepted, ...this.#connected]) socket.close();
    await this.listener.close();
  }
}

/**
 * Counts the sockets that this process opens from now on and has not closed; 0 where that cannot be seen. These must be
 * those of one test: it runs with {@linkcode inOwnProcess}.
 */
export function socketCounter(): () => number {
  if (!isAlone()) throw new Error("other tests open sockets in this process: use inOwnProcess");
  const before = new Set(openSockets()); // some of them may be closing
  return () => openSockets().filter((socket) => !before.has(socket)).length;
}

function openSockets(): string[] {
  if (Deno.build.os !== "linux") return [];
  const sockets: string[] = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const path = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (path.startsWith("socket:")) sockets.push(path);
    } catch {
      // The handle of the folder itself is closed by now.
    }
  }
  return sockets;
}

/** Waits until at most `count` sockets are open. @param opened Counts them */
export function closedAllBut(count: number, opened: () => number): Promise<unknown> {
  return until(() => opened() <= count, {
    what: () => `${count} sockets, not ${opened()}`,
  });
}

/** Waits until a number has not changed for a while. */
export async function settled(number: () => number): Promise<number> {
  let last = NaN;
  for (let same = 0; same < 15; same++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (number() !== last) same = 0;
    last = number();
  }
  return last;
}

/** Registers a test that must pass over TCP and over TLS. */
export function overBoth(
  name: string,
  run: (
    tls: Tls | undefined,
    trusted: { caCert: string } | undefined,
    t: Deno.TestContext,
  ) => Promise<void>,
): void {
  Deno.test(`over TCP: ${name}`, (t) => run(undefined, undefined, t));
  toolTest(`over TLS: ${name}`, { openssl: "openssl" }, async ({ openssl }, t) => {
    const tls = await certificate(openssl);
    await run(tls, { caCert: tls.cert }, t);
  });
}

let made: Promise<Tls> | undefined;

export function certificate(openssl: string): Promise<Tls> {
  return made ??= makeCertificate(openssl);
}
