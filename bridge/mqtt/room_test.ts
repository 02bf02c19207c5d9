import { assertEquals } from "@std/assert";
import { Room } from "./room.ts";

/** Room for three rows or 100 bytes; `has` is what the store has. */
function begin(window = () => 0) {
  const has = { rows: 0, bytes: 0 };
  const told: boolean[] = [];
  let counts = 0;
  const count = () => {
    counts++;
    return Promise.resolve({ ...has });
  };
  const tell = (isFull: boolean) => void told.push(isFull);
  const room = new Room({ rows: 3, bytes: 100 }, count, tell, window);
  return { room, has, told, counts: () => counts };
}

/** Whether it has taken the room by now. */
async function takes(taking: Promise<unknown>): Promise<boolean> {
  let isDone = false;
  taking.then(() => isDone = true, () => {});
  await new Promise((resolve) => setImmediate(resolve));
  return isDone;
}

Deno.test("when the room seems full, the store is asked how much there really is", async () => {
  const { room, has, told, counts } = begin();
  for (let i = 0; i < 9; i++) { // the same state again and again: one row
    await room.take(10);
    Object.assign(has, { rows: 1, bytes: 10 });
  }
  assertEquals([told, counts()], [[], 3]);
});

Deno.test("a writer that finds no room waits until a row is done", async () => {
  const { room, has, told } = begin();
  for (let i = 0; i < 3; i++) await room.take(1);
  Object.assign(has, { rows: 3, bytes: 3 });
  const waiting = room.take(1);
  assertEquals([await takes(waiting), told], [false, [true]]);
  has.rows = 2;
  room.free(1);
  assertEquals([await takes(waiting), told], [true, [true, false]]);
});

Deno.test("bytes are limited, too, and a row larger than the limit goes alone", async () => {
  const { room, has } = begin();
  await room.take(500);
  Object.assign(has, { rows: 1, bytes: 500 });
  const next = room.take(1);
  assertEquals(await takes(next), false);
  Object.assign(has, { rows: 0, bytes: 0 });
  room.free(500);
  await next;
});

Deno.test("a newer value of a state that waits needs no room, unless it may be on its way", async () => {
  const { room, has, told } = begin();
  for (const state of ["a", "b", "c"]) await room.take(10, state);
  Object.assign(has, { rows: 3, bytes: 30 });
  await room.take(20, "b");
  assertEquals([room.amount, told], [{ rows: 3, bytes: 40 }, []]);
  room.moves();
  assertEquals([await takes(room.take(10, "b")), told], [false, [true]]);
  room.settle({ rows: 1, bytes: 10 });
  await takes(Promise.resolve());
  assertEquals([room.amount, told], [{ rows: 2, bytes: 20 }, [true, false]]);
  room.free(100, 9);
  assertEquals(room.amount, { rows: 0, bytes: 0 });
});

Deno.test("no writer waits for room taken by a transaction: if it fails, no row will free it", async () => {
  const { room } = begin();
  for (let i = 0; i < 3; i++) await room.take(1);
  const all = Array.from({ length: 5 }, () => room.take(1)); // one count is for all of them
  for (const taking of all) assertEquals(await takes(taking), true);
});

Deno.test("a state that does not wait for the broker takes no room from others, and loses none to them", async () => {
  let window = 2;
  const { room } = begin(() => window);
  assertEquals([await room.take(10, "a"), room.add(10, "a")], [2, 2]);
  window = 0;
  assertEquals([room.add(20, "a"), room.add(30, "a")], [0, 0]);
  assertEquals(room.amount, { rows: 3, bytes: 50 });
  window = 1;
  room.add(1, "a");
  assertEquals(room.amount, { rows: 4, bytes: 51 });
});
