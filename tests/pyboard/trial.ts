/**
 * Numbered messages between an initiator and a real server process, through faults everywhere on the way, and the check
 * of them. The server answers each message; message, record and answer are one transaction there.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals } from "@std/assert";
import { ServerProcess } from "../support/server_process.ts";
import { FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";
import type { Testbed } from "./testbed.ts";
import type { Initiator } from "./initiator.ts";
import { Station, type StationLike } from "./station.ts";

/** How many texts an initiator gets in advance. */
const AHEAD = 4;
/** The link's timeout, in ms. */
const TIMEOUT = 500;

/** Makes an initiator whose configuration names this port; it notes what it hears and sends in these lists. */
export type MakeInitiator = (
  about: { port: number; timeout: number; heard: string[]; sent: string[] },
) => Initiator;

export class Trial implements AsyncDisposable {
  readonly heard: string[] = [];
  readonly sent: string[] = [];
  /** All texts that an initiator was told to write. */
  readonly written: string[] = [];
  readonly station: StationLike;
  readonly proxy: FaultProxy;
  initiator: Initiator;
  /** How often the initiator was replaced by a new one. */
  restarts = 0;
  /** Replaces an initiator that has sent nothing for this many ms. Default: never. */
  patience = Infinity;
  #make: MakeInitiator;
  #folder: string;
  #server: ServerProcess;
  #stack: AsyncDisposableStack;

  /** @param makeStation Makes the responder's board. Default: a `Station`. */
  static async start(
    testbed: Testbed,
    make: MakeInitiator,
    makeStation: (testbed: Testbed) => StationLike = (testbed) => new Station(testbed),
  ): Promise<Trial> {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "holdfast_pyboard_" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    await Deno.writeTextFile(`${folder}/keys.json`, "{}", { mode: 0o600 });
    const server = await startServer(folder);
    const proxy = stack.use(await FaultProxy.start({ target: { port: server.port } }));
    const station = stack.use(makeStation(testbed));
    return new Trial(make, folder, server.process, proxy, station, stack.move());
  }

  private constructor(
    make: MakeInitiator,
    folder: string,
    server: ServerProcess,
    proxy: FaultProxy,
    station: StationLike,
    stack: AsyncDisposableStack,
  ) {
    this.#make = make;
    this.#folder = folder;
    this.#server = server;
    this.proxy = proxy;
    this.station = station;
    this.#stack = stack;
    this.initiator = this.#makeInitiator();
  }

