/**
 * The books of a bridge between the server and an MQTT broker. They check, for every seed and every fault:
 *
 * - An event that the server has processed comes to a subscriber once, in the order in which it was processed; none
 *   comes that was not safe by then.
 * - What is published as the state of a channel was reported by the device, and is safe at the server.
 * - A setting that somebody has published with QoS 2 takes effect once, in the order in which it was published, and
 *   before the bridge acknowledges it. With QoS 1 it may take effect again, with QoS 0 not at all.
 * - When all faults have ended, the retained topics say what the server shows of each channel, that each device is
 *   there, and that the bridge is; and nothing is left in the bridge's tables.
 * - Home Assistant shows of each device what is described of the version that it runs; it is told again when it starts.
 *
 * | what happens                         | what is weaker then                                              |
 * | ------------------------------------ | ---------------------------------------------------------------- |
 * | the broker forgets the session       | what was under way may come twice; what it had for the bridge is |
 * |                                      | gone. The bridge warns of it                                     |
 * | the same, and the connection is lost | as in the next row: the bridge takes the new session for the old |
 * | before the bridge learns of it       | one                                                              |
 * | the broker goes back to what it was  | what was under way may be lost or come twice, both ways, and     |
 * |                                      | states are old until they change: the bridge cannot know that    |
 * | a device is not known to the server  | what is set then has no effect. The bridge warns of it           |
 */
