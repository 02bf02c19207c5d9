/**
 * Numbered messages in both directions at once, through one outage after the other, and the check of what arrived.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Arrival, FaultProxy, SplitOptions } from "../support/proxy.ts";
import { until } from "../support/wait.ts";

/** An application at one end of the link, whatever implements the link. */
export interface End {
  /** Lines it has received, without their newline. */
  readonly heard: readonly string[];
  /** Texts whose write has returned. */
  readonly acked: readonly string[];
  /** Whether its end of the link says that it is connected. */
  readonly linked: boolean;
  /** Lets it write the texts one after the other; does not wait for that. */
  write(texts: readonly string[]): void;
  /** What is known about its state, shown when a test waits in vain. */
  story(): string;
  /** Throws if it cannot go on. */
  check(): void;
}

/** The common part of a Holdfast client and a server's device. */
export interface Endpoint {
  readonly connected: boolean;
  readline(): Promise<string | undefined>;
  write(text: string, options?: { readonly wait: boolean }): Promise<unknown>;
}

/** The application on one of our own ends. */
export class Application implements End {
  readonly heard: string[] = [];
  readonly acked: string[] = [];
  readonly #endpoint: Endpoint;
  #writing: Promise<void> = Promise.resolve();
  #reading: PromiseWithResolvers<void> | undefined;
  #stopped = false;
  #failure: unknown;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#guard(this.#read());
  }

  get linked(): boolean {
    return this.#endpoint.connected;
  }

  write(texts: readonly string[]): void {
    this.#writing = this.#writing.then(async () => {
      for (const text of texts) {
        if (!this.#stopped) await this.#write(text, true);
      }
    });
    this.#guard(this.#writing);
  }

  /** Writes the texts without waiting for acks in between, so their order is not guaranteed. */
  writeAtOnce(texts: readonly string[]): void {
    for (const text of texts) this.#guard(this.#write(text, false));
  }

  story(): string {
    return `own end: heard ${this.heard.length}, acked ${this.acked.length}`;
  }

  check(): void {
    if (this.#failure) throw new Error("a call on the link has failed", { cause: this.#failure });
  }

  /** Stops reading until `resume`, although a line that it already waits for still arrives. */
  pause(): void {
    this.#reading ??= Promise.withResolvers();
  }

  resume(): void {
    this.#reading?.resolve();
    this.#reading = undefined;
  }

  /** Call it before the link is closed: from now on errors are expected. */
  stop(): void {
    this.#stopped = true;
  }

  #guard(task: Promise<void>): void {
    task.catch((error) => {
      if (!this.#stopped) this.#failure ??= error;
    });
  }

  async #write(text: string, wait: boolean): Promise<void> {
    await this.#endpoint.write(text, { wait });
    this.acked.push(text);
  }

  async #read(): Promise<void> {
    for (let line; (line = await this.#endpoint.readline()) !== undefined;) {
      this.heard.push(line.replace(/\n$/, ""));
      await this.#reading?.promise;
    }
  }
}

/** One event on the link, while a batch of messages is on its way in each direction. */
export interface Phase {
  readonly name: string;
  /** Cuts the stream into pieces during this phase. */
  readonly split?: SplitOptions & { readonly maxBytes: number };
  /** Called when a message or an ack in the middle of the batch arrives, which is the first to be hit. */
  readonly strike?: (proxy: FaultProxy) => void;
  /** Brings the network back. */
  readonly recover?: (proxy: FaultProxy, client: End, server: End) => Promise<void>;
}

const nobodyLinked = (client: End, server: End) =>
  until(() => !client.linked && !server.linked, { what: "both ends to notice the outage" });

