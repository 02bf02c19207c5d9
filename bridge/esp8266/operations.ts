/**
 * What the compiler makes of the interpreter's operations is put right in its assembly.
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
 * a byte is read from flash become plain loads again.
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
  const plain = lines.map((line) => {
    const [, address, target, bits] = line.match(WORD_LOAD) ?? [];
    return address === undefined ? line : `\tl${bits}ui\t${target}, ${address}, 0`;
  });
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
