/** The first lines of a connection: who connects, whether it is admitted, and in which dialect. */
import { type Access, Refused } from "./access.ts";
import { Dialect1 } from "../link/dialect1.ts";
import { agree, type Agreement, Dialect2 } from "../link/dialect2.ts";
import { PeerError } from "../protocol/errors.ts";
import {
  EPHEMERAL,
  formatRefusal,
  formatWelcome,
  HELLO,
  type Hello2,
  masked,
  parseHello2,
  PROOF,
  randomNonce,
  Refusal,
  SEALED,
} from "../protocol/greeting.ts";
import { maskOf, proofOf } from "../protocol/proof.ts";
import { Ephemeral } from "../protocol/ephemeral.ts";
import { nothingShared, Seal, sealKeys } from "../protocol/seal.ts";
import type { Limits } from "../link/limits.ts";
import type { Session } from "../link/session.ts";
import type { DeviceRecord } from "../link/record.ts";
import { concat } from "../protocol/lines.ts";
import { wrongOnWire } from "../protocol/name.ts";
import { adviceAbout, foreign } from "./foreign.ts";

/** An admitted connection. */
export interface Admitted {
  id: string;
  dialect: 1 | 2;
  /** What the device says about itself; "" if nothing. */
  metadata: string;
  /** The seal of the connection after the greeting. */
  seal?: Seal;
  /** When its hello came, in ms on the process's clock; undefined: just now. A caller with a clock gives it. */
  greetedAt?: number;
  /** How the device's position shows that the store was set back; undefined: it does not. */
  older: string | undefined;
  /** Advice if the device seems to speak another protocol: see `PeerError`. */
  advice?: string;
  /**
   * Gives the connection to the device's session; to be called after `session.disconnect`.
   *
   * @throws {PeerError} STALE_GREETING. Nothing has changed then.
   */
  connect(session: Session, now: number): void;
  /**
   * Throws what `connect` would if the welcome is outdated: another connection of the device was quicker,
   * its old one delivered something after all, or its key was changed.
   */
  check(): void;
}

/** What admission needs of the server. */
export interface Host {
  readonly access: Access;
  readonly limits: Limits;
  /** The record of a device in memory; undefined: the caller must load it from the store, and there is room. @throws
   * {PeerError} TOO_MANY_DEVICES, TOO_MANY_CONNECTIONS */
  record(id: string): DeviceRecord | undefined;
  /**
   * Whether other processes may change a device's record: then it is loaded at each greeting, even if it is in memory.
   */
  readonly isShared?: boolean;
}

/** The result of `Admission.receive`. */
export interface Step {
  /** To be sent once all changes so far are safe: a welcome acknowledges what has arrived, like an ack. */
  output: string;
  /** Set when the greeting is done. */
  admitted?: Admitted;
  /** The id of a device whose record must be given to `provide` before the next call. */
  wants?: string;
}

const NOTHING = new Uint8Array(0);

/** The machine that reads one connection's greeting; like `Session`, without socket and clock. */
export class Admission {
  #host: Host;
  #hostname: string;
  #id = "";
  #held: Uint8Array = NOTHING;
  #greets = false; // in dialect 2, so refusals can be sent
  #welcomed: Admitted | undefined; // the device must still answer the welcome
  #mute = false; // a seal is due: nothing more is sent unencrypted
  #proves: ((line: string) => void) | undefined;
  #penalty: "told late" | "not told" | undefined; // for a wrong proof
  #resume: ((record: DeviceRecord) => Step) | undefined;

  /** @param hostname The other end's address without its port. */
  constructor(host: Host, hostname: string) {
    this.#host = host;
    this.#hostname = hostname;
  }

  /** The id that the other end gave; "": none yet. */
  get id(): string {
    return this.#id;
  }

  /** Whether a welcome waits for its answer. */
  get isWelcomed(): boolean {
    return this.#welcomed !== undefined;
  }

  /** The bytes that came after the greeting, once it is done. */
  get rest(): Uint8Array {
    return this.#held;
  }

  /** Whether these are only empty lines before a proof, which change nothing. `receive` has had all before them. */
  skips(bytes: Uint8Array): boolean {
    return this.#proves !== undefined && this.#held.length === 0 &&
      bytes.every((byte) => byte === 10);
  }

