/**
 * Corrects the assembly that the compiler makes of the interpreter's operations.
 *
 * An operation ends by calling the next one, whose address stands in the code that is interpreted. This compiler
 * knows no tail calls, so each would leave a frame on the stack until a loop turns, or a function returns. Here
 * the call becomes a jump: the frame is popped first.
 *
 *     callx0  a5              l32i.n  a0, sp, 12
 *     l32i.n  a0, sp, 12      addi    sp, sp, 16
 *     addi    sp, sp, 16      jx      a5
 *     ret.n
 *
 * Mostly the frame then has no use at all, and is left out.
 *
 * The operations are put behind each other in one section, with the name `m3_operations` in front: interpreted code
 * says which one it means by the distance from there.
 *
 * And an operation reads only RAM: the interpreted code, the stack, the module's memory. The sequences by which
 * a byte is read from flash become plain loads again, with the offset in the load and its sign extended by it:
 *
 *     addi.n  a6, a2, 2
 *     l16ui   a6, a6, 0                    l16si   a6, a2, 2
 *     slli    a6, a6, 16 ; srai    a6, a6, 16
 *
 * @module
 */

const SECTION = '.section\t.text.m3_operations,"ax",@progbits';

/** Rewrites the operations (functions named `op_…`) in m3_compile.c's assembly, and leaves the rest. */
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

/** A load of a byte or a half word as a load of its word: of the form `ssa8l A; …; extui D, D, 0, BITS`. */
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
    // The epilogue restores a0 and a12 to a15: where the next operation's address is one of them, it moves out.
    const clash = epilogue.some((l) => l.startsWith(`\tl32i.n\t${register},`));
    if (clash) result.push(`\tmov.n\ta8, ${register}`);
    result.push(...epilogue, `\tjx\t${clash ? "a8" : register}`);
  }
  return withoutFrame(result);
}

/** A load of a byte or a half word from the sum of a register and a number, as one instruction. */
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

/** A load of a half word whose sign is extended behind it, as one instruction. */
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

/** Whether a line has to do with a register. */
function mentions(line: string, register: string): boolean {
  return new RegExp(`\\b${register}\\b`).test(line);
}

/** Whether a line may set a register; a store or a branch, which do not, may count, too. */
function sets(line: string, register: string): boolean {
  return line.split(";").some((one) => new RegExp(`^\\s*[\\w.]+\\s+${register}\\b`).test(one));
}

/** Whether what is executed before or behind a line may stand elsewhere. */
function isEdge(line: string): boolean {
  return /^\.L|^\t(b\w+|j|jx|call\w*|ret)(\.n)?(\t|$)/.test(line);
}

/** Where a register got its value, if nothing has used it since and nothing else can come in between; or -1. */
function definition(lines: string[], register: string): number {
  const at = lines.findLastIndex((line) => isEdge(line) || mentions(line, register));
  return at >= 0 && !isEdge(lines[at]!) && sets(lines[at]!, register) ? at : -1;
}

/** Whether the value in a register is used no more: the next that mentions it sets it again. */
function isDead(lines: string[], register: string): boolean {
  const next = lines.find((line) => isEdge(line) || mentions(line, register));
  const set = next?.match(
    /^\t(?:l32i(?:\.n)?|l32r|l16[us]i|l8ui|movi(?:\.n)?|addi(?:\.n)?)\t(\w+),(.*)$/,
  );
  return set?.[1] === register && !mentions(set[2]!, register);
}

/** Without its frame, if that held nothing but a return address which nothing overwrites any more. */
function withoutFrame(lines: string[]): string[] {
  const isFrame = (line: string) =>
    /^\taddi\tsp, sp, -?16$/.test(line) || /^\t[sl]32i\.n\ta0, sp, 12$/.test(line);
  const needed = lines.some((line) =>
    /^\tcallx?0\t/.test(line) || /\ba0\b|\bsp\b/.test(line) && !isFrame(line)
  );
  return needed ? lines : lines.filter((line) => !isFrame(line));
}

/** The instructions that pop the frame, if nothing else comes before the return. */
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
