import { assertEquals } from "@std/assert";
import { format, isFaultless, toTable } from "./table.ts";

const fine = { sent: 1234, received: 1234, duplicates: 0, lost: 0, outOfOrder: 0 };

Deno.test("a table adds up both directions and all devices", () => {
  const { devices, total } = toTable([
    { id: "a", toServer: fine, toDevice: fine, outages: 3, longestRecovery: 1204 },
    {
      id: "b",
      toServer: { sent: 9, received: 9, duplicates: 1, lost: 1, outOfOrder: 2 },
      toDevice: { sent: 2, received: 1, duplicates: 0, lost: 1, outOfOrder: 0 },
      outages: 0,
      longestRecovery: undefined,
    },
  ]);
  assertEquals(devices.map((row) => [row.sent, row.longestRecovery]), [[2468, 1204], [11, null]]);
  assertEquals(devices.map(isFaultless), [true, false]);
  const { sent, received, duplicates, lost, outOfOrder, outages, longestRecovery } = total;
  assertEquals([sent, received, duplicates, lost, outOfOrder], [2479, 2478, 1, 2, 2]);
  assertEquals([outages, longestRecovery], [3, 1204]);
  assertEquals(format({ devices, total }), [
    "        to the server   to the device   dupli-        out of            longest",
    "device   sent received   sent received   cates  lost   order  outages  recovery",
    "a        1234     1234   1234     1234       0     0       0        3   1204 ms",
    "b           9        9      2        1       1     2       2        0         -",
    "total    1243     1243   1236     1235       1     2       2        3   1204 ms",
  ]);
});

Deno.test("without a recovery there is no time", () => {
  const conversations = [{ id: "a", toServer: fine, toDevice: fine, outages: 0 }];
  const { total } = toTable(conversations.map((talk) => ({ ...talk, longestRecovery: undefined })));
  assertEquals(total.longestRecovery, null);
});
