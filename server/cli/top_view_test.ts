/** What `top` shows: totals, order, size, and any ids. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { DeviceView } from "../device_view.ts";
import { footer, ordered, picture, span } from "./top_view.ts";

const NOW = Date.parse("2026-05-01T12:00:00Z");
const WIDE = { columns: 120, rows: 20 };
const PLAIN = { above: 0, colors: false };

function view(id: string, connected = true, inbox = 0): DeviceView {
  return {
    ...{
      id,
      connected,
      inbox,
      connects: 3,
      metadata: "",
      outbox: 1,
      app: "running",
      deadLetters: 0,
    },
    since: new Date(NOW - 90_000).toISOString(),
    counts: { received: 10, processed: 10, dead: 0, written: 4, delivered: 4, expired: 0 },
  };
}

Deno.test("totals come first, then devices without a link, then the others, each sorted by id", () => {
  const lines = picture(ordered([view("b"), view("c", false, 7), view("a")]), NOW, WIDE, PLAIN);
  assertEquals(lines[0], "3 devices, 2 up, 1 down, inbox 7, outbox 3, dead letters 0");
  assertMatch(lines[1]!, /^DEVICE {2}LINK +FOR +CONNECTS/);
  assertEquals(lines.slice(2).map((line) => line.split(/ +/).slice(0, 4).join(" ")), [
    "c down 1 min",
    "a up 1 min",
    "b up 1 min",
  ]);
});

Deno.test("a sleeping device does not count as down, and is listed with the connected ones", () => {
  const asleep = { ...view("a", false), asleepUntil: new Date(NOW + 1000).toISOString() };
  const lines = picture(ordered([asleep, view("b", false), view("c")]), NOW, WIDE, PLAIN);
  assertEquals(lines[0]!.split(", inbox")[0], "3 devices, 1 up, 1 asleep, 1 down");
  assertEquals(lines.slice(2).map((line) => line.split(/ +/).slice(0, 2).join(" ")), [
    "b down",
    "a asleep",
    "c up",
  ]);
});

Deno.test("the output never exceeds the terminal, and the last row can be reached", () => {
  const views = ordered(
    Array.from({ length: 30 }, (_, n) => view(`device ${String(n).padStart(2, "0")}`)),
  );
  for (const columns of [0, 1, 10, 40, 80]) {
    for (const rows of [0, 1, 3, 4, 10]) {
      for (const above of [0, 5, 29, Infinity]) {
        const lines = picture(views, NOW, { columns, rows }, { above, colors: false });
        assert(lines.length <= Math.max(2, rows - 1), `${lines.length} of ${rows}`);
        for (const line of lines) assert([...line].length <= columns, `${columns}: ${line}`);
      }
    }
  }
  const room = { columns: 80, rows: 10 };
  const last = picture(views, NOW, room, { above: Infinity, colors: false }).at(-1)!;
  assert(last.startsWith("device 29"));
  assertEquals(
    footer(30, room, { above: Infinity, colors: false }),
    "24-30 of 30; arrows move; q quits",
  );
  assertEquals(footer(3, room, PLAIN), "q quits");
});

Deno.test("an id cannot control the terminal, and a long one leaves room for the other columns", () => {
  const lines = picture(
    [view("\x1b[2J\nroot"), view("x".repeat(200)), view("ö".repeat(8))],
    NOW,
    WIDE,
    PLAIN,
  );
  for (const line of lines) {
    assert([...line].every((character) => character >= " "), line);
    assert([...line].length <= 120, line);
  }
  assertMatch(lines[3]!, /^x+… +up/);
  assertEquals(lines[2]!.indexOf(" up "), lines[4]!.indexOf(" up "));
  assertEquals(picture([], NOW, WIDE, PLAIN).length, 2);
});

Deno.test("on a narrow terminal, the columns of ids and links are the last to be dropped", () => {
  const views = [view("kitchen/lamp")];
  const names = (columns: number) => {
    return picture(views, NOW, { columns, rows: 20 }, PLAIN)[1]!.trim().split(/ +/).join(" ");
  };
  assertEquals(names(120).split(" ").length, 10);
  assertEquals(names(50), "DEVICE LINK FOR RECEIVED INBOX OUTBOX");
  assertEquals(names(22), "DEVICE LINK");
});

Deno.test("times are shown in a fitting unit", () => {
  const units = [[-5, "0 s"], [59_999, "59 s"], [60_000, "1 min"], [3_600_000, "1 h"], [
    172_800_000,
    "2 d",
  ]] as const;
  for (const [ms, text] of units) assertEquals(span(ms), text);
});

Deno.test("if servers share a store, a column shows the device's server when there is room", () => {
  const views = [
    { ...view("a"), server: "east:8123" },
    { ...view("b"), server: "we\u202est:1" },
    view("c"),
  ];
  const [, names, ...rows] = picture(views, NOW, WIDE, PLAIN);
  assert(names!.endsWith("SERVER"), names);
  assertEquals(rows.map((row) => row.split(/ +/).at(-1)), ["east:8123", "we\\u202est:1", "-"]);
  const narrow = picture(views, NOW, { columns: 60, rows: 20 }, PLAIN);
  assert(!narrow[1]!.includes("SERVER"), narrow[1]);
});
