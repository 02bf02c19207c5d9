/**
 * Drives a session: sockets, the time, and the store in which the session's tasks become safe.
 *
 * A loop runs one transaction after the other. Each does what the session has asked for by then. It reads as many
 * publications as the broker accepts: those that are `sent` in the store cannot change, and are sent at once; those
 * that wait are marked as `sent`, and are sent with the next one.
 */
import { Buffer } from "node:buffer";
import { FencedError, type Transaction } from "../../server/mod.ts";
import { HoldfastError, LocalError } from "../../server/protocol/errors.ts";
import type { Platform, Socket } from "../../server/transport/platform.ts";
import type { Access } from "./access.ts";
import { BrokerError } from "./errors.ts";
import { explain } from "./explain.ts";
import type { Room } from "./room.ts";
import { type Amount, behind, bytesOf, isKnown, keep, load, markSent, type Row } from "./rows.ts";
import type { Schema } from "./schema.ts";
import type { Counters } from "./state.ts";
import { MqttSession, type SessionOptions } from "./mqtt_session.ts";
import { endOfIds } from "./outgoing.ts";
import type { Delivery, Publication, RefusedFilter, Task } from "./tasks.ts";

/** Most messages that wait for the store; beyond it nothing is read. */
const MOST_WAITING = 1000;

const NOBODY: ReadonlyMap<string, LocalError> = new Map();

/** Delay before the session is loaded again when the store has failed, in ms. */
const PAUSE = 1000;

/** What it needs from the bridge. */
export interface BrokerHost {
  readonly platform: Platform;
  /** Address and credentials of the next connection. */
  access(): Access;
  /** Counts publications that wait or are under way. */
  readonly room: Room;
  readonly counters: Counters;
  readonly schema: Schema;
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void>;
  /**
   * Carries out a message.
   *
   * @param without Devices that cannot accept it, and why; the others must get it.
   * @throws {HoldfastError} it cannot be done
   */
  deliver(delivery: Delivery, tx: Transaction, without: ReadonlyMap<string, LocalError>): void;
  /** Topic filters that are wanted besides the bridge's own. */
  readonly filters: ReadonlySet<string>;
  /** The broker refuses a topic filter that is wanted. */
  notGranted(filter: RefusedFilter): void;
  /** The broker may know nothing, or only the states from before this process: publishes all states. */
  announce(tx: Transaction): Promise<void>;
  /** A publication is done. */
  completed(publication: Publication): void;
  /** The broker is connected; or, with a reason, is not. */
  tell(error?: HoldfastError): void;
  /** @param topic The topic of a message without effect, if it is about one. */
  warn(code: string, message: string, topic?: string): void;
}

export class Broker {
  readonly #host: BrokerHost;
  readonly #options: Omit<SessionOptions, "clientId">;
  #session!: MqttSession; // set by the first transaction
  #payloads = new Map<number, Publication>(); // publications under way, by row
  #last = 0; // last row that the session has
  #isBehind = true; // whether there may be rows after the last
  #isWaiting = true; // whether some of them may wait
  #isHeld = false; // whether the next one waits for an id that is in use
  #done = 0; // publications that the commit under way completes
  #socket: Socket | undefined;
  #isPaused = false;
  #isBlocked = false; // whether the broker has stopped reading
  #taken = 0; // bytes that it had accepted at the session's last deadline
  #lost: HoldfastError | undefined;
  #cancel = () => {};
  #armed: number | undefined; // deadline of the timer that is set
  #endPause = () => {};
  #woken = Promise.withResolvers<void>();
  #hasAnnounced = false;
  #isClosed = false;

  constructor(
    host: BrokerHost,
    options: Omit<SessionOptions, "clientId">,
  ) {
    this.#host = host;
    this.#options = options;
    void this.#run();
  }

