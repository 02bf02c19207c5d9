/**
 * Rewrites the compiler's assembly for the interpreter's operations.
 *
 * An operation ends by calling the next one, whose address is in the interpreted code. This compiler has no tail
 * calls, so each would leave a frame on the stack until a loop repeats or a function returns. Here the call becomes
 * a jump, after the frame was popped.
 *
 *     callx0  a5              l32i.n  a0, sp, 12
 *     l32i.n  a0, sp, 12      addi    sp, sp, 16
 *     addi    sp, sp, 16      jx      a5
 *     ret.n
 *
 * Usually the frame is then unused, and is left out.
 *
 * All operations go into one section, which starts with the symbol `m3_operations`: interpreted code refers to an
 * operation by its distance from there.
 *
 * An operation reads only RAM: the interpreted code, the stack, the module's memory. So the sequences that read a
 * byte from flash become plain loads again, with the offset and the sign extension in the load:
 *
 *     addi.n  a6, a2, 2
 *     l16ui   a6, a6, 0                    l16si   a6, a2, 2
 *     slli    a6, a6, 16 ; srai    a6, a6, 16
 *
 * @module
 */

const SECTION = '.section\t.text.m3_operations,"ax",@progbits';

/** Rewrites the operations (functions named `op_…`) in m3_compile.c's assembly, and leaves the rest unchanged. */
export function rewriteOperations(assembly: string): string {
  const lines = assembly.split("\n");
  const result: string[] = [
    `\t${SECTION}`,
    "\t.align\t4",
    "\t.global\tm3_operations",
    "m3_operations:",
  ];
  let inside: string[] | undefined;
  for (const line of lines) {
    if (/^op_\w+:$/.test(line)) inside = [];
    if (!inside) {
      result.push(/^\t\.section\t\.text\.op_/.test(line) ? `\t${SECTION}` : line);
      continue;
    }
    inside.push(line);
    if (/^\t\.size\top_/.test(line)) {
      result.push(...rewriteFunction(inside));
      inside = undefined;
    }
  }
  return result.join("\n");
}

/** Loads a byte or a half word by loading its word: `ssa8l A; …; extui D, D, 0, BITS`. */
const WORD_LOAD =
  /^\tssa8l\t?\s*(\w+) ; srli\t?\s*(\w+), \w+, 2 ; slli\t?\s*\w+, \w+, 2 ; l32i\t?\s*\w+, \w+, 0 ; srl\t?\s*\w+, \w+ ; extui\t?\s*\w+, \w+, 0, (8|16)$/;

function rewriteFunction(lines: string[]): string[] {
  const plain = withSigns(withOffsets(lines.map((line) => {
    const [, address, target, bits] = line.match(WORD_LOAD) ?? [];
    return address === undefined ? line : `\tl${bits}ui\t${target}, ${address}, 0`;
  })));
  const result: string[] = [];
  for (let at = 0; at < plain.length; at++) {
    const line = plain[at]!;
    const [, register] = line.match(/^\tcallx0\t(\w+)$/) ?? [];
    const epilogue = register === undefined ? undefined : epilogueFrom(plain, at + 1);
    if (register === undefined || epilogue === undefined) {
      result.push(line);
      continue;
    }
    // The epilogue restores a0 and a12 to a15: if the next operation's address is in one of them, moves it to a8.
    const clash = epilogue.some((l) => l.startsWith(`\tl32i.n\t${register},`));
    if (clash) result.push(`\tmov.n\ta8, ${register}`);
    result.push(...epilogue, `\tjx\t${clash ? "a8" : register}`);
  }
  return withoutFrame(result);
}

/** Merges the addition of a number to an address into the load of a byte or a half word. */
function withOffsets(lines: string[]): string[] {
  const result: string[] = [];
  for (const line of lines) {
    const [, bits, target] = line.match(/^\tl(8|16)ui\t(a\d+), \2, 0$/) ?? [];
    const at = target === undefined ? -1 : definition(result, target);
    const [, base, offset] = result[at]?.match(/^\taddi(?:\.n)?\ta\d+, (a\d+), (\d+)$/) ?? [];
    if (base === undefined || result.slice(at + 1).some((later) => sets(later, base))) {
      result.push(line);
      continue;
    }
    result.splice(at, 1);
    result.push(`\tl${bits}ui\t${target}, ${base}, ${offset}`);
  }
  return result;
}

