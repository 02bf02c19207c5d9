/** Channels of a device that is a program: `client-as/CHANNELS.md` has the lines. */
import {
  checkChannel,
  type FaultCode,
  formatMarked,
  type Marked,
  parseMarked,
  textOf,
  type Value,
  valueOf,
} from "../../server/protocol/channel_lines.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { FaultError } from "../../server/protocol/fault.ts";
import { type RequestOptions, Requests } from "../../server/protocol/requests.ts";
import type { Client } from "./client.ts";
import type { ClientWriteOptions } from "./outbox.ts";

/**
 * What a device does with one of its channels. A handler that throws a {@linkcode FaultError} answers with that; whatever
 * else it throws is told to `onError`, and answered with "failed".
 */
export interface DeviceChannel {
  /** Makes it what the server wishes. @returns what it is now; undefined: just that */
  set?(value: Value): unknown | Promise<unknown>;
  /** Answers a request of the server. @returns what it answers; undefined: nothing but that it is done */
  ask?(value: Value | undefined): unknown | Promise<unknown>;
  /** Does once what the server says. Nothing is answered. */
  event?(value: Value | undefined): void | Promise<void>;
}

/** Options of a device with channels. */
export interface DeviceChannelsOptions {
  /** The name of its application: 1 to 32 of `a-z 0-9 _ - /`. */
  app: string;
  /** Any text, not empty; not beginning with "{", and without " {". */
  version: string;
  /** What its channels are, for servers that have not been told: `client-as/CHANNELS.md`, "Descriptions". JSON. */
  description?: object;
  /** The channels that can be set or asked, by name. Those that are only reported need not be here. */
  channels?: Readonly<Record<string, DeviceChannel>>;
  /** Takes lines that are about no channel. Default: they are passed over. */
  line?: (text: string) => void | Promise<void>;
  /**
   * Told what a handler throws, that the client's memory fails, and as a `FaultError` what the server does not take of
   * what it was told. Default: it is shown on the console.
   */
  onError?: (error: unknown, line?: string) => void;
}

/** How a report or an event is sent. Default: until it is kept, with a `memory`, and else until it has arrived. */
export interface TellOptions extends Pick<ClientWriteOptions, "until" | "expires" | "signal"> {
  /** When it was: true for now. The server is told, however late the line comes. Default: it is not. */
  stamped?: boolean | Date;
}

/** Answers that may be on their way to the server while further messages are handled. */
const MOST_ANSWERS = 64;
/** ms until what has failed for lack of room, or of a disk, is tried again. */
const PAUSE = 1000;

/**
 * A device with channels. It reads all messages of its client, one after the other: nobody else may. The first thing
 * that it says is which application it is, so it is to be made before anything is written.
 *
 * ```ts
 * import { Channels, Client } from "@holdfast/holdfast/client";
 * import { channels, Server } from "@holdfast/holdfast";
 *
 * await using server = await Server.listen({ port: 0, open: true, app: channels({ heater: {}, temp: {} }) });
 * await using client = new Client({ id: "kitchen", port: server.port });
 * let heats = 0;
 * const device = new Channels(client, {
 *   app: "kitchen",
 *   version: "3",
 *   channels: {
 *     heater: { set: (value) => heats = value ? 1 : 0 },
 *     adc: { ask: () => 512 },
 *   },
 * });
 * await device.report("temp", 21.5, { stamped: true });
 * const thing = await server.thing("kitchen");
 * console.log(await thing.request("adc")); // 512
 * ```
 */