/** Outages of every kind that the proxy offers. */
export const outages: readonly Phase[] = [
  { name: "a reset", strike: (proxy) => proxy.reset() },
  {
    name: "a black hole in which everything is lost",
    strike: (proxy) => proxy.blackhole(),
    recover: async (proxy, client, server) => {
      await nobodyLinked(client, server);
      proxy.restore({ drop: true });
    },
  },
  {
    name: "a black hole on the way up",
    strike: (proxy) => proxy.blackhole("up"),
    recover: async (proxy, _client, server) => {
      await until(() => !server.linked, { what: "the server to notice the outage" });
      proxy.restore({ drop: true });
    },
  },
  {
    name: "a black hole on the way down",
    strike: (proxy) => proxy.blackhole("down"),
    recover: async (proxy, client) => {
      await until(() => !client.linked, { what: "the client to notice the outage" });
      proxy.restore({ drop: true });
    },
  },
  {
    name: "a black hole that delivers everything at its end",
    strike: (proxy) => proxy.blackhole(),
    recover: async (proxy, client, server) => {
      await nobodyLinked(client, server);
      proxy.restore();
    },
  },
  { name: "a client that vanished from its connection", strike: (proxy) => proxy.halfOpen() },
];

/** `count` texts with their origin and number, from `first` on. */
export function numbered(origin: string, count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, index) => `${origin} ${first + index}`);
}

/** A client and a server with a proxy between them, and all bytes that they exchanged. */
export class Exchange {
  /** What the client and the server have been asked to write so far. */
  readonly sent = { up: [] as string[], down: [] as string[] };
  readonly #client: End;
  readonly #server: End;
  readonly #proxy: FaultProxy;
  readonly #started = performance.now();
  readonly #wire: string[] = [];

  constructor(client: End, server: End, proxy: FaultProxy) {
    this.#client = client;
    this.#server = server;
    this.#proxy = proxy;
    proxy.onBytes = (arrival) => this.#record(arrival);
  }

  /** Sends `count` messages each way through a phase, and waits until all are acknowledged. */
  async run(phase: Phase, count: number): Promise<void> {
    this.#wire.push(`-- ${phase.name}`);
    this.#proxy.split(phase.split?.maxBytes, phase.split);
    const struck = this.#strikeLater(phase, count);
    this.#write("up", this.#client, count);
    this.#write("down", this.#server, count);
    await this.until(() => struck.done, `the moment for ${phase.name}`);
    await phase.recover?.(this.#proxy, this.#client, this.#server);
    await this.#settled(phase.name);
    this.#proxy.split(undefined);
  }

  /** Checks that each end has received what the other wrote: nothing lost or doubled, all in order. */
  assertExact(): void {
    assertEquals(this.#server.heard, this.sent.up);
    assertEquals(this.#client.heard, this.sent.down);
    assertEquals(this.#client.acked, this.sent.up);
    assertEquals(this.#server.acked, this.sent.down);
  }

  /** Waits; if in vain, shows the state of both ends and the last bytes on the wire. */
  async until(condition: () => unknown, what: string): Promise<void> {
    const ends = [this.#client, this.#server];
    const story = () =>
      [what, ...ends.map((end) => end.story()), ...this.#wire.slice(-60)].join("\n");
    await until(() => {
      for (const end of ends) end.check();
      return condition();
    }, { what: story, timeout: 60_000 });
  }

  #write(direction: "up" | "down", end: End, count: number): void {
    const texts = numbered(direction === "up" ? "up" : "grüße", count, this.sent[direction].length);
    this.sent[direction].push(...texts);
    end.write(texts);
  }

  #settled(name: string): Promise<void> {
    const { up, down } = this.sent;
    return this.until(
      () =>
        this.#client.acked.length >= up.length && this.#server.acked.length >= down.length &&
        this.#server.heard.length >= up.length && this.#client.heard.length >= down.length,
      `all messages and acks after ${name}`,
    );
  }

  /** Strikes after a quarter of the batch; acks count as arrivals, too. */
  #strikeLater(phase: Phase, count: number): { done: boolean } {
    const state = { done: phase.strike === undefined };
    const seen = { up: 0, down: 0 };
    this.#proxy.onBytes = (arrival) => {
      this.#record(arrival);
      if (arrival.bytes.length > 1) seen[arrival.direction]++;
      if (state.done || Math.min(seen.up, seen.down) < count / 2) return;
      state.done = true;
      this.#wire.push(`-- now`);
      phase.strike?.(this.#proxy);
    };
    return state;
  }

  #record({ connection, direction, bytes }: Arrival): void {
    const at = Math.round(performance.now() - this.#started);
    const text = new TextDecoder().decode(bytes);
    this.#wire.push(`${at} ms, connection ${connection} ${direction} ${JSON.stringify(text)}`);
  }
}
