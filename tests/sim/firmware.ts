/** A model of a chip's firmware in a world of deploys, with a flash that sometimes fails. */
import { ModelFirmware } from "../support/model_firmware.ts";
import { FIRST_VERSION, type SimApp } from "./deploy_plan.ts";
import type { DeviceBooks } from "./deploy_books.ts";
import type { SimDevice } from "./device.ts";

export class SimFirmware {
  readonly model: ModelFirmware;
  readonly #device: SimDevice;
  readonly #books: DeviceBooks;
  #unsaid: string[] = [];
  #tellsFall = false; // until that is acknowledged
  #isDying = false;
  #wasBooted = false;
  /** This boot's firmware is an older one, which knows nothing of deploys. */
  isOld = false;

  constructor(device: SimDevice, apps: readonly SimApp[], books: DeviceBooks) {
    this.#device = device;
    this.#books = books;
    const { random } = device.world;
    const appOf = (wasm: Uint8Array) =>
      apps.find((app) =>
        app.wasm.length === wasm.length && app.wasm.every((b, i) => b === wasm[i])
      );
    this.model = new ModelFirmware({
      version: FIRST_VERSION,
      get key() {
        return device.plan.key;
      },
      unfit: (wasm) => appOf(wasm)!.isUnfit ? "import board.fly" : undefined,
      triesAgain: () => random.chance(0.5),
    });
    books.firmware = this.model;
  }

  /** Its part of the hello's metadata. */
  get metadata(): string {
    return this.isOld ? "reset=power" : this.model.metadata;
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    if (this.isOld) return !this.#isDying;
    // In dialect 1 it cannot say anything.
    const isSilent = this.#device.dialect === 1 || this.#unsaid.length === 0;
    return isSilent && !this.model.onTrial && !this.#isDying;
  }

  /** It must not sleep: a trial is under way, or it has something to send. */
  get isBusy(): boolean {
    return this.model.onTrial || this.#isDying || this.#unsaid.length > 0;
  }

  /** The device starts. @param wakes From a sleep: with the same firmware. */
  boot(wakes: boolean): void {
    this.#unsaid = [];
    this.#tellsFall = this.#isDying = false;
    const { model } = this;
    const before = model.trials.length;
    const { fresh } = model;
    if (this.#wasBooted) model.boot();
    if (!wakes) {
      this.isOld = this.#wasBooted && this.#device.world.random.chance(this.#books.plan.old);
    }
    this.#books.wasOld ||= this.isOld;
    this.#wasBooted = true;
    if (model.trials.length > before) this.#books.tried(model.trials.at(-1)!, fresh);
    this.#books.fellOrNot();
  }

  /** The device has died: a write to its flash may be incomplete. */
  died(): void {
    const { random } = this.#device.world;
    if (random.chance(0.3)) this.model.tear(random.below(30));
  }

  /** Takes a message of the server. */
  hears(text: string): void {
    this.#unsaid.push(...this.model.hears(text));
    if (this.model.restarts) this.#restart();
  }

  /** The next message that it has to send, if any. */
  get next(): string | undefined {
    return this.#unsaid[0];
  }

  said(): void {
    this.#unsaid.shift();
  }

  /** Everything that it sent was acknowledged. */
  heard(): void {
    if (!this.#tellsFall || this.#unsaid.length > 0) return;
    this.model.told();
    this.#tellsFall = false;
  }

  /** The link has come up. @param pump Called when there may be something to send. */
  up(pump: () => void): void {
    if (this.isOld) return;
    const owed = this.model.up();
    this.#unsaid.push(...owed);
    this.#tellsFall = owed.length > 0;
    if (!this.model.onTrial) return;
    const { world, boot } = this.#device;
    world.clock.after(world.random.below(world.scenario.timeout), () => {
      if (this.#device.boot !== boot || !this.model.onTrial || this.#isDying) return;
      if (!this.#device.isUp) return; // the next link is another one
      const fall = this.#books.fallOf(this.model.runs.hash);
      if (fall === undefined) {
        this.#unsaid.push(this.model.pass());
        this.#books.kept(this.model.runs.hash);
        this.#device.process.enter(pump);
      } else {
        this.model.fail(fall);
        this.#restart();
      }
    });
  }

  /** Restarts, soon. */
  #restart(): void {
    this.#isDying = true;
    const { world, boot } = this.#device;
    world.disturb(world.clock.now + world.scenario.timeout);
    world.clock.after(world.random.below(world.scenario.timeout), () => {
      if (this.#device.boot !== boot) return;
      const { dialect } = this.#device;
      this.#device.die({ keepsMemory: true, closes: false, off: 10, dialect });
    });
  }
}
