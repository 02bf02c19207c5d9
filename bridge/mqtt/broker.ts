/**
 * Drives a session: sockets, the time, and the store in which the session's tasks become safe.
 *
 * One loop makes one transaction after the other. Each has whatever the session asks for by then, marks publications
 * that wait as sent, as many as the broker takes, and reads those that the one before has marked: from then on they
 * are what they are, and go out.
 */
import type { Transaction } from "../../server/mod.ts";
import { HoldfastError, LocalError } from "../../server/protocol/errors.ts";
import type { Platform, Socket } from "../../server/transport/platform.ts";
import type { Access } from "./access.ts";
import { BrokerError } from "./errors.ts";
import { explain } from "./explain.ts";
import type { Room } from "./room.ts";
import {
  type Amount,
  bytesOf,
  isAnyWaiting,
  isKnown,
  keep,
  load,
  markSent,
  type Row,
  sentBehind,
} from "./rows.ts";
import type { Counters } from "./state.ts";
import { MqttSession, type SessionOptions } from "./mqtt_session.ts";
import type { Delivery, Publication, RefusedFilter, Task } from "./tasks.ts";

/** Messages that wait for the store; beyond that nothing is read. */
const MOST_WAITING = 1000;

const NOBODY: ReadonlySet<string> = new Set();

/** Before the session is loaded again when the store has refused it, in ms. */
const PAUSE = 1000;

/** What it needs of the bridge. */
export interface BrokerHost {
  readonly platform: Platform;
  /** Where the next connection goes, and with what. */
  access(): Access;
  /** What waits, or is under way. */
  readonly room: Room;
  readonly counters: Counters;
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void>;
  /**
   * Does what a message wants.
   *
   * @param without Devices that cannot take it; those that can are to get it.
   * @throws {HoldfastError} it cannot be done
   */
  deliver(delivery: Delivery, tx: Transaction, without: ReadonlySet<string>): void;
  /** Topic filters that are wanted beside the bridge's own. */
  readonly filters: ReadonlySet<string>;
  /** The broker does not take a topic filter that is wanted. */
  notGranted(filter: RefusedFilter): void;
  /** The broker may know nothing, or what was so before this process: all states are published. */
  announce(tx: Transaction): Promise<void>;
  /** A publication is done. */
  completed(publication: Publication): void;
  /** The broker is there; or, with a reason, is not. */
  tell(error?: HoldfastError): void;
  warn(code: string, message: string): void;
}

export class Broker {
  readonly #host: BrokerHost;
  readonly #options: Omit<SessionOptions, "clientId">;
  #session!: MqttSession; // from the first transaction on
  #payloads = new Map<number, Publication>(); // under way, by their rows
  #last = 0; // of the rows that the session has
  #isWaiting = true; // rows wait, perhaps
  #marked = 0; // at most so many rows are to be read
  #isHeld = false; // rows wait for ids that others have
  #socket: Socket | undefined;
  #isPaused = false;
  #isBlocked = false; // the broker does not read
  #taken = 0; // bytes that it had taken when the session's time was up last
  #lost: HoldfastError | undefined;
  #cancel = () => {};
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

