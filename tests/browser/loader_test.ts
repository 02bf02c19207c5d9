/** esptool-js on an emulated chip: its bugs do no harm, and errors of the line are detected and named. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { until } from "../support/wait.ts";
import { makeImage } from "./chip/image.ts";
import { Op } from "./chip/machine.ts";
import type { ChipOptions } from "./chip/chip.ts";
import { CablePort } from "./chip/cable_port.ts";
import { FlashError } from "../../bridge/flasher/chip/errors.ts";
import { openChip, type OpenOptions } from "../../bridge/flasher/chip/loader.ts";
import { md5 } from "../../bridge/flasher/chip/md5.ts";
import { restart } from "../../bridge/flasher/chip/serial.ts";

const MB = 1024 * 1024;

/** Bytes that do not compress: 64 KB of them take five blocks on the line. */
function noise(length: number): Uint8Array {
  let state = 12345;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    return state ^= state << 5;
  });
}

const DATA = noise(70_000);
const AT = 0x10000;

/** The chip on its port, connected. */
async function connected(options: ChipOptions = {}, open: OpenOptions = {}) {
  const port = new CablePort({ flashSize: MB, ...options });
  const chip = await openChip(port, open);
  return { port, chip, emulated: port.chip, [Symbol.asyncDispose]: () => chip.close() };
}

function assertWritten(port: CablePort, data: Uint8Array, at = AT): void {
  assertEquals(md5(port.chip.flash.bytes.subarray(at, at + data.length)), md5(data));
}

Deno.test("chip, MAC and size of the flash are right (fault 1: the chip lacks its registers)", async () => {
  for (const [flashSize, flashId] of [[MB, "14"], [4 * MB, "16"]] as const) {
    await using board = await connected({ flashSize, mac: "5c:cf:7f:01:02:03" });
    const { facts } = board.chip;
    assertEquals(facts.name, "ESP8266EX");
    assertEquals(facts.mac, "5c:cf:7f:01:02:03");
    assertEquals(facts.flashBytes, flashSize);
    assertStringIncludes(facts.flashId, flashId);
    assertEquals(board.port.speeds, [115200, 460800]);
    assertEquals(board.chip.baud, 460800);
  }
});

Deno.test("written data is in the flash, and is read back", async () => {
  await using board = await connected();
  const steps: number[] = [];
  await board.chip.write(AT, DATA, (done) => steps.push(done));
  assertWritten(board.port, DATA);
  assertEquals(steps.at(-1), DATA.length);
  assertEquals(steps, steps.toSorted((a, b) => a - b), "progress goes forward");
  assert(steps.length > 4);
  assertEquals(await board.chip.md5(AT, DATA.length), md5(DATA));
  assertEquals(md5(await board.chip.read(AT, DATA.length)), md5(DATA));
});

Deno.test("all of the flash is erased", async () => {
  await using board = await connected();
  await board.chip.write(AT, DATA);
  await board.chip.erase();
  assert(board.emulated.flash.bytes.every((byte) => byte === 0xff));
});

Deno.test("a restart runs the program (fault 2: esptool-js would not reset it)", async () => {
  const port = new CablePort({ flashSize: MB });
  const chip = await openChip(port);
  await chip.write(0, makeImage(0x40100000, [{ address: 0x40100000, data: noise(64) }]));
  await chip.close();
  const before = { ...port.chip.boots };
  await port.open({ baudRate: 115200 });
  await restart(port);
  await until(() => {
    port.cable.setLines({}); // so that the emulated board learns the time
    return port.chip.boots.program > before.program;
  }, { what: "EN to rise" });
  await port.close();
  assertEquals(port.chip.boots.program, before.program + 1);
  assertEquals(port.chip.boots.loader, before.loader);
});

Deno.test("wrong data in the flash is written again (fault 3: it would count as a success)", async () => {
  await using board = await connected();
  board.emulated.faults.arm({ op: Op.flashDeflData, what: "bad flash", after: 1 });
  await board.chip.write(AT, DATA);
  assertWritten(board.port, DATA);
  assertEquals(board.emulated.faults.left, 0);
});

Deno.test("a flash that never keeps the data: not verified, with the address", async () => {
  await using board = await connected();
  board.emulated.faults.arm({ op: Op.flashDeflData, what: "bad flash", after: 5, times: 1000 });
  const error = await assertRejects(() => board.chip.write(AT, DATA), FlashError);
  assertEquals([error.code, error.address], ["VERIFY_FAILED", 0x20000]);
  assertStringIncludes(error.message, "0x020000");
});

for (const what of ["corrupted command", "lost reply", "noise"] as const) {
  Deno.test(`a block with a ${what}: its 64 KB are written again (fault 4: a repeat breaks the stream)`, async () => {
    await using board = await connected();
    board.emulated.faults.arm({ op: Op.flashDeflData, what, after: 2 });
    await board.chip.write(AT, DATA);
    assertWritten(board.port, DATA);
    assertEquals(board.emulated.faults.left, 0);
    assertEquals(board.chip.baud, 460800);
    // Three up to the fault, without a repeat; five for the whole piece, one for the rest.
    assertEquals(board.emulated.commands.filter((op) => op === Op.flashDeflData).length, 9);
  });
}

Deno.test("without the flashing program nothing is written (fault 5: the ROM erases too much)", async () => {
  const port = new CablePort();
  port.chip.faults.arm({ op: Op.memEnd, what: "lost reply", times: 100 });
  const error = await assertRejects(() => openChip(port), FlashError);
  assertEquals(error.code, "NO_STUB");
  assertEquals(port.chip.commands.includes(Op.flashBegin), false);
  assertEquals(port.cable.isOpen, false);
});

