/**
 * One connection to a PostgreSQL server, which is used until it breaks and never again. Statements are sent at once,
 * in order, without waiting for earlier answers.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type postgres from "postgres";
import { LocalError } from "../../protocol/errors.ts";
import type { SqlInput, SqlRow } from "../store.ts";
import { dial } from "./dial.ts";
import { type ConnInfo, type Host } from "./conninfo.ts";

/** The result of a statement. */
export interface Answer {
  readonly rows: readonly SqlRow[];
  /** The command that the database has executed: "ROLLBACK" for a COMMIT of a failed transaction. */
  readonly command: string;
}

/** Most statements that a connection keeps prepared; others are planned each time. */
const PREPARED = 300;

/** Conversion of values: numbers as numbers while they are exact; types without a counterpart as PostgreSQL's text. */
const TYPES = {
  int8: { to: 20, from: [20], serialize: String, parse: toInteger },
  json: { to: 114, from: [114, 3802], serialize: String, parse: String },
  boolean: { to: 16, from: [16], serialize: String, parse: (text: string) => text === "t" ? 1 : 0 },
  date: { to: 1184, from: [1082, 1114, 1184], serialize: String, parse: String },
  bytea: { to: 17, from: [17], serialize: toHex, parse: fromHex },
};

function toInteger(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

function toHex(value: SqlInput): string {
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString("hex")}` : String(value);
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.slice("\\x".length));
}

/** Options of a connection. */
export interface WireOptions {
  /** Settings of the session. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** Time in ms without an answer after which the database counts as gone. */
  readonly silence: number;
  /** Called with notifications. */
  notified?(channel: string, payload: string): void;
}

export class Wire {
  /** Resolves when it has broken, or was closed. */
  readonly closed: Promise<Error>;
  readonly #sql: postgres.Sql;
  readonly #socket: Socket;
  readonly #seen = new Set<string>();
  readonly #waiting = new Set<PromiseWithResolvers<Answer>>();
  readonly #silence: number;
  readonly #over: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #end: Error | undefined;
  #closing = false;

  private constructor(
    driver: typeof postgres,
    info: ConnInfo,
    at: Host,
    socket: Socket,
    { silence, notified = () => {} }: WireOptions,
  ) {
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.closed = promise;
    this.#socket = socket;
    this.#silence = silence;
    let isTaken = false;
    this.#over = () => {
      this.#end ??= new Error("the connection to the database was lost");
      resolve(this.#end);
      clearTimeout(this.#timer);
      for (const { reject } of this.#waiting) reject(this.#end);
    };
    const options = {
      host: at.host.startsWith("/") ? "localhost" : at.host,
      port: at.port,
      user: info.user,
      database: info.database,
      pass: info.password(at) ?? "",
      max: 1,
      ssl: false, // the socket already has TLS
      fetch_types: false,
      no_subscribe: true,
      idle_timeout: 0,
      connect_timeout: 0,
      keep_alive: null,
      max_lifetime: null,
      types: TYPES,
      connection: {
        application_name: info.applicationName,
        ...(info.options !== undefined && { options: info.options }),
      },
      onnotice: () => {},
      onnotify: notified,
      onclose: this.#over,
      // The driver would reconnect by itself, and continue in the middle of a transaction.
      socket: () => {
        if (isTaken) throw this.#end ?? new Error(CLOSED);
        isTaken = true;
        return socket;
      },
    };
    // The driver's types lack some of its options.
    this.#sql = driver(options as object) as unknown as postgres.Sql;
  }

  /**
   * Connects to the first host that accepts writes.
   *
   * @throws {LocalError} STORE_UNUSABLE: TLS, or the password file
   * @throws {Error} from the system or the database
   */
  static async open(info: ConnInfo, options: WireOptions): Promise<Wire> {
    let failure: unknown;
    for (const at of info.hosts) {
      try {
        return await Wire.#openAt(info, at, options);
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }

  static async #openAt(info: ConnInfo, at: Host, options: WireOptions): Promise<Wire> {
    const late = new AbortController();
    const { connectTimeout } = info;
    const reason = new Error(`${at.host} has not answered within ${connectTimeout} ms`);
    const timer = setTimeout(() => late.abort(reason), connectTimeout);
    let wire: Wire | undefined;
    try {
      const socket = await dial(info, at, late.signal);
      // Loaded only if it is needed.
      const { default: driver } = await import("postgres");
      wire = new Wire(driver, info, at, socket, options);
      late.signal.addEventListener("abort", () => wire!.cut(reason));
      const [state] = await Promise.all([
        wire.ask("SHOW transaction_read_only"),
        ...Object.entries(options.settings).map(([name, value]) => {
          return wire!.ask(`SET ${name} = '${value}'`);
        }),
      ]);
      if (state.rows[0]?.transaction_read_only === "on") {
        throw new Error(`${at.host} accepts no writes: it is a standby, or is recovering`);
      }
      return wire;
    } catch (error) {
      wire?.cut(error as Error);
      late.signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether it can be used. */
  get isOpen(): boolean {
    return this.#end === undefined && !this.#closing;
  }

  /** Number of statements without an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Executes one statement, after earlier ones.
   *
   * @param params If missing, it is one of our own statements, and needs no plan.
   * @throws {LocalError} BAD_ARGUMENT: a parameter of another type, or too many
   * @throws {Error} the database's, with its SQLSTATE as `code`; or the connection has broken, and the outcome
   * is unknown
   */
  ask(sql: string, params?: readonly SqlInput[]): Promise<Answer> {
    if (!this.isOpen) return Promise.reject(this.#end ?? new Error(CLOSED));
    if (params && (params.length > MOST_PARAMS || !params.every(isInput))) {
      const message = "parameters must be null, numbers, bigints, texts or bytes, at most 65,533";
      return Promise.reject(new LocalError("BAD_ARGUMENT", message));
    }
    if (params && this.#seen.size < PREPARED) this.#seen.add(sql);
    const options = { prepare: this.#seen.has(sql), simple: !params };
    const query = this.#sql.unsafe(sql, [...params ?? []] as never[], options);
    const answer = Promise.withResolvers<Answer>();
    this.#waiting.add(answer);
    if (this.#waiting.size === 1) this.#listen();
    const settle = () => {
      this.#waiting.delete(answer);
      this.#listen();
    };
    query.then((result) => {
      settle();
      answer.resolve({ rows: result as unknown as SqlRow[], command: result.command });
    }, (error) => {
      settle();
      answer.reject(error);
    });
    return answer.promise; // statements that wait when it breaks are never answered, so they are rejected
  }

  /** Restarts the timer for silence: something was heard, or is expected from now on. */
  #listen(): void {
    clearTimeout(this.#timer);
    if (this.#waiting.size === 0 || this.#end) return;
    const error = new Error(`the database has not answered for ${this.#silence} ms`);
    this.#timer = setTimeout(() => this.cut(error), this.#silence);
  }

  /** Breaks the connection at once. Pending statements are rejected; whether they are executed is unknown. */
  cut(error: Error): void {
    this.#end ??= error;
    this.#socket.destroy();
    this.#sql.end({ timeout: 0 }).catch(() => {}); // it has ended anyway
    this.#over();
  }

  /** Closes the connection when all statements are answered; it refuses further ones. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.#closing = true;
    const closed = new Error(CLOSED);
    const timer = setTimeout(() => this.cut(closed), LAST_WORDS);
    // The driver waits only for those that it has sent: it holds some back until it has the plan of an earlier one.
    await Promise.allSettled([...this.#waiting].map(({ promise }) => promise));
    this.#end ??= closed;
    await Promise.race([this.#sql.end(), this.closed]);
    clearTimeout(timer);
  }
}

const MOST_PARAMS = 65_533;

const CLOSED = "the connection was closed";

/** How long the database may take to end a connection, in ms; then it is cut. */
const LAST_WORDS = 1000;

function isInput(value: unknown): boolean {
  return value === null || value instanceof Uint8Array ||
    ["number", "bigint", "string"].includes(typeof value);
}
