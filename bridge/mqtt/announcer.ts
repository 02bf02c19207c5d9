/**
 * What the bridge publishes about devices besides their reports: diagnostics, and discovery for Home Assistant; and
 * removals of these. One transaction after the other, each for some devices, so each knows what the previous one has
 * published.
 */
import {
  type Device,
  LocalError,
  type Server,
  type ServerEvent,
  type Thing,
  type Transaction,
} from "../../server/mod.ts";
import type { Clock } from "../../server/transport/platform.ts";
import { Absentees, isLoss } from "./absentees.ts";
import { type Diagnostics, diagnosticsOf } from "./diagnostics.ts";
import {
  AVAILABILITIES,
  type AvailabilityOf,
  discoveryOf,
  isNothing,
  nothingOf,
  objectId,
  removes,
  withRemoved,
} from "./discovery.ts";
import { forgetTopic, keepPayload, keptOf, remember, topicsOf } from "./retained.ts";
import { isUnderWay, type Message, missRound } from "./rows.ts";
import { checkPrefix, type Topics } from "./topics.ts";

/** How devices appear in Home Assistant. */
export interface HomeAssistantOptions {
  /** Prefix of its discovery topics and of its status topic. Default "homeassistant". */
  prefix?: string;
  /**
   * Which entities also depend on the device's availability, besides the bridge's: "sensors" (default): those that
   * only report, not those that can be set, as settings wait safely; "all"; "none".
   */
  availability?: AvailabilityOf;
}

/** What it needs from the bridge. */
export interface AnnouncerHost {
  readonly server: Pick<Server, "devices" | "events" | "thing" | "transaction">;
  readonly clock: Clock;
  readonly topics: Topics;
  /** If false, other servers may have devices that this one does not know. */
  readonly isAlone: boolean;
  /** Publishes a retained topic; "" removes it. @param device The device, if it was published before */
  put(tx: Transaction, message: Message, device?: string): void;
  /** A device is back that the server did not have for a while: its topics must be published again. */
  restate(id: string): void;
  warn(code: string, message: string): void;
}

/** An announced device. */
interface Shown {
  readonly device: Device;
  readonly thing: Thing;
  readonly isAgain: boolean;
}

/** The work of one transaction. */
interface Step {
  readonly gone: readonly [string, { isSecond: boolean }][];
  readonly due: readonly [string, { isAgain: boolean }][];
  readonly cleared: readonly string[];
  readonly isSwept: boolean;
}

/** Most devices that one transaction announces. */
const MOST_AT_ONCE = 100;

/** Delay before a transaction that the store has refused is tried again, in ms. */
const PAUSE = 1000;

/** Errors for a device that another server has by now, or that was forgotten. */
const LOST: ReadonlySet<string> = new Set(["FENCED", "FORGOTTEN", "UNKNOWN_DEVICE"]);

/** @throws {LocalError} BAD_ARGUMENT: its topics would collide with the bridge's */
export function checkHomeAssistant(
  { prefix = "homeassistant", availability = "sensors" }: HomeAssistantOptions,
  { prefix: own }: Topics,
): Required<HomeAssistantOptions> {
  checkPrefix(prefix);
  if (!AVAILABILITIES.includes(availability)) {
    const message = `availability must be one of ${AVAILABILITIES.join(", ")}, not ${availability}`;
    throw new LocalError("BAD_ARGUMENT", message);
  }
  if (`${own}/`.startsWith(`${prefix}/`)) {
    const message = `the prefix ${own} is Home Assistant's: give the bridge another one`;
    throw new LocalError("BAD_ARGUMENT", message);
  }
  return { prefix, availability };
}

export class Announcer {
  readonly #host: AnnouncerHost;
  readonly #homeAssistant: Required<HomeAssistantOptions> | undefined;
  readonly #due = new Map<string, { isAgain: boolean }>(); // devices whose announcements may have changed
  readonly #gone = new Map<string, { isSecond: boolean }>();
  // Devices that were not on this server when topics of theirs were removed.
  readonly #absent = new Absentees();
  readonly #removed = new Map<string, string>(); // devices whose removing payload was published
  readonly #cleared = new Set<string>(); // discovery topics whose removal the broker has confirmed
  #isSwept = false; // whether topics from before the start that would not be published now were removed
  #isRunning = false;
  #cancel = () => {};
  #isClosed = false;
  readonly #unsubscribe: () => void;

  /**
   * @param homeAssistant Checked; undefined: nothing is published for it.
   * @param gone Devices that were just forgotten, and may be back.
   */
  constructor(
    host: AnnouncerHost,
    homeAssistant: Required<HomeAssistantOptions> | undefined,
    gone: Iterable<string> = [],
  ) {
    this.#host = host;
    this.#homeAssistant = homeAssistant;
    for (const id of gone) this.#gone.set(id, { isSecond: false });
    this.#unsubscribe = host.server.events.subscribe((event) => this.#take(event));
    this.#wake();
  }

  /** Topics at which Home Assistant publishes its status. */
  static filters(options: Required<HomeAssistantOptions> | undefined): string[] {
    return options ? [`${options.prefix}/status`] : [];
  }

