/** Messages from devices' firmware: lines of its log, and messages to the server itself. */
import type { SessionReports } from "../link/session_reports.ts";
import type { Reports } from "../observe/reports.ts";
import { FIRMWARE } from "../protocol/lines.ts";

/**
 * Handles messages of one kind. It may change the device's record; the change is safe before the message is
 * acknowledged.
 *
 * @param words The words after the kind, split at spaces.
 * @returns whether it is well-formed; if not, nothing has changed
 */
export type FirmwareHandler = (device: string, words: readonly string[]) => boolean;

/** Handles what devices send besides the messages of their applications. */
export class Firmware implements SessionReports {
  readonly #reports: Reports;
  readonly #handlers: Readonly<Record<string, FirmwareHandler>>;

  /** @param handlers By kind of message: the character after %x02. */
  constructor(reports: Reports, handlers: Readonly<Record<string, FirmwareHandler>>) {
    this.#reports = reports;
    this.#handlers = handlers;
  }

  logged(device: string, line: string): void {
    this.#reports.logged(device, line);
  }

  booted(device: string): void {
    this.#reports.booted(device);
  }

  notWritten(device: string, text: string): void {
    this.#reports.notWritten(device, text);
  }

  told(device: string, text: string): void {
    const [kind = "", ...words] = text.slice(FIRMWARE.length).split(" ");
    const handler = Object.hasOwn(this.#handlers, kind) ? this.#handlers[kind] : undefined;
    if (!handler?.(device, words)) this.#reports.notUnderstood(device, text);
  }
}
