import type { Deploy, DeployOptions } from "./firmware/deploy.ts";
import type { MessageCounts } from "./link/counts.ts";
import type { DeadLetter } from "./link/record.ts";
import type { WriteOptions } from "./link/outbox.ts";
import type { Cleared } from "./link/session.ts";
import type { RunningApp } from "./protocol/firmware_lines.ts";
import type { AppState } from "./runtime/application.ts";
import type { MessageListener } from "./runtime/message_watch.ts";
import type { Transaction } from "./store/transaction.ts";

/** How to send a message to a device. */
export interface DeviceWriteOptions extends WriteOptions {
  /** Stops waiting. The message may still be delivered: it was accepted. */
  signal?: AbortSignal;
}

/** The server's side of the link to one device. It stays the same object over all connections. */
export interface Device extends AsyncIterable<string> {
  /** The name that the device gives in its hello. */
  readonly id: string;
  /**
   * If several servers share a store: the name of the server that has the device. Only that server runs the application
   * for it and receives its messages. Undefined: no other server uses the store, or none has the device at present.
   *
   * For a device that another server has, these properties show what that server published last, a second or two ago;
   * its `deadLetters` are in `Server.deadLetters` only, and `watch` reports nothing. Calls have the same outcome as on
   * that server, and `ready` waits for a link wherever it is. Only that server reads its messages: `readline`,
   * `consume` and the iterator fail here with ELSEWHERE. `onProgress` of a deploy is called with what that server
   * publishes.
   */
  readonly server: string | undefined;
  /** Whether there is a connection at present. */
  readonly connected: boolean;
  /** When the present connection began, or the last one ended; before the first one, when the server was started. */
  readonly since: Date;
  /**
   * Until when the device sleeps, as it announced: it is not considered missing before that time plus 5 % and 30 s.
   * Messages written meanwhile wait for it; `await device.ready()` resolves when it is awake. Undefined: it does not
   * sleep.
   */
  readonly asleepUntil: Date | undefined;
  /** How often the device has connected, ever. */
  readonly connects: number;
  /** What the device said about itself when it last connected: `key=value` pairs separated by spaces; "" if
   * nothing. Dialect 2. */
  readonly metadata: string;
  /** Messages from the device that are not processed yet. */
  readonly inbox: number;
  /** Messages to the device that it has not acknowledged yet. */
  readonly outbox: number;
  /** Messages since the server was started. */
  readonly counts: Readonly<MessageCounts>;
  /**
   * Time from sending a message to the device's ack, in ms: the last one measured on this connection. Undefined: no
   * connection, or no ack so far. The device acknowledges once its application, or a queue of its own, has the message.
   */
  readonly roundTrip: number | undefined;
  /** The state of the server's application for this device. */
  readonly app: AppState;
  /** The application that the device runs, as it said when it last connected; undefined: it did not say. */
  readonly runs: RunningApp | undefined;
  /** The state of the last deploy to the device; undefined: there was no deploy. */
  readonly deployment: Deploy | undefined;
  /** Messages from the device that were set aside because the application kept failing with them; oldest first. */
  readonly deadLetters: readonly DeadLetter[];

  /**
   * Deploys an application to the device. It is transferred while the old one runs, and is kept once the device has had
   * its link for 30 s with it; otherwise the device falls back to the old one. A deploy continues through outages and
   * restarts of either end until it is decided: see `deployment`, and `deploy` in `server.events`. Another deploy to
   * the same device replaces it.
   *
   * @param wasm The module, 20,384 bytes at most.
   * @returns when the device has kept it; see `until`
   * @throws {LocalError} BAD_ARGUMENT: it is not an application; UNSUPPORTED: the device does not support deploys;
   * DEPLOY_REFUSED: the device refuses this one; FELL_BACK; GIVEN_UP; OUTBOX_FULL, also if 16 callers on other servers
   * wait for it; STORE_FAILED; CLOSED, FORGOTTEN; FENCED: another server has taken over the device, and the deploy
   * continues there
   */
  deploy(wasm: Uint8Array, options: DeployOptions): Promise<void>;
  /**
   * Gives up a deploy that is not decided; its callers get GIVEN_UP. An application already on trial may still be kept.
   *
   * @returns when that is safe
   * @throws {LocalError} CLOSED, FORGOTTEN; FENCED: another server has taken the device, and the deploy may go on there
   */
  giveUp(): Promise<void>;