  #makeInitiator(): Initiator {
    const { heard, sent, proxy } = this;
    return this.#make({ port: proxy.port, timeout: TIMEOUT, heard, sent });
  }

  /** Exchanges messages up to this total, with these events in between. */
  async run(
    count: number,
    faults: readonly ((trial: Trial) => Promise<void> | void)[],
  ): Promise<void> {
    for (const [n, fault] of faults.entries()) {
      await this.exchange(Math.floor(count * (n + 1) / (faults.length + 1)));
      await fault(this);
    }
    await this.exchange(count);
    await this.settle();
  }

  /** Writes until this many were sent in total. */
  async exchange(count: number): Promise<void> {
    let sent = this.sent.length;
    let since = performance.now();
    await this.until(async () => {
      if (this.sent.length !== sent) since = performance.now();
      sent = this.sent.length;
      if (performance.now() - since > this.patience) {
        await this.restartInitiator();
        since = performance.now();
      }
      while (this.initiator.pending < AHEAD) {
        const text = `message ${this.written.length} ${"x".repeat(this.written.length * 37 % 90)}`;
        this.written.push(text);
        this.initiator.write(text);
      }
      return this.sent.length >= count;
    }, `${count} to be sent`);
  }

  /** Waits until every sent message was answered. */
  async settle(): Promise<void> {
    const missing = () => {
      const heard = new Set(this.heard);
      return this.sent.filter((text) => !heard.has(`re ${text}`)).length;
    };
    await this.until(() => missing() <= this.restarts, "all answers");
  }

  async until(condition: () => unknown, what: string): Promise<void> {
    await until(() => {
      this.initiator.check();
      this.station.check();
      return condition();
    }, {
      timeout: 120_000,
      what: () => [what, this.initiator.story(), ...this.station.lines.slice(-20)].join("\n"),
    });
  }

  /** Kills the server with SIGKILL, and starts another on the same store. */
  async killServer(): Promise<void> {
    await this.#server.kill();
    assertEquals(this.#server.complaints, []);
    const { process, port } = await startServer(this.#folder);
    this.#server = process;
    this.proxy.retarget(port);
  }

  /** Resets the initiator's board: another program starts there. */
  async restartInitiator(): Promise<void> {
    await this.initiator[Symbol.asyncDispose]();
    this.restarts++;
    this.initiator = this.#makeInitiator();
  }

  /** Stops everything, and returns what the server processed, in its order. */
  async #processed(): Promise<string[]> {
    await this.#server.stop();
    assertEquals(this.#server.complaints, []);
    const db = new DatabaseSync(`${this.#folder}/store.db`, { readOnly: true });
    try {
      const rows = db.prepare("SELECT line FROM processed ORDER BY position").all();
      return rows.map((row) => String(row.line));
    } finally {
      db.close();
    }
  }

  /**
   * Checks that all texts sent over the wires were processed once and in order, and only written ones. With `all`, no
   * written one is missing. With `twice`, an answer may arrive twice in a row for each start of a board: it has no
   * number, and a reset can come between the edge that reports its arrival and the responder's reading of it.
   */
  async assertExact({ all, twice = false }: { all: boolean; twice?: boolean }): Promise<void> {
    await this.initiator[Symbol.asyncDispose]();
    const processed = await this.#processed();
    const places = processed.map((text) => this.written.indexOf(text));
    assertEquals(places, places.toSorted((a, b) => a - b), "texts were out of order");
    assertEquals(new Set(places).size, places.length, "a text was processed twice");
    assert(!places.includes(-1));
    const there = new Set(processed);
    const end = this.sent.at(-1)!;
    assertEquals(
      this.sent.filter((text) => !there.has(text)),
      [],
      "texts that were sent are missing",
    );
    if (all) {
      assertEquals(this.sent, this.written.slice(0, this.sent.length));
      assertEquals(processed.slice(0, this.sent.length), this.sent);
    }
    const answers = processed.map((text) => `re ${text}`);
    const heard = twice ? this.heard.filter((text, n, all) => text !== all[n - 1]) : this.heard;
    const repeats = this.heard.length - heard.length;
    assert(repeats < this.station.boots, `${repeats} repeats, ${this.station.boots} starts`);
    // An initiator that is reset may have taken one answer that it did not report.
    const lacking = answers.slice(0, answers.indexOf(`re ${end}`) + 1).filter((a) =>
      !heard.includes(a)
    );
    assert(lacking.length <= this.restarts, `answers missing: ${lacking}`);
    const heardPlaces = heard.map((text) => answers.indexOf(text));
    assertEquals(heardPlaces, heardPlaces.toSorted((a, b) => a - b), "answers were out of order");
    const again = heard.filter((text, n) => heard.indexOf(text) !== n);
    assertEquals(again, [], "answers arrived twice");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.initiator[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
    await this.#stack.disposeAsync();
  }
}

async function startServer(
  folder: string,
): Promise<{ process: ServerProcess; port: number }> {
  const process = new ServerProcess({
    store: `${folder}/store.db`,
    keys: `${folder}/keys.json`,
    timeout: TIMEOUT,
    durability: "normal",
  });
  const port = await process.listening;
  if (port === undefined) throw new Error(`the server did not start: ${process.complaints}`);
  return { process, port };
}

/** The faults that a trial can inject. */
export const faults = {
  "the connection is reset": ({ proxy }: Trial) => proxy.reset(),
  "a black hole": async ({ proxy, station }: Trial) => {
    proxy.blackhole();
    await until(() => !station.linked, { timeout: 60_000, what: "the outage to be noticed" });
    proxy.restore({ drop: true });
  },
  "the WiFi is lost": async ({ proxy, station }: Trial) => {
    station.radio(false);
    proxy.blackhole();
    await until(() => !station.linked, { timeout: 60_000, what: "the outage to be noticed" });
    station.radio(true);
    proxy.restore({ drop: true });
  },
  "the server is killed": (trial: Trial) => trial.killServer(),
  "the responder is reset": ({ station }: Trial) => station.reset(),
} as const;