  /** Handles a message, if it is Home Assistant's. */
  hears(topic: string, payload: Uint8Array, tx: Transaction): boolean {
    if (!Announcer.filters(this.#homeAssistant).includes(topic)) return false;
    const isOnline = new TextDecoder().decode(payload) === "online";
    if (isOnline) tx.afterCommit(() => this.all(true));
    return true;
  }

  /** Announces all devices. @param isAgain Also what was already announced. */
  all(isAgain: boolean): void {
    for (const { id } of this.#host.server.devices) this.#mark(id, isAgain);
    this.#wake();
  }

  /** Announces a device again. */
  again(id: string): void {
    this.#restate(id);
    this.#wake();
  }

  /** The broker has a publication. A component that it removed need not be mentioned any more. */
  completed(topic: string, payload: string): void {
    const { prefix } = this.#homeAssistant ?? {};
    if (prefix === undefined || !topic.startsWith(`${prefix}/device/`)) return;
    if (payload === "") this.#cleared.add(topic);
    else if (removes(payload)) {
      const device = this.#host.server.devices.find(({ id }) => this.#discoveryTopic(id) === topic);
      if (!device) return;
      this.#removed.set(device.id, payload);
      this.#mark(device.id, false);
    } else return;
    this.#wake();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
    this.#unsubscribe();
  }

  #take(event: ServerEvent): void {
    if (event.event === "described") {
      if (event.device === undefined) return this.all(false);
      this.#mark(event.device, false);
    } else if (event.event === "connected") {
      if (this.#absent.comes(event.device)) this.#restate(event.device);
      else if (event.metadata === undefined) return;
      else this.#mark(event.device, false);
    } else if (isLoss(event)) {
      // Announcements of all devices that are made meanwhile leave it out.
      if (event.device !== undefined) this.#absent.add(event.device);
      return;
    } else if (event.event === "forgotten") {
      this.#absent.forgets(event.device);
      this.#gone.set(event.device, { isSecond: false });
    } else return;
    this.#wake();
  }

  /** A device is back: its topics may have been removed, or not published again. */
  #restate(id: string): void {
    this.#host.restate(id);
    this.#mark(id, true);
  }

  #mark(id: string, isAgain: boolean): void {
    this.#due.set(id, { isAgain: isAgain || (this.#due.get(id)?.isAgain ?? false) });
  }

  #wake(): void {
    if (this.#isRunning || this.#isClosed) return;
    this.#isRunning = true;
    void this.#run();
  }

  get #isIdle(): boolean {
    return this.#isSwept && this.#gone.size + this.#due.size + this.#cleared.size === 0;
  }

