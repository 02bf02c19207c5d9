/** How the chip starts, and what its ROM prints. */
import { assertEquals, assertMatch } from "@std/assert";
import { codeLike } from "../firmware/images.ts";
import { Asker, image, parrot, withProgram } from "./asker.ts";
import { type Firmware, ROM_BAUD } from "./chip.ts";
import { loadImage, makeImage } from "./image.ts";
Deno.test("images: a wrong byte and an endless segment are detected", () => {
  const flash = new Uint8Array(8192).fill(0xff);
  const fault = (onlyDout = false) => loadImage(flash, onlyDout).fault;
  assertEquals(fault(), "no image");
  flash.set(image);
  assertEquals(fault(), undefined);
  assertEquals(fault(true), undefined);
  flash[2] = 2;
  assertEquals(fault(true), "flash mode");
  assertEquals(fault(), undefined);
  flash[20]! ^= 1;
  assertEquals(fault(), "checksum");
  flash.fill(0xff, 8, 16);
  assertEquals(fault(), "segment beyond the flash");
});

Deno.test("images: the ROM prints how each segment lies in the pieces that it reads", () => {
  const segment = (address: number, length: number) => ({
    address,
    data: codeLike(length, address),
  });
  const { fault, says } = loadImage(makeImage(0x40100004, [
    segment(0x3ffe8000, 1152),
    segment(0x3ffe8480, 708),
    segment(0x40100000, 24148),
  ]));
  assertEquals(fault, undefined);
  const sums = [...says.matchAll(/ch?k?sum (0x[0-9a-f]{2})/g)].map(([, sum]) => sum);
  assertEquals([sums.length, sums[3]], [4, sums[2]]);
  assertEquals(says.replaceAll(/sum 0x[0-9a-f]{2}/g, "sum N").split("\r\n"), [
    "load 0x3ffe8000, len 1152, room 16 ",
    "tail 0",
    "chksum N",
    "load 0x3ffe8480, len 708, room 8 ",
    "tail 12",
    "chksum N",
    "ho 0 tail 12 room 4",
    "load 0x40100000, len 24148, room 12 ",
    "tail 8",
    "chksum N",
    "csum N",
    "",
  ]);
});

Deno.test("boot: the ROM prints at 74880 baud, the program at its own speed; neither is readable at the other's", () => {
  const asker = withProgram();
  const first = asker.heardText();
  assertMatch(first, /hello after external\r\n$/);
  assertEquals(first.includes("boot mode"), false);
  asker.baud = ROM_BAUD;
  asker.chip.press({ flashButton: false }, asker.now);
  const second = asker.heardText();
  assertMatch(second, /rst cause:2, boot mode:\(3,6\)/);
  assertEquals(second.includes("hello"), false);
});

Deno.test("boot: without an image, or with a damaged one, no program runs, and the ROM stops in the middle of a line", () => {
  const asker = new Asker({ firmware: parrot });
  asker.baud = ROM_BAUD;
  const hello = (cause: number) =>
    `\r\n ets Jan  8 2013,rst cause:${cause}, boot mode:(3,6)\r\n\r\n`;
  assertEquals(asker.heardText(), `${hello(1)}ets_main.c `);
  asker.chip.flash.program(0, image);
  asker.chip.flash.program(20, Uint8Array.of(0));
  asker.chip.press({ flashButton: false }, 0);
  assertEquals(
    asker.heardText(),
    `${hello(2)}load 0x40100000, len 64, room 16 \r\ntail 0\r\nchksum 0xe8\r\ncsum 0xef\r\n` +
      "csum err\r\nets_main.c ",
  );
  asker.chip.flash.eraseSectors(0, 1);
  const cut = image.slice();
  cut.fill(0xff, 8, 16);
  asker.chip.flash.program(0, cut);
  asker.chip.press({ flashButton: false }, 0);
  assertEquals(asker.heardText(), `${hello(2)}load 0xffffffff, len -1, room 16 \r\n`);
  assertEquals(asker.chip.boots.program, 0);
});

Deno.test("boot: when a program restarts the chip, the ROM still reports the last hardware reset", () => {
  const reasons = ["software", "exception", "watchdog", "software"] as const;
  let starts = 0;
  const asker = withProgram({
    firmware: ((board) => {
      const reason = reasons[starts++];
      if (reason) board.after(10, () => board.restart(reason));
      return { baud: 115200, receive() {} };
    }) satisfies Firmware,
  });
  asker.baud = ROM_BAUD;
  asker.pass(100);
  const text = asker.heardText();
  assertEquals([...text.matchAll(/cause:(\d)/g)].map(([, cause]) => cause), [
    "1",
    "2",
    "2",
    "2",
    "4",
    "4",
  ]);
  assertEquals(text.split("\r\n\r\nwdt reset\r\n").length, 3);
});

Deno.test("boot: the ROM's output if the pins prevent a start from flash", () => {
  const asker = withProgram();
  asker.baud = ROM_BAUD;
  for (
    const [mode, says] of [
      [0, ""],
      [1, ""],
      [
        2,
        "Fatal exception (0): \r\nepc1=0x40100000, epc2=0x00000000, epc3=0x00000000, " +
        "excvaddr=0x00000000, depc=0x00000000\r\n",
      ],
      [4, "waiting for host\r\n"],
      [7, "waiting for host\r\n"],
    ] as const
  ) {
    asker.heard();
    asker.chip.wired = mode;
    asker.chip.press({ flashButton: false }, asker.now);
    asker.pass(90);
    const times = mode === 2 ? 5 : 1; // endlessly
    assertEquals(
      asker.heardText(),
      `\r\n ets Jan  8 2013,rst cause:2, boot mode:(${mode},6)\r\n\r\n${says.repeat(times)}`,
    );
  }
});
