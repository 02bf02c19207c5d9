/** Requests to one device that wait for their answers: each has one outcome. */
import type { Events } from "../observe/events.ts";
import {
  formatMarked,
  isName,
  type Marked,
  textOf,
  type Value,
  valueOf,
} from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { FaultError } from "../protocol/fault.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";

/**
 * Tags of requests are at least so great, those of settings less: an answer says by its tag which of them it is for.
 */
const FIRST_TAG = 5_000_000_000;

/** Whether an answer is one to a request. */
export function isOfRequest({ tag = "0" }: Answer): boolean {
  return Number(tag) >= FIRST_TAG;
}

/** Most requests to a device that wait at once. */
const MOST = 1000;

/** How a request is made. */
export interface RequestOptions {
  /** By when it is to be answered, in ms from now: 1 to 31,536,000,000, a year. Default 10,000. */
  deadline?: number;
}

/** An answer, or a fault that has a tag. */
export type Answer = Extract<Marked, { mark: "answer" | "fault" }>;

interface Pending {
  channel: string;
  resolve(value: Value | undefined): void;
  reject(error: LocalError): void;
}

export class Requests {
  readonly #device: DeviceDriver;
  readonly #events: Events;
  #pending: Map<string, Pending> | undefined;
  // Another process may have asked before, and be answered now.
  #last = crypto.getRandomValues(new Uint32Array(1))[0]!;

  constructor(device: DeviceDriver, events: Events) {
    this.#device = device;
    this.#events = events;
  }

  async ask(
    channel: string,
    value: unknown,
    { deadline = 10_000 }: RequestOptions,
  ): Promise<Value | undefined> {
    if (!isName(channel)) throw badName(channel);
    const pending = this.#pending ??= new Map();
    if (pending.size >= MOST) {
      throw new LocalError("OUTBOX_FULL", `${MOST} requests wait for this device already`);
    }
    this.#last = (this.#last + 1) >>> 0;
    const tag = String(FIRST_TAG + this.#last);
    const text = value === undefined ? {} : { value: textOf(value) };
    const line = formatMarked({ mark: "ask", name: channel, tag, ...text });
    const { promise, resolve, reject } = Promise.withResolvers<Value | undefined>();
    pending.set(tag, { channel, resolve, reject });
    const { clock } = this.#device;
    let isOver = false;
    let isThere = false;
    const unanswered = () => {
      if (!isOver || !isThere) return;
      const message = `${channel}: the device was asked, and has not answered in time`;
      reject(new LocalError("UNANSWERED", message));
    };
    const written = this.#device.write(line, { expires: deadline });
    const cancel = clock.after(Math.min(deadline, LONGEST_TIMER), () => {
      isOver = true;
      unanswered();
    });
    written.then(() => {
      isThere = true;
      unanswered();
    }, reject);
    try {
      return await promise;
    } finally {
      cancel();
      pending.delete(tag);
    }
  }

  /** The device has answered a request, and that is safe. */
  answered(answer: Answer): void {
    const { name: channel, tag = "" } = answer;
    const pending = this.#pending?.get(tag);
    if (!pending || pending.channel !== channel) {
      const { id: device } = this.#device;
      const value = answer.mark === "answer" ? valueOf(answer.value) : undefined;
      const fault = answer.mark === "fault" ? answer.code : undefined;
      this.#events.emit({
        event: "late_answer",
        device,
        channel,
        tag,
        ...(value !== undefined && { value }),
        ...(fault !== undefined && { fault }),
      });
    } else if (answer.mark === "answer") pending.resolve(valueOf(answer.value));
    else pending.reject(new FaultError(answer.code, answer.words, channel));
  }

  /** Whoever waits is told. */
  close(reason: LocalError): void {
    for (const { reject } of this.#pending?.values() ?? []) reject(reason);
  }
}

/** Longest time that a timer takes, in ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

function badName(channel: string): LocalError {
  return new LocalError(
    "BAD_ARGUMENT",
    `${JSON.stringify(channel)} is no channel: 1 to 32 of a-z 0-9 _ - / are`,
  );
}