  /** Publications that are under way. */
  get inFlight(): Amount {
    const all = [...this.#payloads.values()];
    return { rows: all.length, bytes: all.reduce((sum, one) => sum + bytesOf(one), 0) };
  }

  /** Without a connection, connects at once instead of after the pause. */
  retry(): void {
    if (this.#session?.isOffline) this.#session.start(this.#host.platform.now());
    this.#wake();
  }

  /** If no more than this are under way when a publication is added, it is sent at once. 0: it waits. */
  get window(): number {
    const session: MqttSession | undefined = this.#session;
    if (!session?.isReady || this.#isWaiting || session.free + this.#done === 0) return 0;
    return session.window;
  }

  /** A publication was added. @param window The window for which it was added */
  added(window: number): void {
    this.#isBehind = true;
    this.#isWaiting ||= window === 0;
    this.#wake();
  }

  /** Other topic filters are wanted. */
  wantsOthers(): void {
    const session: MqttSession | undefined = this.#session;
    if (!session) return;
    session.want(this.#host.filters);
    this.#flush();
    this.#wake();
  }

  /**
   * Closes the connection without DISCONNECT, so the broker publishes the will. Does not wait for a transaction under
   * way: with a failing store that may take for ever.
   */
  close(): void {
    this.#isClosed = true;
    this.#endPause();
    this.#drop();
    this.#wake();
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#begin();
        while (!this.#isClosed) await this.#turn();
      } catch (error) {
        if (this.#isClosed || (error instanceof LocalError && error.code === "CLOSED")) break;
        // The session in memory may differ from the store.
        this.#drop();
        this.#host.warn("MQTT_FAILED", `will be tried again in ${PAUSE} ms: ${error}`);
        await new Promise<void>((resolve) => {
          this.#endPause = this.#host.platform.after(PAUSE, resolve);
        });
      }
    }
    this.#drop();
  }

  async #begin(): Promise<void> {
    const { platform } = this.#host;
    await this.#host.transaction(async (tx) => {
      const { clientId, ...kept } = await load(tx, this.#host.schema, this.#options.subscribe);
      this.#session = new MqttSession({ ...this.#options, clientId }, kept);
      this.#session.want(this.#host.filters);
      this.#payloads = new Map(kept.inFlight.map((one) => [one.seq, one]));
      this.#last = kept.inFlight.at(-1)?.seq ?? 0;
    });
    this.#isBehind = this.#isWaiting = true;
    this.#lost = undefined;
    this.#session.start(platform.now());
  }

  async #turn(): Promise<void> {
    const session = this.#session;
    const now = this.#host.platform.now();
    if (this.#lost) {
      session.closed(now);
      this.#host.tell(this.#lost);
      this.#lost = undefined;
    }
    const tasks = session.tasks();
    if (tasks.length > 0 || (this.#isBehind && session.free > 0)) {
      await this.#commit(tasks);
    } else {
      if (session.free > 0 && !this.#isHeld) this.#settle();
      if (session.wantsConnection(now)) this.#connect();
      this.#flush();
      await this.#woken.promise;
      this.#woken = Promise.withResolvers();
    }
    this.#flush();
  }

  /** Nothing waits: corrects the room's count, which may have become too high. */
  #settle(): void {
    const { room, counters } = this.#host;
    counters.oldest = undefined;
    if (room.amount.rows !== this.#payloads.size) room.settle(this.inFlight);
  }

  /** Makes tasks safe, and passes publications to the session. */
  async #commit(tasks: readonly Task[]): Promise<void> {
    this.#done = tasks.filter(({ does }) => does === "complete").length;
    const read = Promise.withResolvers<void>();
    try {
      const commit = this.#host.transaction(async (tx) => {
        const marks = this.#isBehind && await this.#read(tx);
        for (const task of tasks) await this.#perform(task, tx);
        if (tasks.length === 0 && !marks) read.resolve();
      });
      // A transaction that only reads need not wait for its commit, but the broker's messages must not wait for it.
      await Promise.race([commit, read.promise]);
    } catch (error) {
      this.#isBehind = this.#isWaiting = true;
      if (this.#isClosed || tasks.length === 0) throw error;
      for (const task of tasks) await this.#performAlone(task);
    } finally {
      this.#done = 0;
    }
    for (const task of tasks) this.#safe(task);
  }

  /** Passes publications that are `sent` to the session, and marks others. @returns whether it has marked any */
  async #read(tx: Transaction): Promise<boolean> {
    const { free } = this.#session;
    const most = free + this.#done;
    if (most === 0) return false;
    this.#isBehind = this.#isWaiting = false; // until something is added later
    const rows = await behind(tx, this.#host.schema, this.#last, most + 1);
    const end = Math.min(this.#session.end, endOfIds(rows[0]?.seq ?? 0));
    const able = rows.slice(0, most).filter(({ seq }) => seq < end);
    const sent = able.filter(({ isSent }, i) => isSent && i < free);
    const last = able.findLast(({ isSent }) => !isSent);
    if (last) {
      this.#host.room.moves();
      markSent(tx, this.#host.schema, last.place);
    }
    this.#isHeld = rows.length > 0 && able.length === 0;
    if (able.length < rows.length) this.#isWaiting = true;
    if (sent.length < rows.length && !this.#isHeld) this.#isBehind = true;
    this.#publish(sent);
    return last !== undefined;
  }

  /** They are durably `sent`, even if the transaction that has read them fails. */
  #publish(sent: readonly Row[]): void {
    if (sent.length === 0) return;
    for (const row of sent) this.#payloads.set(row.seq, row);
    this.#last = sent.at(-1)!.seq;
    this.#host.counters.sent(sent.at(-1)!.since);
    this.#session.publish(sent);
    this.#flush();
  }

  /** One of several tasks has failed: running each in its own transaction shows which. */
  async #performAlone(task: Task): Promise<void> {
    const without = new Map<string, LocalError>();
    for (;;) {
      try {
        return await this.#host.transaction((tx) => this.#perform(task, tx, without));
      } catch (error) {
        if (task.does !== "deliver" || !(error instanceof HoldfastError) || this.#isClosed) {
          throw error;
        }
        if (error instanceof FencedError) continue; // the device has moved: the message is posted to its server now
        const device = error instanceof LocalError ? error.device : undefined;
        if (device === undefined || without.has(device)) {
          await this.#host.transaction((tx) => keep(tx, task));
          return this.#refuse(task, error);
        }
        without.set(device, error); // others may be able to accept it
      }
    }
  }

  async #perform(task: Task, tx: Transaction, without = NOBODY): Promise<void> {
    if (task.does === "resume" && !(task.isPresent && this.#hasAnnounced)) {
      if (!task.isPresent && await isKnown(tx)) tx.afterCommit(() => this.#forgot());
      await this.#host.announce(tx);
      tx.afterCommit(() => this.#hasAnnounced = true);
    }
    keep(tx, task);
    if (task.does !== "deliver") return;
    try {
      this.#host.deliver(task, tx, without);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      tx.afterCommit(() => this.#refuse(task, error));
    }
  }

  #refuse({ topic }: Delivery, { code, message }: HoldfastError): void {
    const name = code === "BAD_ARGUMENT" ? "BAD_VALUE" : code;
    this.#host.warn(name, `${JSON.stringify(topic)} does nothing: ${message}`, topic);
  }

  #forgot(): void {
    const message =
      "the broker has forgotten the session: messages under way may be lost or come " +
      "twice; all states are published again";
    this.#host.warn("BROKER_FORGOT", message);
  }

  #safe(task: Task): void {
    const { counters } = this.#host;
    if (task.does === "deliver") counters.received++;
    if (task.does === "complete") {
      const publication = this.#payloads.get(task.seq)!;
      this.#payloads.delete(task.seq);
      this.#host.completed(publication);
      if (this.#isHeld) this.#isBehind = true;
      if (task.refused === undefined) counters.published++;
      else {
        counters.givenUp++;
        this.#host.warn("NOT_PUBLISHED", `${JSON.stringify(task.topic)}: ${task.refused}`);
      }
    }
    if (task.does === "subscribed") {
      for (const filter of task.refused) this.#host.notGranted(filter);
    }
    this.#session.safe(task, this.#host.platform.now());
    if (task.does === "resume" && this.#session.isReady) this.#host.tell();
  }

  #connect(): void {
    const session = this.#session;
    const { platform } = this.#host;
    session.connecting(platform.now());
    this.#isPaused = this.#isBlocked = false;
    this.#taken = 0;
    const { place, password } = this.#host.access();
    const socket = platform.connect(place, {
      opened: () => this.#guard(socket, () => session.opened(platform.now(), password)),
      data: (bytes) => this.#guard(socket, () => session.received(bytes, platform.now())),
      drained: () => this.#guard(socket, () => this.#isBlocked = false),
      ended: (reason) => {
        if (this.#socket === socket) this.#lose(reason);
      },
    });
    this.#socket = socket;
  }

  /** Handles an event of a connection, unless it is an old one. */
  #guard(socket: Socket | undefined, act: (socket: Socket) => void): void {
    if (!socket || this.#socket !== socket) return;
    try {
      act(socket);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#lose(error);
    }
    this.#flush();
    this.#wake();
  }

  /** Drops the connection. The loop tells the session, when no transaction is under way. */
  #lose(reason: HoldfastError): void {
    this.#drop();
    this.#lost = explain(reason, this.#session.isGreeting, this.#options.version);
    this.#wake();
  }

  #drop(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#cancel();
  }

  #flush(): void {
    const socket = this.#socket;
    if (socket) {
      // In one piece: a write costs more than joining the bytes.
      const output = this.#session.output();
      if (output.length > 0 && !socket.write(Buffer.concat(output))) this.#isBlocked = true;
      const pauses = this.#isBlocked || this.#session.waiting > MOST_WAITING;
      if (pauses !== this.#isPaused) {
        if (pauses) socket.pause();
        else socket.resume();
      }
      this.#isPaused = pauses;
    }
    this.#arm();
  }

  #arm(): void {
    const { deadline } = this.#session;
    if (deadline === this.#armed) return;
    this.#cancel();
    if (deadline === undefined || this.#isClosed) return;
    const { platform } = this.#host;
    const forget = platform.after(Math.max(0, deadline - platform.now()), () => {
      this.#armed = undefined;
      this.#guard(this.#socket, (socket) => this.#timeout(socket));
      this.#wake();
    });
    this.#armed = deadline;
    this.#cancel = () => {
      forget();
      this.#armed = undefined;
    };
  }

  #timeout(socket: Socket): void {
    const now = this.#host.platform.now();
    // On a slow link PINGREQ takes its time behind the publications: that is not silence.
    if (this.#isBlocked && socket.taken > this.#taken) this.#session.taken(now);
    this.#taken = socket.taken;
    this.#session.timeout(now);
  }

  #wake(): void {
    this.#woken.resolve();
  }
}
