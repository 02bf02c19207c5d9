/** The books of requests, in rare orders of events. */
import { assertEquals, assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { parseMarked } from "../../server/protocol/channel_lines.ts";
import { Books } from "./books.ts";
import { RequestBooks } from "./channel_requests.ts";

/** The books of a published request. */
function published() {
  const books = new Books("A", false, 3, () => 0);
  const requests = new RequestBooks({ id: "A", books, count: () => 1 });
  const request = requests.begins(1000);
  request.isPublished = true;
  const writes = (line: string) => {
    const marked = parseMarked(line);
    if (marked?.mark !== "ask") throw new Error(line);
    requests.written(marked, line);
  };
  return { books, requests, request, writes };
}

/** A published request that the device has seen; its answer is not processed yet. */
function asked() {
  const { books, requests, writes } = published();
  const line = "?adc.5000000000 1";
  writes(line);
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

Deno.test("a device sees each message of a request that is written twice, as the broker has sent it again", () => {
  const { requests, request, writes } = published();
  writes("?adc.5000000000 1");
  assertThrows(() => writes("?adc.5000000001 1"), Violation, "is asked a second time");
  request.mayRepeat = true;
  writes("?adc.5000000001 1"); // the first one may still wait for the device
  for (const tag of ["5000000000", "5000000001"]) {
    assertEquals(requests.seen("adc", tag, 1), request);
  }
});

Deno.test("a device sees no request with another value or tag than was written", () => {
  const { requests, writes } = published();
  writes("?adc.5000000000 1");
  for (const [tag, value] of [["5000000001", 1], ["5000000000", 2]] as const) {
    assertThrows(() => requests.seen("adc", tag, value), Violation, "nobody has asked");
  }
});
