/** The books of a message that a host's application was busy with when its process ended. */
import { assertEquals, assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { Books } from "./books.ts";
import type { Manner } from "./promises.ts";

const FOREVER: Manner = { qos: true, waits: true };

/** A device of dialect 2, whose application can be busy with the server's messages. */
class Reader {
  now = 0;
  readonly books = new Books("A", false, 3, () => this.now);

  /** The server writes this to it, safely. */
  writes(text: string, manner = FOREVER): void {
    this.books.serverWrites(text, manner);
    this.books.written(text);
  }

  /** It gets a message, and is busy with it. */
  gets(text: string): void {
    this.books.inHand.message = this.books.toDevice.find(text);
    this.books.seenByDevice(text, 2);
  }

  /** The same, and its process ends. @param knows Whether its memory is kept */
  diesWith(text: string, knows = true): void {
    this.gets(text);
    this.books.toDevice.find(text)!.repeats = 1;
    this.books.deviceDied(knows);
  }

  /** The text of a message that has to come. */
  get missing(): string | undefined {
    return this.books.unfinished()?.text;
  }
}

Deno.test("a message that was unfinished when a host's process ended must come again, before newer ones", () => {
  const [reader, misled] = [new Reader(), new Reader()];
  for (const one of [reader, misled]) {
    for (const text of ["a", "b"]) one.writes(text);
    one.diesWith("a");
  }
  assertThrows(() => misled.gets("b"), Violation, '"b" came, and nobody was done with "a"');
  reader.gets("a");
  assertEquals(reader.missing, "b");
  reader.diesWith("b");
  assertThrows(() => reader.books.settle(), Violation, '"b" has not come again');
  reader.gets("b");
  assertEquals(reader.missing, undefined);
  reader.books.inHand.message = undefined;
  reader.books.deviceDied(true);
  assertEquals(reader.missing, undefined, "it was done with it");
});

Deno.test("an unfinished message need not come again without the memory, or from another store", () => {
  const forgetful = new Reader();
  forgetful.writes("a");
  forgetful.diesWith("a", false);
  assertEquals(forgetful.missing, undefined);
  for (const isReplacedFirst of [true, false]) {
    const reader = new Reader();
    reader.writes("a");
    const replace = () =>
      reader.books.serverDied({ madeAt: 0, before: undefined, found: undefined });
    if (!isReplacedFirst) reader.diesWith("a");
    else reader.gets("a");
    replace();
    if (isReplacedFirst) reader.books.deviceDied(true);
    assertEquals(reader.missing, undefined);
  }
});

Deno.test("what a memory holds may come again when the server has forgotten the device", () => {
  const reader = new Reader();
  reader.writes("a");
  reader.gets("a");
  Object.assign(reader.books.toDevice.find("a")!, { held: true, repeats: 1 });
  reader.books.forgotten();
  reader.books.admitted({});
  reader.books.deviceDied(true);
  reader.gets("a");
});

Deno.test("an unfinished message must come again at any time, or without qos, only if the memory holds it", () => {
  for (const isHeld of [true, false]) {
    const reader = new Reader();
    reader.writes("late", { ...FOREVER, expires: 10 });
    reader.writes("loose", { qos: false, waits: false });
    for (const text of ["late", "loose"]) {
      reader.gets(text);
      Object.assign(reader.books.toDevice.find(text)!, { held: isHeld, repeats: 1 });
      reader.books.deviceDied(true);
      reader.now += 10;
      assertEquals(reader.missing, isHeld ? text : undefined);
      if (isHeld) reader.gets(text);
    }
  }
});