  /**
   * Puts a dead letter back into the inbox, behind all messages that wait now.
   *
   * @param number The number of the dead letter.
   * @returns when that is safe; while the store fails, that takes until it works again
   * @throws {LocalError} BAD_ARGUMENT: there is no such letter; INBOX_FULL; CLOSED
   */
  revive(number: number): Promise<void>;
  /** Deletes a dead letter. Returns and throws as `revive` does. */
  discard(number: number): Promise<void>;

  /**
   * Calls a listener with every message from and to the device, once it is safe. A listener never delays messages; one
   * that throws is reported as an event and removed.
   *
   * @returns a function that removes the listener
   */
  watch(listener: MessageListener): () => void;

  /**
   * Resolves when there is a connection; at once if there is one. `await device.ready()` before a `write` without qos
   * gives the behaviour of micropython-iot: wait for the link, send once.
   *
   * @throws {LocalError} CLOSED
   */
  ready(): Promise<void>;

  /**
   * The next message, as soon as there is one, without its newline. Asking for it marks the previous
   * one as processed.
   *
   * @throws {LocalError} CLOSED
   */
  readline(): Promise<string>;

  /**
   * Processes the next message in one transaction: its effects and its removal from the inbox become safe together.
   * Other readers of this device wait meanwhile. If `use` fails, the message is offered again: at once, then after
   * 10 ms, then after ten times as long each time, up to 10 s; see also `ServerOptions.deadLetters`.
   *
   * ```ts
   * import type { Device, Transaction } from "@holdfast/holdfast";
   *
   * async function app(device: Device) {
   *   const store = (line: string, tx: Transaction) => {
   *     tx.run("CREATE TABLE IF NOT EXISTS readings (device TEXT, value REAL)");
   *     tx.run("INSERT INTO readings VALUES (?, ?)", device.id, Number(line));
   *     tx.write("display", line);
   *   };
   *   for (;;) await device.consume(store);
   * }
   * ```
   *
   * @param use Called with the message and a transaction. It may use the link, but must not ask for another
   * message: that would wait for ever.
   * @returns when it is safe; while the store fails, that takes until it works again
   * @throws what `use` throws, or the database's error if a statement has failed; then nothing has changed, and the
   * message is next again
   * @throws {LocalError} BAD_ARGUMENT, OUTBOX_FULL: see `Transaction`; CLOSED
   */
  consume(use: (line: string, tx: Transaction) => Promise<void> | void): Promise<void>;

  /**
   * Drops all queued messages: those from the device that are not processed, and those to it that it has not
   * acknowledged. Some of the latter may have arrived all the same. The device is disconnected, and reconnects at
   * once. If `consume` is under way, this waits for its end. Writers get CLEARED when it is safe.
   *
   * @returns how many were dropped, when that is safe
   * @throws {LocalError} CLOSED, FORGOTTEN
   */
  clear(): Promise<Cleared>;

  /** All messages, until the server is closed or the device forgotten. */
  [Symbol.asyncIterator](): AsyncIterator<string, void>;

  /**
   * Sends a message; it waits through outages.
   *
   * @param text One line of well-formed Unicode, not empty. A newline at its end is optional.
   * @returns true once the device has acknowledged it; without qos, true if it was handed to the network, and false if
   * there is no link or the link is stalled
   * @throws {LocalError} BAD_TEXT; BAD_ARGUMENT; OUTBOX_FULL; STORE_FAILED while nothing can be made safe; CLOSED (a
   * message accepted before stays in the store, with its deadline); FENCED (another server took over the device before
   * the message was safe: it is not sent); CLEARED; FORGOTTEN; EXPIRED, UNDECIDED: see `expires`
   */
  write(text: string, options?: DeviceWriteOptions): Promise<boolean>;
}
