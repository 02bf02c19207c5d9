/** Channels of a device that is a program; `client-as/CHANNELS.md` describes the lines. */
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
 * A device's handlers for one of its channels. If a handler throws a {@linkcode FaultError}, that is the answer; any
 * other error goes to `onError`, and the answer is "failed".
 */
export interface DeviceChannel {
  /** Sets the channel. @returns its present value; undefined: the value that was set */
  set?(value: Value): unknown | Promise<unknown>;
  /** Answers a request of the server. @returns the answer's value; undefined: an answer without a value */
  ask?(value: Value | undefined): unknown | Promise<unknown>;
  /** Handles an event from the server: does it once, without an answer. */
  event?(value: Value | undefined): void | Promise<void>;
}

/** Options of a device with channels. */
export interface DeviceChannelsOptions {
  /** The name of its application: 1 to 32 of `a-z 0-9 _ - /`. */
  app: string;
  /** Any text that is not empty, does not start with "{" and does not contain " {". */
  version: string;
  /** Describes its channels, for servers without a description of it: `client-as/CHANNELS.md`, "Descriptions". JSON. */
  description?: object;
  /** The channels that can be set or that answer requests, by name. Those that are only reported may be left out. */
  channels?: Readonly<Record<string, DeviceChannel>>;
  /** Takes lines that belong to no channel. Default: they are ignored. */
  line?: (text: string) => void | Promise<void>;
  /**
   * Called with errors of handlers and of the client's memory, and with a `FaultError` if the server refuses a report
   * or an event. Default: prints them on the console.
   */
  onError?: (error: unknown, line?: string) => void;
}

/**
 * Options of a report or an event. Default: with a `memory`, waits until it is kept, otherwise until it has arrived.
 */
export interface TellOptions extends Pick<ClientWriteOptions, "until" | "expires" | "signal"> {
  /**
   * When it happened; true: now. The server learns the time, however late the line arrives. Default: no time is sent.
   */
  stamped?: boolean | Date;
}

/** Most answers under way to the server while further messages are handled. */
const MOST_ANSWERS = 64;
/** Delay before an answer that failed for lack of room, or because of the memory, is sent again, in ms. */
const PAUSE = 1000;

/**
 * A device with channels. It reads all messages of its client, one after the other; nothing else may read them. It
 * first sends the name of its application, so create it before anything is written.
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
  /** Resolves when the client is closed; rejects if `onError` throws, which ends it. */
  readonly ended: Promise<void>;
  readonly #client: Client;
  readonly #options: DeviceChannelsOptions;
  readonly #channels: ReadonlyMap<string, DeviceChannel>;
  readonly #boot: string;
  /** Resolves when the line that names the application is accepted; undefined: it must still be written. */
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

  /** Starts to read and to answer. @throws {LocalError} BAD_ARGUMENT */
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
   * Reports a channel: a reading, or a change that was made here.
   *
   * @param value JSON.
   * @throws {LocalError} BAD_ARGUMENT; and as for `Client.write`
   */
  async report(channel: string, value: unknown, options: TellOptions = {}): Promise<void> {
    const stamp = this.#stamp(options);
    const line: Marked = { mark: "set", name: channel, ...stamp, value: textOf(value) };
    await this.#say(formatMarked(line), written(options));
  }

  /** Sends an event. @throws {LocalError} as for `report` */
  async event(channel: string, value?: unknown, options: TellOptions = {}): Promise<void> {
    const stamp = this.#stamp(options);
    const line: Marked = { mark: "event", name: channel, ...stamp, ...textIn(value) };
    await this.#say(formatMarked(line), written(options));
  }

  /**
   * Sends a request to the server, and waits for its answer. Do not await it in a handler: the answer comes after the
   * message that is being handled.
   *
   * @param value JSON, for the server.
   * @returns what it answers; undefined if it answers without a value
   * @throws {LocalError} EXPIRED: the request was not delivered in time, and never will be; UNANSWERED: it was
   * delivered, but not answered in time; FAULT: the server answered with a fault, see `FaultError`; UNDECIDED, as for
   * a message that expires; BAD_ARGUMENT; OUTBOX_FULL if 1,000 requests wait already; and as for `Client.write`
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

  /** Writes a line after the one that names the application, which may have been refused, too. */
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
   * A message is processed when the next one is asked for. Its answer is written in the same turn, so a memory keeps
   * both or neither.
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

  /** The next message; undefined when the client is closed. */
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

  /** Handles a line. @returns the answer */
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
      case "boot": // only devices send this
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
      this.#failed(new FaultError(marked.code, marked.words, name)); // the server refuses a report or an event
      return;
    }
    this.#requests.answered(marked);
  }

  #send(answer: Marked, line: string): void {
    const sent = this.#sendAll(answer, line).finally(() => this.#answers.delete(sent));
    this.#answers.add(sent);
  }

  /** Tries until it is sent. An answer that cannot be sent, because it is too long for example, fails. */
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