export class Channels {
  /** Resolves when the client was closed; rejects with what `onError` throws, which ends it. */
  readonly ended: Promise<void>;
  readonly #client: Client;
  readonly #options: DeviceChannelsOptions;
  readonly #channels: ReadonlyMap<string, DeviceChannel>;
  readonly #boot: string;
  /** Resolves when the line that names the application was accepted; undefined: it must still be written. */
  #said: Promise<unknown> | undefined;
  #answers = new Set<Promise<void>>();
  readonly #requests = new Requests({
    name: "the server",
    firstTag: 0,
    write: (line, expires) => this.#say(line, { until: "arrived", expires }),
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  });

  /** Begins to read, and to answer. @throws {LocalError} BAD_ARGUMENT */
  constructor(client: Client, options: DeviceChannelsOptions) {
    const { app, version, description, channels = {} } = options;
    for (const name of Object.keys(channels)) checkChannel(name);
    this.#client = client;
    this.#options = options;
    this.#channels = new Map(Object.entries(channels));
    const more = description && { description: textOf(description) };
    this.#boot = formatMarked({ mark: "boot", name: app, version, ...more });
    this.#sayBoot();
    this.ended = this.#read();
  }

  /**
   * Tells what a channel is: a reading, or a change that was made here.
   *
   * @param value JSON.
   * @throws {LocalError} BAD_ARGUMENT; and as for `Client.write`
   */
  async report(channel: string, value: unknown, options: TellOptions = {}): Promise<void> {
    const stamp = this.#stamp(options);
    const line: Marked = { mark: "set", name: channel, ...stamp, value: textOf(value) };
    await this.#say(formatMarked(line), written(options));
  }

  /** Tells that something has happened. @throws {LocalError} as for `report` */
  async event(channel: string, value?: unknown, options: TellOptions = {}): Promise<void> {
    const stamp = this.#stamp(options);
    const line: Marked = { mark: "event", name: channel, ...stamp, ...textIn(value) };
    await this.#say(formatMarked(line), written(options));
  }

  /**
   * Asks the server, and waits for its answer. Not to be waited for in a handler: the answer comes behind the message
   * that is handled.
   *
   * @param value JSON, for the server.
   * @returns what it answers; undefined if it answers without a value
   * @throws {LocalError} EXPIRED: it was not asked in time, and never will be; UNANSWERED: it was asked, and has not
   * answered in time; FAULT: it answers with a fault, see `FaultError`; UNDECIDED, as for a message that expires;
   * BAD_ARGUMENT; OUTBOX_FULL if 1,000 requests wait already; and as for `Client.write`
   */
  ask(
    channel: string,
    value?: unknown,
    options: RequestOptions = {},
  ): Promise<Value | undefined> {
    return this.#requests.ask(channel, value, options);
  }

  #stamp({ stamped = false }: TellOptions): { stamp?: number } {
    if (stamped === false) return {};
    if (stamped === true) return { stamp: this.#client.ms };
    const time = stamped.getTime();
    if (Number.isNaN(time)) throw badArgument("stamped: this is not a valid date");
    return { stamp: ((time % 2 ** 32) + 2 ** 32) % 2 ** 32 };
  }

  /** Behind what says which application this is, which may have been refused, too. */
  async #say(line: string, options: ClientWriteOptions): Promise<void> {
    this.#sayBoot();
    await this.#client.write(line, { until: this.#until, ...options });
  }

  get #until(): "kept" | "arrived" {
    return this.#client.remembers ? "kept" : "arrived";
  }

  #sayBoot(): void {
    this.#said ??= this.#client.write(this.#boot, { until: this.#until }).catch((error) => {
      this.#said = undefined;
      if (!isClosed(error)) this.#failed(error, this.#boot);
    });
  }

  /**
   * A message is processed when the next one is asked for. Its answer is written in the same turn, so a memory keeps both
   * or nothing.
   */
  async #read(): Promise<void> {
    let line = await this.#next();
    while (line !== undefined) {
      const answer = await this.#take(line);
      if (answer) this.#send(answer, line);
      const next = this.#next();
      if (this.#answers.size >= MOST_ANSWERS) await Promise.race(this.#answers);
      line = await next;
    }
    const closed = new LocalError("CLOSED", "the client was closed");
    this.#requests.close(closed);
    await Promise.all(this.#answers);
  }

  /** The next message; undefined when the client was closed. */
  async #next(): Promise<string | undefined> {
    for (;;) {
      try {
        return await this.#client.readline();
      } catch (error) {
        if (isClosed(error)) return undefined;
        this.#failed(error);
        await pause();
      }
    }
  }

  /** Does what a line says. @returns what it is answered with */
  async #take(line: string): Promise<Marked | undefined> {
    const marked = parseMarked(line);
    if (!marked) return await this.#plain(line);
    const channel = this.#channels.get(marked.name);
    switch (marked.mark) {
      case "set":
        return await this.#answer(
          marked,
          line,
          channel,
          channel?.set && (async () => {
            const value = valueOf(marked.value);
            const is = await channel.set!(value);
            return is === undefined ? value : is;
          }),
        );
      case "ask":
        return await this.#answer(
          marked,
          line,
          channel,
          channel?.ask && (() => channel.ask!(valueOf(marked.value))),
        );
      case "event":
        return await this.#run(line, () => channel?.event?.(valueOf(marked.value)));
      case "answer":
      case "fault":
        return this.#answered(marked);
      case "boot": // only devices start
        return await this.#plain(line);
    }
  }

  #plain(line: string): Promise<undefined> {
    return this.#run(line, () => this.#options.line?.(line));
  }

  async #run(line: string, handler: () => unknown): Promise<undefined> {
    try {
      await handler();
    } catch (error) {
      this.#failed(error, line);
    }
  }

  async #answer(
    { name, tag }: { name: string; tag?: string },
    line: string,
    channel: DeviceChannel | undefined,
    handler: (() => unknown) | undefined,
  ): Promise<Marked> {
    const to = { name, ...(tag === undefined ? {} : { tag }) };
    const fault = (code: FaultCode, words = ""): Marked => ({
      mark: "fault",
      ...to,
      code,
      ...(words === "" ? {} : { words }),
    });
    if (!channel) return fault("unknown");
    if (!handler) return fault("unsupported");
    try {
      return { mark: "answer", ...to, ...textIn(await handler()) };
    } catch (error) {
      if (error instanceof FaultError) return fault(error.fault, error.words);
      this.#failed(error, line);
      return fault("failed");
    }
  }

  #answered(marked: Marked & { mark: "answer" | "fault" }): undefined {
    const { name, tag } = marked;
    if (tag === undefined && marked.mark === "fault") {
      this.#failed(new FaultError(marked.code, marked.words, name)); // what was told is not taken
      return;
    }
    this.#requests.answered(marked);
  }

  #send(answer: Marked, line: string): void {
    const sent = this.#sendAll(answer, line).finally(() => this.#answers.delete(sent));
    this.#answers.add(sent);
  }

  /** Until it is sent. One that cannot be, as it is too long, for example, has failed. */
  async #sendAll(answer: Marked, line: string): Promise<void> {
    for (;;) {
      try {
        return await this.#say(formatMarked(answer), {});
      } catch (error) {
        if (isClosed(error)) return;
        this.#failed(error, line);
        if (isText(error)) {
          const { name, tag } = answer as { name: string; tag?: string };
          answer = { mark: "fault", name, ...(tag === undefined ? {} : { tag }), code: "failed" };
        } else await pause(); // no room, or the memory has failed
      }
    }
  }

  #failed(error: unknown, line?: string): void {
    const { onError } = this.#options;
    if (onError) onError(error, line);
    else console.error(line === undefined ? "channels:" : `channels: ${line}:`, error);
  }
}

function written({ stamped: _, ...options }: TellOptions): ClientWriteOptions {
  return options;
}

/** @throws {LocalError} BAD_ARGUMENT */
function textIn(value: unknown): { value?: string } {
  return value === undefined ? {} : { value: textOf(value) };
}

function isText(error: unknown): boolean {
  return error instanceof LocalError && error.code === "BAD_TEXT";
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}

function isClosed(error: unknown): boolean {
  return error instanceof LocalError && error.code === "CLOSED";
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
