/**
 * Publishes the states of devices: their availability; and their channels' values again if the broker may have
 * forgotten them, or if several servers have a bridge on the same tables.
 */
import type { Server, Transaction } from "../../server/mod.ts";
import { textOf } from "../../server/protocol/channel_lines.ts";
import type { Platform } from "../../server/transport/platform.ts";
import {
  leftBehind,
  markGone,
  markLeft,
  markUnannounced,
  publishAgain,
  unannouncedInRound,
  Unattended,
} from "./absent.ts";
import { Availability, type AvailabilityOptions, type AvailabilityState } from "./availability.ts";
import { isNothing } from "./discovery.ts";
import { keptTopics } from "./retained.ts";
import { endRound, type Message, missedRound, type StateMessage } from "./rows.ts";
import type { Topics } from "./topics.ts";
import type { Wills } from "./wills.ts";

/** What it needs from the bridge. */
export interface StatesHost {
  readonly server: Server;
  readonly platform: Platform;
  readonly topics: Topics;
  readonly wills: Wills;
  /** This server's name if others may have a bridge on the same tables; undefined: it is alone. */
  readonly own: string | undefined;
  /** Adds a publication to a transaction. */
  put(tx: Transaction, message: Message): void;
  /** Announces a device again: its diagnostics and discovery. */
  again(device: string): void;
}

/** A retained topic of a device. */
interface State {
  readonly device: string;
  readonly topic: string;
  /** Its present payload; undefined: none. */
  readonly read: () => string | undefined;
}

/** Most devices without a server that are announced at once: each is read from the store. */
const MOST_AGAIN = 100;

export class States {
  readonly #host: StatesHost;
  readonly #availability: Availability;
  readonly #unattended = new Unattended();

