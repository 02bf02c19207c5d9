/**
 * Makes deploys, and checks them. Messages between server and firmware are not an application's; the books of messages
 * check that no application sees any.
 */
import type { Device } from "../../server/device.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import type { ModelFirmware } from "../support/model_firmware.ts";
import { type DeployPlan, type SimApp, takesDeploys } from "./deploy_plan.ts";
import type { Disk } from "./disk.ts";
import type { FaultKind } from "./fault_kinds.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { World } from "./world.ts";

/** Codes with which a deploy may be refused before it begins. */
const NOT_BEGUN: ReadonlySet<string> = new Set([
  "CLOSED",
  "DEPLOY_REFUSED",
  "FENCED",
  "FORGOTTEN",
  "OUTBOX_FULL",
  "STORE_FAILED",
  "UNSUPPORTED",
]);

/** Faults that make the server forget, or go back to an earlier state. */
const FORGETS: readonly FaultKind[] = [
  "store lost",
  "old copy of the store",
  "operator forgets a device",
];

const UNDECIDED: readonly string[] = ["queued", "waits", "offered", "sending", "checking", "trial"];

/** A deploy that may have been begun. */
interface Begun {
  readonly app: SimApp;
  readonly older: boolean;
  readonly again: boolean;
  /** In a group: given up if another server took one of its devices before the deploy was safe. */
  mayBeGivenUp?: boolean;
}

/** The books of one device. */
export class DeviceBooks {
  firmware!: ModelFirmware;
  /** Deploys that may have been begun, in this order. */
  readonly begun: Begun[] = [];
  /** The place among them, from 1, of the last one that was accepted; 0: none. */
  accepted = 0;
  /** Hashes that fell back, and were not tried since; and hashes that must be tried again. */
  readonly #fallen = new Set<string>();
  readonly #again = new Set<string>();
  readonly #kept = new Set<string>();
  /** Hashes of the deploys that its flash had when a copy of the store was put back that has a different one. */
  readonly #unknown = new Set<string>();
  /** For a while it had a firmware that knows nothing of deploys. */
  wasOld = false;

  constructor(readonly id: string, readonly plan: DeployPlan, readonly isExcused: boolean) {}

  /** Why an application falls back when it is tried; undefined: it does not. */
  fallOf(hash: string): SimApp["falls"] {
    return this.plan.apps.find((app) => app.hash === hash)?.falls;
  }

  /** Somebody begins a deploy. */
  begins(begun: Begun): void {
    this.begun.push(begun);
    if (begun.again) this.#again.add(begun.app.hash);
  }

