/**
 * A client on a machine that the test controls, and its sockets.
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

/** A socket whose input and output the test controls. */
export class TestSocket implements Socket {
  readonly address = "192.0.2.1:8123";
  readonly hostname = "192.0.2.1";
  taken = 0;
  paused = false;
  closed = false;
  /** What was written; the buffers may have changed since. */
  readonly written: Uint8Array[] = [];
  /** Whether it takes everything at once. */
  takes = true;
  /** How many bytes of each write it takes at once if it does not take everything. */
  takesFirst = 0;
  /** Unread events. */
  unread: (() => void)[] = [];

  constructor(readonly options: ConnectOptions, readonly events: Events) {}

  start(): void {
    throw new Error("a client's socket reads without being started");
  }

  write(data: Uint8Array): boolean {
    assert(!this.closed, "written to a socket that was closed");
    this.written.push(data);
    this.taken += this.takes ? data.length : this.takesFirst;
    return this.takes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  finish(): void {
    throw new Error("a client does not finish a connection, it closes it");
  }

  close(): void {
    this.closed = true;
  }

  get text(): string {
    const decoder = new TextDecoder();
    return this.written.map((bytes) => decoder.decode(bytes)).join("");
  }

  /** Adds an event that is not read yet. */
  comes(what: (events: Events) => void): void {
    this.unread.push(() => what(this.events));
  }

  /** Reads the events. */
  read(): void {
    for (const event of this.unread.splice(0)) if (!this.closed) event();
  }

  gives(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.events.data(bytes);
    bytes.fill(0); // they were valid only until now
  }
}

/** A pending lookup of a name. */
export interface Lookup {
  readonly hostname: string;
  ended(found: readonly string[] | PeerError): void;
}

export class ClientMachine extends ManualClock implements Platform {
  readonly sockets: TestSocket[] = [];
  /** Pending lookups. */
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

  /** Answers the oldest lookup. */
  finds(found: readonly string[] | PeerError): void {
    this.lookups.shift()!.ended(found);
  }

  get socket(): TestSocket {
    return this.sockets.at(-1)!;
  }

  /** Lets time pass as in a busy loop: then the timers that are due run first. */
  wakesUpAfter(ms: number): void {
    this.stall(ms);
  }

  /** Reads all events, and notifies those who waited. */
  looks(): void {
    this.sockets.at(-1)?.read();
    for (const run of this.looking.splice(0)) run();
  }

  /** Lets time pass in small steps, and reads everything in time. */
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

  /** Lets time pass in which the server sends keepalives. */
  hearsFor(ms: number): void {
    for (let passed = 0; passed < ms; passed += TIMEOUT / 10) {
      this.machine.socket.gives("\n");
      this.machine.passes(TIMEOUT / 10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    assertEquals(this.machine.timers, 0, "a timer is left");
    assert(this.machine.sockets.every(({ closed }) => closed), "a socket is left");
  }
}
