/** A session's publications under way: each is sent, released and then done; the store records each step first. */
import { Buffer } from "node:buffer";
import { type Publish, TopicAliases } from "./aliases.ts";
import { encode, type Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";
import type { InFlight, Outlet, Properties, Publication, Task } from "./tasks.ts";

/** Ids of publications are 1 to this one. */
const MOST_ID = 0xfffe;

/** "Packet Identifier not found". */
export const NOT_FOUND = 0x92;

interface UnderWay extends InFlight {
  /** Whether it was sent before, on any connection. */
  isAgain: boolean;
  /** Whether it has yet to be sent on this connection. */
  isDue: boolean;
  /** Whether its next step is a task. */
  isPending: boolean;
}

/** The broker's limits. */
export interface Bounds {
  /** Most publications under way at once. */
  readonly window: number;
  /** Longest packet, in bytes. */
  readonly longest: number;
}

export class Outgoing {
  readonly #outlet: Outlet;
  readonly #version: Version;
  readonly #all = new Map<number, UnderWay>(); // by packet id, in order
  #aliases = new TopicAliases(0);

  /** @param kept In the order in which they were first sent. */
  constructor(outlet: Outlet, version: Version, kept: readonly InFlight[]) {
    this.#outlet = outlet;
    this.#version = version;
    for (const one of kept) this.#add(one, true);
  }

  get size(): number {
    return this.#all.size;
  }

  /** The first publication whose id is still in use by one under way; it and later ones must wait. */
  get end(): number {
    const [oldest] = this.#all.values();
    return oldest ? endOfIds(oldest.seq) : Infinity;
  }

  /** Adds publications that are `sent` in the store. */
  add(publications: readonly Publication[]): void {
    for (const one of publications) this.#add({ ...one, isReleased: false }, false);
  }

  #add(one: InFlight, isAgain: boolean): void {
    const packet = packetId(one.seq);
    this.#all.set(packet, { ...one, isAgain, isDue: true, isPending: false });
  }

  /** There is a new connection. @param aliases The broker's topic alias maximum. */
  greeted(aliases: number): void {
    this.#aliases = new TopicAliases(aliases);
  }

  /** Packets that the broker has not answered. */
  get owed(): string | undefined {
    for (const [packet, { isDue, isPending, isReleased }] of this.#all) {
      if (!isDue && !isPending) return `${isReleased ? "PUBREL" : "PUBLISH"} ${packet}`;
    }
    return undefined;
  }

  /** The session resumes: all are due. @param isKnown Whether the broker has the session. */
  resume(isKnown: boolean): void {
    for (const out of this.#all.values()) {
      out.isDue = true;
      out.isPending = false;
      if (!isKnown) Object.assign(out, { isReleased: false, isAgain: false });
    }
  }

  /** Sends what is due, as far as the broker accepts it. */
  fill({ window, longest }: Bounds): void {
    let underWay = 0;
    for (const [packet, out] of this.#all) {
      if (out.isReleased && out.isDue) {
        out.isDue = false;
        this.#outlet.answer("pubrel", packet);
      }
      if (!out.isDue) underWay++;
    }
    for (const [packet, out] of this.#all) {
      if (!out.isDue) continue;
      if (underWay >= window) return;
      out.isDue = false;
      const full = this.#packet(packet, out);
      const bytes = encode(full, this.#version);
      if (bytes.length > longest) {
        const why = `it has ${bytes.length} bytes, but the broker accepts at most ${longest}`;
        out.isPending = true;
        const { seq, topic } = out;
        this.#outlet.ask({ does: "complete", packet, seq, topic, refused: why });
        continue;
      }
      underWay++;
      out.isAgain = true;
      const short = this.#aliases.shorten(full);
      this.#outlet.write(short ? encode(short, this.#version) : bytes);
    }
  }

  #packet(messageId: number, out: UnderWay): Publish {
    const { topic, payload, retain, isAgain: dup, properties } = out;
    const more = this.#version === 5 && properties !== undefined
      ? { properties: toPacket(JSON.parse(properties)) }
      : {};
    return { cmd: "publish", messageId, qos: 2, dup, topic, payload, retain, ...more };
  }

  /** PUBREC has come. @param refused The reason, if it is a refusal. */
  received(packet: number, refused: string | undefined): void {
    const out = this.#all.get(packet);
    if (out?.isPending) return;
    if (!out) {
      if (refused === undefined) this.#outlet.answer("pubrel", packet, NOT_FOUND);
      return;
    }
    if (out.isReleased) return this.#outlet.answer("pubrel", packet);
    if (out.isDue) throw new BrokerError("UNEXPECTED", `PUBREC for ${packet}, which was not sent`);
    out.isPending = true;
    const { seq, topic } = out;
    if (refused === undefined) this.#outlet.ask({ does: "release", packet, seq });
    else this.#outlet.ask({ does: "complete", packet, seq, topic, refused });
  }

  /** PUBCOMP has come. */
  completed(packet: number): void {
    const out = this.#all.get(packet);
    if (!out) return; // it was already completed
    if (!out.isReleased || out.isDue) {
      throw new BrokerError("UNEXPECTED", `PUBCOMP for ${packet}, which was not released`);
    }
    if (out.isPending) return;
    out.isPending = true;
    this.#outlet.ask({ does: "complete", packet, seq: out.seq, topic: out.topic });
  }

  /** A task is safe. */
  safe({ does, packet }: Extract<Task, { does: "release" | "complete" }>): void {
    if (does === "complete") return void this.#all.delete(packet);
    Object.assign(this.#all.get(packet)!, { isReleased: true, isPending: false });
    this.#outlet.answer("pubrel", packet);
  }

  /** Drops a task that was not started. */
  forget({ packet }: Extract<Task, { does: "release" | "complete" }>): void {
    this.#all.get(packet)!.isPending = false;
  }
}

function toPacket({ correlation, error }: Properties) {
  return {
    ...(correlation !== undefined && { correlationData: Buffer.from(correlation, "base64") }),
    ...(error !== undefined && { userProperties: { error } }),
  };
}

/** The first publication that shares an id with `seq` or a later one. */
export function endOfIds(seq: number): number {
  return seq + MOST_ID;
}

/** The packet id of a publication. Publications under way at once are less than `MOST_ID` apart. */
function packetId(seq: number): number {
  return (seq - 1) % MOST_ID + 1;
}
