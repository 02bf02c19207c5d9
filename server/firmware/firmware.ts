/** What the firmware of devices says: lines of its log, and messages between it and the server. */
import type { SessionReports } from "../link/session_reports.ts";
import type { Reports } from "../observe/reports.ts";
import { FIRMWARE } from "../protocol/lines.ts";

/**
 * Takes messages of one kind. The record of the device may be changed: that is safe when the message is acknowledged.
 *
 * @param words What is behind the kind, as it came between spaces.
 * @returns whether it is well-formed; if not, nothing has changed
 */
export type FirmwareHandler = (device: string, words: readonly string[]) => boolean;

/** Is told what devices say beside what their applications do. */
export class Firmware implements SessionReports {
  readonly #reports: Reports;
  readonly #handlers: Readonly<Record<string, FirmwareHandler>>;

  /** @param handlers By the kind of messages: the character behind %x02. */
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
