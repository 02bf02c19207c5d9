import { assertEquals } from "@std/assert";
import { flashReferences, functionsOf, subWordLoads } from "./machine_code.ts";

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

Deno.test("calls and pointers into flash are found in the functions asked for", () => {
  assertEquals(flashReferences(DISASSEMBLY, ["on_timer"]).map(({ instruction }) => instruction), [
    "l32r a2, 40100044 <y> (402140a0 <table+0x10>)",
    "call0 40210000 <in_flash>",
  ]);
  assertEquals(flashReferences(DISASSEMBLY, ["in_flash"]).length, 1);
});

Deno.test("the functions of a disassembly", () => {
  assertEquals(functionsOf(DISASSEMBLY), ["on_timer", "in_flash"]);
});
