import { assertEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import { codeLike } from "../firmware/images.ts";
import { Asker, parrot, withProgram, words } from "./asker.ts";
import { Chip } from "./chip.ts";
import { Flash, SECTOR } from "./flash.ts";
import { Op } from "./machine.ts";
import { ESP32_MAGIC, ESP8266_MAGIC, MAGIC_ADDRESS } from "./registers.ts";
import { romEraseCount } from "./rom.ts";
import { slipFrame, SlipReader } from "./slip.ts";

const OK = [0, 0];

/** Bytes that do not compress. */
function noise(length: number): Uint8Array {
  let state = 1;
  return new Uint8Array(length).map(() => (state = Math.imul(state, 1664525) + 1013904223) >>> 24);
}

Deno.test("flash: writing clears bits, only erasing sets them", () => {
  const flash = new Flash(1024 * 1024);
  assertEquals(flash.program(5, Uint8Array.of(0xf0)), true);
  flash.program(5, Uint8Array.of(0x3c));
  assertEquals(flash.bytes[5], 0x30);
  flash.eraseSectors(0, 1);
  assertEquals([flash.bytes[5], flash.erasures[0], flash.erasures[1]], [0xff, 1, 0]);
});

Deno.test("flash: past its end nothing is written or read", () => {
  const flash = new Flash(1024 * 1024);
  assertEquals(flash.program(flash.size - 1, new Uint8Array(2)), false);
  assertEquals(flash.bytes.at(-1), 0xff);
  assertEquals(flash.read(flash.size - 1, 2), undefined);
  assertThrows(() => new Flash(3 * 1024 * 1024), RangeError);
});

Deno.test("flash: addresses wrap around in one that is smaller than its id says", () => {
  const flash = new Flash(1024 * 1024, 4 * 1024 * 1024);
  assertEquals(flash.id >>> 16, 0x16);
  flash.program(1024 * 1024 + 5, Uint8Array.of(7));
  assertEquals([flash.bytes[5], flash.read(3 * 1024 * 1024 + 5, 1)![0]], [7, 7]);
  flash.eraseSectors(256, 1);
  assertEquals(flash.bytes[5], 0xff);
});

Deno.test("frames: escaping is undone, however the bytes are cut", () => {
  const data = Uint8Array.of(0xc0, 0xdb, 0xdc, 0xdd, 0, 0xc0);
  const line = Uint8Array.of(...slipFrame(data), ...slipFrame(data));
  for (let cut = 0; cut <= line.length; cut++) {
    const reader = new SlipReader();
    const frames = [...reader.push(line.subarray(0, cut)), ...reader.push(line.subarray(cut))];
    assertEquals(frames, [data, data]);
  }
});

Deno.test("lines: RTS alone resets; with DTR alone at its release the loader starts", () => {
  const asker = withProgram();
  assertEquals(asker.chip.state, "program");
  asker.lines(false, true, 10);
  assertEquals(asker.chip.state, "none");
  asker.lines(true, false, 10);
  assertEquals(asker.chip.state, "rom");
  asker.lines(false, true, 10);
  asker.lines(false, false, 10);
  assertEquals(asker.chip.state, "program");
});

Deno.test("lines: both at once do nothing, so opening a port does not reset the board", () => {
  const asker = withProgram();
  asker.lines(true, true, 10);
  asker.lines(false, false, 10);
  assertEquals(asker.chip.boots, { program: 1, loader: 0 });
});

Deno.test("lines: IO0 is sampled when EN has risen, not at its release", () => {
  const asker = withProgram({ riseTime: 20 });
  asker.lines(false, true, 10);
  asker.lines(true, true, 5); // one line after the other, as over a network
  asker.lines(true, false, 10);
  assertEquals(asker.chip.state, "none");
  asker.pass(10);
  assertEquals(asker.chip.state, "rom");
});

Deno.test("lines: a board without the two transistors ignores them, but its buttons work", () => {
  const asker = withProgram({ autoReset: false });
  asker.enterLoader();
  assertEquals(asker.chip.state, "program");
  asker.chip.press({ flashButton: true }, asker.now);
  assertEquals(asker.chip.state, "rom");
});

Deno.test("ROM: answers SYNC eight times, identifies the chip, and refuses unknown commands", () => {
  for (const magic of [ESP8266_MAGIC, ESP32_MAGIC]) {
    const asker = new Asker({ magic });
    asker.enterLoader();
    const answers = asker.askAll(Op.sync, new Uint8Array(36));
    assertEquals(answers.map(({ status }) => status), Array(8).fill(OK));
    assertEquals(answers[0]!.value === 0, false);
    assertEquals(asker.ask(Op.readReg, words(MAGIC_ADDRESS)).value, magic);
    for (const op of [Op.securityInfo, Op.changeBaud, Op.flashMd5, Op.eraseFlash]) {
      assertEquals(asker.ask(op, words(0, 0, 0, 0)).status, [1, 5]);
    }
  }
});

Deno.test("ROM: a block with a wrong sum is refused and not written", () => {
  const asker = new Asker();
  asker.enterLoader();
  asker.ask(Op.flashBegin, words(1024, 1, 1024, 0x1000));
  const data = noise(1024);
  assertEquals(asker.sendBlock(Op.flashData, data, 0, 0), [1, 7]);
  assertEquals(asker.chip.flash.bytes[0x1000], 0xff);
  assertEquals(asker.sendBlock(Op.flashData, data, 0), OK);
  assertEquals(asker.chip.flash.read(0x1000, 1024), data);
});

Deno.test("ROM: erases too much: the sectors up to the next block count twice", () => {
  assertEquals(romEraseCount(0, 4), 8);
  assertEquals(romEraseCount(0, 20), 36);
  assertEquals(romEraseCount(15, 4), 5);
  const asker = new Asker();
  asker.enterLoader();
  asker.ask(Op.flashBegin, words(SECTOR, 4, 1024, 0));
  assertEquals([...asker.chip.flash.erasures.subarray(0, 4)], [1, 1, 0, 0]);
});

Deno.test("ROM: jumps only to loaded code, and only if it is complete", () => {
  const asker = new Asker();
  asker.enterLoader();
  asker.ask(Op.memBegin, words(128, 1, 128, 0x40100000));
  assertEquals(asker.ask(Op.memEnd, words(0, 0x40100004)).status, [1, 6]);
  asker.ask(Op.memBegin, words(64, 1, 64, 0x40100000));
  asker.sendBlock(Op.memData, new Uint8Array(64), 0);
  assertEquals(asker.ask(Op.memEnd, words(0, 0x40108000)).status, OK);
  assertEquals(asker.chip.state, "rom");
});

Deno.test("flash id: as many bits as were asked for", () => {
  for (const [size, code] of [[1, 0x14], [4, 0x16]] as const) {
    const asker = new Asker({ flashSize: size * 1024 * 1024 });
    asker.enterStub();
    const read = (bits: number) => {
      for (
        const [offset, value] of [[0x1c, 0x90000000], [0x20, (bits - 1) << 8], [0x24, 0x7000009f]]
      ) {
        asker.ask(Op.writeReg, words(0x60000200 + offset!, value!, 0xffffffff, 0));
      }
      asker.ask(Op.writeReg, words(0x60000200, 1 << 18, 0xffffffff, 0));
      return asker.ask(Op.readReg, words(0x60000240)).value;
    };
    assertEquals(read(24), code << 16 | 0x40ef);
    assertEquals(read(1), 1);
  }
});

Deno.test("stub: compressed data is written with the right MD5, and only the touched sectors are erased", () => {
  const asker = new Asker();
  asker.enterStub();
  const data = noise(10_000);
  asker.chip.flash.program(0x3000, new Uint8Array(5 * SECTOR));
  const packed = deflateSync(data);
  asker.ask(Op.flashDeflBegin, words(data.length, 1, 0x4000, 0x4000));
  for (let at = 0, n = 0; at < packed.length; at += 0x1000) {
    assertEquals(asker.sendBlock(Op.flashDeflData, packed.subarray(at, at + 0x1000), n++), OK);
  }
  assertEquals(asker.ask(Op.flashDeflEnd, words(1)).status, OK);
  const { data: md5 } = asker.ask(Op.flashMd5, words(0x4000, data.length, 0, 0));
  assertEquals(md5, Uint8Array.from(createHash("md5").update(data).digest()));
  assertEquals([...asker.chip.flash.erasures.subarray(3, 8)], [0, 1, 1, 1, 0]);
});

Deno.test("stub: a repeated compressed block corrupts the rest of the stream", () => {
  const asker = new Asker();
  asker.enterStub();
  const data = codeLike(40_000, 1);
  const packed = deflateSync(data);
  asker.ask(Op.flashDeflBegin, words(data.length, 4, 0x1000, 0));
  for (const [sequence, at] of [0, 0, 0x1000, 0x2000, 0x3000].entries()) {
    asker.sendBlock(Op.flashDeflData, packed.subarray(at, at + 0x1000), sequence);
  }
  const { status } = asker.ask(Op.flashDeflEnd, words(1));
  assertEquals(status[0] === 0, false);
  assertEquals(asker.chip.flash.read(0, 0x2000)!.toHex() === data.slice(0, 0x2000).toHex(), true);
  assertEquals(asker.chip.flash.read(0, data.length)!.toHex() === data.toHex(), false);
});

Deno.test("stub: the end of a write that is too short, too long, or was never begun is an error", () => {
  const asker = new Asker();
  asker.enterStub();
  assertEquals(asker.ask(Op.flashEnd, words(1)).status, [0xc6, 0]);
  assertEquals(asker.sendBlock(Op.flashData, noise(16), 0), [0xc6, 0]);
  asker.ask(Op.flashBegin, words(32, 1, 0x4000, 0));
  assertEquals(asker.ask(Op.flashEnd, words(1)).status, [0xc8, 0]);
  asker.ask(Op.flashDeflBegin, words(8, 1, 0x4000, 0));
  asker.sendBlock(Op.flashDeflData, deflateSync(noise(64)), 0);
  assertEquals(asker.ask(Op.flashDeflEnd, words(1)).status, [0xc9, 0]);
});

Deno.test("stub: a write beyond the flash fails, which the next answer reports", () => {
  const asker = new Asker({ flashSize: 1024 * 1024 });
  asker.enterStub();
  asker.ask(Op.flashBegin, words(64, 1, 0x4000, 1024 * 1024));
  asker.sendBlock(Op.flashData, noise(64), 0);
  assertEquals(asker.ask(Op.flashEnd, words(1)).status, [0xc4, 0]);
  assertEquals(asker.ask(Op.flashMd5, words(1024 * 1024, 64, 0, 0)).status, [0x63, 0]);
});

Deno.test("stub: reading waits for acknowledgements, and ends with the MD5", () => {
  const asker = new Asker();
  asker.enterStub();
  const data = noise(10_000);
  asker.chip.flash.program(0, data);
  asker.say(Op.readFlash, words(0, data.length, 0x1000, 0x1000));
  const reader = new SlipReader();
  const frames = reader.push(asker.heard());
  assertEquals(frames.length, 2); // the answer and one block: no more may be unacknowledged
  let got = frames.slice(1);
  for (let length = 0x1000; length < data.length; length += 0x1000) {
    asker.chip.receive(slipFrame(words(length)), asker.baud, asker.now);
    got = [...got, ...reader.push(asker.heard())];
  }
  asker.chip.receive(slipFrame(words(data.length)), asker.baud, asker.now);
  const [md5] = reader.push(asker.heard());
  assertEquals(Uint8Array.from(got.flatMap((block) => [...block])), data);
  assertEquals(md5, Uint8Array.from(createHash("md5").update(data).digest()));
  assertEquals(asker.ask(Op.sync, new Uint8Array(36)).value, 0);
});

Deno.test("stub: a new speed applies after the answer; at the wrong speed nothing is understood", () => {
  const asker = new Asker();
  asker.enterStub();
  assertEquals(asker.ask(Op.changeBaud, words(460800, 115200)).status, OK);
  assertEquals(asker.askAll(Op.readReg, words(MAGIC_ADDRESS)), []);
  asker.baud = 460800;
  asker.askAll(Op.readReg, words(MAGIC_ADDRESS)); // it may end a frame that the rubbish began
  assertEquals(asker.ask(Op.readReg, words(MAGIC_ADDRESS)).value, ESP8266_MAGIC);
});

Deno.test("stub: erasing takes its time, and commands wait", () => {
  const asker = new Asker({ eraseTime: 50 });
  asker.enterStub();
  asker.say(Op.eraseRegion, words(0, 4 * SECTOR));
  asker.say(Op.readReg, words(MAGIC_ADDRESS));
  asker.pass(199);
  assertEquals(asker.heard().length, 0);
  asker.pass(1);
  assertEquals(new SlipReader().push(asker.heard()).length, 2);
  assertEquals(asker.ask(Op.eraseRegion, words(1, SECTOR)).status, [0x32, 0]);
});

Deno.test("faults: each strikes when and as often as it was set up", () => {
  const asker = new Asker();
  asker.enterStub();
  const read = () => asker.askAll(Op.readReg, words(MAGIC_ADDRESS)).length;
  asker.chip.faults.arm({ what: "lost reply", op: Op.readReg, after: 1, times: 2 });
  assertEquals([read(), read(), read(), read()], [1, 0, 0, 1]);
  assertEquals(asker.chip.faults.left, 0);
  asker.chip.faults.arm({ what: "unplug", op: Op.readReg });
  assertEquals([read(), asker.chip.plugged], [0, false]);
  asker.chip.plug(asker.now);
  assertEquals(asker.chip.state, "none"); // no image, and nobody pressed a button
});

Deno.test("faults: the sum detects a wrong bit on the line, only the MD5 one in the flash", () => {
  for (const [what, status] of [["corrupted command", [0xc1, 0]], ["bad flash", OK]] as const) {
    const asker = new Asker();
    asker.enterStub();
    const data = noise(256);
    asker.ask(Op.flashBegin, words(256, 1, 0x4000, 0));
    asker.chip.faults.arm({ what, op: Op.flashData });
    assertEquals(asker.sendBlock(Op.flashData, data, 0), status);
    const { data: md5 } = asker.ask(Op.flashMd5, words(0, 256, 0, 0));
    const right = Uint8Array.from(createHash("md5").update(data).digest());
    assertEquals(md5.toHex() === right.toHex(), false);
  }
});

Deno.test("a cable that is too long for a speed corrupts some bytes", () => {
  const asker = withProgram({ cleanBaud: 115200 });
  asker.heard();
  const line = new Uint8Array(2000).fill(0x55);
  asker.chip.receive(line, 115200, 0);
  assertEquals(asker.heard(), line);
  asker.chip.receive(line, 230400, 0);
  assertEquals(asker.heard().every((byte) => byte === 0x55), false);
});

Deno.test("the chip survives any input", () => {
  const asker = new Asker({ firmware: parrot });
  const rubbish = noise(64);
  for (let op = 0; op < 256; op++) {
    for (const stub of [false, true]) {
      if (stub) asker.enterStub();
      else asker.enterLoader();
      for (const length of [0, 3, 4, 8, 16, 20, 36, 64]) {
        asker.say(op, rubbish.slice(0, length), op);
        asker.chip.receive(rubbish, 115200, asker.now);
      }
      asker.pass(1);
    }
  }
  assertEquals(asker.chip instanceof Chip, true);
  asker.enterStub();
});