/** Merges the sign extension after a load of a half word into the load. */
function withSigns(lines: string[]): string[] {
  const result: string[] = [];
  for (const [n, line] of lines.entries()) {
    const [, target, loaded] = line.match(/^\tslli\t(a\d+), (a\d+), 16 ; srai\t\1, \1, 16$/) ??
      [];
    const at = loaded === undefined ? -1 : definition(result, loaded);
    const [, address] = result[at]?.match(/^\tl16ui\t\w+, (.*)$/) ?? [];
    if (
      address === undefined || result.slice(at + 1).some((later) => mentions(later, target!)) ||
      (target !== loaded && !isDead(lines.slice(n + 1), loaded!))
    ) {
      result.push(line);
    } else {
      result[at] = `\tl16si\t${target}, ${address}`;
    }
  }
  return result;
}

/** Whether a line uses a register in any way. */
function mentions(line: string, register: string): boolean {
  return new RegExp(`\\b${register}\\b`).test(line);
}

/** Whether a line may set a register. Also true for some stores and branches, which do not. */
function sets(line: string, register: string): boolean {
  return line.split(";").some((one) => new RegExp(`^\\s*[\\w.]+\\s+${register}\\b`).test(one));
}

/** Whether control may enter or leave at a line. */
function isEdge(line: string): boolean {
  return /^\.L|^\t(b\w+|j|jx|call\w*|ret)(\.n)?(\t|$)/.test(line);
}

/** The line that set a register, if nothing has used it since and control cannot enter in between; or -1. */
function definition(lines: string[], register: string): number {
  const at = lines.findLastIndex((line) => isEdge(line) || mentions(line, register));
  return at >= 0 && !isEdge(lines[at]!) && sets(lines[at]!, register) ? at : -1;
}

/** Whether the value in a register is not used any more: the next line that mentions the register sets it. */
function isDead(lines: string[], register: string): boolean {
  const next = lines.find((line) => isEdge(line) || mentions(line, register));
  const set = next?.match(
    /^\t(?:l32i(?:\.n)?|l32r|l16[us]i|l8ui|movi(?:\.n)?|addi(?:\.n)?)\t(\w+),(.*)$/,
  );
  return set?.[1] === register && !mentions(set[2]!, register);
}

/** Removes the frame, if it only saves the return address, which nothing overwrites any more. */
function withoutFrame(lines: string[]): string[] {
  const isFrame = (line: string) =>
    /^\taddi\tsp, sp, -?16$/.test(line) || /^\t[sl]32i\.n\ta0, sp, 12$/.test(line);
  const needed = lines.some((line) =>
    /^\tcallx?0\t/.test(line) || /\ba0\b|\bsp\b/.test(line) && !isFrame(line)
  );
  return needed ? lines : lines.filter((line) => !isFrame(line));
}

/** The instructions that pop the frame, if only these precede the return. */
function epilogueFrom(lines: string[], at: number): string[] | undefined {
  const epilogue: string[] = [];
  for (let steps = 0; steps < 40; steps++, at++) {
    const line = lines[at];
    if (line === undefined) return undefined;
    if (/^\.L\w+:$/.test(line) || /^\t\.(loc|align)/.test(line)) continue;
    const [, label] = line.match(/^\tj\t(\.L\w+)$/) ?? [];
    if (label !== undefined) {
      at = lines.indexOf(`${label}:`);
      if (at < 0) return undefined;
      continue;
    }
    if (line === "\tret.n" || line === "\tret") return epilogue;
    if (
      !/^\tl32i(\.n)?\t(a0|a1[2-5]), sp, \d+$/.test(line) &&
      !/^\taddi(\.n)?\tsp, sp, \d+$/.test(line)
    ) {
      return undefined;
    }
    epilogue.push(line);
  }
  return undefined;
}
