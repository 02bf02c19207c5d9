import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { calm, type LogEntry, logTo } from "./log.ts";

function text(entry: LogEntry): string {
  const lines: string[] = [];
  logTo((line) => lines.push(line), "text")(entry);
  assertEquals(lines.length, 1);
  return lines[0]!;
}

Deno.test("a line of text says when, what, who, where and why", () => {
  const line = text({
    event: "disconnected",
    device: "kitchen",
    address: "10.0.0.7:4711",
    code: "SILENT",
    message: "nothing was heard for 2000 ms",
  });
  assertMatch(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /);
  const rest = 'disconnected "kitchen" 10.0.0.7:4711 SILENT: nothing was heard for 2000 ms';
  assertEquals(line.slice(25), rest);
});

Deno.test("a connection's number and what went unsaid are in the line", () => {
  assertStringIncludes(text({ event: "connected", connects: 3 }), "connected connection 3");
  assertStringIncludes(text({ event: "refused", code: "BAD_HELLO", unsaid: 41 }), "(and 41 more)");
  assertStringIncludes(
    text({ event: "connected", connects: 3, metadata: "reset=watchdog version=1" }),
    'connection 3 "reset=watchdog version=1"',
  );
  assertStringIncludes(text({ event: "log", device: "a", message: "heap 9" }), 'log "a": heap 9');
});

Deno.test("an entry in JSON has the time and the entry's own fields", () => {
  let line = "";
  const entry: LogEntry = { event: "connected", device: 'a"\n\u001b[2J', connects: 1 };
  logTo((text) => line = text, "json")(entry);
  const { time, ...fields } = JSON.parse(line);
  assertEquals(fields, entry);
  assert(Math.abs(Date.parse(time) - Date.now()) < 60_000);
});

// What a terminal or a reader of lines would act upon: ESC, CSI in one character, line separators,
// text that runs backwards.
const HOSTILE = "\u001b[2J\u009b2J\u0007\u007f\n\r\u2028\u2029\u202e\u0085";
// deno-lint-ignore no-control-regex
const ACTIVE = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

Deno.test("neither an id nor a message can control the terminal that shows the log", () => {
  for (const format of ["text", "json"] as const) {
    let line = "";
    const log = logTo((text) => line = text, format);
    for (const entry of [{ device: HOSTILE }, { message: HOSTILE }, { address: HOSTILE }]) {
      log({ event: "refused", ...entry });
      assert(!ACTIVE.test(line), `${format}: ${JSON.stringify(line)}`);
    }
    if (format === "json") assertEquals(JSON.parse(line).address, HOSTILE);
  }
});

Deno.test("what is harmless stays as it is", () => {
  assertStringIncludes(text({ event: "connected", device: "Küche 世界 🐙" }), '"Küche 世界 🐙"');
});

Deno.test("refusals of one kind are said once in an interval, with how many went unsaid", () => {
  let time = 0;
  const entries: LogEntry[] = [];
  const log = calm((entry) => entries.push(entry), 1000, () => time);
  const refuse = (code: string) => log({ event: "refused", code });
  for (let n = 0; n < 10; n++) refuse("BAD_HELLO");
  refuse("NO_HELLO");
  assertEquals(entries, [{ event: "refused", code: "BAD_HELLO" }, {
    event: "refused",
    code: "NO_HELLO",
  }]);
  time = 1000;
  refuse("BAD_HELLO");
  assertEquals(entries.at(-1), { event: "refused", code: "BAD_HELLO", unsaid: 9 });
  time = 2000;
  refuse("BAD_HELLO");
  assertEquals(entries.at(-1), { event: "refused", code: "BAD_HELLO" });
  assertEquals(entries.length, 4);
});

Deno.test("a device that logs without end is heard so often in an interval, and then how much it had to say", () => {
  let time = 0;
  const entries: LogEntry[] = [];
  const log = calm((entry) => entries.push(entry), 1000, () => time);
  const says = (device: string) => log({ event: "log", device, message: "here" });
  for (let n = 0; n < 100; n++) says("loud");
  says("quiet");
  assertEquals(entries.length, 33);
  assertEquals(entries.at(-1)?.device, "quiet");
  time = 999;
  says("loud");
  assertEquals(entries.length, 33);
  time = 1000;
  says("loud");
  assertEquals(entries.at(-1), { event: "log", device: "loud", message: "here", unsaid: 69 });
  for (let n = 0; n < 40; n++) says("loud");
  assertEquals(entries.length, 65);
  log({ event: "disconnected", device: "loud" });
  assertEquals(entries.slice(-2), [
    { event: "log", device: "loud", unsaid: 9 },
    { event: "disconnected", device: "loud" },
  ]);
  log({ event: "connected", device: "loud" });
  time = 2000;
  says("loud");
  assertEquals(entries.at(-1), { event: "log", device: "loud", message: "here" });
});

Deno.test("entries that are no refusals are always said", () => {
  const entries: LogEntry[] = [];
  const log = calm((entry) => entries.push(entry), 1000, () => 0);
  for (let n = 0; n < 3; n++) log({ event: "connected", device: "1", connects: n });
  assertEquals(entries.length, 3);
});
