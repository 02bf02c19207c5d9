/** The simulated disk: how long it explains that a server waits. */
import { assertEquals } from "@std/assert";
import { Disk } from "./disk.ts";

Deno.test("a commit that began when the store was slow explains waiting until its end, also if the store is faster by then", () => {
  const disk = new Disk();
  Object.assign(disk, { slowUntil: 1000, slowness: 600 });
  assertEquals(disk.beginSlowly(900), 600);
  Object.assign(disk, { slowUntil: 950, slowness: 10 });
  assertEquals(disk.troubleEnd, 1500);
  disk.beginSlowly(1500);
  assertEquals(disk.troubleEnd, 1510);
});
