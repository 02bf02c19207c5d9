/**
 * A client on a machine in the hands of a test, and the sockets that it makes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Client, type ClientOptions } from "../../bridge/host/mod.ts";
import type { LocalError, PeerError } from "../../server/protocol/errors.ts";
import type {
  ConnectOptions,
  Listener,
  Platform,
  Socket,
  SocketEvents,
} from "../../server/transport/platform.ts";
import { ManualClock } from "./manual_platform.ts";

export const TIMEOUT = 1000;

type Events = SocketEvents & { opened(): void };

/** A socket that takes and gives what the test says. */
export class TestSocket implements Socket {
  readonly address = "192.0.2.1:8123";
  readonly hostname = "192.0.2.1";
  taken = 0;
  paused = false;
  closed = false;
  /** What was written, as it is now. */
  readonly written: Uint8Array[] = [];
  /** Whether all is taken at once. */
  takes = true;
  /** What has come, and lies unread. */
  unread: (() => void)[] = [];

  constructor(readonly options: ConnectOptions, readonly events: Events) {}

  start(): void {
    throw new Error("it has begun to read by itself");
  }

  write(data: Uint8Array): boolean {
    assert(!this.closed, "written to a socket that was closed");
    this.written.push(data);
    if (this.takes) this.taken += data.length;
    return this.takes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  finish(): void {
    throw new Error("a client does not do that");
  }

  close(): void {
    this.closed = true;
  }

  get text(): string {
    const decoder = new TextDecoder();
    return this.written.map((bytes) => decoder.decode(bytes)).join("");
  }

  /** Bytes come, but are not read yet. */
  comes(what: (events: Events) => void): void {
    this.unread.push(() => what(this.events));
  }

  /** Somebody looks. */
  read(): void {
    for (const event of this.unread.splice(0)) if (!this.closed) event();
  }

  gives(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.events.data(bytes);
    bytes.fill(0); // they were valid until then
  }
}

/** A name that is being looked up, until somebody answers. */
export interface Lookup {
  readonly hostname: string;
  ended(found: readonly string[] | PeerError): void;
}

export class ClientMachine extends ManualClock implements Platform {
  readonly sockets: TestSocket[] = [];
  /** Names that are being looked up. */
  lookups: Lookup[] = [];

  connect(options: ConnectOptions, events: Events): Socket {
    const socket = new TestSocket(options, events);
    this.sockets.push(socket);
    return socket;
  }

  override soon = queueMicrotask;

  listen(): Promise<Listener> {
    throw new Error("a client does not listen");
  }

  resolve(hostname: string, ended: Lookup["ended"]): () => void {
    const lookup = { hostname, ended };
    this.lookups.push(lookup);
    return () => void (this.lookups = this.lookups.filter((other) => other !== lookup));
  }

  /** The oldest lookup has an answer. */
  finds(found: readonly string[] | PeerError): void {
    this.lookups.shift()!.ended(found);
  }

  get socket(): TestSocket {
    return this.sockets.at(-1)!;
  }

  /** Time passes, and then the timers that are due come first: the loop was busy meanwhile. */
  wakesUpAfter(ms: number): void {
    this.stall(ms);
  }

  /** Reads what has come, and tells those who waited for it. */
  looks(): void {
    this.sockets.at(-1)?.read();
    for (const run of this.looking.splice(0)) run();
  }

  /** Time passes in small steps, and everything is read in time. */
  passes(ms: number): void {
    for (let passed = 0; passed < ms; passed += 5) {
      this.stall(5);
      this.looks();
    }
  }
}

/** A client in dialect 1, whose greeting is one newline, on a machine of its own. */
export class ManualClient implements AsyncDisposable {
  readonly machine = new ClientMachine();
  readonly told: string[] = [];
  readonly client: Client;

  constructor(options: Partial<ClientOptions> = {}) {
    const onState = (up: boolean, reason?: PeerError | LocalError) =>
      void this.told.push(up ? "up" : reason!.code);
    const all = { id: "1", timeout: TIMEOUT, dialect: 1 as const, onState, ...options };
    this.client = new Client(all, this.machine);
  }

  static up(options: Partial<ClientOptions> = {}): ManualClient {
    const scene = new ManualClient(options);
    scene.machine.socket.events.opened();
    scene.machine.socket.gives("\n");
    assertEquals(scene.told, ["up"]);
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    assertEquals(this.machine.timers, 0, "a timer is left");
    assert(this.machine.sockets.every(({ closed }) => closed), "a socket is left");
  }
}
