/** The ids of rollouts, and when the next device of a group starts. */
import { assert, assertEquals } from "@std/assert";
import { DeviceRecord, newState, NOWHERE } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import { FencedError } from "../store/store.ts";
import type { Deploy } from "./deploy.ts";
import type { DeployState } from "./deploy_state.ts";
import { Deployment, type Line } from "./deployment.ts";
import { type DeployElsewhere, type Member, Rollouts } from "./rollouts.ts";

/** The ids that several servers choose for rollouts at the same time. */
function idsOf(servers: number, date: number, elsewhere: readonly DeployElsewhere[]): number[] {
  return Array.from(
    { length: servers },
    () => new Rollouts(() => elsewhere, () => {}, () => {}).newId(date),
  );
}

/** A device of another server, as a member of a rollout. */
function memberOf(rollout: number): DeployElsewhere {
  const deploy: Deploy = {
    ...{ name: "kitchen", version: 4, hash: "abcdefgh", phase: "waits", size: 1, arrived: 0 },
    ...{ begun: new Date(0), since: new Date(0), rollout },
  };
  return { id: "a", deploy };
}

Deno.test("servers that begin rollouts in the same millisecond choose different ids", () => {
  for (const elsewhere of [[], [memberOf(1e12)], [memberOf(9e14)]]) {
    const ids = idsOf(20, 1.7e12 + 0.5, elsewhere);
    assert(new Set(ids).size > 15, String(ids));
    assert(ids.every((id) => Number.isSafeInteger(id)), String(ids));
  }
});

Deno.test("a later rollout has a larger id, even if the clock was set back or an earlier version chose the other id", () => {
  for (const earlier of [1.7e12, ...idsOf(1, 1.7e12, []), ...idsOf(1, 2e12, [])]) {
    for (const id of idsOf(20, 1.7e12, [memberOf(earlier)])) assert(id > earlier);
  }
});

/** A device of this server's, whose changes become safe when the test says so. */
class Owned implements Line, Member {
  readonly takesFirmware = true;
  readonly lineBytes = 1000;
  readonly key = undefined;
  readonly date = 1.7e12;
  readonly record: DeviceRecord;
  readonly deployment: Deployment;
  safe: DeployState | undefined;
  readonly #rollouts: Rollouts;

  constructor(readonly id: string, rollouts: Rollouts) {
    this.#rollouts = rollouts;
    this.record = new DeviceRecord(id, NOWHERE, newState());
    this.deployment = new Deployment(this);
  }

  tell(): void {}

  changed(): void {
    this.#rollouts.look(this);
  }

  becomesSafe(): void {
    this.safe = this.deployment.state;
    this.#rollouts.safe(this);
  }
}

/** A group of two devices, of which one at a time gets the application. */
class Two {
  /** How often a device of the group has made room. */
  freed = 0;
  readonly rollouts = new Rollouts(() => [], () => {}, () => this.freed++);
  readonly a = new Owned("a", this.rollouts);
  readonly b = new Owned("b", this.rollouts);

  constructor() {
    const offer = { name: "kitchen", version: 4, hash: "h".repeat(43), size: 4 };
    for (const { deployment } of [this.a, this.b]) {
      deployment.begin({ ...offer, older: false, again: false }, "AAAA", { id: 1, step: 1 });
    }
  }

  /** Phases of the devices, after the group was looked at. */
  get phases(): unknown[] {
    this.rollouts.seen();
    return [this.a, this.b].map(({ deployment }) => deployment.state!.phase);
  }
}

Deno.test("the next device of a group starts when the end of the one before it is safe", () => {
  const two = new Two();
  two.a.becomesSafe();
  assertEquals(two.phases, ["offered", "queued"]);
  two.a.deployment.giveUp();
  assertEquals([two.freed, ...two.phases], [0, "given_up", "queued"]);
  two.a.becomesSafe();
  assertEquals([two.freed, ...two.phases], [1, "given_up", "offered"]);
});

Deno.test("a device that another server has taken holds up its group until it is shown or forgotten there", () => {
  const two = new Two();
  two.a.becomesSafe();
  two.a.deployment.giveUp(); // this never becomes safe
  two.rollouts.lost(two.a, new FencedError("a"));
  assertEquals([two.freed, ...two.phases], [0, "given_up", "queued"]);
  two.rollouts.outdated("a");
  assertEquals([two.freed, ...two.phases], [1, "given_up", "offered"]);
});

Deno.test("a device of a group holds up nothing if its start was not safe when another server took it, or if it was forgotten", () => {
  const taken = new Two();
  taken.rollouts.lost(taken.a, new FencedError("a"));
  assertEquals([taken.freed, taken.phases[1]], [1, "offered"]);
  const forgotten = new Two();
  forgotten.a.becomesSafe();
  forgotten.rollouts.lost(forgotten.a, new LocalError("FORGOTTEN", "it was forgotten"));
  assertEquals([forgotten.freed, forgotten.phases[1]], [1, "offered"]);
});
