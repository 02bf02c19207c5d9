/** Bugs of what outlives a connection, a process or a reset. */
import type { Kept } from "../../bridge/host/handout.ts";
import { DeviceRecord } from "../../server/store/store.ts";
import { SimDevice } from "./device.ts";
import { patch, type Undo } from "./patch.ts";
import { SimServer } from "./server.ts";
import type { Rows } from "./store.ts";

/** The core's register with the name of its stream. */
const TX_EPOCH = 24;

/** When a server is killed, something is missing in its store. */
function loses(change: (rows: Rows) => void): () => Undo {
  return () =>
    patch(SimServer.prototype, "kill", (server, kill, ...how) => {
      kill(...how);
      for (const rows of server.disk.devices.values()) change(rows);
    });
}

export const MEMORY_BUGS: Record<string, () => Undo> = {
  "what was acknowledged, but not read, dies with the server": loses((rows) => {
    rows.inbox.length = 0;
  }),
  "a restarted server takes repeats for new, dialect 1": loses((rows) => {
    rows.heard.length = 0;
  }),
  "a restarted server takes repeats for new, dialect 2": loses((rows) => {
    rows.positions.rxEpoch = 0;
  }),
  "the outbox dies with the server": loses((rows) => {
    rows.outbox.length = 0;
  }),
  "a restarted server names its stream anew, and counts on": loses((rows) => {
    rows.positions.txEpoch++;
  }),
  "a restarted server takes what it holds for sent": loses(({ positions }) => {
    positions.txSent = positions.txNext;
  }),
  "numbers do not come round": () =>
    patch(DeviceRecord.prototype, "write", ({ positions }, write, ...args) => {
      const message = write(...args);
      if (positions.txNext === 0) positions.txNext = 2 ** 32 - 1;
      return message;
    }),
  "a message without qos outlives its connection": () =>
    patch(DeviceRecord.prototype, "withdraw", (_, withdraw, message) => {
      if (message.qos) withdraw(message);
    }),
  "the device's position is not kept": () => patch(SimDevice.prototype, "keep", () => {}),
  "the device's position is kept one message late": () => {
    const last = new WeakMap<SimDevice, Kept>();
    return patch(SimDevice.prototype, "keep", (device, keep, kept) => {
      keep(last.get(device) ?? kept);
      last.set(device, kept);
    });
  },
  "a host counts a message as processed when it hands it out": () =>
    patch(SimDevice.prototype, "handsOut", (device, handsOut, core) => {
      const isNew = handsOut(core);
      const { epoch, next } = core.position;
      if (isNew) device.keep({ position: { epoch, next: (next + 1) >>> 0 }, processed: 0n });
      return isNew;
    }),
  "a host hands out again what another connection brings again": () => {
    const connects = new WeakMap<SimDevice, number>();
    return patch(SimDevice.prototype, "handsOut", (device, handsOut, core) => {
      const isNew = handsOut(core);
      const isOther = connects.get(device) !== core.connects;
      connects.set(device, core.connects);
      return isNew || isOther;
    });
  },
  "the device's epoch is used again": () =>
    patch(SimDevice.prototype, "prepare", (_, prepare, core) => {
      prepare(core);
      const { memory, registers } = core.exports;
      new DataView(memory.buffer).setUint32(registers() + TX_EPOCH, 0x5eed, true);
    }),
};
