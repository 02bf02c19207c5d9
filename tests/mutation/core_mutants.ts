/**
 * Mutants of the client core. It is AssemblyScript, where mutants cannot be switched on and off: each is a module of
 * its own.
 *
 * @module
 */
import process from "node:process";
import { compile } from "../sim/mutants.ts";
import { type Mutant, numbered } from "./tree.ts";

/** Stryker's instrumenter uses the same one. Nothing else in the project needs it, so it is not in the import map. */
const PARSER = "npm:@babel/parser@7.29.15";

/** The core. */
export const CORE = "client-as/assembly/core.ts";

/** Decorators of functions, which TypeScript does not have. */
const DECORATOR = /^@\w+(\(.*\))?$/gm;

/**
 * Replacements of operators, as in Stryker for TypeScript; conditions without side effects are joined by `&` and `|` in
 * the core.
 */
const OPERATORS: Readonly<Record<string, string[]>> = {
  "+": ["-"],
  "-": ["+"],
  "*": ["/"],
  "%": ["*"],
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "==": ["!="],
  "!=": ["=="],
  "&": ["|"],
  "|": ["&"],
  "&&": ["||"],
  "||": ["&&"],
  "<<": [">>"],
  ">>>": [">>"],
  "+=": ["-="],
  "-=": ["+="],
  "++": ["--"],
  "--": ["++"],
};

/** How many characters around an operator are shown, within its expression. */
const AROUND = 30;

/** A node of Babel's syntax tree. */
interface Node {
  type: string;
  start: number;
  end: number;
  loc: { start: { line: number } };
  operator?: string;
  left?: Node;
  right?: Node;
  argument?: Node;
  expression?: Node;
  test?: Node | null;
  body?: Node | Node[];
  value?: unknown;
}

/** A change of a range of characters. */
type Change = [kind: string, from: number, to: number, after: string];

/** @param source The core's source. */
export async function coreMutants(source: string): Promise<Mutant[]> {
  const { parse } = await import(PARSER);
  const content = source.replace(DECORATOR, (decorator) => " ".repeat(decorator.length));
  const tree = parse(content, { sourceType: "module", plugins: ["typescript"] });
  const made = new Map<string, Change>();
  for (const node of nodes(tree.program)) {
    for (const change of changes(node, source)) {
      const [, from, to, after] = change;
      const place = `${from} ${to} ${after}`;
      if (!made.has(place)) made.set(place, change);
    }
  }
  const sorted = [...made.values()].sort(([, a], [, b]) => a - b);
  return numbered(sorted.map(([kind, from, to, after], i) => ({
    id: `core ${i}`,
    file: CORE,
    line: source.slice(0, from).split("\n").length,
    kind,
    before: source.slice(from, to),
    after,
    core: source.slice(0, from) + after + source.slice(to),
  })));
}

function* nodes(node: Node): Generator<Node> {
  yield node;
  for (const child of Object.values(node).flat()) {
    if (typeof child?.type === "string" && typeof child.start === "number") yield* nodes(child);
  }
}

function* changes(node: Node, source: string): Generator<Change> {
  const { type, start, end, operator = "", left, right, argument, expression, test } = node;
  switch (type) {
    case "BinaryExpression":
      if (/^[<>=!]=?$/.test(operator)) {
        for (const value of ["true", "false"]) yield ["comparison", start, end, value];
      }
      yield* operators(node, left!.end, right!.start);
      break;
    case "LogicalExpression":
    case "AssignmentExpression":
      yield* operators(node, left!.end, right!.start);
      break;
    case "UpdateExpression":
      yield* argument!.start > start
        ? operators(node, start, argument!.start)
        : operators(node, argument!.end, end);
      break;
    case "UnaryExpression":
      yield ["operator", start, end, source.slice(argument!.start, argument!.end)];
      break;
    case "ExpressionStatement":
      if (expression!.type === "CallExpression") yield ["call", start, end, ";"];
      break;
    case "BlockStatement":
      if ((node.body as Node[]).length > 0) yield ["block", start, end, "{}"];
      break;
    case "BooleanLiteral":
      yield ["value", start, end, `${!node.value}`];
  }
  if (test) {
    for (const value of ["true", "false"]) yield ["condition", test.start, test.end, value];
  }

  function* operators({ operator = "" }: Node, from: number, to: number): Generator<Change> {
    const at = source.indexOf(operator, from);
    if (at < 0 || at >= to) return;
    const behind = at + operator.length;
    const [first, last] = [Math.max(start, at - AROUND), Math.min(end, behind + AROUND)];
    for (const other of OPERATORS[operator] ?? []) {
      const after = source.slice(first, at) + other + source.slice(behind, last);
      yield ["operator", first, last, after];
    }
  }
}

/** More rounds of a loop than this in a core's life are endless. */
const ROUNDS = 50_000_000;

const GUARD = `
let turns: i32 = 0;
function turn(): void {
  if (++turns > ${ROUNDS}) unreachable();
}
`;

/** A core whose loops are bounded: a module that does not return could only be ended together with its process. */
export function bounded(source: string): string {
  return source
    .replace(/\bwhile \(/g, "while (turn(), ")
    .replace(
      /\bfor \(([^;]*); *([^;]*);/g,
      (_, init, test) => `for (${init}; turn(), ${test || "true"};`,
    ) + GUARD;
}

/**
 * Compiles a core with bounded loops.
 *
 * @param source With or without a mutant.
 * @throws {Error} if it does not compile
 */
export async function compileCore(source: string): Promise<Uint8Array<ArrayBuffer>> {
  const { exit } = process;
  process.exit = () => {
    throw new Error("the compiler has crashed");
  };
  try {
    return await compile(new Map([[CORE, bounded(source)]]), true);
  } finally {
    process.exit = exit;
  }
}
