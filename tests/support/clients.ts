/**
 * Clients of servers in this process, good and bad, with the states that they have reported.
 *
 * @module
 */
import { Client, type ClientOptions, LocalError, type PeerError } from "../../bridge/host/mod.ts";
import { type Device, Server } from "../../server/mod.ts";
import { FaultProxy } from "./proxy.ts";
import { type RawPeer, RawServer } from "./raw.ts";
import { until } from "./wait.ts";

/** The promises of a good server hold in both. */
export const DIALECTS = [1, 2] as const;

/** For tests in which silence does not matter: long, but pauses between attempts grow with it. */
export const PATIENT = 5000;

/** The states of a client's link: "up", or the code of the reason why it is down. */
export class States {
  readonly seen: string[] = [];
  readonly reasons: (PeerError | LocalError)[] = [];

  onState = (connected: boolean, reason?: PeerError | LocalError): void => {
    this.seen.push(connected ? "up" : reason!.code);
    if (reason) this.reasons.push(reason);
  };

  /** Waits until this state was reported `times` times. */
  async tells(state: string, times = 1): Promise<void> {
    const what = () => `${state} ${times} times in ${this.seen.join()}`;
    await until(() => this.seen.filter((seen) => seen === state).length >= times, { what });
  }
}

/** A server, a bad network in front of it, and one client behind that. */
export class Scene implements AsyncDisposable {
  readonly states = new States();
  client!: Client;

  private constructor(readonly server: Server, readonly proxy: FaultProxy) {}

  static async start(options: Partial<ClientOptions> = {}): Promise<Scene> {
    const { timeout = PATIENT } = options;
    const server = await Server.listen({ hostname: "127.0.0.1", port: 0, open: true, timeout });
    const proxy = await FaultProxy.start({ target: { port: server.port } });
    const scene = new Scene(server, proxy);
    const { onState } = scene.states;
    scene.client = new Client({ id: "1", port: proxy.port, timeout, onState, ...options });
    return scene;
  }

  device(): Promise<Device> {
    return this.server.device("1");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.proxy.close();
    await this.server.close();
  }
}

/** A client of a server that the test controls, in dialect 1, which is shorter to write. */
export function dial(server: RawServer, options: Partial<ClientOptions> = {}): [Client, States] {
  const states = new States();
  const { onState } = states;
  return [
    new Client({ id: "1", port: server.port, timeout: PATIENT, dialect: 1, onState, ...options }),
    states,
  ];
}

/** A server whose connections are kept alive, and otherwise silent. */
export function quietServer(): RawServer {
  return new RawServer((peer) => {
    void peer.sayIfHeard("\n");
    peer.keepAlive(100);
  });
}

/** A connection to such a server on which the client's first message was acknowledged: the next id is 01. */
export async function booted(server: RawServer, client: Client): Promise<RawPeer> {
  const written = client.write("boot");
  written.catch(() => {});
  const peer = await server.peer(0);
  await peer.hears("00boot");
  await peer.say("00\n");
  await written;
  return peer;
}

/** The messages among the lines that a server has received, with their ids; without the one of `booted`. */
export function messages(peer: RawPeer): string[] {
  return peer.lines.slice(1).filter((line) => line.length > 2 && line !== "00boot");
}

export function isClosed(error: unknown): boolean {
  return error instanceof LocalError && error.code === "CLOSED";
}

export function numbers(count: number, prefix = ""): string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}${n}`);
}

/** Writes all of them; the result covers all, and need not be awaited if a test has failed. */
export function writeAll(end: Client | Device, texts: string[], wait = true): Promise<boolean[]> {
  const written = Promise.all(texts.map((text) => end.write(text, { wait })));
  written.catch(() => {});
  return written;
}

/** Writes one after the other, each when the previous one is done. */
export function writeInTurn(end: Client | Device, texts: string[]): Promise<boolean[]> {
  const written = (async () => {
    const results = [];
    for (const text of texts) results.push(await end.write(text));
    return results;
  })();
  written.catch(() => {});
  return written;
}

export async function readAll(end: Client | Device, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) lines.push(await end.readline());
  return lines;
}

/** Registers a test of a situation in which both dialects must give the same result. */
export function inBothDialects(name: string, run: (dialect: 1 | 2) => Promise<void>): void {
  for (const dialect of DIALECTS) Deno.test(`dialect ${dialect}: ${name}`, () => run(dialect));
}
