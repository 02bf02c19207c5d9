/**
 * A server in this process, with the test as its devices.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type Device, type LogEntry, Server, type ServerOptions } from "../../server/mod.ts";
import { RawPeer } from "./raw.ts";
import { until } from "./wait.ts";

/** For tests in which silence does not matter. */
export const PATIENT = 60_000;

/** A test that takes longer waits for ever: its server ends, and pending calls reject with CLOSED. In ms. */
const LONGEST = 180_000;

/** A server, its log, and peers that are closed at the end of the test. */
export class Scene implements AsyncDisposable {
  readonly peers: RawPeer[] = [];
  readonly #timer: ReturnType<typeof setTimeout>;

  private constructor(readonly server: Server, readonly log: LogEntry[]) {
    this.#timer = setTimeout(() => void server.close(), LONGEST);
  }

  static async start(options: ServerOptions = {}): Promise<Scene> {
    const log: LogEntry[] = [];
    const server = await Server.listen({
      hostname: "127.0.0.1",
      port: 0,
      timeout: PATIENT,
      open: true,
      log: (entry) => log.push(entry),
      ...options,
    });
    return new Scene(server, log);
  }

  async dial(hello = "", { reads = true, port = this.server.port } = {}): Promise<RawPeer> {
    const peer = await RawPeer.dial(port, { reads });
    this.peers.push(peer);
    await peer.say(hello);
    return peer;
  }

  /** A device that has connected. */
  async device(id: string): Promise<[Device, RawPeer]> {
    const peer = await this.dial(`${id}\n\n`);
    const device = await this.server.device(id);
    await until(() => device.connected && peer.heard.startsWith("\n"));
    return [device, peer];
  }

  /** The codes of all entries about this event. */
  codes(event: LogEntry["event"]): (string | undefined)[] {
    return this.log.filter((entry) => entry.event === event).map(({ code }) => code);
  }

  /** Waits for a log entry. */
  logs(event: LogEntry["event"], code?: string): Promise<LogEntry> {
    return until(
      () => this.log.find((entry) => entry.event === event && (!code || entry.code === code)),
      { what: () => `${event} ${code} in ${JSON.stringify(this.log)}` },
    );
  }

  /** Checks that the server works: a device connects, sends something and gets the ack. */
  async isWell(): Promise<void> {
    await using peer = await RawPeer.dial(this.server.port);
    const id = `visitor ${Math.random()}`;
    await peer.say(`${id}\n00are you there?\n`);
    await peer.hears("00");
    const device = await this.server.device(id);
    assertEquals(await device.readline(), "are you there?");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    for (const peer of this.peers) await peer[Symbol.asyncDispose]();
    await this.server.close();
  }
}
