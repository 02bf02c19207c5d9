import { assertEquals } from "@std/assert";
import { DuplicateRecord } from "./duplicates.ts";
import { Random } from "../../tests/support/random.ts";
import { nextId } from "../protocol/lines.ts";

/** A device whose messages may arrive more than once; says for each arrival whether it was new. */
class Arrivals {
  record = new DuplicateRecord();
  connection = 1;

  arrives(id: number, text: string): "new" | "repeat" {
    if (this.record.isRepeat(id, text, this.connection)) return "repeat";
    this.record.note(id, text, this.connection);
    return "new";
  }

  /** `count` messages that are new, from `id` on; gives the id after them. */
  more(count: number, id: number): number {
    for (let n = 0; n < count; n++, id = nextId(id)) {
      assertEquals(this.arrives(id, `another ${n}, ${id}`), "new");
    }
    return id;
  }
}

Deno.test("a message that comes again at once is a repeat", () => {
  const device = new Arrivals();
  assertEquals(device.arrives(5, "x"), "new");
  assertEquals(device.arrives(5, "x"), "repeat");
  assertEquals(device.arrives(5, "x"), "repeat");
});

Deno.test("the same text under another id is a new message", () => {
  const device = new Arrivals();
  assertEquals(device.arrives(5, "x"), "new");
  assertEquals(device.arrives(6, "x"), "new");
});

Deno.test("the first message after a boot whose ack was lost is a repeat on the next connection", () => {
  const device = new Arrivals();
  assertEquals(device.arrives(0, "first"), "new");
  device.connection++;
  assertEquals(device.arrives(0, "first"), "repeat");
});

Deno.test("the first message after a boot is a repeat on its own connection whatever came since", () => {
  const device = new Arrivals();
  assertEquals(device.arrives(0, "first"), "new");
  device.more(100, 1);
  assertEquals(device.arrives(0, "first"), "repeat");
});

Deno.test("a device that boots and says the same as the last time says something new", () => {
  const device = new Arrivals();
  assertEquals(device.arrives(0, "hello"), "new");
  assertEquals(device.arrives(1, "21.5"), "new");
  device.connection++;
  assertEquals(device.arrives(0, "hello"), "new");
  assertEquals(device.arrives(1, "21.5"), "new");
});

Deno.test("a device boots, its first message is lost, the next ones are new all the same", () => {
  const device = new Arrivals();
  device.arrives(0, "before");
  device.more(10, 1);
  device.connection++;
  for (let id = 1; id < 10; id++) assertEquals(device.arrives(id, `after the boot ${id}`), "new");
});

Deno.test("a repeat is recognised after two hundred newer messages", () => {
  const device = new Arrivals();
  assertEquals(device.arrives(7, "late"), "new");
  device.more(200, 8);
  assertEquals(device.arrives(7, "late"), "repeat");
});

Deno.test("when the ids have wrapped around, the same text under the same id is new", () => {
  const device = new Arrivals();
  for (let round = 0; round < 4; round++) {
    for (let id = 1; id < 256; id++) {
      assertEquals(device.arrives(id, "the same for ever"), "new", `round ${round}, id ${id}`);
    }
  }
});

Deno.test("messages in flight when a connection died are recognised as repeats on the next one", () => {
  const device = new Arrivals();
  device.more(300, 0);
  const texts = Array.from({ length: 60 }, (_, n) => `in flight ${n}`);
  texts.forEach((text, n) => assertEquals(device.arrives(100 + n, text), "new"));
  device.connection++;
  texts.forEach((text, n) => assertEquals(device.arrives(100 + n, text), "repeat"));
});

Deno.test("a boot forgets what the ids carried before it", () => {
  const device = new Arrivals();
  device.more(3, 0);
  device.connection++;
  assertEquals(device.arrives(0, "booted"), "new");
  assertEquals(device.arrives(1, "another 1, 1"), "new");
});

Deno.test("texts that differ only a little are distinguished", () => {
  const device = new Arrivals();
  const texts = [
    "",
    "0",
    "00",
    "a",
    "b",
    "ab",
    "ba",
    "\0",
    "\0\0",
    "21.5",
    "21.6",
    "12.5",
    "é",
    "e\u0301",
  ];
  for (const text of texts) assertEquals(device.arrives(9, text), "new", JSON.stringify(text));
});

Deno.test("a repeat is recognised behind 222 newer messages, but not behind 223: ids wrap around after 255", () => {
  for (const [newer, what] of [[222, "repeat"], [223, "new"]] as const) {
    const device = new Arrivals();
    assertEquals(device.arrives(7, "late"), "new");
    device.more(newer, 8);
    assertEquals(device.arrives(7, "late"), what);
  }
});

Deno.test("messages that never came count as newer ones, too", () => {
  const device = new Arrivals();
  for (const id of [5, 100, 200, 40]) assertEquals(device.arrives(id, "x"), "new");
  assertEquals(device.arrives(5, "x"), "new");
});

Deno.test("a message that others have overtaken is not a newer one", () => {
  const device = new Arrivals();
  for (const id of [10, 12, 11]) assertEquals(device.arrives(id, "x"), "new");
  for (const id of [10, 12, 11]) assertEquals(device.arrives(id, "x"), "repeat");
});

Deno.test("the first message after a boot may be overtaken on its own connection", () => {
  const device = new Arrivals();
  device.more(3, 0);
  device.connection++;
  for (const id of [1, 2, 0]) assertEquals(device.arrives(id, "booted"), "new");
  for (const id of [1, 2, 0]) assertEquals(device.arrives(id, "booted"), "repeat");
});

Deno.test("a record that is restored in any order continues as the original does", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new Random(seed);
    const device = new Arrivals();
    const again = new Arrivals();
    const run = (count: number, both: Arrivals[]) => {
      for (let n = 0; n < count; n++) {
        if (random.once(150)) { for (const one of both) one.connection++; }
        // The next id, or one near it.
        const id = random.once(1000) ? 0 : (next + random.int(250, 258)) % 255 + 1;
        next = random.once(5) ? next : nextId(next);
        const text = random.pick(["a", "b", "c", "d"]);
        const [one, other = one] = both.map((it) => it.arrives(id, text));
        assertEquals(other, one, `seed ${seed}: ${id} ${text}`);
      }
    };
    let next = 1;
    run(random.int(0, 900), [device]);
    const ids = Array.from({ length: 256 }, (_, id) => id);
    for (const id of random.once(2) ? ids : ids.reverse()) {
      const noted = device.record.noted(id);
      if (noted) again.record.restore(id, noted);
    }
    again.connection = device.connection;
    run(300, [device, again]);
  }
});

Deno.test("an overtaken message does not become the newest one when a record is restored, in either order", () => {
  for (const order of [[7, 8, 9], [9, 8, 7]]) {
    const device = new Arrivals();
    for (const id of [7, 9, 8]) assertEquals(device.arrives(id, "late"), "new");
    const again = new Arrivals();
    for (const id of order) again.record.restore(id, device.record.noted(id)!);
    again.more(220, 10);
    assertEquals(again.arrives(7, "late"), "repeat", "behind 222 newer ones");
  }
});
