/** The books of transactions, when a device is forgotten. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { Transfers } from "./transfers.ts";

/** A transaction. By default it has an effect, and messages to A and B. */
function writing(parts = ["effect", "A\0a", "B\0b"]) {
  const transfers = new Transfers();
  const transfer = transfers.begin("the transaction");
  for (const part of parts) transfer.add(part);
  const becomesSafe = (...parts: string[]) => {
    for (const part of parts) transfers.safe(part);
    transfers.committed();
    transfer.told();
  };
  const forgetsB = () => transfers.forgiveAll("B", [{ text: "b", safe: false }]);
  return { transfers, becomesSafe, forgetsB };
}

Deno.test("a transaction may lack the message to a device that is forgotten in the same commit, but no other", () => {
  const { becomesSafe, forgetsB } = writing();
  forgetsB();
  becomesSafe("effect", "A\0a");
  const other = writing();
  other.forgetsB();
  assertThrows(() => other.becomesSafe("effect"), Violation, "but not its A\0a");
});

Deno.test("nothing is seen of a transaction that only writes to a device forgotten in the same commit", () => {
  const { becomesSafe, forgetsB } = writing(["B\0b"]);
  forgetsB();
  becomesSafe();
});

Deno.test("a transaction that becomes safe after a device was forgotten must contain its message, too", () => {
  const back = writing();
  back.forgetsB();
  back.transfers.committed();
  back.becomesSafe("effect", "A\0a", "B\0b");
  const { transfers, becomesSafe, forgetsB } = writing();
  forgetsB();
  transfers.committed();
  assertThrows(() => becomesSafe("effect", "A\0a"), Violation, "but not its B\0b");
});
