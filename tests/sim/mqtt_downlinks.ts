/**
 * The books of downlinks, messages from a broker to devices: commands, and topics that devices listen to. See
 * `mqtt_books.ts`.
 */
import { OWN } from "./mqtt_plan.ts";
import { parseMarked, valueOf } from "../../server/protocol/channel_lines.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** A message from the broker to a device, or to all that listen to its topic. */
export interface Downlink {
  /** The line that the device gets. */
  readonly line: string;
  readonly topic: string;
  /** The device; undefined: all that listen to the topic. */
  readonly to: string | undefined;
  /** The earliest time at which it may expire. */
  expires: number;
  /** When it went to the bridge: growing numbers. */
  order: number;
  /** Its packet id then; 0: none that is kept. */
  packet: number;
  /** Devices that must get it, and since when they have listened to the same topics. */
  readonly due: Map<string, number>;
  readonly told: Set<string>;
  /** Devices at other servers, for which it was posted. */
  readonly posted: Set<string>;
  mayRepeat: boolean;
}

/** The topics to which one device listens. */
interface Hearing {
  filters: readonly string[];
  /** How often it has changed them. */
  times: number;
  readonly ever: Set<string>;
  /** The newest downlink that it got. */
  newest: number;
}

export class DownlinkBooks {
  readonly #downlinks = new Map<string, Downlink>(); // by line
  readonly #outstanding = new Set<Downlink>();
  readonly #hearing = new Map<string, Hearing>();
  #count = 0;

  /**
   * @param now The time, in ms.
   * @param isTight Whether a device may lack room for one.
   */
  constructor(readonly now: () => number, readonly isTight: boolean) {}

  #of(id: string): Hearing {
    let hearing = this.#hearing.get(id);
    if (hearing) return hearing;
    hearing = { filters: [], times: 0, ever: new Set(), newest: 0 };
    this.#hearing.set(id, hearing);
    return hearing;
  }

  /** A message of a device was processed. */
  processed(id: string, line: string): void {
    const marked = parseMarked(line);
    if (marked?.mark === "set" && marked.name === OWN) {
      this.#hears(id, valueOf(marked.value) as string[]);
    }
  }

  forgets(id: string): void {
    this.#hears(id, []);
    this.excuse((downlink) => downlink.due.delete(id));
  }

  #hears(id: string, filters: readonly string[]): void {
    const hearing = this.#of(id);
    hearing.filters = filters;
    hearing.times++;
    for (const filter of filters) hearing.ever.add(filter);
  }

  /** All filters that devices want. */
  get filters(): Set<string> {
    return new Set([...this.#hearing.values()].flatMap(({ filters }) => filters));
  }

  /** Somebody publishes one. */
  begins(line: string, topic: string, to: string | undefined, expires: number): Downlink {
    const downlink = {
      line,
      topic,
      to,
      expires,
      order: 0,
      packet: 0,
      due: new Map(),
      told: new Set<string>(),
      posted: new Set<string>(),
      mayRepeat: false,
    };
    this.#downlinks.set(line, downlink);
    return downlink;
  }

  /** It goes to the bridge, for the first time as far as the broker knows. @param isDue Whether a device can get it */
  goes(downlink: Downlink, qos: number, packet: number, isDue: (id: string) => boolean): void {
    downlink.order = ++this.#count;
    downlink.packet = qos === 2 ? packet : 0;
    downlink.mayRepeat ||= qos === 1; // a broker that went back may not know that it was sent already
    if (qos === 0) return;
    this.#outstanding.add(downlink);
    const all = downlink.to === undefined
      ? [...this.#hearing].filter(([, { filters }]) => filters.includes(downlink.topic))
        .map(([id]) => id)
      : [downlink.to];
    for (const id of all) if (isDue(id)) downlink.due.set(id, this.#of(id).times);
  }

  /** The bridge acknowledges it. */
  taken(downlink: Downlink): void {
    if (!this.#outstanding.delete(downlink) || downlink.expires - 2 <= this.now()) return;
    for (const [id, times] of downlink.due) {
      // A device that has changed its topics since may get it or not.
      if (downlink.told.has(id) || downlink.posted.has(id)) continue;
      if (downlink.to === undefined && this.#of(id).times !== times) continue;
      throw new Violation(`${id}: ${downlink.line} is taken, and is not safe`);
    }
  }

  /** It is posted for a device at another server. */
  posted(id: string, line: string): void {
    const downlink = this.#downlinks.get(line);
    if (downlink?.to !== id) throw new Violation(`${id}: who has posted ${line}?`);
    if (downlink.posted.has(id) && !downlink.mayRepeat) {
      throw new Violation(`${id}: ${line} is posted again`);
    }
    downlink.posted.add(id);
  }

  /** A device gets it. @returns its deadline */
  written(id: string, line: string): number {
    const downlink = this.#downlinks.get(line);
    const hearing = this.#of(id);
    if (!downlink || (downlink.to ?? id) !== id) {
      throw new Violation(`${id}: who has written ${line}?`);
    }
    if (downlink.to === undefined && !hearing.ever.has(downlink.topic)) {
      throw new Violation(`${id} is told ${line}, and does not want that`);
    }
    if (downlink.told.has(id) && !downlink.mayRepeat) {
      throw new Violation(`${id}: ${line} comes again`);
    }
    const comesLate = downlink.mayRepeat || downlink.posted.has(id);
    if (downlink.order < hearing.newest && !comesLate) {
      throw new Violation(`${id} is told ${line} behind something newer`);
    }
    downlink.told.add(id);
    hearing.newest = Math.max(hearing.newest, downlink.order);
    return downlink.expires;
  }

  /**
   * The server is killed. If there was no room for something, it has stored its id, and may not have acknowledged it.
   *
   * @param isKept Whether the store has an id.
   */
  serverDied(isKept: (packet: number) => boolean): void {
    if (!this.isTight) return;
    this.excuse(({ packet, due, told }) => {
      if (packet === 0 || !isKept(packet)) return;
      for (const id of due.keys()) if (!told.has(id)) due.delete(id);
    });
  }

  /** What is under way need not reach a device, or any. */
  excuse(which: (downlink: Downlink) => void): void {
    this.#outstanding.forEach(which);
  }

  /** The broker has forgotten what was under way. */
  forgot(): void {
    this.#outstanding.clear();
  }
}
