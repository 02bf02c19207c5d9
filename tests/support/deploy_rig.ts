/**
 * A deploy and a model of the device's firmware, on a link that the test controls.
 *
 * @module
 */
import { assert } from "@std/assert";
import { Deployment, type Line } from "../../server/firmware/deployment.ts";
import {
  base64,
  DEPLOY_KINDS,
  type Offer,
  parseDeployWord,
} from "../../server/protocol/firmware_lines.ts";
import { Dialect2Rig } from "./dialect2_rig.ts";
import { hashOf, ModelFirmware, type ModelOptions } from "./model_firmware.ts";

/** An application of this many bytes. */
export function image(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, n) => (n * 31 + seed * 17) & 255);
}

/** A server's deploy and a device, on a link that the test controls. */
export class Rig implements Line {
  readonly link = new Dialect2Rig();
  device: ModelFirmware;
  deployment: Deployment;
  date = 1000;
  key: Uint8Array | undefined;
  readonly phases: string[] = [];
  /** Messages of the server about deploys. */
  readonly said: string[] = [];
  #id = 0; // id of the device's next message
  #boots = 0;
  /** Whether the device gets the ack of its report that it fell back. */
  hearsOfFalls = true;

  constructor(options: ModelOptions = {}) {
    this.device = new ModelFirmware(options);
    this.key = options.key;
    this.deployment = new Deployment(this);
  }

  get record() {
    return this.link.record;
  }

  get takesFirmware() {
    return this.link.session.takesFirmware;
  }

  get lineBytes() {
    return this.link.session.lineBytes;
  }

  tell(text: string, arrived: () => void): void {
    this.link.session.tell(text, arrived, this.link.now);
  }

  changed(): void {
    const { phase } = this.deployment.state!;
    if (this.phases.at(-1) !== phase) this.phases.push(phase);
  }

  get phase(): string {
    return this.deployment.state!.phase;
  }

  begin(bytes: Uint8Array, { version = 4, older = false, again = false } = {}): void {
    const hash = hashOf(bytes);
    const offer: Offer = { name: "new", version, hash, size: bytes.length, older, again };
    this.deployment.begin(offer, base64(bytes));
  }

  /** Restarts the server with what it remembers. */
  restart(): void {
    this.link.session.disconnect();
    this.deployment = new Deployment(this);
  }

  /** The device connects. @param keeps Whether it still has its position. */
  connect(keeps = true): void {
    const { record } = this.link;
    const { txEpoch, rxNext } = record.positions;
    const knows = keeps && this.#boots > 0;
    this.#boots++;
    this.#id = rxNext;
    this.link.connect({
      metadata: this.device.metadata,
      line: 121,
      rxEpoch: knows ? txEpoch : 0,
      rxNext: knows ? this.#expected : 0,
      txFirst: rxNext,
    });
    this.#expected = record.txFirst;
    this.deployment.greeted(this.device.metadata);
    this.link.hears("\n");
    this.#answer(this.device.up());
    if (this.hearsOfFalls) this.device.told();
  }

  #expected = 0;

  #answer(texts: string[]): void {
    for (const text of texts) {
      this.deviceSays(text);
      const [kind, ...words] = text.slice(1).split(" ");
      const word = parseDeployWord(kind as typeof DEPLOY_KINDS[number], words);
      if (word) assert(this.deployment.told(word), `the deploy ignores ${JSON.stringify(text)}`);
    }
  }

  /** The server takes a message of the device. */
  deviceSays(text: string): void {
    this.link.hears(`${(this.#id++ & 255).toString(16).padStart(2, "0")}${text}\n`);
  }

  /** Carries messages until nothing comes any more, or the device wants to restart. @returns whether anything came */
  carry(most = Infinity): boolean {
    let count = 0;
    while (count < most && !this.device.restarts) {
      this.link.flush();
      const lines = this.link.said().filter((line) => line.length > 2);
      if (lines.length === 0) break;
      for (const line of lines) {
        count++;
        this.#expected = (this.#expected + 1) >>> 0;
        const text = line.slice(2);
        if (text !== "\0") {
          this.said.push(text);
          this.#answer(this.device.hears(text));
        }
        this.link.hears(`${line.slice(0, 2)}\n`);
        if (this.device.restarts || count >= most) break;
      }
    }
    return count > 0;
  }

  /** The device restarts into the new application. @param fall Why that fails; undefined: it works */
  run(fall?: string): void {
    this.carry();
    while (this.device.restarts) {
      this.link.lose();
      this.device.boot();
      this.connect();
      if (this.device.onTrial) {
        this.carry();
        if (fall === undefined) this.#answer([this.device.pass()]);
        else this.device.fail(fall);
      }
      this.carry();
    }
  }
}
