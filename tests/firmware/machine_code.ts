/**
 * What can be told of a firmware for the chip without one: from its machine code, as `objdump` shows it.
 *
 * @module
 */

/** An instruction that the chip would fault at. */
export interface Fault {
  function: string;
  instruction: string;
}

/** Where the flash is seen in memory. */
const FLASH = { start: 0x40200000, end: 0x40300000 };

/** Loads of less than a word: from flash they are faults, and the firmware's constants are in flash. */
export function subWordLoads(disassembly: string): Fault[] {
  return [...instructions(disassembly)].filter(({ instruction }) =>
    /^(l8ui|l16ui|l16si)\b/.test(instruction)
  );
}

/** Instructions of functions that call, or point, into the flash: not to be had while it cannot be read. */
export function flashReferences(disassembly: string, functions: string[]): Fault[] {
  return [...instructions(disassembly)].filter((fault) => {
    if (!functions.includes(fault.function)) return false;
    // `l32r a2, 40100010 <x> (402140a0 <target>)`; `call0 402140a0 <target>`
    const [, address] = fault.instruction.match(/^l32r\s.*\(([0-9a-f]+)[ )]/) ??
      fault.instruction.match(/^(?:call0|j)\s+([0-9a-f]+)/) ?? [];
    const target = parseInt(address ?? "0", 16);
    return target >= FLASH.start && target < FLASH.end;
  });
}

/** Names of the functions that a disassembly has. */
export function functionsOf(disassembly: string): string[] {
  return [...disassembly.matchAll(/^[0-9a-f]+ <(\w+)>:$/gm)].map(([, name]) => name!);
}

function* instructions(disassembly: string): Generator<Fault> {
  let current = "";
  for (const line of disassembly.split("\n")) {
    const [, name] = line.match(/^[0-9a-f]+ <([^>]+)>:$/) ?? [];
    if (name !== undefined) current = name;
    const [, instruction] = line.match(/^\s*[0-9a-f]+:\t[0-9a-f ]+\t(.+)$/) ?? [];
    if (instruction !== undefined) {
      yield { function: current, instruction: instruction.replaceAll("\t", " ") };
    }
  }
}
