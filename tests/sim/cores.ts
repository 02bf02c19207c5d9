/** Prepares the devices' cores for a world, and checks their memory. */
import { Core, type CoreOptions } from "../../bridge/host/core.ts";
import { moreNonce, nameOf } from "../../bridge/host/core_size.ts";
import { byteLength } from "../../server/protocol/lines.ts";
import { TX_FIRST, TX_NEXT } from "../../client-as/assembly/registers.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { World } from "./world.ts";

/** Bytes after the name in the core's memory, and for each text that it remembers. */
const FRAME = 64;
const RECENT = 4;

/** Watches all cores that boot from now on. */
export function hookCores(world: World): Disposable & { check(): void } {
  const boot = Core.prototype.boot;
  const ends = new Map<string, { core: Core; end: number }>();
  Core.prototype.boot = function (this: Core, options: CoreOptions, now: number): void {
    boot.call(this, options, now);
    const plan = world.planOf(options.id);
    // A `Client` starts at its own number.
    if (options.dialect === 2 && plan?.kind === "chip" && !options.stream) {
      setFirstNumber(this, plan.firstNumber);
    }
    ends.set(options.id, { core: this, end: endOf(this, options) });
  };
  return {
    /** @throws {Violation} if a core has written where it must not */
    check() {
      for (const [id, { core, end }] of ends) {
        const beyond = new Float64Array(core.exports.memory.buffer, Math.ceil(end / 8) * 8);
        for (let i = 0; i < beyond.length; i++) {
          if (beyond[i] === 0) continue;
          throw new Violation(`${id}: the core has written beyond its memory`);
        }
      }
    },
    [Symbol.dispose]() {
      Core.prototype.boot = boot;
    },
  };
}

function setFirstNumber(core: Core, number: number): void {
  const { memory, registers } = core.exports;
  const view = new DataView(memory.buffer, registers());
  // The number of the next message: 0 after a boot, anything after a long life.
  for (const register of [TX_FIRST, TX_NEXT]) view.setUint32(register, number, true);
}

function endOf(core: Core, options: CoreOptions): number {
  const { recent, inbox, outbox } = options;
  const start = core.piece.byteOffset;
  return start + moreNonce(options) + byteLength(nameOf(options)) + 1 + FRAME + RECENT * recent +
    inbox + outbox;
}