  /**
   * Takes what was read.
   *
   * @throws {PeerError} why the connection is not admitted; send `farewell` then
   */
  receive(chunk: Uint8Array): Step {
    let bytes = concat(this.#held, chunk);
    // Skips keepalives before a proof, so they fill no buffer.
    while (this.#proves && bytes[0] === 10) bytes = bytes.subarray(1);
    this.#held = bytes;
    this.#greets ||= bytes[0] === HELLO.charCodeAt(0);
    // Without a key, anything after the welcome shows that the device is there; a hello alone may be an old one that
    // was delayed.
    if (this.#welcomed && !this.#proves && bytes.length > 0) {
      return { output: "", admitted: this.#welcomed };
    }
    const { helloBytes } = this.#host.limits;
    const end = bytes.indexOf(10);
    try {
      if (end > helloBytes || (end < 0 && bytes.length > helloBytes)) {
        throw new PeerError("HELLO_TOO_LONG", `a hello is longer than ${helloBytes} bytes`);
      }
      if (end < 0) {
        // No hello starts like this; other protocols may never send the end of a first line.
        if (bytes[0]! < 0x20 && !this.#greets) throwIfForeign(bytes);
        return { output: "" };
      }
      return this.#line(bytes.subarray(0, end), bytes.slice(end + 1));
    } catch (error) {
      if (!this.#greets && isBadHello(error)) throwIfForeign(bytes);
      throw error;
    }
  }

  #line(bytes: Uint8Array, rest: Uint8Array): Step {
    const line = this.#proves
      ? lenient.decode(bytes) // such a proof is wrong in any case
      : decode(bytes);
    this.#held = rest;
    if (this.#proves) {
      this.#proves(line);
      return { output: "", admitted: this.#welcomed! };
    }
    return line.startsWith(HELLO) ? this.#hello2(line) : this.#hello1(line);
  }

  /** Continues with the record that the last step asked for. @throws {PeerError} as `receive` */
  provide(record: DeviceRecord): Step {
    const resume = this.#resume!;
    this.#resume = undefined;
    return resume(record);
  }

  /** Runs the next step with the device's record, if it is in memory. */
  #withRecord(id: string, next: (record: DeviceRecord) => Step): Step {
    const record = this.#host.record(id);
    if (record && !this.#host.isShared) return next(record);
    this.#resume = next;
    return { output: "", wants: id };
  }

  #hello1(id: string): Step {
    checkId(id);
    this.#id = id;
    const advice = adviceAbout(id);
    this.#host.access.checkStock(id, advice);
    const admitted: Admitted = {
      id,
      dialect: 1,
      metadata: "",
      older: undefined, // dialect 1 has no positions
      ...(advice !== undefined && { advice }),
      check: () => {},
      connect: (session, now) => {
        const { record, settled, timeout } = session;
        const dialect = new Dialect1(record, settled, timeout, () => session.booted());
        session.connect(dialect, session.limits.lineBytes, true, now);
      },
    };
    return this.#withRecord(id, () => ({ output: "", admitted }));
  }

  #hello2(line: string): Step {
    const hello = parseHello2(line);
    checkId(hello.id);
    this.#id = hello.id;
    const key = this.#host.access.keyFor(hello);
    return this.#withRecord(hello.id, (record) => this.#welcome(line, hello, key, record));
  }

  /**
   * To be called before the welcome is sent: what has arrived by now does not answer it, so it confirms
   * nothing.
   *
   * @param more Bytes that `receive` has not been given.
   * @throws {PeerError} BAD_LINE, unless it is empty lines
   */
  beforeWelcome(more: Uint8Array): void {
    const early = [this.#held, more];
    this.#held = NOTHING;
    if (early.every((bytes) => bytes.every((byte) => byte === 10))) return;
    throw new PeerError("BAD_LINE", "a line came after the hello and before the welcome");
  }

  /** A hello alone changes nothing, even for a new device. */
  #welcome(line: string, hello: Hello2, key: Uint8Array | undefined, known: DeviceRecord): Step {
    this.beforeWelcome(NOTHING);
    const { access, isShared, limits, record } = this.#host;
    const agreement = agree(hello, known, limits, isShared);
    if (!agreement.isTold) known.mayHaveForgotten = true;
    const checkKey = () => {
      if (access.keyFor(hello) === key) return;
      throw new PeerError("STALE_GREETING", "the key for this id was changed during the greeting");
    };
    const ephemeral = hello.suite === EPHEMERAL ? new Ephemeral() : undefined;
    const nonce = ephemeral?.publicKey ?? randomNonce();
    // Anybody can send a device's id, so the welcome reveals nothing without its key.
    const said = key ? masked(agreement.welcome, maskOf(key, nonce)) : agreement.welcome;
    const welcome = formatWelcome(hello.suite, said, nonce);
    const welcomed = admitted(hello, agreement, () => record(hello.id) ?? known, limits, checkKey);
    this.#welcomed = welcomed;
    this.#mute = hello.suite >= SEALED;
    if (!key) return { output: `${welcome}\n` };
    const greeting = `${line}\n${welcome}`;
    const proof = proofOf(key, greeting);
    this.#proves = (answer) => {
      if (!answer.startsWith(PROOF)) {
        throw new PeerError("BAD_LINE", "a line came instead of a proof");
      }
      const signed = `${greeting}${proof}\n`;
      const expected = PROOF + proofOf(key, signed);
      try {
        access.checkProof(answer, expected);
      } catch (error) {
        this.#penalty = access.hold(this.#hostname) ? "told late" : "not told";
        throw error;
      }
      if (hello.suite < SEALED) return;
      // After the proof, so that strangers cannot make us compute it.
      const shared = ephemeral?.share(hello.nonce);
      if (ephemeral && !shared) throw nothingShared();
      const { toDevice, toServer } = sealKeys(key, signed, shared);
      welcomed.seal = new Seal(toDevice, toServer, limits.lineBytes, hello.line);
      this.#mute = false; // from now on answers are sealed
    };
    return { output: `${welcome}${proof}\n` };
  }

  /** Whether the farewell must be delayed; call `end` afterwards. */
  get isLate(): boolean {
    return this.#penalty === "told late";
  }

  /** The connection has ended, or is admitted. */
  end(): void {
    if (this.isLate) this.#host.access.release(this.#hostname);
    this.#penalty = undefined;
  }

  /** What to send when `receive` has thrown this error; "" if nothing. */
  farewell(error: PeerError): string {
    if (this.#mute || this.#penalty === "not told") return "";
    const code = this.#greets ? refusalOf(error) : undefined;
    return code === undefined ? "" : formatRefusal(code);
  }
}

function admitted(
  hello: Hello2,
  agreement: Agreement,
  find: () => DeviceRecord,
  limits: Limits,
  checkKey: () => void,
): Admitted {
  const { connects } = find().positions;
  const { welcome, renamed, older } = agreement;
  /** The present agreement, if it is still the one that the welcome announced. */
  const renewed = (record: DeviceRecord): Agreement => {
    checkKey();
    const now = agree(hello, record, limits);
    const { welcome: late, known, isTold } = now;
    if (
      record.positions.connects !== connects || now.renamed !== renamed ||
      late.txFirst !== welcome.txFirst || late.rxNext !== welcome.rxNext
    ) {
      throw new PeerError(
        "STALE_GREETING",
        "the welcome was outdated before the device had answered it",
      );
    }
    return { welcome, known, isTold, renamed, older };
  };
  return {
    id: hello.id,
    dialect: 2,
    metadata: hello.metadata,
    older,
    check: () => void renewed(find()),
    connect(session, now) {
      const dialect = new Dialect2(hello, renewed(session.record), session);
      session.connect(dialect, hello.line, false, now);
    },
  };
}

function refusalOf(error: PeerError): number | undefined {
  if (error instanceof Refused) return error.refusal;
  if (error.code === "TOO_MANY_DEVICES" || error.code === "TOO_MANY_CONNECTIONS") {
    return Refusal.full;
  }
  return error.code === "BAD_GREETING" || error.code === "BAD_HELLO"
    ? Refusal.badGreeting
    : undefined;
}

function isBadHello(error: unknown): boolean {
  return error instanceof PeerError && ["BAD_HELLO", "HELLO_TOO_LONG"].includes(error.code);
}

/** @throws {PeerError} BAD_HELLO, if the first bytes are those of another protocol */
function throwIfForeign(bytes: Uint8Array): void {
  const error = foreign(bytes);
  if (error) throw error;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

function decode(line: Uint8Array): string {
  try {
    return decoder.decode(line);
  } catch (cause) {
    throw new PeerError("BAD_HELLO", "the hello is not UTF-8", { cause });
  }
}

/** @throws {PeerError} BAD_HELLO */
function checkId(id: string): void {
  const wrong = wrongOnWire(id);
  if (wrong !== undefined) throw new PeerError("BAD_HELLO", wrong);
}
