import { assertEquals, assertRejects } from "@std/assert";
import type { Chip } from "../chip/chip.ts";
import { FlashError } from "../chip/errors.ts";
import { md5 } from "../chip/md5.ts";
import { carryOut, sayLeft, TimeLeft } from "./job.ts";
import { makePlan } from "./plan.ts";

const MB = 1024 * 1024;

/** A chip that is a piece of memory. `size`: where its addresses wrap around. */
function memoryChip(size = MB): Chip & { memory: Uint8Array; log: string[] } {
  const memory = new Uint8Array(size).fill(0xff);
  const log: string[] = [];
  return {
    memory,
    log,
    facts: { name: "test", mac: "", flashBytes: MB, flashId: "" },
    baud: 1,
    write(address, data, progress) {
      log.push(`write ${address}`);
      memory.set(data, address % size);
      progress?.(data.length / 2);
      progress?.(data.length);
      return Promise.resolve();
    },
    read: (address, length) => Promise.resolve(memory.slice(address, address + length)),
    md5(address, length) {
      log.push(`md5 ${address}`);
      return Promise.resolve(md5(memory.subarray(address % size, address % size + length)));
    },
    erase() {
      log.push("erase");
      memory.fill(0xff);
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
    leave: () => Promise.resolve(),
  };
}

const plan = makePlan([
  { name: "boot", offset: 0, data: new Uint8Array(100).fill(1) },
  { name: "code", offset: 0x80000, data: new Uint8Array(200).fill(2) },
], MB);

Deno.test("a plan is carried out: written, then compared as a whole, and each step is reported", async () => {
  const chip = memoryChip();
  const told: string[] = [];
  await carryOut(chip, plan, {
    erasing: () => told.push("erasing"),
    piece: (index, state, done) => told.push(`${index} ${state} ${done}`),
  }, true);
  assertEquals(chip.log, ["erase", "write 0", "write 524288", "md5 0", "md5 524288"]);
  assertEquals(told, [
    "erasing",
    ...["0 writing 0", "0 writing 50", "0 writing 100", "0 checking 100"],
    ...["1 writing 0", "1 writing 100", "1 writing 200", "1 checking 200"],
    ...["0 verified 100", "1 verified 200"],
  ]);
});

Deno.test("nothing is erased unless the plan says so", async () => {
  const chip = memoryChip();
  chip.memory[0x40000] = 7;
  await carryOut(chip, plan, { piece() {} });
  assertEquals(chip.memory[0x40000], 7);
  assertEquals(chip.log.includes("erase"), false);
});

Deno.test("a flash that is smaller than it claims overwrites its beginning, and that is detected", async () => {
  const chip = memoryChip(MB / 2);
  const error = await assertRejects(() => carryOut(chip, plan, { piece() {} }), FlashError);
  assertEquals([error.code, error.address], ["VERIFY_FAILED", 0]);
});

Deno.test("the time left is estimated once there is enough to go by", () => {
  const left = new TimeLeft(1000);
  assertEquals(left.at(0, 5000), undefined);
  assertEquals(left.at(100, 6000), undefined, "too early");
  assertEquals(left.at(200, 7000), 8000);
  assertEquals(left.at(600, 9000), 4000 / 600 * 400);
  const stuck = new TimeLeft(1000);
  stuck.at(10, 0);
  assertEquals(stuck.at(10, 10_000), undefined);
});

Deno.test("the time left is shown in words that do not flicker", () => {
  const words = [[1000, "a few seconds left"], [12_000, "about 15 s left"], [
    61_000,
    "about 2 min left",
  ]];
  for (const [ms, text] of words) assertEquals(sayLeft(ms as number), text);
});
