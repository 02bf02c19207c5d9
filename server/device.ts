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
  /** The name by which it greets. */
  readonly id: string;
  /**
   * Where several servers share a store: the name of the one that has the device, which alone runs the application for
   * it and is given its messages. Undefined: no other server has the store, or none has the device at present.
   *
   * Of a device that another server has, what is read here is what that server has shown last, a second or two ago; its
   * `deadLetters` are in `Server.deadLetters` only, and `watch` tells nothing. What is done with it has the same outcome as
   * there, and `ready` waits for a link wherever that is. Its messages are read by that server alone: `readline`,
   * `consume` and the iterator are refused here with ELSEWHERE. `onProgress` of a deploy is told what is shown.
   */
  readonly server: string | undefined;
  /** Whether there is a connection at present. */
  readonly connected: boolean;
  /** When the present connection began, or the last one ended; before the first one, when the server was started. */
  readonly since: Date;
  /**
   * Until when it sleeps, as it has said: it is not missed before that, and some time more (5 % and 30 s). What is
   * written meanwhile waits for it; `await device.ready()` for the moment when it is awake. Undefined: it does not sleep.
   */
  readonly asleepUntil: Date | undefined;
  /** How often the device has connected, ever. */
  readonly connects: number;
  /** What the device said about itself when it connected last, `key=value` pairs with a space between them;
   * "" if nothing. Dialect 2. */
  readonly metadata: string;
  /** Messages from the device that are not processed yet. */
  readonly inbox: number;
  /** Messages to the device that it has not acknowledged yet. */
  readonly outbox: number;
  /** Messages since the server was started. */
  readonly counts: Readonly<MessageCounts>;
  /** From sending a message to the device's ack, on this connection: the last one that was timed, in ms. Undefined: no
   * connection, or no ack so far. The device acknowledges once its application, or a queue of its own, has the message. */
  readonly roundTrip: number | undefined;
  /** How the server's application for this device is. */
  readonly app: AppState;
  /** The application that the device runs, as it said when it connected last; undefined: it did not say. */
  readonly runs: RunningApp | undefined;
  /** The state of the last deploy to the device; undefined: there was no deploy. */
  readonly deployment: Deploy | undefined;
  /** Messages from the device that were given up, as applications have failed with them; oldest first. */
  readonly deadLetters: readonly DeadLetter[];

  /**
   * Gives the device another application. It travels while the old one runs, and is kept when the device has had its
   * link for 30 s with it; otherwise the old one comes back. That goes on through outages and restarts of either, until
   * it is decided: see `deployment`, and `deploy` in `server.events`. Another deploy to the same device takes its place.
   *
   * @param wasm The module, 20,384 bytes at most.
   * @returns when the device has it for good; see `until`
   * @throws {LocalError} BAD_ARGUMENT: it is no application; UNSUPPORTED: the device knows nothing of deploys;
   * DEPLOY_REFUSED: it does not take this one; FELL_BACK; GIVEN_UP; OUTBOX_FULL, also if 16 callers of other servers wait
   * for it; STORE_FAILED; CLOSED, FORGOTTEN; FENCED: another server has taken the device from this one, and the deploy
   * goes on there
   */
  deploy(wasm: Uint8Array, options: DeployOptions): Promise<void>;
  /**
   * Gives up a deploy that is not decided; those who wait for it get GIVEN_UP. An application already on trial may be kept.
   *
   * @returns when that is safe
   * @throws {LocalError} CLOSED, FORGOTTEN; FENCED: another server has taken the device, and the deploy may go on there
   */
  giveUp(): Promise<void>;

  /**
   * Puts a dead letter back: it comes once more, after all that wait now.
   *
   * @param number The letter's.
   * @returns when that is safe; while the store fails, that takes until it works again
   * @throws {LocalError} BAD_ARGUMENT: there is no such letter; INBOX_FULL; CLOSED
   */
  revive(number: number): Promise<void>;
  /** Forgets a dead letter. As `revive` otherwise. */
  discard(number: number): Promise<void>;

  /**
   * Tells somebody who only looks of all messages, from the device and to it, once they are safe. It holds nothing up; a
   * listener that throws is reported as an event, and told of none any more.
   *
   * @returns ends it
   */
  watch(listener: MessageListener): () => void;

  /**
   * Resolves when there is a connection; at once if there is one. `await device.ready()` before a `write` without qos
   * makes of it what micropython-iot calls that: it waits for the link, and is sent once.
   *
   * @throws {LocalError} CLOSED
   */
  ready(): Promise<void>;

  /**
   * The next message, as soon as there is one; without the newline at its end. Asking for it says that
   * the one before has been processed.
   *
   * @throws {LocalError} CLOSED
   */
  readline(): Promise<string>;

  /**
   * Processes the next message such that its effects and the fact that it is done become safe in one
   * step. Other readers of this device wait meanwhile. A message with which that fails is offered again, the second
   * time after 10 ms, then after ten times as long, up to 10 s; see `ServerOptions.deadLetters`, too.
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
   * @param use Given the message, and a transaction. The link can be used in it, but to ask for a further message
   * here would wait for ever.
   * @returns when it is safe; while the store fails, that takes until it works again
   * @throws what `use` throws, or the database's error if a statement has failed: nothing has happened then, and
   * the message is the next one again
   * @throws {LocalError} BAD_ARGUMENT, OUTBOX_FULL: see `Transaction`; CLOSED
   */
  consume(use: (line: string, tx: Transaction) => Promise<void> | void): Promise<void>;

  /**
   * Drops all that waits: messages from the device that are not processed, messages to it that it has not
   * acknowledged. Some of these may have arrived all the same. A connection is ended for that, and comes back at once.
   * While `consume` is under way, it waits for its end. Writers are told CLEARED when it is safe.
   *
   * @returns how many they were, when that is safe
   * @throws {LocalError} CLOSED, FORGOTTEN
   */
  clear(): Promise<Cleared>;

  /** All messages, until the server is closed or the device forgotten. */
  [Symbol.asyncIterator](): AsyncIterator<string, void>;

  /**
   * Sends a message. Through an outage it waits.
   *
   * @param text One line of well-formed Unicode, not empty. A newline at its end may be there or not.
   * @returns true once the device has acknowledged it; without qos, true if it was handed to the network
   * and false if there is no link, or one on which nothing is taken or acknowledged
   * @throws {LocalError} BAD_TEXT; BAD_ARGUMENT; OUTBOX_FULL; STORE_FAILED while nothing can be made safe; CLOSED (a
   * message accepted before stays in the store, with its deadline); FENCED (this server had the device, and another one
   * has taken it before the message was safe: it never will be); CLEARED; FORGOTTEN; EXPIRED, UNDECIDED: see `expires`
   */
  write(text: string, options?: DeviceWriteOptions): Promise<boolean>;
}
