/**
 * What devices have published for them: a welcome when they are there, a will when they are gone. Both are what the device
 * has reported of a channel. What was told of a device last lies in the store, in the transaction in which it is published:
 * so each change has its message once, also if the server is started again in between.
 */
import type { Server, Told, Transaction } from "../../server/mod.ts";
import type { Value } from "../../server/protocol/channel_lines.ts";
import type { AvailabilityState } from "./availability.ts";
import type { OwnTopics } from "./own_topics.ts";
import type { Message } from "./rows.ts";

/** When it is published, and the channel that says what. */
const CHANNELS = { will: "mqtt/will", welcome: "mqtt/welcome" } as const;

type Occasion = keyof typeof CHANNELS;

/** What it needs of the bridge. */
export interface WillsHost {
  readonly own: OwnTopics;
  /** Adds a publication. */
  put(tx: Transaction, message: Message): void;
}

/** What is known of a device. */
interface Known {
  /** What was told last. */
  state?: AvailabilityState;
  /** For how long it may sleep, in ms. */
  sleep: number;
  will?: Value | undefined;
  welcome?: Value | undefined;
}

export class Wills {
  readonly #host: WillsHost;
  readonly #devices = new Map<string, Known>();

  constructor(host: WillsHost) {
    this.#host = host;
  }

  /** Reads what was told, and, where topics of their own are allowed, what devices have reported. */
  async start(tx: Transaction, server: Pick<Server, "devices" | "thing">): Promise<void> {
    for (const { device, state, sleep } of await tx.all(`SELECT * FROM mqtt_devices`)) {
      const told = { state: String(state) as AvailabilityState, sleep: Number(sleep) };
      this.#devices.set(String(device), told);
    }
    if (!this.#host.own.isOn) return;
    for (const { id } of server.devices) {
      const thing = await server.thing(id);
      const known = this.#of(id);
      for (const occasion of ["will", "welcome"] as const) {
        known[occasion] = thing.reported(CHANNELS[occasion])?.value;
      }
    }
  }

  /** For how long a device may sleep, as it has said to an earlier process, in ms. */
  slept(id: string): number | undefined {
    return this.#devices.get(id)?.sleep;
  }

  /** A device says what is to be published: as a part of its transaction. */
  report(value: Value, told: Told): void {
    const { thing, channel, tx } = told;
    const occasion = channel === CHANNELS.will ? "will" : "welcome";
    if (channel !== CHANNELS[occasion] || !this.#host.own.isOn) return;
    const message = value === null ? undefined : this.#host.own.message(value, told);
    const known = this.#of(thing.id);
    // It is there already when it says so for the first time.
    const isFirst = !isSaid(known.welcome) && known.state === "online";
    if (occasion === "welcome" && isFirst && message) this.#host.put(tx, message);
    tx.afterCommit(() => this.#of(thing.id)[occasion] = value);
  }

  /** What is told of a device has changed: as a part of the transaction in which it is published. */
  changed(tx: Transaction, id: string, state: AvailabilityState, sleep: number): void {
    const known = this.#of(id);
    const before = known.state ?? "offline";
    Object.assign(known, { state, sleep });
    const sql = `INSERT OR REPLACE INTO mqtt_devices (device, state, sleep) VALUES (?, ?, ?)`;
    tx.run(sql, id, state, sleep);
    if ((before === "offline") === (state === "offline")) return;
    const said = known[state === "offline" ? "will" : "welcome"];
    const message = isSaid(said) ? this.#host.own.allowed(id, said) : undefined;
    if (message) this.#host.put(tx, message);
  }

  /** The server knows a device no longer. */
  forget(tx: Transaction, id: string): void {
    this.#devices.delete(id);
    tx.run(`DELETE FROM mqtt_devices WHERE device = ?`, id);
  }

  #of(id: string): Known {
    const known = this.#devices.get(id) ?? { sleep: 0 };
    this.#devices.set(id, known);
    return known;
  }
}

function isSaid(value: Value | undefined): value is Value {
  return value !== undefined && value !== null;
}