  /** If there is no connection, the next one is made without a pause. */
  retry(): void {
    if (this.#session?.isOffline) this.#session.start(this.#host.platform.now());
    this.#wake();
  }

  /** Something was added to what waits. */
  added(): void {
    this.#isWaiting = true;
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
   * Ends the connection without a word: so the broker publishes the will. A transaction that is under way is not waited
   * for: with a store that fails that may be for ever.
   */
  close(): void {
    this.#isClosed = true;
    this.#cancel();
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
        // What the session has in memory may be other than what is in the store.
        this.#drop();
        this.#host.warn("MQTT_FAILED", `begun again in ${PAUSE} ms: ${error}`);
        await new Promise<void>((resolve) => this.#later(PAUSE, resolve));
      }
    }
    this.#drop();
  }

  async #begin(): Promise<void> {
    const { platform } = this.#host;
    await this.#host.transaction(async (tx) => {
      const { clientId, ...kept } = await load(tx, this.#options.subscribe);
      this.#session = new MqttSession({ ...this.#options, clientId }, kept);
      this.#session.want(this.#host.filters);
      this.#payloads = new Map(kept.inFlight.map((one) => [one.seq, one]));
      this.#last = kept.inFlight.at(-1)?.seq ?? 0;
    });
    this.#isWaiting = true;
    this.#marked = 0;
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
    if (tasks.length > 0 || this.#marked > 0 || (this.#isWaiting && session.free > 0)) {
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

  /** Nothing waits: the room's count may have become too much. */
  #settle(): void {
    const { room, counters } = this.#host;
    counters.oldest = undefined;
    if (room.amount.rows !== this.#payloads.size) room.settle(this.inFlight);
  }

  /** Makes tasks safe, and takes publications to the session. */
  async #commit(tasks: readonly Task[]): Promise<void> {
    const session = this.#session;
    let rows: Row[] = [];
    let marked = 0;
    const wasMarked = this.#marked;
    try {
      await this.#host.transaction(async (tx) => {
        rows = wasMarked > 0 ? await sentBehind(tx, this.#last) : [];
        if (wasMarked > 0) this.#isHeld = rows.length < wasMarked && await isAnyWaiting(tx);
        for (const task of tasks) await this.#perform(task, tx);
        marked = this.#isWaiting ? session.free - rows.length : 0;
        if (marked <= 0) return;
        this.#isWaiting = false; // until something is added after this
        this.#host.room.moves();
        markSent(tx, marked, session.end);
      });
    } catch (error) {
      this.#isWaiting = true;
      if (this.#isClosed || tasks.length === 0) throw error;
      for (const task of tasks) await this.#performAlone(task);
      rows = [];
      marked = wasMarked;
    }
    this.#marked = Math.max(0, marked);
    if (wasMarked > 0 && rows.length === wasMarked) this.#isWaiting = true; // there may be more
    for (const row of rows) this.#payloads.set(row.seq, row);
    if (rows.length > 0) this.#host.counters.sent(rows.at(-1)!.since);
    this.#last = rows.at(-1)?.seq ?? this.#last;
    session.publish(rows);
    for (const task of tasks) this.#safe(task);
  }

  /** One of several tasks cannot be: which one shows when each has a transaction of its own. */
  async #performAlone(task: Task): Promise<void> {
    const without = new Set<string>();
    for (;;) {
      try {
        return await this.#host.transaction((tx) => this.#perform(task, tx, without));
      } catch (error) {
        if (task.does !== "deliver" || !(error instanceof HoldfastError) || this.#isClosed) {
          throw error;
        }
        const device = error instanceof LocalError ? error.device : undefined;
        if (device === undefined || without.has(device)) {
          await this.#host.transaction((tx) => keep(tx, task));
          return this.#refuse(task, error);
        }
        without.add(device); // others may be able to take it
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
    this.#host.warn(name, `${JSON.stringify(topic)} does nothing: ${message}`);
  }

  #forgot(): void {
    const message =
      "the broker has forgotten the session: what was on its way may be lost or come " +
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
      if (this.#isHeld) this.#isWaiting = true;
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

  /** Something that a connection brings. */
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

  /** The session is told by the loop, when no transaction is under way. */
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
      for (const bytes of this.#session.output()) {
        if (!socket.write(bytes)) this.#isBlocked = true;
      }
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
    this.#cancel();
    const { deadline } = this.#session;
    if (deadline === undefined || this.#isClosed) return;
    this.#later(Math.max(0, deadline - this.#host.platform.now()), () => {
      this.#guard(this.#socket, (socket) => this.#timeout(socket));
      this.#wake();
    });
  }

  #timeout(socket: Socket): void {
    const now = this.#host.platform.now();
    // On a slow link a question takes its time behind the publications: that is no silence.
    if (this.#isBlocked && socket.taken > this.#taken) this.#session.taken(now);
    this.#taken = socket.taken;
    this.#session.timeout(now);
  }

  #later(ms: number, run: () => void): void {
    this.#cancel();
    const forget = this.#host.platform.after(ms, run);
    this.#cancel = () => {
      forget();
      this.#cancel = () => {};
    };
  }

  #wake(): void {
    this.#woken.resolve();
  }
}