  async #run(): Promise<void> {
    await undefined; // its caller may add more work
    while (!this.#isClosed && !this.#isIdle) {
      const gone = [...this.#gone];
      const due = [...this.#due].slice(0, MOST_AT_ONCE);
      const cleared = [...this.#cleared];
      const step: Step = { gone, due, cleared, isSwept: this.#isSwept };
      this.#gone.clear();
      this.#cleared.clear();
      for (const [id] of due) this.#due.delete(id);
      try {
        await this.#host.server.transaction((tx) => this.#step(tx, step));
        this.#isSwept = true;
        // Something that was under way when the device was forgotten may have become safe meanwhile.
        for (const [id, { isSecond }] of gone) {
          if (!isSecond && !this.#gone.has(id)) this.#gone.set(id, { isSecond: true });
        }
      } catch (error) {
        // The server may be closed during a step.
        if (this.#isClosed || (error instanceof LocalError && error.code === "CLOSED")) break;
        const isLost = error instanceof LocalError && LOST.has(error.code); // a device was lost meanwhile
        for (const [id, which] of gone) if (!this.#gone.has(id)) this.#gone.set(id, which);
        for (const [id, { isAgain }] of due) this.#mark(id, isAgain);
        for (const topic of cleared) this.#cleared.add(topic);
        if (isLost) continue;
        this.#host.warn("MQTT_FAILED", `will be tried again in ${PAUSE} ms: ${error}`);
        await new Promise<void>((resolve) => {
          const forget = this.#host.clock.after(PAUSE, resolve);
          this.#cancel = () => (forget(), resolve());
        });
      }
    }
    this.#isRunning = false; // right after the last check, so that no wake-up is missed
  }

  async #step(tx: Transaction, { gone, due, cleared, isSwept }: Step): Promise<void> {
    const { server, topics } = this.#host;
    const known = new Map(server.devices.map((device) => [device.id, device]));
    // All at once: for a device that is forgotten meanwhile, `thing` would wait.
    const shown = await Promise.all(
      due.filter(([id]) => known.has(id)).map(async ([id, { isAgain }]) => ({
        device: known.get(id)!,
        thing: await server.thing(id),
        isAgain,
      })),
    );
    const empty = gone.filter(([id, { isSecond }]) => !isSecond || !known.has(id));
    const stale = (await Promise.all(empty.map(([id]) => topicsOf(tx, id)))).flat();
    if (!isSwept) {
      remember(tx, topics.status, "");
      stale.push(...await this.#stale(tx));
    }
    for (const topic of cleared) {
      if (isNothing(await keptOf(tx, topic))) await this.#forgetCleared(tx, topic);
    }
    await this.#takeBack(tx, stale);
    for (const one of shown) await this.#portray(tx, one);
  }

  /** A topic was removed. Once the broker has confirmed that, it is forgotten. */
  async #forgetCleared(tx: Transaction, topic: string): Promise<void> {
    if (!await isUnderWay(tx, topic)) forgetTopic(tx, topic);
  }

  /** Topics that the bridge would not publish now. */
  async #stale(tx: Transaction): Promise<{ topic: string; device: string }[]> {
    const { isAlone, server, topics } = this.#host;
    const all = await topicsOf(tx);
    const said = new Map([["", new Set([topics.status])]]);
    if (isAlone) {
      const ids = new Set(all.map(({ device }) => device));
      const known = server.devices.filter(({ id }) => ids.has(id));
      // All at once: for a device that is forgotten meanwhile, `thing` would wait.
      const things = await Promise.all(known.map(({ id }) => server.thing(id)));
      for (const thing of things) said.set(thing.id, this.#topicsOf(thing));
    }
    return all.filter(({ topic, device }) => {
      if (isAlone || device === "") return !said.get(device)?.has(topic);
      return topics.deviceOf(topic) !== device && topic !== this.#discoveryTopic(device);
    });
  }

  /** The retained topics of a device. If it is back since it was forgotten, it may have reported less than before. */
  #topicsOf(thing: Thing): Set<string> {
    const { topics } = this.#host;
    const { id, channels } = thing;
    const reported = channels.filter((channel) => thing.reported(channel) !== undefined);
    const discovery = this.#discoveryTopic(id);
    return new Set([
      topics.availability(id),
      topics.diagnostics(id),
      ...(discovery === undefined ? [] : [discovery]),
      ...reported.map((channel) => topics.state(id, channel)),
    ]);
  }

  async #takeBack(
    tx: Transaction,
    stale: readonly { topic: string; device: string }[],
  ): Promise<void> {
    for (const { topic, device } of stale) await this.#clear(tx, topic, device);
    const devices = new Set(stale.map(({ device }) => device));
    if (devices.size === 0) return;
    // A device with that id may be at another server by now.
    if (!this.#host.isAlone) { for (const id of devices) missRound(tx, id); }
    tx.afterCommit(() => {
      // A device with that id may have come meanwhile; or it comes later, if another server had it.
      const known = new Set(this.#host.server.devices.map(({ id }) => id));
      for (const id of devices) {
        if (known.has(id)) this.#restate(id);
        else this.#absent.add(id);
      }
      this.#wake();
    });
  }

  /**
   * Removes a topic. Until the broker has confirmed that, a later publication may replace it, so what Home Assistant
   * shows until then is kept.
   */
  async #clear(tx: Transaction, topic: string, device: string): Promise<void> {
    const told = topic === this.#discoveryTopic(device) ? await keptOf(tx, topic) : "";
    if (isNothing(told)) return await this.#forgetCleared(tx, topic);
    this.#host.put(tx, { topic, payload: "", retain: true });
    if (told === "") forgetTopic(tx, topic);
    else keepPayload(tx, { topic, device, kept: nothingOf(told) });
  }

  async #portray(tx: Transaction, { device, thing, isAgain }: Shown): Promise<void> {
    const { topics, clock } = this.#host;
    const { id, metadata } = device;
    const before = await keptOf(tx, topics.diagnostics(id));
    const known: Diagnostics = before === "" ? {} : JSON.parse(before);
    const diagnostics = metadata === "" ? known : diagnosticsOf(metadata, clock.date(), known);
    const text = JSON.stringify(diagnostics);
    if (text !== "{}") this.#keep(tx, id, topics.diagnostics(id), text, before, isAgain);
    if (!this.#homeAssistant) return;
    const { application, description } = thing;
    const topic = this.#discoveryTopic(id)!;
    const told = await keptOf(tx, topic);
    const payload = description && discoveryOf(
      { id, application, description, diagnostics },
      topics,
      this.#homeAssistant.availability,
    );
    const isRemoved = this.#removed.get(id) === told;
    this.#removed.delete(id);
    if (payload) {
      const whole = isRemoved ? payload : withRemoved(payload, told);
      this.#keep(tx, id, topic, JSON.stringify(whole), told, isAgain);
    } else if (told !== "") await this.#clear(tx, topic, id);
  }

  #keep(
    tx: Transaction,
    device: string,
    topic: string,
    payload: string,
    before: string,
    isAgain: boolean,
  ): void {
    if (payload === before && !isAgain) return;
    this.#host.put(tx, { topic, payload, retain: true }, device);
    keepPayload(tx, { topic, device, kept: payload });
  }

  #discoveryTopic(device: string): string | undefined {
    const { prefix } = this.#homeAssistant ?? {};
    if (prefix === undefined) return undefined;
    return `${prefix}/device/${objectId(this.#host.topics.prefix, device)}/config`;
  }
}
