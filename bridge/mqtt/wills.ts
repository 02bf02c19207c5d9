/**
 * Messages that the bridge publishes for devices: a welcome when they come, a will when they are gone. Both are
 * reported values of channels.
 *
 * A row has the last announcement of a device, and its will and welcome. The SQL statements themselves decide by that
 * row, in the order in which they become safe, because a device may go while its report waits for its commit. So each
 * change has its message once, even if the server restarts in between.
 */
import type { HandlerContext, Server, Transaction } from "../../server/mod.ts";
import type { Value } from "../../server/protocol/channel_lines.ts";
import type { AvailabilityState, LastAnnouncement } from "./availability.ts";
import type { OwnTopics } from "./own_topics.ts";
import { type Message, publishOf } from "./rows.ts";

/** The occasions, and the channels with their messages. */
const CHANNELS = { will: "mqtt/will", welcome: "mqtt/welcome" } as const;

const OCCASIONS = ["will", "welcome"] as const;

type Occasion = typeof OCCASIONS[number];

/** What it needs from the bridge. */
export interface WillsHost {
  readonly own: OwnTopics;
  /** The date, in ms since 1970. */
  date(): number;
  /** Stores the announcement of a device. */
  tell(tx: Transaction, id: string, state: AvailabilityState, sleep: number): void;
  /** Deletes the announcement of a device. */
  forget(tx: Transaction, id: string): void;
  /** A transaction may have added a publication. */
  added(tx: Transaction, message: Message): void;
}

export class Wills {
  readonly #host: WillsHost;
  readonly #last = new Map<string, LastAnnouncement>();
  /** Wills and welcomes that devices may have: publications that may be added count as added. */
  readonly #said = new Map<string, { will?: Message; welcome?: Message }>();

  constructor(host: WillsHost) {
    this.#host = host;
  }

  /** Reads the announcements. Devices' reports count as far as the operator now allows them. */
  async start(tx: Transaction, server: Pick<Server, "devices" | "thing">): Promise<void> {
    const { own } = this.#host;
    for (const row of await tx.all(`SELECT device, state, sleep FROM mqtt_devices`)) {
      const state = String(row.state) as AvailabilityState;
      this.#last.set(String(row.device), { state, sleep: Number(row.sleep) });
    }
    if (!own.isOn) return tx.run(`UPDATE mqtt_devices SET will = NULL, welcome = NULL`);
    // All at once: for a device that is forgotten meanwhile, `thing` would wait.
    for (const thing of await Promise.all(server.devices.map(({ id }) => server.thing(id)))) {
      for (const occasion of OCCASIONS) {
        const value = thing.reported(CHANNELS[occasion])?.value ?? null;
        const said = value === null ? undefined : own.allowed(thing.id, value);
        this.#keep(tx, thing.id, occasion, said);
      }
    }
  }

  /** The last announcement of a device, also by an earlier process. */
  last(id: string): LastAnnouncement | undefined {
    return this.#last.get(id);
  }

  /** A device reports its will or welcome, in its transaction. */
  report(value: Value, context: HandlerContext): void {
    const { thing: { id }, channel, tx } = context;
    const { own } = this.#host;
    const occasion = channel === CHANNELS.will ? "will" : "welcome";
    if (channel !== CHANNELS[occasion] || !own.isOn) return;
    this.#keep(tx, id, occasion, value === null ? undefined : own.message(value, context));
    if (occasion === "welcome") this.#welcome(tx, id); // it may already be connected
  }

  #keep(tx: Transaction, id: string, occasion: Occasion, message: Message | undefined): void {
    const said = this.#said.get(id) ?? {};
    if (message) this.#said.set(id, { ...said, [occasion]: message });
    tx.run(
      `INSERT INTO mqtt_devices (device, state, sleep, ${occasion}) VALUES (?, 'offline', 0, ?)
        ON CONFLICT (device) DO UPDATE SET ${occasion} = excluded.${occasion}`,
      id,
      message === undefined ? null : JSON.stringify(message),
    );
    if (occasion === "welcome" && !message) {
      tx.run(`UPDATE mqtt_devices SET is_welcomed = 0 WHERE device = ?`, id);
    }
  }

  /** A device's announcement has changed; called in the transaction that publishes it. */
  changed(tx: Transaction, id: string, state: AvailabilityState, sleep: number): void {
    const { own, tell } = this.#host;
    this.#last.set(id, { state, sleep });
    if (state === "offline" && own.isOn) this.#publish(tx, id, "will", `state <> 'offline'`);
    tell(tx, id, state, sleep);
    if (own.isOn) this.#welcome(tx, id);
  }

  /** Publishes a connected device's welcome, once. */
  #welcome(tx: Transaction, id: string): void {
    this.#publish(tx, id, "welcome", `state = 'online' AND is_welcomed = 0`);
    tx.run(
      `UPDATE mqtt_devices SET is_welcomed = 1
        WHERE device = ? AND state = 'online' AND welcome IS NOT NULL`,
      id,
    );
  }

  #publish(tx: Transaction, id: string, occasion: Occasion, where: string): void {
    publishOf(tx, id, occasion, { where, since: this.#host.date() });
    const message = this.#said.get(id)?.[occasion];
    if (message) this.#host.added(tx, message);
  }

  /** The server has forgotten a device. */
  forget(tx: Transaction, id: string): void {
    this.#last.delete(id);
    this.#said.delete(id);
    this.#host.forget(tx, id);
  }
}