import { parseMarked, textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import type { Limits } from "../../server/link/limits.ts";
import type { ServerEvent } from "../../server/observe/events.ts";
import type { Server } from "../../server/server.ts";
import type { Message } from "./broker_session.ts";
import { type Asked, AskedBooks } from "./mqtt_asked.ts";
import type { Setting } from "./channel_settings.ts";
import { DiscoveryBooks, HOME, STARTED } from "./mqtt_discovery.ts";
import { type Downlink, DownlinkBooks } from "./mqtt_downlinks.ts";
import { type MqttPlan, OWN, PREFIX, ROOM_FOR_ALL } from "./mqtt_plan.ts";
import { UplinkBooks } from "./mqtt_uplinks.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Tables } from "./tables.ts";
import type { ThingBooks } from "./thing_books.ts";

/** A message that somebody publishes. */
export interface Publication extends Message {
  /** The channel that it sets; undefined: it sets nothing. */
  readonly target?: { readonly id: string; readonly channel: string; readonly value: unknown };
  /** Set when it was sent. */
  setting?: Setting;
  /** Set if it is a message or a request to devices. */
  readonly downlink?: Downlink;
  readonly asked?: Asked;
}

/** Answers go there, if a request says so. */
export const ANSWERS = "answers";

/** The bridge's warnings about orders that it cannot carry out. */
const REFUSALS: ReadonlySet<string> = new Set([
  "BAD_VALUE",
  "EXPIRED",
  "RETAINED_SET",
  "UNKNOWN_DEVICE",
  "UNKNOWN_TOPIC",
]);

/** More waiting messages to devices, and more bytes, than any world has. */
const ROOM_FOR_MESSAGES = 1000;

/** Messages that devices hold back until there is room. */
const WAIT_FOR_ROOM = "retain = 0 AND (topic LIKE '%/event/%' OR topic LIKE '%/out')";

/** The server, as seen from outside. */
export interface ServerView {
  readonly server: Server | undefined;
  readonly tables: Tables;
  readonly disk: { readonly devices: ReadonlyMap<string, unknown> };
}

export class MqttBooks {
  readonly uplinks = new UplinkBooks();
  readonly discovery = new DiscoveryBooks();
  readonly asked: AskedBooks;
  readonly downlinks: DownlinkBooks;
  /** Called when a device's answer to a published request is safe. */
  answered: (() => void) | undefined;
  /** Settings that were sent, and that the bridge has not acknowledged. */
  readonly #outstanding = new Set<Setting>();
  /** Settings that take effect in the current commit. */
  readonly #keptNow = new Set<Setting>();
  /** For each channel, when the newest setting that has taken effect was sent. */
  readonly #newest = new Map<string, number>();
  /** The bridge has connected to a broker that has forgotten it, and has not warned yet. */
  #owesWarning = false;
  /** The bridge knows that a broker that has forgotten it had a session. */
  #isKnown = false;
  /** Retained topics that were published since the broker went back to an earlier state. */
  #fresh: Set<string> | undefined;
  /** Ids that were in use when the broker forgot the session, until the bridge knows that. */
  #forgottenIds: readonly number[] = [];
  /** The bridge may warn or not: the connection on which it was told was lost. */
  #mayWarn = false;
  /** Ids that the bridge may confuse with those of messages that the broker no longer knows. */
  readonly #haunted = new Set<number>();

  /** Devices that the server did not know for a while: their retained values may be removed. */
  readonly #absent = new Set<string>();
  #knowsRows = false;
  /** The lease token of the server of a fleet that has the connection. */
  #token = 0;

  constructor(
    readonly things: ReadonlyMap<string, ThingBooks>,
    readonly view: ServerView,
    readonly plan: Pick<MqttPlan, "version" | "mostRows" | "isDescribed" | "lease">,
    now: () => number,
    limits: Pick<Limits, "outbox" | "queueText" | "totalText">,
  ) {
    const isShared = plan.lease !== undefined;
    this.asked = new AskedBooks(plan.version === 5, plan.mostRows < ROOM_FOR_ALL, isShared);
    const isTight = Math.min(limits.outbox, limits.queueText, limits.totalText) < ROOM_FOR_MESSAGES;
    this.downlinks = new DownlinkBooks(now, isTight);
  }

  // Messages of the devices.

  /** A message was processed. */
  processed(id: string, text: string): void {
    this.uplinks.processed(id, text);
    this.downlinks.processed(id, text);
    const marked = parseMarked(text);
    const isAnswer = marked?.mark === "answer" || marked?.mark === "fault";
    if (isAnswer && this.things.get(id)!.requests.isPublished(marked.tag)) this.answered?.();
  }

  /** The broker delivers something to its subscribers. */
  routed(message: Message): void {
    const { topic, payload, correlation } = message;
    const [root, id = "", ...rest] = topic.split("/");
    const text = String(payload);
    this.#fresh?.add(topic);
    if (root === HOME) return this.discovery.comes(message);
    const books = this.things.get(id);
    if (rest[0] === "response" || root === ANSWERS) {
      const isAgain = () => this.uplinks.isAgain(`${topic} ${text}`);
      return books && this.asked.comes(books, { text, correlation, isAgain });
    }
    if (rest[0] === "event" || root === OWN) return this.uplinks.comes(id, message);
    if (rest.length !== 1 || rest[0] === "availability") return;
    if (text === "" && this.#absent.has(id)) return;
    if (rest[0] === "diagnostics") return void JSON.parse(text);
    books?.reported(decodeURIComponent(rest[0]!), valueOf(text));
  }

  // Messages to the devices.

  /** A setting goes to the bridge, for the first time. */
  goes(publication: Publication, packet: number): void {
    const { target, qos, downlink, asked } = publication;
    const isHaunted = this.#haunted.has(packet);
    if (publication.topic === STARTED) return this.discovery.goes(publication, isHaunted);
    const { server, disk } = this.view;
    // A server that is not running yet will know the devices in its store.
    const known = new Set(server ? server.devices.map(({ id }) => id) : disk.devices.keys());
    const isKnown = (id: string) => !isHaunted && known.has(id);
    if (downlink) return this.downlinks.goes(downlink, qos, packet, isKnown);
    if (asked) asked.isGone = true;
    if (!target) return;
    const { id, channel, value } = target;
    const setting = publication.setting = this.things.get(id)!.published(channel, value);
    setting.mayRepeat = qos === 1;
    setting.isForgotten = !isKnown(id);
    if (qos > 0) this.#outstanding.add(setting);
  }

  /** The bridge acknowledges it. */
  taken(publication: Publication): void {
    const { topic, setting, downlink, asked } = publication;
    if (topic === STARTED) return this.discovery.starts(publication);
    if (downlink) return this.downlinks.taken(downlink);
    if (asked) asked.isTaken = true;
    if (!setting || !this.#outstanding.delete(setting)) return;
    if (!setting.isForgotten) setting.books.safe(setting);
  }

  /** It has taken effect. */
  kept(setting: Setting): void {
    const { books: { id }, channel, calledAt, mayRepeat, postedAt } = setting;
    this.#keptNow.add(setting);
    if (postedAt !== undefined) return; // it takes effect when the device's server has it
    const key = `${id}/${channel}`;
    if (!mayRepeat && calledAt < (this.#newest.get(key) ?? 0)) {
      throw new Violation(`${key} takes effect after something that was published later`);
    }
    this.#newest.set(key, Math.max(calledAt, this.#newest.get(key) ?? 0));
  }

  /** It takes effect again, perhaps in the same commit. */
  again(setting: Setting): void {
    if (setting.mayRepeat || this.#keptNow.has(setting)) return;
    const { books: { id }, channel, value } = setting;
    throw new Violation(`${id}: ${channel} ${value} takes effect twice, and was published once`);
  }

  /** A commit is done. */
  committed(): void {
    this.#keptNow.clear();
    if (!this.#hasRows) return;
    if (this.plan.lease !== undefined) this.#lookAtLease();
    // Each device may exceed the limit by one message, and all together by half of it; wills, welcomes and answers have
    // a limit of their own.
    const events = this.view.tables.count("mqtt_out", `WHERE ${WAIT_FOR_ROOM}`);
    const most = Math.floor(this.plan.mostRows * 1.5) + this.things.size;
    if (events > most) throw new Violation(`${events} events wait for the broker, not ${most}`);
  }

  /** If another server has the connection to the broker, the previous one does not answer its requests any more. */
  #lookAtLease(): void {
    const token = Number(this.view.tables.query("SELECT token FROM mqtt_lease")[0]!.token);
    if (token === this.#token) return;
    this.#token = token;
    for (const thing of this.things.values()) thing.ends(({ process }) => process === undefined);
  }

  /** Whether the bridge's table exists. */
  get #hasRows(): boolean {
    const sql = "WHERE name = 'mqtt_out'";
    return this.#knowsRows ||= this.view.tables.count("sqlite_master", sql) > 0;
  }

  /** The server does not know a device any more: settings have no effect until it comes back. */
  lost(id: string): void {
    this.#absent.add(id);
    for (const setting of this.#outstanding) {
      if (setting.books.id === id) setting.isForgotten = true;
    }
    this.downlinks.excuse(({ due }) => due.delete(id));
  }

  /** The operator has the server forget a device: its retained values are removed. */
  forgets(id: string): void {
    this.#absent.add(id);
    this.uplinks.forgets(id);
    this.downlinks.forgets(id);
  }

  /** An id is no longer in use, on either side. */
  freed(packet: number): void {
    this.#haunted.delete(packet);
  }

  // Warnings of the bridge.

  /** @returns whether this is a true warning of the bridge */
  warned({ code, device, topic }: Extract<ServerEvent, { event: "warning" }>): boolean {
    if (code === "BROKER_FORGOT") {
      if (!this.#owesWarning && !this.#mayWarn) {
        throw new Violation("the broker is said to have forgotten something");
      }
      this.#owesWarning = false;
      return true;
    }
    if (topic?.split("/")[2] === "request") this.asked.excuse(); // there is not even room for an answer
    if (code === "FORGOTTEN") return this.#absent.has(device ?? topic?.split("/")[1] ?? "");
    if (code === "OUTBOX_FULL") {
      this.downlinks.excuse((downlink) => {
        if (downlink.topic === topic) downlink.due.delete(device ?? downlink.to ?? "");
      });
      return true;
    }
    return code === "BROKER_BEHIND" || REFUSALS.has(code);
  }

  /** The server is killed, and cannot report what it has not reported yet. */
  serverDied(): void {
    this.#owesWarning = false;
    this.asked.serverDied();
    const isKept = (packet: number) =>
      this.view.tables.count("mqtt_in", `WHERE packet = ${packet}`) > 0;
    if (this.#hasRows) this.downlinks.serverDied(isKept);
  }

  // Events of the broker.

  /** It has lost the session. @param ids Those in use. @param isKnown Whether the bridge knows that it had one */
  forgot(ids: readonly number[], isKnown: boolean): void {
    if (isKnown) this.#isKnown = true;
    else this.#mayWarn = true;
    this.#forgottenIds = [...this.#forgottenIds, ...ids];
    this.#outstanding.clear();
    this.downlinks.forgot();
    this.uplinks.forgot(this.#underWay(), false);
  }

  /** The bridge connects to a broker that has lost its session. */
  metAgain(): void {
    // With several servers, the one that noticed may have lost the connection by then.
    if (this.plan.lease === undefined) this.#owesWarning = this.#isKnown;
    else this.#mayWarn = true;
  }

  /** The bridge has begun a new session, and knows that. */
  subscribed(): void {
    this.#forgottenIds = [];
  }

  /** The bridge was told that the session is new, and may have missed it: now it is told that one exists. */
  mistaken(): void {
    this.#mayWarn = true;
    this.#owesWarning = false;
    this.wentBack([], []);
  }

  /** It has gone back to an earlier state, with these messages under way. @param ids Those in use just before */
  wentBack(flights: readonly Publication[], ids: readonly number[]): void {
    this.uplinks.forgot(this.#underWay(), true);
    this.discovery.wentBack();
    this.asked.wentBack(flights.flatMap(({ asked }) => asked ?? []));
    for (const setting of this.#outstanding) setting.isForgotten = true;
    this.#outstanding.clear();
    this.downlinks.forgot();
    for (const { setting, downlink } of flights) {
      if (setting) setting.mayRepeat = true;
      if (downlink) downlink.mayRepeat = true;
    }
    // What it forgot before, the bridge may not know either.
    for (const id of [...ids, ...this.#forgottenIds]) this.#haunted.add(id);
    this.#fresh = new Set();
  }

  /** Messages that were sent to the broker, and that the bridge has not finished. */
  #underWay(): string[] {
    const { tables } = this.view;
    if (!this.#hasRows) return [];
    const rows = tables.query("SELECT topic, payload FROM mqtt_out WHERE retain = 0 AND stage > 0");
    return rows.map(({ topic, payload }) => `${topic} ${payload}`);
  }

  // The end.

  /** What is wrong at the end; undefined: nothing. */
  unfinished(
    retained: ReadonlyMap<string, string>,
    filters: ReadonlySet<string>,
  ): string | undefined {
    const { tables } = this.view;
    for (const table of ["mqtt_out", "mqtt_requests"]) {
      const rows = tables.count(table);
      if (rows > 0) return `${rows} rows of ${table} are left`;
    }
    const ids = tables.count("mqtt_in");
    if (ids > this.#haunted.size) return `${ids} ids of messages are left`;
    const isFresh = (topic: string) => this.#fresh?.has(topic) !== false;
    const left = this.uplinks.unfinished(retained, isFresh) ?? this.asked.unfinished() ??
      (this.plan.isDescribed
        ? this.discovery.unfinished(retained, this.things, isFresh)
        : undefined);
    if (left) return left;
    const isBridges = (filter: string) => filter.startsWith(`${PREFIX}/`) || filter === STARTED;
    const hears = [...filters].filter((filter) => !isBridges(filter)).sort();
    const wanted = [...this.downlinks.filters].sort();
    if (!this.#fresh && hears.join() !== wanted.join()) {
      return `the bridge hears ${hears}, not ${wanted}`;
    }
    if (this.#owesWarning) return "nobody says that the broker has forgotten the session";
    return this.#differs(retained);
  }

  #differs(retained: ReadonlyMap<string, string>): string | undefined {
    const wrong = (topic: string, text: string) => {
      if (this.#fresh?.has(topic) === false || retained.get(topic) === text) return undefined;
      return `${topic} should say ${text}, and says ${retained.get(topic)}`;
    };
    const states = [[`${PREFIX}/status`, "online"]];
    for (const [id, { thing }] of this.things) {
      states.push([`${PREFIX}/${id}/availability`, "online"]);
      for (const channel of thing?.channels ?? []) {
        const reported = thing!.reported(channel);
        const topic = `${PREFIX}/${id}/${encodeURIComponent(channel)}`;
        if (reported) states.push([topic, textOf(reported.value)]);
      }
    }
    const known = new Set(states.map(([topic]) => topic));
    for (const topic of retained.keys()) {
      const [root, id = ""] = topic.split("/");
      if (this.#fresh || root !== PREFIX || !this.things.has(id) || known.has(topic)) continue;
      if (!/\/(set|diagnostics)$/.test(topic)) return `${topic} should say nothing`;
    }
    for (const [topic, text] of states) {
      const why = wrong(topic!, text!);
      if (why) return why;
    }
    return undefined;
  }
}
