/**
 * Checks what a page shows: its timeline must show exactly the real outages, and each message once, in order, and only
 * when it is safe.
 */
import { waitFor } from "../../server/transport/wait_for.ts";
import type { Server } from "../../server/mod.ts";
import type { ServerEvent } from "../../server/observe/events.ts";
import { History } from "../../server/web/history.ts";
import { watchMessages } from "../../server/web/log_routes.ts";
import { type Span, spansOf } from "../../server/web/page/lanes.ts";
import { paceOf } from "./page_plan.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { World } from "./world.ts";

/** A time in which a server ran, or a device had a link; by the server's date. */
interface Time {
  readonly from: number;
  /** Undefined: it goes on. */
  to?: number;
}

/** A link, which may have ended because the device sleeps. */
interface LinkTime extends Time {
  sleeps?: boolean;
  /** When the sleep was reported as too long: then it counts as an outage from its beginning. */
  overdueAt?: number;
}

/** A run of the server, and from when its notes may be lost with it. */
interface Life extends Time {
  lost?: number;
}

/** The facts about a device. */
class Lane {
  /** Its links, oldest first. */
  readonly links: LinkTime[] = [];
  /** When it was forgotten in this run of the server; and ever. */
  forgottenAt: number | undefined;
  forgottenEver = -Infinity;
  /** Messages that became safe in this run while they were watched, and how many of them were reported. */
  readonly safe: Record<"in" | "out", string[]> = { in: [], out: [] };
  readonly told: Record<"in" | "out", number> = { in: 0, out: 0 };
  isWatched = false;

  /** A server has started, and knows whether the device sleeps. @param died When the previous server ended */
  started(isAsleep: boolean, died = 0): void {
    const last = this.links.at(-1);
    const isKnown = last?.sleeps && last.overdueAt === undefined;
    if (!last || isAsleep === (isKnown ?? false)) return;
    // Something has become safe that the previous server could not report any more.
    if (!isAsleep) last.overdueAt = died;
    else if (last.to === died) last.sleeps = true;
    else this.links.push({ from: died, to: died, sleeps: true });
  }

  /** The server's run has ended. */
  ended(at: number): void {
    const last = this.links.at(-1);
    if (last) last.to ??= at;
    this.forgottenAt = undefined;
    this.unwatched();
  }

  /** From now on messages belong to another `Device`, or to none. */
  unwatched(): void {
    this.safe.in = [];
    this.safe.out = [];
    this.told.in = this.told.out = 0;
    this.isWatched = false;
  }
}

export class PageBooks {
  readonly #world: World;
  readonly #lives: Life[] = [];
  readonly #lanes = new Map<string, Lane>();
  #platform: SimPlatform | undefined;
  #history: History | undefined;
  /** It has read the notes of earlier servers. */
  #isRead = false;
  /** When the store or the process last had trouble: notes may then be written later. */
  #trouble = -Infinity;

  constructor(world: World) {
    this.#world = world;
    for (const { id } of world.scenario.devices) this.#lanes.set(id, new Lane());
    this.#look();
  }

