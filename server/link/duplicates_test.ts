import { assertEquals } from "@std/assert";
import { DuplicateRecord } from "./duplicates.ts";
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

Deno.test("a repeat is known after two hundred newer messages", () => {
  const device = new Arrivals();
  assertEquals(device.arrives(7, "late"), "new");
  device.more(200, 8);
  assertEquals(device.arrives(7, "late"), "repeat");
});

Deno.test("when the ids have come round, the same text under the same id is new", () => {
  const device = new Arrivals();
  for (let round = 0; round < 4; round++) {
    for (let id = 1; id < 256; id++) {
      assertEquals(device.arrives(id, "the same for ever"), "new", `round ${round}, id ${id}`);
    }
  }
});

Deno.test("what was in flight when a connection died is known on the next one", () => {
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

Deno.test("texts that differ in little are told apart", () => {
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
