/**
 * A connection after its greeting, without a network, served for the device "1" in dialect 1.
 *
 * @module
 */
import { Dialect1 } from "../../server/link/dialect1.ts";
import { defaultLimits, type Limits } from "../../server/link/limits.ts";
import { Session } from "../../server/link/session.ts";
import type { PeerError } from "../../server/protocol/errors.ts";
import { Connection } from "../../server/runtime/connection.ts";
import { Serving } from "../../server/runtime/serving.ts";
import { Turn } from "../../server/runtime/turn.ts";
import { Ledger } from "../../server/store/ledger.ts";
import { TimerWheel } from "../../server/transport/wheel.ts";
import { ManualClock, ManualSocket } from "./manual_platform.ts";
import { SlowStore } from "./slow_store.ts";

export const TIMEOUT = 2000;

export class ServingRig {
  readonly clock = new ManualClock();
  readonly socket = new ManualSocket();
  readonly store = new SlowStore();
  readonly turn = new Turn(this.store, this.clock, { storeFails() {}, fenced() {} });
  readonly session: Session;
  readonly serving: Serving;
  readonly ended: PeerError[] = [];
  /** The line that the device is sent before its connection ends; "": none. */
  farewell = "";
  readonly #ledger: Ledger;

  /**
   * @param ahead What was read behind the greeting.
   * @param pauses The greeting has stopped the reading.
   */
  constructor(limits: Partial<Limits> = {}, ahead = "", pauses = false) {
    const { clock, turn, socket } = this;
    this.#ledger = new Ledger("1", { state: undefined, token: 1 }, turn.changed);
    this.session = new Session(this.#ledger.record, TIMEOUT, { ...defaultLimits, ...limits });
    const wheel = new TimerWheel(clock, TIMEOUT / 40);
    const connection = new Connection(socket, {
      clock,
      wheel,
      connections: 1,
      lingers() {},
      left() {},
    });
    const out = (safe: boolean, now: number) => this.serving.flush(safe, now);
    const { session } = this;
    const ledger = this.#ledger;
    const farewell = () => this.farewell;
    this.serving = new Serving(connection, {
      session,
      turn,
      clock,
      touch: () => turn.touch(out),
      get farewell() {
        return farewell();
      },
      get isSafe() {
        return !turn.awaits(out) && !turn.changed.has(ledger);
      },
      ended: (_, reason) => {
        this.ended.push(reason);
        session.disconnect();
      },
    });
    connection.start(this.serving);
    if (pauses) connection.pause();
    session.connect(
      new Dialect1(session.record, session.settled, TIMEOUT),
      session.limits.lineBytes,
      true,
      0,
    );
    this.serving.begin(new TextEncoder().encode(ahead));
  }

  write(text: string): void {
    this.session.write(text, {}, { arrived() {}, failed() {} }, this.clock.now());
    this.turn.touch((safe, now) => this.serving.flush(safe, now));
  }

  /** The application has processed the oldest message. @returns its text */
  async reads(): Promise<string | undefined> {
    const text = this.session.peek();
    if (text !== undefined) this.session.shift();
    this.turn.touch((safe, now) => this.serving.flush(safe, now));
    await this.clock.turn();
    return text;
  }

  /** Another device changes something. */
  changeAnother(): void {
    const { changed } = this.turn;
    new Ledger("2", { state: undefined, token: 1 }, changed).record.receive("text");
    this.turn.touch(() => {});
  }

  get codes(): string[] {
    return this.ended.map(({ code }) => code);
  }
}