  /** A server has started. */
  begin(server: Server, platform: SimPlatform): void {
    this.#platform = platform;
    this.#lives.push({ from: platform.date() });
    for (const [id, lane] of this.#lanes) {
      // It was forgotten in the commit in which the server was killed.
      if (!server.known(id)) lane.forgottenEver = platform.date();
    }
    for (const { id, connected, since, asleepUntil } of server.devices) {
      const lane = this.#lanes.get(id);
      if (!lane) continue;
      if (connected) lane.links.push({ from: since.getTime() });
      else lane.started(asleepUntil !== undefined, this.#lives.at(-2)?.to);
      lane.isWatched = true;
    }
    this.#history = new History(server, platform, paceOf(this.#world.scenario));
    this.#isRead = false;
    this.#history.read.then(
      () => {
        if (platform === this.#platform) this.#isRead = true;
      },
      (error) => {
        if (platform === this.#platform) this.#world.failed(error); // not from one that is closed
      },
    );
    // Before the watching starts: the books must know that a message is safe when it is reported.
    server.events.subscribe((event) => platform === this.#platform && this.#happened(event));
    const all = { device: () => true, event: () => true, messages: true };
    watchMessages(server, all, ({ device, way, text }) => {
      if (platform === this.#platform) this.#told(device, way, text);
    });
  }

  /** The server is about to be closed, and its page first. */
  async end(): Promise<void> {
    const [history, platform] = [this.#history, this.#platform];
    this.#died();
    if (history && platform) await waitFor(history.close(), platform);
  }

  /** It was killed. */
  serverDied(): void {
    this.#died();
  }

  #died(): void {
    if (!this.#platform) return;
    const at = this.#platform.date();
    const { timeout } = this.#world.scenario;
    const { soon, heartbeat } = paceOf(this.#world.scenario);
    const life = this.#lives.at(-1)!;
    life.to = at;
    const tail = at - heartbeat - soon - timeout / 2;
    life.lost = this.#trouble >= tail ? life.from : Math.max(life.from, tail);
    for (const lane of this.#lanes.values()) lane.ended(at);
    this.#platform = this.#history = undefined;
  }

  /** A message has become safe. */
  received(id: string, text: string): void {
    this.#safe(id, "in", text);
  }

  /** Likewise. */
  written(id: string, text: string): void {
    this.#safe(id, "out", text);
  }

  #safe(id: string, way: "in" | "out", text: string): void {
    const lane = this.#lanes.get(id);
    if (lane?.isWatched && this.#platform) lane.safe[way].push(text);
  }

  #told(id: string, way: "in" | "out", text: string): void {
    const lane = this.#lanes.get(id);
    if (!lane) return; // a stranger's
    const safe = lane.safe[way];
    const at = safe.indexOf(text, lane.told[way]);
    if (at < 0) {
      throw new Violation(
        `${id}: ${JSON.stringify(text)} (${way}) is reported before it is safe, or again`,
      );
    }
    if (way === "in" && at > lane.told.in) {
      throw new Violation(`${id}: ${JSON.stringify(safe[lane.told.in])} was not told`);
    }
    lane.told[way] = at + 1; // some of those to the device were withdrawn
  }

  #happened(event: ServerEvent): void {
    if (!("device" in event) || event.device === undefined) return;
    const lane = this.#lanes.get(event.device);
    const now = this.#platform?.date();
    if (!lane || now === undefined) return;
    const last = lane.links.at(-1);
    if (event.event === "connected") {
      if (last) last.to ??= now;
      lane.links.push({ from: now });
      if (!lane.isWatched) lane.unwatched();
      lane.isWatched = true;
    } else if (event.event === "disconnected" && last) last.to ??= now;
    else if (event.event === "asleep" && last) {
      last.to ??= now;
      last.sleeps = true;
    } else if (event.event === "overdue" && last) last.overdueAt = now;
    else if (event.event === "forgotten") {
      lane.forgottenAt = lane.forgottenEver = now;
      lane.unwatched();
    } else if (event.event === "moved" || event.event === "warning" && event.code === "FENCED") {
      lane.unwatched();
      if (last) last.to ??= now; // whatever else is reported
    }
  }

  /** Checks what is shown, again and again. */
  #look(): void {
    const { clock, scenario, server } = this.#world;
    clock.after(Math.max(1, Math.floor(scenario.timeout / 3)), () => {
      const { disk } = server;
      if (disk.full || clock.now < disk.troubleEnd || server.process.isFrozen) this.#troubled();
      this.check();
      this.#look();
    });
  }

  #troubled(): void {
    this.#trouble = this.#platform?.date() ?? this.#trouble;
  }

  /** @throws {Violation} */
  check(): void {
    const [platform, history] = [this.#platform, this.#history];
    if (
      !platform || !history || !this.#isRead || !platform.isAlive ||
      this.#world.server.process.isFrozen
    ) return;
    const now = platform.date();
    for (const [id, lane] of this.#lanes) this.#checkLane(id, lane, history, now);
  }

  #checkLane(id: string, lane: Lane, history: History, now: number): void {
    const links = history.of(id);
    const wrong = (why: string): never => {
      const shown = JSON.stringify({ links, served: history.served });
      const was = JSON.stringify({ links: lane.links, lives: this.#lives });
      throw new Violation(`${id}: ${why}: shown ${shown}, but it was ${was}`);
    };
    const { forgottenAt = -Infinity } = lane;
    if (links.some(({ from }) => from < forgottenAt)) wrong("its past was forgotten");
    // Links that were certainly written must be shown. One may begin in the same ms in which its device is forgotten.
    const sure = lane.links.find(({ from }) =>
      from > lane.forgottenEver &&
      this.#lives.some((life) => isIn(from, life) && from < (life.lost ?? Infinity))
    );
    if (sure && !(links[0] && links[0].from <= sure.from)) wrong("a link is missing");
    for (const span of spansOf(links, history.served, { from: 0, to: now })) {
      if (span.to - span.from <= 1) continue; // a moment whose time was read twice
      const isTrue = span.state === "up"
        ? isWithin(span, lane.links)
        : span.state === "away"
        ? isWithin(span, this.#lives) &&
          isBeside(span, [...lane.links, ...this.#areSleeps(lane)])
        : span.state === "asleep"
        ? isWithin(span, this.#lives) && isWithin(span, this.#mayBeSleeps(lane))
        : this.#mayBeUnseen(span);
      if (!isTrue) wrong(`the timeline says ${span.state} from ${span.from} to ${span.to}`);
    }
  }

  /** When a device certainly slept, and came back in time: a killed server may have lost the note that it came back. */
  #areSleeps(lane: Lane): Time[] {
    return sleepsOf(lane).filter(({ to }) => to === undefined || !this.#isLost(to));
  }

  /** When a device slept, as far as a killed server may have noted it. */
  #mayBeSleeps(lane: Lane): Time[] {
    return sleepsOf(lane, ({ overdueAt }) => this.#isLost(overdueAt!));
  }

  /** Whether the note of what happened then may be lost with a server. */
  #isLost(at: number): boolean {
    return this.#lives.some(({ lost = Infinity, to = Infinity }) => at >= lost && at <= to);
  }

  /** Whether it may be unknown: no server ran, or its notes were not written. */
  #mayBeUnseen(span: Span): boolean {
    return isBeside(
      span,
      this.#lives.map(({ from, to, lost }) => ({ from, to: to === undefined ? Infinity : lost! })),
    );
  }

  /** Checks everything when nothing is under way. @throws {Violation} */
  settled(): void {
    this.check();
    for (const [id, { safe, told }] of this.#lanes) {
      const missing = safe.in.slice(told.in);
      if (missing.length > 0) throw new Violation(`${id}: ${missing} was never told`);
    }
  }
}

/** When a device slept. @param isOne Whether a sleep counts although it was too long */
function sleepsOf({ links }: Lane, isOne = (_: LinkTime) => false): Time[] {
  return links.flatMap((link, index) => {
    const { to, sleeps, overdueAt } = link;
    if (!sleeps || to === undefined || (overdueAt !== undefined && !isOne(link))) return [];
    const next = links[index + 1];
    return [{ from: to, ...(next && { to: next.from }) }];
  });
}

function isIn(at: number, { from, to = Infinity }: Time): boolean {
  return at >= from && at <= to;
}

/** Whether a time is covered by others, which are in order and may touch. 1 ms is tolerated, because times are in whole
 * ms. */
function isWithin({ from, to }: Required<Time>, times: readonly Time[]): boolean {
  let at = from;
  for (const { from, to: end = Infinity } of times) {
    if (from <= at && end > at) at = end;
  }
  return at >= to;
}

function isBeside({ from, to }: Required<Time>, times: readonly Time[]): boolean {
  return times.every(({ from: begin, to: end = Infinity }) =>
    end <= begin || end <= from || begin >= to
  );
}
