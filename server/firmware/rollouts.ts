/**
 * Groups of devices that get the same application, some at a time. A group and its progress exist only in the deploys
 * of its devices (`DeployState.rollout`). So it is in the store with them, changes in the same commit, and continues
 * whatever happens to the server, to a device, or to the caller that started it.
 *
 *     queued --there is a connection, and fewer than `step` are under way--> waits … kept
 *       +--one of the group refuses it, falls back, or does not support deploys--> stopped
 *
 * A deploy counts as under way until its end is safe: until then another server may take the device, and continue it.
 */
import type { LocalError } from "../protocol/errors.ts";
import { type Offer, shortHash } from "../protocol/firmware_lines.ts";
import type { Deploy, Rollout } from "./deploy.ts";
import { nameOf, whyNot } from "./deploy_words.ts";
import { type DeployPhase, type DeployState, isDecided, isOffered } from "./deploy_state.ts";
import { type Deployment } from "./deployment.ts";
import { inOrder } from "./group.ts";

/** A device of a group. */
export interface Member {
  readonly id: string;
  readonly deployment: Deployment;
  /** Whether there is a connection on which its firmware takes messages. */
  readonly takesFirmware: boolean;
  /** Its deploy, as it was last safe. */
  readonly safe: DeployState | undefined;
}

/** A deploy to a device of another server, as that server publishes it. */
export interface DeployElsewhere {
  readonly id: string;
  readonly deploy: Deploy;
}

/** What is known of a device's deploy on any server. */
type KnownDeploy = Pick<Deploy, "name" | "version" | "hash" | "phase" | "reason" | "detail">;

/** Phases in which a deploy has failed. */
const FAILURES: readonly DeployPhase[] = ["refused", "fell_back", "unsupported"];

function stateOf({ deployment }: Member): DeployState {
  return deployment.state!;
}

function isQueued(member: Member): boolean {
  return stateOf(member).phase === "queued";
}

function isUnderWay(deploy: Pick<Deploy, "phase">): boolean {
  return deploy.phase !== "queued" && !isDecided(deploy);
}

function hasFailed({ phase }: KnownDeploy): boolean {
  return FAILURES.includes(phase);
}

/** A group's id is an exact number until the year 2255. */
const IDS_PER_SECOND = 1e6;

/** All groups of a server. */
export class Rollouts {
  readonly #groups = new Map<number, Map<string, Member>>();
  readonly #places = new Map<Member, number>();
  /**
   * Ids of the devices whose deploy is under way, or was when it was last safe; by group. Also those that another server
   * has taken since, until it shows them.
   */
  readonly #busy = new Map<number, Set<string>>();
  readonly #due = new Set<number>();
  readonly #stopped = new Set<number>(); // stopped, and reported as such
  #isLooking = false;
  readonly #elsewhere: () => Iterable<DeployElsewhere>;
  readonly #ended: (code: "STOPPED" | "DONE", message: string) => void;
  readonly #freed: () => void;

  /**
   * @param elsewhere Deploys to devices that other servers have.
   * @param ended Called when a group is done or stopped. That may not be safe yet.
   * @param freed Called when there is room in a group: then `seen` must be called when records may be changed.
   */
  constructor(
    elsewhere: () => Iterable<DeployElsewhere>,
    ended: (code: "STOPPED" | "DONE", message: string) => void,
    freed: () => void,
  ) {
    this.#elsewhere = elsewhere;
    this.#ended = ended;
    this.#freed = freed;
  }

