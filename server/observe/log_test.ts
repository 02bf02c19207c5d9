import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type LogEntry, logTo } from "./log.ts";

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

Deno.test("a connection's number and the number of suppressed entries are in the line", () => {
  assertStringIncludes(text({ event: "connected", connects: 3 }), "connected connection 3");
  assertStringIncludes(text({ event: "refused", code: "BAD_HELLO", unsaid: 41 }), "(and 41 more)");
  assertStringIncludes(
    text({ event: "connected", connects: 3, metadata: "reset=watchdog version=1" }),
    'connection 3 "reset=watchdog version=1"',
  );
  assertStringIncludes(text({ event: "log", device: "a", message: "heap 9" }), 'log "a": heap 9');
});

Deno.test("a line about a refused peer has the id that it claimed", () => {
  const line = text({
    event: "refused",
    claimed: "kitchen",
    address: "[::1]:9",
    code: "BAD_PROOF",
  });
  assertEquals(line.slice(25), 'refused "kitchen" [::1]:9 BAD_PROOF');
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
    for (
      const entry of [{ device: HOSTILE }, { message: HOSTILE }, { address: HOSTILE }, {
        claimed: HOSTILE,
      }]
    ) {
      log({ event: "refused", ...entry });
      assert(!ACTIVE.test(line), `${format}: ${JSON.stringify(line)}`);
    }
    if (format === "json") assertEquals(JSON.parse(line).claimed, HOSTILE);
  }
});

Deno.test("what is harmless stays as it is", () => {
  assertStringIncludes(text({ event: "connected", device: "Küche 世界 🐙" }), '"Küche 世界 🐙"');
});
