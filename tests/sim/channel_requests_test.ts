/** The books of requests, in rare orders of events. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { parseMarked } from "../../server/protocol/channel_lines.ts";
import { Books } from "./books.ts";
import { RequestBooks } from "./channel_requests.ts";

/** A published request that the device has seen; its answer is not processed yet. */
function asked() {
  const books = new Books("A", false, 3, () => 0);
  const requests = new RequestBooks({ id: "A", books, count: () => 1 });
  requests.begins(1000).isPublished = true;
  const line = "?adc.5000000000 1";
  const marked = parseMarked(line);
  if (marked?.mark !== "ask") throw new Error(line);
  requests.written(marked, line);
  books.serverWrites(line, { qos: true, waits: true, expires: 1000 });
  books.written(line);
  books.seenByDevice(line, 2);
  const answerIsLate = () => {
    requests.processed("5000000000");
    requests.late("5000000000");
  };
  return { books, line, answerIsLate };
}

Deno.test("the first answer to a published request is never late before its deadline", () => {
  const { books, line, answerIsLate } = asked();
  books.settled(line);
  assertThrows(answerIsLate, Violation, "is answered late, and waits");
});

Deno.test("the answer to a published request may be late after an operator had the request dropped", () => {
  const { books, line, answerIsLate } = asked();
  books.dropped.orders.add({});
  books.settled(line);
  books.dropped.orders.clear();
  answerIsLate();
});