  /**
   * A new id for a group: the second, then six random digits, as another server may make one at the same time. The id
   * is greater than all known ones.
   *
   * @param date Now, in ms since 1970.
   */
  newId(date: number): number {
    const later = Array.from(this.#ids(), (id) => Math.floor(id / IDS_PER_SECOND) + 1);
    const second = Math.max(Math.floor(date / 1000), ...later);
    const [word] = crypto.getRandomValues(new Uint32Array(1));
    return second * IDS_PER_SECOND + word! % IDS_PER_SECOND;
  }

  #ids(): Set<number> {
    const others = Array.from(this.#elsewhere(), ({ deploy }) => deploy.rollout ?? []);
    return new Set([...this.#groups.keys(), ...others.flat()]);
  }

  /** All known rollouts, the oldest first. */
  get all(): Rollout[] {
    return [...this.#ids()].sort((a, b) => a - b).map((id) => this.find(id)!);
  }

  /** The deploys of a group on other servers. */
  *elsewhere(id: number): Iterable<DeployElsewhere> {
    for (const it of this.#elsewhere()) if (it.deploy.rollout === id) yield it;
  }

  /** The rollout with this id; undefined: no device has a deploy of it. */
  find(id: number): Rollout | undefined {
    const known = new Map<string, KnownDeploy & Pick<Rollout, "step" | "begun">>();
    for (const [device, member] of this.#groups.get(id) ?? []) {
      const { rollout, begun, ...state } = stateOf(member);
      known.set(device, { ...state, step: rollout!.step, begun: new Date(begun) });
    }
    for (const { id: device, deploy } of this.elsewhere(id)) {
      known.set(device, { ...deploy, step: deploy.step ?? 1 });
    }
    const devices = inOrder(known.keys());
    if (devices.length === 0) return undefined;
    const { name, version, hash, begun, step } = known.get(devices[0]!)!;
    const failed = devices.find((device) => hasFailed(known.get(device)!));
    const isOver = [...known.values()].every(isDecided);
    return {
      ...{ id, name, version, hash: shortHash(hash), step, begun },
      ...{ state: failed !== undefined ? "stopped" : isOver ? "done" : "runs", devices },
      ...(failed !== undefined && { why: whyOf(failed, known.get(failed)!) }),
    };
  }

  /** The rollout that already offers this to exactly these devices, some of them on other servers. */
  offered(ids: readonly string[], { hash }: Offer): Rollout | undefined {
    const wanted = inOrder(new Set(ids)).join("\n");
    return this.all.find((it) =>
      it.state === "runs" && it.hash === shortHash(hash) && it.devices.join("\n") === wanted
    );
  }

  /** The rollout that already offers this to all of these devices. */
  underWay(members: readonly Member[], offer: Offer): Rollout | undefined {
    const ids = new Set(members.map((member) => this.#places.get(member)));
    const [id] = ids;
    if (ids.size > 1 || id === undefined || !isOffered(stateOf(members[0]!), offer)) {
      return undefined;
    }
    const rollout = this.find(id)!;
    return rollout.state === "runs" ? rollout : undefined;
  }

  /** The devices of a group whose deploys are undecided. */
  undecided(id: number): Member[] {
    const members = [...this.#groups.get(id)?.values() ?? []];
    return members.filter((member) => !isDecided(stateOf(member)));
  }

  /**
   * A device has another deploy, or its deploy has another phase, or it has connected. Called when records may be
   * changed.
   */
  look(member: Member): void {
    const { state } = member.deployment;
    const { rollout } = state ?? {};
    this.#place(member, rollout?.id);
    this.#count(member.id, [member.safe, state]);
    if (!rollout) return;
    this.#due.add(rollout.id);
    if (this.#isLooking) return; // acting on a group changes it, or another one, and calls this again
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

  /** A device's deploy has become safe. */
  safe(member: Member): void {
    this.#count(member.id, [member.safe, member.deployment.state]);
  }

  /** A device has left memory. @param why FORGOTTEN: the others go on without it */
  lost(member: Member, why: LocalError): void {
    this.#place(member, undefined);
    this.#count(member.id, why.code === "FORGOTTEN" ? [] : [member.safe]);
  }

  /** What is known here of a device is out of date: another server shows it, or it was forgotten. */
  outdated(device: string): void {
    this.#count(device, []);
  }

  /** Counts a device in the groups in which one of these deploys is under way, and in no others. */
  #count(device: string, deploys: readonly (DeployState | undefined)[]): void {
    const ids = new Set(deploys.flatMap((it) => it && isUnderWay(it) ? it.rollout?.id ?? [] : []));
    for (const [id, busy] of this.#busy) {
      if (ids.has(id) || !busy.delete(device)) continue;
      if (busy.size === 0) this.#busy.delete(id);
      this.#freed();
    }
    for (const id of ids) this.#busy.set(id, (this.#busy.get(id) ?? new Set()).add(device));
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

  /** Other servers' views have changed, or there is room in a group. Called when records may be changed. */
  seen(): void {
    for (const id of this.#groups.keys()) {
      const [member] = this.#groups.get(id)!.values();
      if (this.undecided(id).length > 0) this.look(member!);
    }
  }

  #advance(id: number): void {
    const members = [...this.#groups.get(id)?.values() ?? []];
    const queued = members.filter(isQueued);
    if (queued.length === 0) return;
    const why = this.#whyStopped(id);
    if (why !== undefined) {
      for (const { deployment } of queued) deployment.stop(why);
      return;
    }
    const busy = new Set(this.#busy.get(id));
    for (const { id: device, deploy } of this.elsewhere(id)) {
      if (isUnderWay(deploy)) busy.add(device);
    }
    const room = stateOf(members[0]!).rollout!.step - busy.size;
    if (room <= 0) return;
    const here = new Map(queued.flatMap((it) => it.takesFirmware ? [[it.id, it] as const] : []));
    for (const id of inOrder(here.keys()).slice(0, room)) here.get(id)!.deployment.release();
  }

  /** On which device of a group the deploy failed, and why; undefined: on none. */
  #whyStopped(id: number): string | undefined {
    for (const member of this.#groups.get(id)?.values() ?? []) {
      if (hasFailed(stateOf(member))) return whyOf(member.id, stateOf(member));
    }
    for (const { id: device, deploy } of this.elsewhere(id)) {
      if (hasFailed(deploy)) return whyOf(device, deploy);
    }
    return undefined;
  }

  /** A device's deploy was just decided: its group's rollout may be complete. */
  decided(member: Member): void {
    const id = this.#places.get(member);
    const group = id === undefined ? undefined : this.#groups.get(id);
    if (!group) return;
    const members = [...group.values()];
    const what = `${nameOf(stateOf(member))} to ${members.length} devices`;
    const has = (phase: DeployPhase) => members.filter((it) => stateOf(it).phase === phase).length;
    const isStopped = members.some((it) => hasFailed(stateOf(it)));
    if (!isStopped && members.every((it) => isDecided(stateOf(it)))) {
      this.#ended("DONE", `${what}: ${has("kept")} run it`);
    } else if (hasFailed(stateOf(member)) && !this.#stopped.has(id!)) {
      this.#stopped.add(id!);
      const counts = `${has("kept")} run it, ${has("stopped")} were not started`;
      this.#ended("STOPPED", `${what}: ${counts}, because of ${whyOf(member.id, stateOf(member))}`);
    }
  }
}

function whyOf(id: string, known: KnownDeploy): string {
  return `${JSON.stringify(id)}: ${whyNot(known)}`;
}