Deno.test("the digest of a read block is not taken for an answer (fault 6)", async () => {
  await using board = await connected();
  await board.chip.write(AT, DATA);
  for (let i = 0; i < 5; i++) {
    assertEquals(
      md5(await board.chip.read(AT + i * 4096, 4096)),
      md5(DATA.slice(i * 4096, (i + 1) * 4096)),
    );
    assertEquals(await board.chip.md5(AT, 1000), md5(DATA.slice(0, 1000)));
  }
});

Deno.test("a byte that changes on its way from the board is detected, and read again", async () => {
  await using board = await connected();
  await board.chip.write(AT, DATA);
  board.port.spoil = (bytes) => {
    if (bytes.length < 500) return bytes;
    board.port.spoil = undefined;
    const spoiled = bytes.slice();
    spoiled[300]! ^= 0x04;
    return spoiled;
  };
  assertEquals(md5(await board.chip.read(AT, DATA.length)), md5(DATA));
  assertEquals(board.port.spoil, undefined);
});

Deno.test("a line that is not clean at the fast speed: everything goes on at the slow one", async () => {
  const notes: string[] = [];
  await using board = await connected({ cleanBaud: 115200 }, {
    onNote: (note) => notes.push(note),
  });
  await board.chip.write(AT, DATA);
  assertWritten(board.port, DATA);
  assertEquals(board.chip.baud, 115200);
});

Deno.test("the fast speed is not tried when the slow one is chosen", async () => {
  await using board = await connected({}, { baud: 115200 });
  assertEquals(board.port.speeds, [115200]);
  await board.chip.write(AT, DATA.subarray(0, 5000));
  assertWritten(board.port, DATA.subarray(0, 5000));
});

Deno.test("a late answer of the ROM is waited for (fault 7: esptool-js allows only 200 ms)", async () => {
  const port = new CablePort({ flashSize: MB });
  port.chip.faults.arm({ op: Op.memEnd, what: "slow", ms: 1000 });
  const chip = await openChip(port);
  assertEquals([chip.facts.name, port.chip.faults.left], ["ESP8266EX", 0]);
  await chip.close();
});

Deno.test("slow answers are waited for", async () => {
  await using board = await connected({ eraseTime: 20 });
  board.emulated.faults.arm({ op: Op.flashDeflBegin, what: "slow", ms: 1500 });
  await board.chip.write(AT, DATA);
  assertWritten(board.port, DATA);
});

Deno.test("unplugged while it writes: reported at once, with the address, and the port is closed", async () => {
  await using board = await connected();
  board.emulated.faults.arm({ op: Op.flashDeflData, what: "unplug", after: 5 });
  const error = await assertRejects(() => board.chip.write(AT, DATA), FlashError);
  assertEquals([error.code, error.address], ["LOST", 0x20000]);
  await assertRejects(() => board.chip.md5(0, 4), FlashError);
  await board.chip.close();
  assertEquals(board.port.cable.isOpen, false);
  board.port.cable.plug();
  await using again = await openChipOn(board.port);
  await again.chip.write(AT, DATA);
  assertWritten(board.port, DATA);
});

async function openChipOn(port: CablePort) {
  const chip = await openChip(port);
  return { chip, [Symbol.asyncDispose]: () => chip.close() };
}

Deno.test("unplugged before it is connected", async () => {
  const port = new CablePort();
  port.chip.faults.arm({ op: Op.memData, what: "unplug" });
  const error = await assertRejects(() => openChip(port), FlashError);
  assertEquals(error.code, "LOST");
});

Deno.test("a port that another program uses", async () => {
  const port = new CablePort();
  await port.open({ baudRate: 9600 });
  const error = await assertRejects(() => openChip(port), FlashError);
  assertEquals(error.code, "PORT_BUSY");
  await port.close();
});

Deno.test("another chip is refused by name, and nothing is sent to its flash", async () => {
  for (const [magic, name] of [[0x00f01d83, "an ESP32"], [0x12345678, "0x12345678"]] as const) {
    const port = new CablePort({ magic });
    const error = await assertRejects(() => openChip(port), FlashError);
    assertEquals(error.code, "WRONG_CHIP");
    assertStringIncludes(error.message, name);
    assertEquals(port.chip.commands.includes(Op.memBegin), false);
  }
});

Deno.test("a board that must be put into boot mode by hand, and is not: it prints something, or is silent", async () => {
  const silent = new CablePort({ autoReset: false });
  const chattering = new CablePort({
    autoReset: false,
    firmware: (board) => {
      const chatter = () => {
        board.print("tick\r\n");
        board.after(50, chatter);
      };
      chatter();
      return { baud: 115200, receive() {} };
    },
  });
  const image = makeImage(0x40100000, [{ address: 0x40100000, data: noise(64) }]);
  for (const port of [silent, chattering]) {
    port.chip.flash.program(0, image);
    port.cable.press(false);
    const error = await assertRejects(() => openChip(port), FlashError);
    assertEquals(error.code, port === silent ? "SILENT" : "NO_SYNC");
  }
  chattering.cable.press(true);
  await using board = await openChipOn(chattering);
  assertEquals(board.chip.facts.name, "ESP8266EX");
});

Deno.test("stopped by the user: at the next block, with the address", async () => {
  const stop = new AbortController();
  await using board = await connected({}, { signal: stop.signal });
  const error = await assertRejects(
    () => board.chip.write(AT, DATA, (done) => done > 20_000 && stop.abort()),
    FlashError,
  );
  assertEquals([error.code, error.address], ["STOPPED", AT]);
  await assertRejects(() => board.chip.read(0, 4), FlashError, "stopped");
});