  constructor(host: StatesHost, options: AvailabilityOptions) {
    this.#host = host;
    this.#availability = new Availability(
      hereOf(host.server),
      host.platform,
      options,
      (...change) => void this.#publish(...change),
    );
  }

  close(): void {
    this.#availability.close();
  }

  /**
   * Publishes the states of all devices. If one of several servers loses devices meanwhile, it leaves these to the
   * next.
   */
  async announce(tx: Transaction): Promise<void> {
    const ids = hereOf(this.#host.server).devices.map(({ id }) => id);
    if (this.#host.own === undefined) return await this.#restate(tx, ids);
    tx.afterCommit(() => {
      for (const id of ids) this.restate(id);
    });
  }

  /** The same, in a transaction of its own. */
  announceAll(): void {
    this.#again((tx) => this.announce(tx));
  }

  /** Publishes the states of a device that the server knows. */
  restate(id: string): void {
    this.#again((tx) => this.#restate(tx, [id]));
  }

  /**
   * Adds a state of a device that was already published. Another server may have the device, and have published
   * something newer.
   */
  putAgain(tx: Transaction, message: Message, device: string): void {
    if (this.#host.own !== undefined) tx.fence(device);
    this.#host.put(tx, message);
  }

  /** Announces devices that were moving to this server when all were announced, or that another one marked as gone. */
  announceMissed(): void {
    this.#again((tx) => this.#announceMissed(tx));
  }

  /** Marks devices of a dead server that have not come to another one as gone, and those that nobody has announced. */
  markLeft(): void {
    this.#again((tx) => this.#markLeft(tx));
  }

  /** Publishes the availability of a device. */
  async #publish(id: string, state: AvailabilityState, sleep: number): Promise<void> {
    const { server, platform, wills, own } = this.#host;
    const message = this.#availabilityOf(id, state);
    try {
      await server.transaction((tx) => {
        if (own !== undefined) tx.fence(id);
        this.#host.put(tx, message);
        if (server.known(id)) wills.changed(tx, id, state, sleep);
      });
    } catch { // the server was closed; or another one has the device, and may not have met it
      if (own === undefined || state === "online") return;
      if (this.#availability.get(id) === "online") return;
      const gone = { device: id, state, sleep };
      this.#again((tx) => markGone(tx, message, gone, own, platform.date()));
    }
  }

  #availabilityOf(device: string, state: AvailabilityState): Message {
    return { topic: this.#host.topics.availability(device), payload: state, retain: true };
  }

  async #announceMissed(tx: Transaction): Promise<void> {
    const { server, own, again } = this.#host;
    const missed = await missedRound(tx, own!);
    const here = new Set(hereOf(server).devices.map(({ id }) => id));
    for (const { device, state } of missed) {
      if (!here.has(device)) continue;
      const now = this.#availability.get(device);
      if (now !== undefined && now !== state) {
        void this.#publish(device, now, this.#availability.sleep(device));
      }
      again(device);
    }
  }

  async #markLeft(tx: Transaction): Promise<void> {
    const { server, platform, own } = this.#host;
    const patience = (id: string) => this.#availability.patience(id);
    const date = platform.date();
    for (const { device, server, sleep, age } of await leftBehind(tx)) {
      if (age < patience(device) + sleep) continue;
      const gone = { device, state: "offline", sleep } as const;
      markLeft(tx, this.#availabilityOf(device, "offline"), gone, server, date);
    }
    const nobodys = server.devices.filter((it) => it.server === undefined).map(({ id }) => id);
    await this.#publishAgain(tx, new Set(nobodys));
    for (const device of this.#unattended.look(nobodys, platform.now(), patience)) {
      const gone = { device, state: "offline", sleep: 0 } as const;
      markUnannounced(tx, this.#availabilityOf(device, "offline"), gone, own!, date);
    }
  }

  /** Publishes the states of devices that no server has, if nobody has done so in this round. */
  async #publishAgain(tx: Transaction, nobodys: ReadonlySet<string>): Promise<void> {
    const { server, topics, own, platform } = this.#host;
    const rows = await unannouncedInRound(tx, own!);
    const unannounced = rows.filter(({ device }) => nobodys.has(device)).slice(0, MOST_AGAIN);
    // All at once: for a device that is forgotten meanwhile, `thing` would wait.
    const things = await Promise.all(unannounced.map(({ device }) => server.thing(device)));
    for (const [i, it] of unannounced.entries()) {
      const { device } = it;
      const thing = things[i]!;
      const states: StateMessage[] = [{ topic: topics.availability(device) }];
      for (const channel of thing.channels) {
        const reported = thing.reported(channel);
        if (!reported) continue;
        states.push({ topic: topics.state(device, channel), payload: textOf(reported.value) });
      }
      for (const { topic, kept } of await keptTopics(tx, device)) {
        if (topic === topics.diagnostics(device) || !isNothing(kept)) {
          states.push({ topic, payload: kept });
        }
      }
      publishAgain(tx, states, it, platform.date());
    }
  }

  async #restate(tx: Transaction, ids: readonly string[]): Promise<void> {
    const { server, topics, own } = this.#host;
    const states: State[] = [];
    const here = new Set(hereOf(server).devices.map(({ id }) => id));
    const known = ids.filter((id) => here.has(id));
    // All at once: for a device that is forgotten meanwhile, `thing` would wait.
    for (const thing of await Promise.all(known.map((id) => server.thing(id)))) {
      const { id } = thing;
      for (const channel of thing.channels) {
        const read = () => {
          const reported = thing.reported(channel);
          return reported && textOf(reported.value);
        };
        states.push({ device: id, topic: topics.state(id, channel), read });
      }
      const read = () => this.#availability.get(id);
      states.push({ device: id, topic: topics.availability(id), read });
    }
    this.#putStates(tx, states);
    if (own !== undefined) { for (const id of known) endRound(tx, id); }
  }

  /** A newer value may become safe and be published while this one waits for its commit: then the newer one is published again. */
  #putStates(tx: Transaction, states: readonly State[]): void {
    const said = states.map(({ read }) => read());
    for (const [i, { device, topic }] of states.entries()) {
      const text = said[i];
      if (text !== undefined) this.putAgain(tx, { topic, payload: text, retain: true }, device);
    }
    tx.afterCommit(() => {
      const newer = states.filter(({ read }, i) => read() !== said[i]);
      if (newer.length > 0) this.#again((tx) => this.#putStates(tx, newer));
    });
  }

  #again(use: (tx: Transaction) => Promise<void> | void): void {
    this.#host.server.transaction(use).catch(() => {}); // the server was closed; or another one has the device, and announces it
  }
}

/** A server's own devices; other servers announce theirs. */
export function hereOf(
  server: Server,
): Pick<Server, "devices" | "events" | "known" | "thing" | "transaction"> {
  return {
    get devices() {
      return server.devices.filter((device) => device.server === server.name);
    },
    events: server.events,
    known: (id) => server.known(id),
    thing: (id) => server.thing(id),
    transaction: (use) => server.transaction(use),
  };
}
