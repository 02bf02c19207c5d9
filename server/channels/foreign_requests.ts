/**
 * Requests to a device from other processes of the fleet. Where to send the answer is kept in a memo, which is safe
 * together with the request. So the answer finds its way wherever the device is by then, and is sent in the commit in
 * which it is processed.
 */
import { LocalError } from "../protocol/errors.ts";
import { formatMarked } from "../protocol/channel_lines.ts";
import type { Answer } from "../protocol/requests.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { Operation } from "../store/transaction.ts";

/**
 * Prefix of a memo's key; the tag follows. Its text: until when an answer is wanted, in ms since 1970, and where it
 * goes.
 */
const ASKED = "?";

/** Most such memos of a device. */
const MOST = 64;

/** How long one is kept after its deadline, as clocks differ, in ms. */
const GRACE = 60_000;

export class ForeignRequests {
  readonly #device: DeviceDriver;
  readonly #now: () => number;

  /** @param now In ms since 1970. */
  constructor(device: DeviceDriver, now: () => number) {
    this.#device = device;
    this.#now = now;
  }

  /**
   * Another process sends a request.
   *
   * @param from Where the answer goes.
   * @param deadline In ms from now.
   * @param writing The request's message.
   */
  asking(tag: string, from: string, deadline: number, writing: Operation): Operation {
    const { record } = this.#device.session;
    const key = ASKED + tag;
    let over: [string, string][] = [];
    return {
      device: this.#device,
      apply: () => {
        const now = this.#now();
        const asked = [...record.memos].filter(([key]) => key.startsWith(ASKED));
        over = asked.filter(([_, text]) => parseInt(text) + GRACE < now);
        if (asked.length - over.length >= MOST) {
          throw new LocalError("OUTBOX_FULL", `${MOST} requests wait for an answer already`);
        }
        writing.apply();
        for (const [key] of over) record.setMemo(key, undefined);
        record.setMemo(key, `${now + deadline} ${from}`);
      },
      undo: () => {
        record.setMemo(key, undefined);
        for (const [key, text] of over) record.setMemo(key, text);
        writing.undo();
      },
      done: () => writing.done(),
    };
  }

  /** The device has answered a request; undefined: it is not one of these, or no server waits for it any more. */
  answered(answer: Answer): Operation | undefined {
    const { record } = this.#device.session;
    const key = ASKED + answer.tag;
    const text = record.memos.get(key);
    if (text === undefined || parseInt(text) < this.#now()) return undefined;
    return {
      device: this.#device,
      apply: () => {
        record.setMemo(key, undefined);
        record.reply(text.slice(text.indexOf(" ") + 1), { line: formatMarked(answer) });
      },
      undo: () => {
        record.unreply();
        record.setMemo(key, text);
      },
      done: () => this.#device.touch(),
    };
  }
}
