/**
 * The server's end of a link, controlled by the test.
 *
 * @module
 */
import { Access } from "../../server/admission/access.ts";
import { Admission } from "../../server/admission/admission.ts";
import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import { defaultLimits, type Limits } from "../../server/link/limits.ts";
import { Session } from "../../server/link/session.ts";
import type { SessionReports } from "../../server/link/session_reports.ts";
import { type DeviceRecord, type DeviceState, newState } from "../../server/link/record.ts";
import { Records } from "./records.ts";
import { FIRMWARE, LineSplitter } from "../../server/protocol/lines.ts";
import { bytesOf, End, type WriteOptions } from "./ends.ts";
import { FixedRandom } from "./fixed_random.ts";

/** See `tests/vectors/README.md`. */
export interface ServerSettings {
  id: string;
  /** 64 hex digits; "": none, and the server is open. */
  key: string;
  line: number;
  inbox: number;
  outbox: number;
  timeout: number;
  /** Dialect 1's first id. */
  ids: number;
  /** Epoch of the first stream, 8 hex digits; further ones count up. */
  epoch: string;
  /** Number of the first message. */
  txNext: number;
}

export const serverSettings: Readonly<ServerSettings> = {
  id: "1",
  key: "",
  line: 64,
  inbox: 16,
  outbox: 16,
  timeout: 2000,
  ids: 0,
  epoch: "d0000001",
  txNext: 0,
};

/** The server's session of one device, with the work of its connections. */
export class ServerEnd extends End {
  readonly settings: ServerSettings;
  readonly #limits: Limits;
  readonly #access: Access;
  readonly #random = new FixedRandom(0xd1);
  #store = new Records();
  #session: Session;
  /** A connection with an incomplete greeting, besides the served one, if any. */
  #admission: Admission | undefined;
  #admissionEnds = Infinity;
  /** The reason of a late refusal. */
  #late: { error: PeerError; at: number } | undefined;
  #splitter: LineSplitter | undefined;
  #backup: DeviceState | undefined;
  #done = 0;

  constructor(settings: Partial<ServerSettings> = {}) {
    super();
    const { id, key, line, inbox, outbox, epoch } = this.settings = {
      ...serverSettings,
      ...settings,
    };
    this.#limits = { ...defaultLimits, lineBytes: line, inbox, outbox };
    this.#access = new Access(key === "" ? { open: true } : { keys: [[id, key]] });
    this.#random.words = [parseInt(epoch, 16)];
    this.#session = this.#start();
  }

