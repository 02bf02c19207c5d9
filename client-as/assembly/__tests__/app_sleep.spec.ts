import { expired, sendWithin } from "../deadlines";
import { sleep } from "../sleep";
import { begin, QOS, send, text } from "../text";
import { boot, defaults2, set, TX_FIRST, WINDOW } from "./harness";

// In specs the board agrees to sleep whenever it is asked for more than 0 ms.

/** Boots a core, without deadlines left from the test before. */
function start(): void {
  sleep(0);
  defaults2();
  set(WINDOW, 64);
  boot();
  set(TX_FIRST, 1000);
  expired();
  set(TX_FIRST, 0);
}

function within(ms: i32): bool {
  begin(1);
  text("a");
  return sendWithin(ms);
}

describe("sleep", () => {
  test("is possible while messages wait", () => {
    start();
    begin(1);
    text("a");
    send(QOS);
    expect(sleep(1000)).toBe(true);
    expect(sleep(0)).toBe(false);
  });

  test("must wait for messages with a deadline: a sleeping board could not withdraw them", () => {
    start();
    expect(within(5)).toBe(true);
    expect(sleep(1000)).toBe(false);
    while (!expired()) {}
    expect(sleep(1000)).toBe(true);
  });

  test("refuses further deadlines, until it is cancelled", () => {
    start();
    expect(sleep(1000)).toBe(true);
    expect(within(1000)).toBe(false);
    sleep(0);
    expect(within(1000)).toBe(true);
  });
});
