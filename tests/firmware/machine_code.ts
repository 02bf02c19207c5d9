/**
 * Checks of a firmware's machine code without a chip, from the output of `objdump`.
 *
 * @module
 */

/** An instruction at which the chip would fault. */
export interface Fault {
  function: string;
  instruction: string;
}

/** The flash's address range. */
const FLASH = { start: 0x40200000, end: 0x40300000 };

/** Loads of less than a word: they fault on flash, where the firmware's constants are. */
export function subWordLoads(disassembly: string): Fault[] {
  return [...instructions(disassembly)].filter(({ instruction }) =>
    /^(l8ui|l16ui|l16si)\b/.test(instruction)
  ).map(faultOf);
}

/** Instructions of these functions that call or point into the flash, which cannot be read at that time. */
export function flashReferences(disassembly: string, functions: string[]): Fault[] {
  return [...instructions(disassembly)].filter((fault) => {
    if (!functions.includes(fault.function)) return false;
    // `l32r a2, 40100010 <x> (402140a0 <target>)`; `call0 402140a0 <target>`
    const [, address] = fault.instruction.match(/^l32r\s.*\(([0-9a-f]+)[ )]/) ??
      fault.instruction.match(/^(?:call0|j)\s+([0-9a-f]+)/) ?? [];
    const target = parseInt(address ?? "0", 16);
    return target >= FLASH.start && target < FLASH.end;
  }).map(faultOf);
}

/** The chip's first register. Lower addresses outside of memory cannot be written. */
const FIRST_REGISTER = 0x3ff00000;

/**
 * Stores to a constant address that is too small: a macro without brackets makes this of a register's offset. Only
 * where no jump leads in between, so that the constant is certain.
 */
export function storesToNowhere(disassembly: string): Fault[] {
  const all = [...instructions(disassembly)];
  const targets = new Set(all.flatMap(({ instruction }) => {
    const [, target] = instruction.match(/^(?:b|j|loop).*?([0-9a-f]+) </) ?? [];
    return target === undefined ? [] : [parseInt(target, 16)];
  }));
  const faults: Fault[] = [];
  let current = "";
  let numbers = new Map<string, number>();
  for (const { address, ...fault } of all) {
    const [name, first = "", second = "", third = ""] = fault.instruction.split(/[ ,]+/);
    if (fault.function !== current || targets.has(address)) numbers = new Map();
    current = fault.function;
    if (/^s(8|16|32)i/.test(name!)) {
      const base = numbers.get(second);
      if (base !== undefined && base + Number(third) < FIRST_REGISTER) faults.push(fault);
    } else if (/^(j|jx|ret|call)/.test(name!)) numbers = new Map();
    else if (/^movi/.test(name!)) numbers.set(first, Number(second) >>> 0);
    else numbers.delete(first);
  }
  return faults;
}

/** Names of the functions in a disassembly. */
export function functionsOf(disassembly: string): string[] {
  return [...disassembly.matchAll(/^[0-9a-f]+ <(\w+)>:$/gm)].map(([, name]) => name!);
}

function faultOf({ function: name, instruction }: Fault): Fault {
  return { function: name, instruction };
}

function* instructions(disassembly: string): Generator<Fault & { address: number }> {
  let current = "";
  for (const line of disassembly.split("\n")) {
    const [, name] = line.match(/^[0-9a-f]+ <([^>]+)>:$/) ?? [];
    if (name !== undefined) current = name;
    const [, address, instruction] = line.match(/^\s*([0-9a-f]+):\t[0-9a-f ]+\t(.+)$/) ?? [];
    if (instruction !== undefined) {
      yield {
        function: current,
        address: parseInt(address!, 16),
        instruction: instruction.replaceAll("\t", " "),
      };
    }
  }
}
