/** The channels of a device that another process of the fleet has. */
import { parseMarked, type Value } from "../protocol/channel_lines.ts";
import { errorOf, type Outcome } from "../link/outcome.ts";
import { type RequestOptions, Requests } from "../protocol/requests.ts";
import type { DistantDevice } from "../runtime/distant_device.ts";
import { paceOf } from "../runtime/run.ts";
import type { Pace } from "../runtime/pace.ts";
import type { SetOptions } from "../store/transaction.ts";
import { checkSetting } from "./setting.ts";
import type { Desired, Reported, RunningApplication, Thing } from "./thing.ts";
import { FIRST_TAG } from "./thing_driver.ts";
import type { ThingRecord } from "./thing_record.ts";

/** What a `DistantThing` needs from its process. */
export interface DistantThingHost {
  readonly pace: Pace;
  after(ms: number, run: () => void): () => void;
  /** The thing, if its device has come to this process by now. */
  here(id: string): Thing | undefined;
}

export class DistantThing implements Thing {
  readonly #device: DistantDevice;
  readonly #host: DistantThingHost;
  #read: ThingRecord | undefined;

  constructor(device: DistantDevice, host: DistantThingHost) {
    this.#device = device;
    this.#host = host;
  }

  /** Replaces the state with what the store has. */
  shows(read: ThingRecord): void {
    this.#read = read;
  }

  get #here(): Thing | undefined {
    return this.#host.here(this.id);
  }

  get id(): string {
    return this.#device.id;
  }

  get connected(): boolean {
    return this.#device.connected;
  }

  get channels(): string[] {
    return (this.#here ?? this.#read)?.channels ?? [];
  }

  get application(): RunningApplication | undefined {
    return (this.#here ?? this.#read)?.application;
  }

  get description(): Thing["description"] {
    return (this.#here ?? this.#read)?.description;
  }

  desired(channel: string): Desired | undefined {
    return (this.#here ?? this.#read)?.desired(channel);
  }

  reported(channel: string): Reported | undefined {
    return (this.#here ?? this.#read)?.reported(channel);
  }

  async set(channel: string, value: unknown, options: SetOptions = {}): Promise<void> {
    const here = this.#here;
    if (here) return await here.set(channel, value, options);
    await paceOf(this.#host.pace).keep(this.#set(channel, value, options));
  }

  async #set(channel: string, value: unknown, options: SetOptions): Promise<void> {
    checkSetting(channel, value, options.by ?? "server", undefined);
    const error = errorOf(await this.#device.ask({ set: channel, value, options }));
    if (error) throw error;
  }

  async request(
    channel: string,
    value?: unknown,
    options: RequestOptions = {},
  ): Promise<Value | undefined> {
    const here = this.#here;
    if (here) return await here.request(channel, value, options);
    return await paceOf(this.#host.pace).keep(this.#request(channel, value, options));
  }

  /** Makes a request through the process that has the device; the answer comes back as a row in the store. */
  #request(
    channel: string,
    value: unknown,
    options: RequestOptions,
  ): Promise<Value | undefined> {
    let forget = () => {};
    const requests = new Requests({
      name: "the device",
      firstTag: FIRST_TAG,
      write: (line, expires) =>
        new Promise<void>((resolve, reject) => {
          const { tag } = parseMarked(line) as { tag: string };
          const told = (outcome: Outcome) => {
            const error = errorOf(outcome);
            if (error) return reject(error);
            if (!("line" in outcome)) return resolve();
            const marked = parseMarked(outcome.line);
            if (marked?.mark === "answer" || marked?.mark === "fault") requests.answered(marked);
          };
          const order = { write: line, options: { expires: Math.ceil(expires) }, asks: tag };
          forget = this.#device.begin(order, { told, failed: reject });
        }),
      after: (ms, run) => this.#host.after(ms, run),
    });
    return requests.ask(channel, value, options).finally(() => forget());
  }
}