  get #record(): DeviceRecord {
    const { id, ids, txNext } = this.settings;
    const known = this.#store.get(id);
    if (known) return known;
    const state = this.#random.during(() => newState(txNext, { nextId: ids }));
    return this.#store.create(id, state);
  }

  #start(): Session {
    const reports: SessionReports = {
      logged: (_device, line) => void this.ask(`log ${line}`),
      told: (_device, text) => void this.ask(`firmware ${text.slice(1)}`),
      notWritten() {},
      booted() {},
    };
    return new Session(this.#record, this.timeout, this.#limits, reports);
  }

  override get timeout(): number {
    return this.settings.timeout;
  }

  override get longestPause(): number {
    return this.#session.connected && !this.#admission ? this.timeout / 4 : Infinity;
  }

  override get done(): number {
    return this.#done;
  }

  override get deadline(): number {
    return Math.min(this.#session.deadline(), this.#late?.at ?? this.#admissionEnds);
  }

  override input(name: string, value?: string | number): boolean {
    if (name === "tell") {
      if (!this.#session.takesFirmware) return false;
      this.#session.tell(`${FIRMWARE}${value}`, () => {}, this.now);
      this.settle();
      return true;
    }
    if (name !== "inOld") return super.input(name, value);
    this.#session.receive(this.#splitter!.push(bytesOf(value)), this.now);
    this.settle();
    return true;
  }

  protected override happen(name: string): boolean {
    switch (name) {
      case "connected":
        this.#meet();
        break;
      case "hello":
        this.#meet();
        this.unread = bytesOf(`${this.settings.id}\n`);
        break;
      case "lost":
        if (this.#admission) this.#dismiss();
        else this.#drop();
        break;
      case "restart":
        this.#restart();
        break;
      case "forget":
        this.#store = new Records();
        this.#restart();
        break;
      case "backUp":
        this.#backup = structuredClone(this.#record.state);
        break;
      case "restore":
        this.#store = new Records();
        this.#store.create(this.settings.id, structuredClone(this.#backup!));
        this.#restart();
        break;
      default:
        return false;
    }
    return true;
  }

  #restart(): void {
    this.#dismiss();
    this.#drop();
    this.#session = this.#start();
  }

  #meet(): void {
    this.unread = new Uint8Array(0);
    const { settings, timeout } = this;
    const host = {
      access: this.#access,
      limits: this.#limits,
      record: (id: string) => {
        if (id !== settings.id) throw new PeerError("TOO_MANY_DEVICES", "another device");
        return this.#record;
      },
    };
    this.#admission = new Admission(host, "device");
    this.#admissionEnds = this.now + timeout;
  }

  #dismiss(): void {
    this.#admission?.end();
    this.#late = undefined;
    this.#admission = undefined;
    this.#admissionEnds = Infinity;
    this.unread = new Uint8Array(0);
  }

  #drop(): void {
    this.#session.disconnect();
    this.#splitter = undefined;
    this.unread = new Uint8Array(0);
  }

  protected override accept(text: string, { qos = true, wait = false }: WriteOptions): boolean {
    const writer = {
      arrived: () => void this.#done++,
      failed: ({ code }: LocalError) => this.ask(`failed ${code}`),
    };
    try {
      return this.#session.write(text, { qos, wait }, writer, this.now);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      return false;
    }
  }

  protected override settle(): void {
    this.#random.during(() => this.#settle());
  }

  #settle(): void {
    if (this.#late) {
      if (this.now >= this.#late.at) this.#turnAway(this.#late.error);
    } else if (this.now >= this.#admissionEnds) {
      this.#dismiss();
      this.ask("close NO_HELLO");
    }
    this.#greet();
    try {
      for (let busy = true; busy;) {
        busy = this.#read();
        this.#handOutAll();
        this.#session.tick(this.now);
        this.#store.commit();
        const output = this.#session.transmit(this.now);
        if (output === "") continue;
        busy = true;
        if (!this.#admission) this.send(bytesOf(output)); // otherwise it goes to a connection that the test does not check
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#handOutAll(); // messages before the error count
      this.ask(`close ${error.code}`);
      this.#drop();
    }
  }

  /** Reads the greeting of a new connection. */
  #greet(): void {
    const admission = this.#admission;
    if (!admission || this.#late || this.unread.length === 0) return;
    const bytes = this.unread;
    this.unread = new Uint8Array(0);
    try {
      const { output, admitted } = admission.receive(bytes);
      this.#store.commit();
      if (output !== "") this.send(bytesOf(output));
      if (!admitted) return;
      admitted.check();
      this.#dismiss();
      if (admitted.metadata !== "") this.ask(`metadata ${admitted.metadata}`);
      this.#session.disconnect();
      admitted.connect(this.#session, this.now);
      this.#splitter = new LineSplitter(this.settings.line + 2);
      this.unread = admission.rest;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (admission.isLate) this.#late = { error, at: this.now + this.timeout / 4 };
      else this.#turnAway(error);
    }
  }

  #turnAway(error: PeerError): void {
    const farewell = this.#admission!.farewell(error);
    if (farewell !== "") this.send(bytesOf(farewell));
    this.ask(`close ${error.code}`);
    this.#dismiss();
  }

  #read(): boolean {
    if (this.#admission || this.unread.length === 0) return false;
    if (!this.#splitter || !this.#session.wantsInput) return false;
    const lines = this.#splitter.push(this.unread);
    this.unread = new Uint8Array(0);
    this.#session.receive(lines, this.now);
    this.#store.commit();
    return true;
  }

  #handOutAll(): void {
    this.#store.commit();
    if (this.holding) return;
    for (let text = this.#session.peek(); text !== undefined; text = this.#session.peek()) {
      this.handOut(text);
      this.#session.shift();
      this.#store.commit();
    }
  }
}