  /** An application is started on trial. @param isFresh It was not on trial when the device ended. */
  tried(hash: string, isFresh: boolean): void {
    if (!isFresh || this.isExcused) return;
    if (!this.#fallen.delete(hash)) return;
    if (!this.#again.delete(hash)) {
      throw new Violation(`${this.id}: ${hash} fell back, and is tried again without an order`);
    }
  }

  /** The device has started, so it is known what has failed. */
  fellOrNot(): void {
    for (const { hash, state } of this.firmware.slots) {
      if (state === "failed") this.#fallen.add(hash);
    }
  }

  kept(hash: string): void {
    this.#kept.add(hash);
  }

  /** The caller is told that the device has it. */
  told(hash: string): void {
    if (hash === this.firmware.runs.hash || this.#kept.has(hash)) return;
    throw new Violation(`${this.id}: told that ${hash} is kept, and it never was`);
  }

  /** A copy of the store was put back. @param deployed Hash of the last deploy to the device that it has. */
  putBack(deployed: string): void {
    for (const { app: { hash } } of this.begun) {
      const has = this.firmware.slots.some((slot) => slot.hash === hash);
      if (has && hash !== deployed) this.#unknown.add(hash);
    }
  }

  /**
   * The server warns that the device runs another application than the one deployed last. Nobody flashes devices here,
   * so the store must be a copy that lacks the deploy of that application.
   */
  warned({ deployment, runs }: Pick<Device, "deployment" | "runs">): void {
    const isOther = deployment?.phase === "kept" && runs && runs.hash !== deployment.hash;
    if (isOther && this.#unknown.values().some((hash) => hash.startsWith(runs.hash))) return;
    throw new Violation(
      `${this.id}: the server takes ${runs?.hash} for flashed: ${JSON.stringify(deployment)}`,
    );
  }

  /** What is wrong at this point; undefined: nothing. */
  unfinished(device: Device | undefined): string | undefined {
    const { deployment } = device ?? {};
    if (!deployment) return undefined;
    return UNDECIDED.includes(deployment.phase) ? `a deploy is ${deployment.phase}` : undefined;
  }

  /** Checks everything at the end. @throws {Violation} */
  check(device: Device | undefined, mayBeFirst: boolean, keysChange: boolean): void {
    const { deployment, runs } = device ?? {};
    const { firmware, id } = this;
    const fail = (what: string) => {
      throw new Violation(`${id}: ${what}: ${JSON.stringify(deployment)}`);
    };
    if (!this.isExcused && firmware.erased > this.begun.length) {
      fail(`${firmware.erased} times flash was erased, for ${this.begun.length} deploys`);
    }
    if (!this.isExcused && runs && runs.hash !== firmware.runs.hash.slice(0, 8)) {
      fail(`the server takes ${runs.hash} for what runs`);
    }
    if (!deployment) {
      if (this.accepted > 0 && !this.isExcused) fail("a deploy is forgotten");
      return;
    }
    if (this.isExcused) return;
    const last = this.begun.findLastIndex(({ app }) => app.hash.startsWith(deployment.hash));
    if (last < this.accepted - 1) fail("a newer deploy is forgotten");
    const { app } = this.begun[last]!;
    const runsIt = firmware.runs.hash === app.hash;
    switch (deployment.phase) {
      case "kept":
        if (!runsIt) fail("it is said to be kept, and something else runs");
        return;
      case "fell_back":
        if (runsIt) fail("it is said to have fallen back, and runs");
        if (!firmware.trials.includes(app.hash)) fail("it was never tried");
        return;
      case "given_up":
        if (this.begun.some((each) => each.mayBeGivenUp && each.app.hash === app.hash)) return;
        return fail("nobody has given it up");
      case "stopped":
        return;
      case "unsupported":
        if (!mayBeFirst && !this.wasOld) fail("the device takes deploys");
        return;
    }
    if (runsIt) fail("it is said to be refused, and runs");
    // It is not known which of the begun ones was taken last.
    const asked = this.begun.slice(Math.max(0, this.accepted - 1)).filter((each) =>
      each.app.hash === app.hash
    );
    if (!asked.some((each) => this.#mayRefuse(deployment.reason!, each, keysChange))) {
      fail("there is no reason to refuse it");
    }
  }

  #mayRefuse(
    reason: string,
    { app, older, again }: Begun,
    keysChange: boolean,
  ): boolean {
    if (reason === "older") return !older;
    if (reason === "failed") return !again && this.#fallen.has(app.hash);
    if (reason === "import") return app.isUnfit;
    return reason === "mac" && keysChange;
  }
}

/** The most messages of a server that wait for a firmware: offers of one connection with their needs, a deploy that is
 * given up, pieces. */
export const FIRMWARE_MESSAGES = 20;

/** The books of a world. */
export class DeployBooks {
  readonly devices = new Map<string, DeviceBooks>();
  readonly #world: World;
  #planned = 0;
  #waiting = 0;
  /** The applications of the groups. */
  readonly #groups = new Map<number, Begun>();

  constructor(world: World, readonly plan: DeployPlan) {
    this.#world = world;
    const { devices, faults } = world.scenario;
    const isExcused = faults.some((fault) => FORGETS.includes(fault));
    for (const device of devices) {
      if (!takesDeploys(device)) continue;
      this.devices.set(device.id, new DeviceBooks(device.id, plan, isExcused));
    }
  }

  /** Starts deploys at random times. */
  start(): void {
    for (const id of this.devices.keys()) this.#next(id, this.plan.deploys);
  }

  #next(id: string, left: number): void {
    if (left === 0) return;
    this.#planned++;
    const { clock, random } = this.#world;
    clock.after(1 + random.below(this.plan.pause), () => {
      this.#planned--;
      if (random.chance(0.25)) this.#rollOut();
      else this.#deploy(id);
      this.#next(id, left - 1);
    });
  }

  #deploy(id: string): void {
    const { server: { server, process }, random, log } = this.#world;
    const device = server?.known(id);
    if (!device) return;
    const app = random.pick(this.plan.apps);
    const how = { older: random.chance(0.5), again: random.chance(0.3) };
    const books = this.devices.get(id)!;
    const { life } = process;
    const until = random.pick(["accepted", "kept"] as const);
    log?.(`deploys ${app.hash.slice(0, 8)} to ${id} ${JSON.stringify(how)}, waits until ${until}`);
    process.enter(() => {
      books.begins({ app, ...how });
      const place = books.begun.length;
      this.#waiting++;
      const over = (error: unknown) => {
        if (process.life !== life) return;
        this.#waiting--;
        log?.(`the deploy of ${app.hash.slice(0, 8)} to ${id}: ${error ?? "done"}`);
        const { code = "" } = error instanceof LocalError ? error : {};
        if (!NOT_BEGUN.has(code)) books.accepted = Math.max(books.accepted, place);
        if (until === "kept" && error === undefined) books.told(app.hash);
        if (error !== undefined && !(error instanceof LocalError)) throw error;
      };
      device.deploy(app.wasm, { name: "app", version: app.version, ...how, until })
        .then(() => over(undefined), over)
        .catch((error) => this.#world.failed(error));
    });
  }

  /** Deploys the same to all devices. */
  #rollOut(): void {
    const { server: { server, process }, random, log } = this.#world;
    const ids = [...this.devices.keys()].filter((id) => server?.known(id));
    if (!server || ids.length === 0) return;
    const app = random.pick(this.plan.apps);
    const how = { older: random.chance(0.5), again: random.chance(0.3) };
    const step = random.pick([1, 1, 2]);
    const { life } = process;
    log?.(`deploys ${app.hash.slice(0, 8)} to ${ids} ${JSON.stringify(how)}, ${step} at once`);
    process.enter(() => {
      const places = ids.map((id) => {
        const books = this.devices.get(id)!;
        books.begins({ app, ...how, mayBeGivenUp: true });
        return [books, books.begun.length] as const;
      });
      this.#waiting++;
      const over = (id: number | undefined, error?: unknown) => {
        if (process.life !== life) return;
        this.#waiting--;
        log?.(`the deploy of ${app.hash.slice(0, 8)} to ${ids}: ${error ?? id}`);
        if (error !== undefined) {
          if (!(error instanceof LocalError) || !NOT_BEGUN.has(error.code)) throw error;
          if (error.code === "FENCED") return;
          for (const [books, place] of places) books.begun[place - 1]!.mayBeGivenUp = false;
          return;
        }
        // It may be a group that already gets the same application.
        const it = this.#groups.get(id!) ?? { app, ...how };
        this.#groups.set(id!, it);
        for (const [books, place] of places) {
          books.begun[place - 1] = it;
          books.accepted = Math.max(books.accepted, place);
        }
      };
      server.rollOut(ids, app.wasm, { name: "app", version: app.version, ...how, step })
        .then(({ id }) => over(id), (error) => over(undefined, error))
        .catch((error) => this.#world.failed(error));
    });
  }

  /** Checks that no more of a group are under way than was asked for, and that none waits for its turn after one has
   * failed. */
  look(): void {
    const { server } = this.#world.server;
    for (const { id, step, state, devices } of server?.rollouts ?? []) {
      const phases = devices.map((id) => server!.known(id)!.deployment!.phase);
      const underWay = phases.filter((it) => it !== "queued" && UNDECIDED.includes(it)).length;
      if (underWay > step) throw new Violation(`${underWay} of group ${id} at once: ${phases}`);
      if (state === "stopped" && phases.includes("queued")) {
        throw new Violation(`group ${id} is stopped, and goes on: ${phases}`);
      }
      if (phases.includes("stopped")) this.#world.count("a group is stopped");
    }
  }

  /** @param disk The store that replaces the old one, if one does. */
  serverDied(disk: Disk | undefined): void {
    this.#waiting = 0;
    for (const [id, books] of this.devices) {
      const deploy = disk?.devices.get(id)?.memos.get("deploy");
      if (deploy !== undefined) books.putBack(JSON.parse(deploy).hash);
    }
  }

  unfinished(): string | undefined {
    if (this.#planned > 0) return `${this.#planned} deploys are planned`;
    const { server } = this.#world.server;
    for (const [id, books] of this.devices) {
      const left = books.unfinished(server?.known(id));
      if (left) return `${id}: ${left}`;
    }
    return this.#waiting > 0 ? `${this.#waiting} deploys are waited for` : undefined;
  }

  /** Checks everything at the end. @throws {Violation} */
  check(): void {
    const { server, scenario: { faults } } = this.#world;
    for (const [id, books] of this.devices) {
      const keysChange = faults.includes("key changed");
      books.check(server.server?.known(id), this.#world.mayBeFirst(id), keysChange);
    }
  }
}
