/**
 * Groups of devices that are given the same application, some of them at once. What a group is, and how far, is in the
 * deploys of its devices alone (`DeployState.rollout`): so it is in the store with them, changes in the same commit, and
 * goes on after whatever happens to the server, to a device, or to who has begun it.
 *
 *     queued --there is a connection, and fewer than `step` are under way--> waits … kept
 *       +--one of the group refuses it, falls back, or knows nothing of deploys--> stopped
 */
import type { LocalError } from "../protocol/errors.ts";
import { type Offer, shortHash } from "../protocol/firmware_lines.ts";
import type { Rollout } from "./deploy.ts";
import { nameOf, whyNot } from "./deploy_words.ts";
import {
  type Deployment,
  type DeployPhase,
  type DeployState,
  isDecided,
  isOffered,
} from "./deployment.ts";
import { inOrder } from "./group.ts";

/** A device of a group. */
export interface Member {
  readonly id: string;
  readonly deployment: Deployment;
  /** Whether there is a connection on which its firmware takes messages. */
  readonly takesFirmware: boolean;
}

/** How a device has not taken it. */
const FAILURES: readonly DeployPhase[] = ["refused", "fell_back", "unsupported"];

function stateOf({ deployment }: Member): DeployState {
  return deployment.state!;
}

function isQueued(member: Member): boolean {
  return stateOf(member).phase === "queued";
}

function hasFailed(member: Member): boolean {
  return FAILURES.includes(stateOf(member).phase);
}

/** All groups of a server. */
export class Rollouts {
  readonly #groups = new Map<number, Map<string, Member>>();
  readonly #places = new Map<Member, number>();
  readonly #due = new Set<number>();
  readonly #stopped = new Set<number>(); // stopped, and reported as such
  #isLooking = false;
  readonly #ended: (code: "STOPPED" | "DONE", message: string) => void;

  /** @param ended Called when a group has all, or gets no more. It may be not safe yet. */
  constructor(ended: (code: "STOPPED" | "DONE", message: string) => void) {
    this.#ended = ended;
  }

  /** Names a group. @param date Now, in ms since 1970. */
  newId(date: number): number {
    return Math.max(date, ...Array.from(this.#groups.keys(), (id) => id + 1));
  }

  /** Of all that are known, the oldest first. */
  get all(): Rollout[] {
    return [...this.#groups.keys()].sort((a, b) => a - b).map((id) => this.find(id)!);
  }

  /** undefined: no device has a deploy of it. */
  find(id: number): Rollout | undefined {
    const group = this.#groups.get(id);
    if (!group) return undefined;
    const devices = inOrder(group.keys());
    const members = devices.map((id) => group.get(id)!);
    const { name, version, hash, begun, rollout } = stateOf(members[0]!);
    const failed = members.find(hasFailed);
    const isOver = members.every((member) => isDecided(stateOf(member)));
    return {
      ...{ id, name, version, hash: shortHash(hash), step: rollout!.step, begun: new Date(begun) },
      ...{ state: failed ? "stopped" : isOver ? "done" : "runs", devices },
      ...(failed && { why: whyOf(failed) }),
    };
  }

  /** The group that is offered this already, and in which all of these are. */
  underWay(members: readonly Member[], offer: Offer): Rollout | undefined {
    const ids = new Set(members.map((member) => this.#places.get(member)));
    const [id] = ids;
    if (ids.size > 1 || id === undefined || !isOffered(stateOf(members[0]!), offer)) {
      return undefined;
    }
    const rollout = this.find(id)!;
    return rollout.state === "runs" ? rollout : undefined;
  }

  /** Those of a group whose deploys are not decided. */
  undecided(id: number): Member[] {
    const members = [...this.#groups.get(id)?.values() ?? []];
    return members.filter((member) => !isDecided(stateOf(member)));
  }

  /** A device's deploy is another one, or has come to another phase; or the device has connected. Records may be changed. */
  look(member: Member): void {
    const { rollout } = member.deployment.state ?? {};
    this.#place(member, rollout?.id);
    if (!rollout) return;
    this.#due.add(rollout.id);
    if (this.#isLooking) return; // what is done for one group changes it, or another one
    this.#isLooking = true;
    try {
      for (const id of this.#due) {
        this.#due.delete(id);
        this.#advance(id);
      }
    } finally {
      this.#isLooking = false;
    }
  }

  /** A device is here no longer. @param why FORGOTTEN: the others go on without it */
  lost(member: Member, why: LocalError): void {
    const id = this.#places.get(member);
    this.#place(member, undefined);
    const [other] = this.#groups.get(id ?? NaN)?.values() ?? [];
    if (other && why.code === "FORGOTTEN") this.look(other);
  }

  #place(member: Member, id: number | undefined): void {
    const before = this.#places.get(member);
    if (before === id) return;
    if (before !== undefined) {
      const group = this.#groups.get(before)!;
      group.delete(member.id);
      if (group.size === 0) {
        this.#groups.delete(before);
        this.#stopped.delete(before);
      }
      this.#places.delete(member);
    }
    if (id === undefined) return;
    const group = this.#groups.get(id) ?? new Map<string, Member>();
    this.#groups.set(id, group.set(member.id, member));
    this.#places.set(member, id);
  }

  #advance(id: number): void {
    const members = [...this.#groups.get(id)?.values() ?? []];
    const failed = members.find(hasFailed);
    const queued = members.filter(isQueued);
    if (failed) {
      for (const { deployment } of queued) deployment.stop(whyOf(failed));
      return;
    }
    const underWay = members.filter((member) => !isDecided(stateOf(member))).length - queued.length;
    const room = stateOf(members[0]!).rollout!.step - underWay;
    if (room <= 0) return;
    const here = new Map(queued.flatMap((it) => it.takesFirmware ? [[it.id, it] as const] : []));
    for (const id of inOrder(here.keys()).slice(0, room)) here.get(id)!.deployment.release();
  }

  /** A device's deploy was decided just now: perhaps its group's is as well. */
  decided(member: Member): void {
    const id = this.#places.get(member);
    const group = id === undefined ? undefined : this.#groups.get(id);
    if (!group) return;
    const members = [...group.values()];
    const what = `${nameOf(stateOf(member))} to ${members.length} devices`;
    const has = (phase: DeployPhase) => members.filter((it) => stateOf(it).phase === phase).length;
    const isStopped = members.some(hasFailed);
    if (!isStopped && members.every((it) => isDecided(stateOf(it)))) {
      this.#ended("DONE", `${what}: ${has("kept")} run it`);
    } else if (hasFailed(member) && !this.#stopped.has(id!)) {
      this.#stopped.add(id!);
      const counts = `${has("kept")} run it, ${has("stopped")} were not begun`;
      this.#ended("STOPPED", `${what}: ${counts}, as of ${whyOf(member)}`);
    }
  }
}

function whyOf(member: Member): string {
  return `${JSON.stringify(member.id)}: ${whyNot(stateOf(member))}`;
}
