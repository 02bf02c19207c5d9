import { assertEquals } from "@std/assert";
import { flashReferences, functionsOf, storesToNowhere, subWordLoads } from "./machine_code.ts";

const DISASSEMBLY = `
board.elf:     file format elf32-xtensa-le

40100040 <on_timer>:
40100040:	ffff31        	l32r	a3, 40100040 <x> (3ffe92c0 <woken>)
40100047:	f0c112        	addi	a1, a1, -16
4010004a:	fffe21        	l32r	a2, 40100044 <y> (402140a0 <table+0x10>)
4010004d:	017ec5        	call0	40101860 <system_os_post>
40100050:	017ec5        	call0	40210000 <in_flash>
40100053:	f00d      	ret.n

40210000 <in_flash>:
40210000:	000222        	l8ui	a2, a2, 0
40210003:	fffe21        	l32r	a2, 40100044 <y> (40214000)
40210006:	0228      	l32i.n	a2, a2, 0
40210008:	101222        	l16ui	a2, a2, 32
`;

Deno.test("loads of less than a word are found, with their function", () => {
  assertEquals(subWordLoads(DISASSEMBLY), [
    { function: "in_flash", instruction: "l8ui a2, a2, 0" },
    { function: "in_flash", instruction: "l16ui a2, a2, 32" },
  ]);
});

Deno.test("calls and pointers into flash are found in the given functions", () => {
  assertEquals(flashReferences(DISASSEMBLY, ["on_timer"]).map(({ instruction }) => instruction), [
    "l32r a2, 40100044 <y> (402140a0 <table+0x10>)",
    "call0 40210000 <in_flash>",
  ]);
  assertEquals(flashReferences(DISASSEMBLY, ["in_flash"]).length, 1);
});

Deno.test("stores to a register's offset instead of the register are found", () => {
  const disassembly = `
0000001c <pins_output>:
  20:\tf2ff\tl32r\ta2, 10 <x> (60000304 <y>)
  24:\t0020\tmemw
  26:\t02f9\ts32i.n\ta15, a2, 0
  69:\t1f0c\tmovi.n\ta15, 1
  6b:\t420c\tmovi.n\ta2, 4
  6d:\t401c\tssl\ta12
  70:\ta1ff\tsll\ta15, a15
  73:\t0020\tmemw
  76:\t02f9\ts32i.n\ta15, a2, 0
  7a:\t0c0c\tmovi.n\ta3, 0
  7c:\t2822\tbeqi\ta2, 2, 82 <pins_output+0x66>
  7f:\t0c2d\tmov.n\ta3, a12
  82:\t0329\ts32i.n\ta2, a3, 8
  84:\t0c1c\tmovi.n\ta4, -16
  86:\t0429\ts32i.n\ta2, a4, 0
`;
  assertEquals(storesToNowhere(disassembly), [
    { function: "pins_output", instruction: "s32i.n a15, a2, 0" },
  ]);
});

Deno.test("the functions of a disassembly", () => {
  assertEquals(functionsOf(DISASSEMBLY), ["on_timer", "in_flash"]);
});
