/** Creates the events about devices, their messages and applications, and the store. */
import { quote } from "../link/dialect.ts";
import type { MessageCounts } from "../link/counts.ts";
import type { Expired } from "../link/outbox.ts";
import type { AppState } from "../runtime/application.ts";
import type { Clock } from "../transport/platform.ts";
import type { HoldfastError, LocalError } from "../protocol/errors.ts";
import { CountsTeller } from "./counts.ts";
import type { Events } from "./events.ts";
import { printable } from "./log.ts";

/** The device that an event is about. */
interface Reported {
  readonly id: string;
  readonly app: AppState;
  readonly inbox: number;
  readonly counts: Readonly<MessageCounts>;
  readonly connects: number;
  readonly metadata: string;
}

/** A device of another server. */
interface Distant {
  readonly id: string;
  readonly server: string | undefined;
  readonly connected: boolean;
}

/** The same, with its dead letters. */
interface Buried {
  readonly id: string;
  readonly deadLetters: readonly unknown[];
}

export class Reports {
  readonly #events: Events;
  readonly #counts: CountsTeller;
  #isClosed = false;

  constructor(events: Events, clock: Clock) {
    this.#events = events;
    this.#counts = new CountsTeller(events, clock);
  }

  /** A device has connected. */
  connected({ id: device, connects, metadata }: Reported, address: string, dialect: 1 | 2): void {
    const about = metadata === "" ? {} : { metadata };
    this.#events.emit({ event: "connected", device, address, connects, dialect, ...about });
  }

  /** A device has lost its connection, and no newer one has replaced it. */
  disconnected({ id: device }: Reported, address: string, { code, message }: HoldfastError): void {
    this.#events.emit({ event: "disconnected", device, address, code, message });
  }

  /** Emits a warning. */
  warn(code: string, message: string, of: { device?: string; address?: string } = {}): void {
    this.#events.emit({ event: "warning", ...of, code, message });
  }

  /** The store has begun to fail; undefined: it works again. */
  store(error: LocalError | undefined): void {
    const why = error && { code: error.code, message: error.message };
    this.#events.emit({ event: "store", ...why });
  }

  /** Messages were counted. */
  moved(device: Reported): void {
    this.#counts.moved(device);
  }

  /** The store has forgotten the device. */
  forgotten({ id: device, deadLetters }: Buried, why: LocalError): void {
    const lost = deadLetters.length === 0 ? "" : `; ${deadLetters.length} dead letters are lost`;
    this.#events.emit({ event: "forgotten", device, message: why.message + lost });
  }

  /** Another server has the device now. */
  movedAway({ device, message }: { device: string; message: string }): void {
    this.#events.emit({ event: "moved", device, message });
  }

  /**
   * Another server's view of a device has changed. @param isNews Whether its server changed, or its link began or ended
   */
  seen({ id: device, server, connected }: Distant, isNews: boolean): void {
    this.#events.emit({ event: "seen", device });
    if (!isNews) return;
    const link = connected ? "it has a link there" : "it has no link there";
    const message = server === undefined ? "no server has it" : `${server} has it: ${link}`;
    this.#events.emit({ event: "elsewhere", device, server, message });
  }

  /** Another server has forgotten a device. */
  forgottenElsewhere(device: string): void {
    const message = "another server has forgotten it";
    this.#events.emit({ event: "elsewhere", device, server: undefined, message });
  }

  /** The device has left memory. */
  forget(device: Reported): void {
    this.#counts.remove(device);
  }

  /** An inbox is full. While an application reads, that is normal flow control. @returns whether it was reported */
  full({ id: device, app, inbox }: Reported): boolean {
    if (app === "running") return false;
    const message =
      `${inbox} messages wait and no application reads them: the device keeps the rest`;
    this.#events.emit({ event: "warning", device, code: "INBOX_FULL", message });
    return true;
  }

  /** A watcher of messages has failed. */
  watchFailed({ id: device }: Reported, error: unknown): void {
    const why = error instanceof Error ? error.stack : error;
    const message = `a watcher of messages has thrown an error and was removed: ${why}`;
    this.#events.emit({ event: "warning", device, code: "LISTENER_FAILED", message });
  }

  /** A message has become a dead letter, or cannot because there are too many. */
  gaveUp({ id: device }: Reported, text: string, error: unknown, isDeadLetter: boolean): void {
    const message = `${quote(text)}: ${error}`;
    if (isDeadLetter) this.#events.emit({ event: "dead_letter", device, message });
    else this.#events.emit({ event: "warning", device, code: "DEAD_LETTERS_FULL", message });
  }

  /** A message to a device was withdrawn at its deadline. */
  expired({ id: device }: Reported, { text, error: { code, message } }: Expired): void {
    const about = `${quote(text)}: ${message}`;
    this.#events.emit({ event: "expired", device, text, code, message: about });
  }

  /**
   * An order that another server has posted for a device cannot be carried out. @param text Its text, if it is a
   * message
   */
  mailRefused(device: Reported, text: string | undefined, error: LocalError): void {
    if (text !== undefined && error.code === "EXPIRED") {
      return this.expired(device, { text, error });
    }
    const message = `what another server has posted is not done: ${error.message}`;
    this.#events.emit({ event: "warning", device: device.id, code: error.code, message });
  }

  /** A device has logged a line. */
  logged(device: string, line: string): void {
    this.#events.emit({ event: "log", device, message: printable(line) });
  }

  /** A device's firmware has sent a message that the server does not understand. */
  notUnderstood(device: string, text: string): void {
    const message = `its firmware has sent a message that this server does not understand: ${
      quote(text.slice(1))
    }`;
    this.#events.emit({ event: "log", device, message });
  }

  /** A message to a device was withdrawn that an older server had accepted. */
  notWritten(device: string, text: string): void {
    const message = `a message to it was withdrawn: it starts with the character U+0002, ` +
      `which is reserved for the firmware; an older server had accepted it: ${quote(text)}`;
    this.#events.emit({ event: "warning", device, code: "BAD_TEXT", message });
  }

  /** A device has begun a new stream of messages. */
  booted(device: string): void {
    this.#events.emit({ event: "booted", device });
  }

  /** An application starts. */
  started({ id: device }: Reported): void {
    this.#events.emit({ event: "app_started", device });
  }

  /** An application has failed. @param restartIn ms until it is restarted, if it is */
  failed({ id: device }: Reported, message: string, restartIn?: number): void {
    if (this.#isClosed) return;
    const again = restartIn === undefined ? {} : { restartIn };
    this.#events.emit({ event: "app_failed", device, message, ...again });
  }

  /** An application has returned. */
  ended({ id: device, inbox }: Reported): void {
    const message = `it has returned while ${inbox} messages wait: ` +
      "messages are kept until an application reads them";
    this.#events.emit({ event: "app_ended", device, message });
  }

  /** The server is closed: applications are not reported any more. */
  close(): void {
    this.#isClosed = true;
    this.#counts.stop();
  }
}
