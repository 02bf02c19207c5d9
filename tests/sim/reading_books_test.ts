/** The books of readings: how late the server may believe that they were taken. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { ReadingBooks } from "./reading_books.ts";

/** A device at whose start the server's clock is 0. */
function reporting() {
  const clock = { now: 0 };
  const books = new ReadingBooks("A");
  const world = { clock, server: { isDateSet: false } };
  const device = { ms: 0, dialect: 2, boot: 0, isDateSet: false, world } as const;
  /** It takes a reading. @returns a function that gives it to the server's application, with a time */
  const takes = (line: string) => {
    const { now } = clock;
    books.says(line, device);
    return (late: number) => {
      clock.now = now + 10_000;
      const at = new Date(now + late);
      books.told(line, { at, isStamped: true }, clock.now, device);
    };
  };
  return { books, takes };
}

Deno.test("a reading may seem newer by as long as the greeting of its link took, and no more", () => {
  const { books, takes } = reporting();
  const waiting = takes("=temp@1 1");
  books.linkUp(3600); // its clock was set back, so it waited for longer than the timeout
  const onLink = takes("=temp@2 2");
  for (const isTold of [waiting, onLink]) {
    isTold(3600);
    assertThrows(() => isTold(3603), Violation, "was taken 3603 ms after it was");
  }
});

Deno.test("a reading is dated by the hello of its link or a later one, not by an earlier one", () => {
  const { books, takes } = reporting();
  books.linkUp(3600);
  const ofTheFirst = takes("=temp@1 1");
  books.linkUp(50);
  const ofTheSecond = takes("=temp@2 2");
  ofTheFirst(3600);
  ofTheSecond(50);
  assertThrows(() => ofTheSecond(53), Violation, "was taken 53 ms after it was");
});
