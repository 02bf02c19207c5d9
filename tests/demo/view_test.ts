import { assert, assertEquals } from "@std/assert";
import { until } from "../support/wait.ts";
import { Sequence } from "./sequence.ts";
import { clip, LiveView, quoted, type Shown } from "./view.ts";

function conversations(): Shown[] {
  const sequence = new Sequence((n) => `${n} 21.5 °C`);
  for (let n = 0; n < 4321; n++) sequence.receive(sequence.next());
  const both = { toServer: sequence, toDevice: sequence };
  const last = { lastSent: sequence.text(4321), lastReceived: sequence.text(4320) };
  return [1, 2, 3, 4].map((number) => ({ number, connected: number !== 2, ...both, ...last }));
}

/** What a live view prints: the first two pictures and the last one. */
async function prints(colors: boolean, columns = 80, rows = 24): Promise<string[]> {
  const printed: string[] = [];
  const size = () => ({ columns, rows });
  const view = new LiveView({ print: (text) => printed.push(text), colors, size }, 30);
  for (let n = 1; n < 30; n++) view.note(`fault ${n} ${"and so on ".repeat(10)}`, "fault");
  view.show(conversations(), 65535);
  await until(() => printed.length === 2);
  view.end();
  return printed;
}

Deno.test("the live view stays within the terminal, and in one place", async () => {
  const [first, ...others] = await prints(false);
  const lines = first!.split("\n");
  assert(lines.length <= 24, `${lines.length} lines`);
  for (const line of lines) {
    assert([...line.replace("\x1b[K", "")].length < 80, line);
  }
  assert(lines.some((line) => line.startsWith("2       OUTAGE       4321    4321")), first);
  assert(lines.at(-2)!.includes("fault 29"), lines.at(-2));
  assertEquals(first!.replaceAll("\x1b[K", "").replace("\x1b[J", "").includes("\x1b"), false);
  for (const picture of others) assert(picture.startsWith(`\x1b[${lines.length - 1}A`));
});

Deno.test("the live view of a small terminal is short and narrow", async () => {
  const [first] = await prints(true, 40, 14);
  const lines = first!.split("\n");
  assertEquals(lines.length, 14);
  // deno-lint-ignore no-control-regex
  for (const line of lines) assert([...line.replace(/\x1b\[\d*\w/g, "")].length < 40, line);
});

Deno.test("colours are reset even where a line is cut", () => {
  assertEquals(clip("\x1b[31mfault\x1b[0m of device", 3), "\x1b[31mfau\x1b[0m");
  assertEquals(clip("\x1b[31m°C°C\x1b[0m°C", 5), "\x1b[31m°C°C\x1b[0m°");
});

Deno.test("a stranger's text cannot control the terminal", () => {
  assertEquals(quoted('a "b" \x1b[2J \u009b2J \u202e'), '"a \\"b\\" ?[2J ?2J ?"');
});
