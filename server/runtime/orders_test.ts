/** Orders as mail. */
import { assertEquals, assertThrows } from "@std/assert";
import { newState } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import { Ledger } from "../store/ledger.ts";
import { checkOrder, isFinal, type Order, OrderTransfer, parseOrder, Posting } from "./orders.ts";

Deno.test("an order is read back as it was posted, and anything else is undefined", () => {
  const orders: Order[] = [
    { write: "x\0", options: { wait: false, expires: 5 }, answers: true, asks: "5000000001" },
    { set: "led", value: { on: true }, options: { by: "somebody" } },
  ];
  for (const order of orders) {
    const { post } = new Posting("a", order, 3);
    assertEquals([post.device, post.number, parseOrder(post.text)], ["a", 3, order]);
  }
  const wrong = ["", "x", "null", "[]", "7", '{"write":"x"}', '{"write":7,"options":{}}'];
  for (const text of [...wrong, '{"options":{}}', '{"write":"x","options":null}']) {
    assertEquals([text, parseOrder(text)], [text, undefined]);
  }
});

Deno.test("an impossible order is refused before it is posted", () => {
  const wrong: [Order, string][] = [
    [{ write: "", options: {} }, "BAD_TEXT"],
    [{ write: "12345678", options: {} }, "BAD_TEXT"],
    [{ write: "x", options: { expires: 0 } }, "BAD_ARGUMENT"],
    [{ write: "x", options: { qos: false, expires: 5 } }, "BAD_ARGUMENT"],
    [{ set: "LED", value: 1, options: {} }, "BAD_ARGUMENT"],
    [{ set: "led", value: () => {}, options: {} }, "BAD_ARGUMENT"],
  ];
  for (const [order, code] of wrong) {
    assertEquals(assertThrows(() => checkOrder(order, 7), LocalError).code, code);
  }
  checkOrder({ write: "1234567", options: { expires: 5 } }, 7);
});

Deno.test("an order is carried out, deleted and answered together, and undone together", () => {
  const ledger = new Ledger("a", { state: newState(), token: 1 }, new Set());
  const did: string[] = [];
  const operation = {
    device: { id: "a", isForgotten: false, closed: undefined },
    apply: () => void did.push("does"),
    undo: () => void did.push("undoes"),
    done: () => void did.push("done"),
  };
  const over: unknown[] = [];
  const taken = {
    number: 5,
    what: operation,
    to: "7 1",
    isDone: true,
    check() {},
    applied() {},
    over: (error: unknown) => void over.push(error),
    failed() {},
  };
  const transfer = new OrderTransfer(ledger, taken);
  assertEquals([transfer.changes("a"), transfer.changes("b")], [true, false]);
  transfer.apply();
  assertEquals(ledger.mail, { taken: [5], replies: [{ to: "7 1", text: "{}" }] });
  transfer.undo();
  assertEquals([ledger.differs, did], [false, ["does", "undoes"]]);
  const why = new LocalError("BAD_ARGUMENT", "no");
  const never = new OrderTransfer(ledger, { ...taken, what: why, isDone: false });
  never.apply();
  const text = JSON.stringify({ code: "BAD_ARGUMENT", message: "no" });
  assertEquals(ledger.mail, { taken: [5], replies: [{ to: "7 1", text }] });
  never.done();
  assertEquals(over, [why]);
  never.undo();
  ledger.remove();
  assertEquals(isFinal(assertThrows(() => transfer.apply())), false, "deleted with the device");
});
