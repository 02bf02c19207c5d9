import { assertEquals } from "@std/assert";
import type { LinkTime } from "../history.ts";
import { merged, outagesIn, type Range, rangeFor, RANGES, spansOf } from "./lanes.ts";

const RANGE: Range = { from: 1000, to: 2000 };
const ALWAYS: LinkTime[] = [{ from: 0 }];

/** The spans as text: `up 1000-1500`. */
function lane(links: LinkTime[], served = ALWAYS, range = RANGE): string {
  return spansOf(links, served, range).map(({ state, from, to }) => `${state} ${from}-${to}`)
    .join(" ");
}

Deno.test("a device that never connected has an empty lane", () => {
  assertEquals(lane([]), "");
  assertEquals(lane([{ from: 1500 }]), "up 1500-2000", "nobody knows what was before");
});

Deno.test("the time between two links is an outage", () => {
  const links = [{ from: 500, to: 1200, code: "SILENT" }, { from: 1300 }];
  assertEquals(lane(links), "up 1000-1200 away 1200-1300 up 1300-2000");
  assertEquals(outagesIn(spansOf(links, ALWAYS, RANGE)), { count: 1, ms: 100 });
});

Deno.test("the time after a link that ended with a sleep is not an outage", () => {
  const links = [{ from: 500, to: 1200, code: "ASLEEP" }, { from: 1300, to: 1400, code: "ASLEEP" }];
  assertEquals(
    lane(links),
    "up 1000-1200 asleep 1200-1300 up 1300-1400 asleep 1400-2000",
  );
  assertEquals(outagesIn(spansOf(links, ALWAYS, RANGE)), { count: 0, ms: 0 });
});

Deno.test("links that end before the range or begin after it are left out", () => {
  assertEquals(lane([{ from: 0, to: 300 }, { from: 400, to: 900 }]), "away 1000-2000");
  assertEquals(lane([{ from: 0, to: 900 }, { from: 2100 }]), "away 1000-2000");
});

Deno.test("while the server does not run, the device is unseen", () => {
  const served = [{ from: 0, to: 1100 }, { from: 1400 }];
  const links = [{ from: 0, to: 1100, code: "CLOSED" }, { from: 1500 }];
  assertEquals(lane(links, served), "up 1000-1100 unseen 1100-1400 away 1400-1500 up 1500-2000");
  assertEquals(
    lane([{ from: 0, to: 1050 }], [{ from: 0, to: 1100 }]),
    "up 1000-1050 away 1050-1100 unseen 1100-2000",
  );
});

Deno.test("changed links replace their old versions, and new ones are added", () => {
  assertEquals(merged([], [{ from: 1 }]), [{ from: 1 }]);
  assertEquals(merged([{ from: 1, to: 2 }, { from: 3 }], []), [{ from: 1, to: 2 }, { from: 3 }]);
  assertEquals(merged([{ from: 1, to: 2 }, { from: 3 }], [{ from: 3, to: 4 }, { from: 5 }]), [
    { from: 1, to: 2 },
    { from: 3, to: 4 },
    { from: 5 },
  ]);
});

Deno.test("by default, the timeline fits the server's age, up to one hour", () => {
  const names = [0, 59_999, 60_001, 600_000, 600_001, 1e9].map((known) =>
    RANGES.find(([ms]) => ms === rangeFor(known))![1]
  );
  assertEquals(names, ["minute", "minute", "10 min", "10 min", "hour", "hour"]);
});
