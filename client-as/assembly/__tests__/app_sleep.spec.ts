import { expired, sendWithin } from "../deadlines";
import { sleep } from "../sleep";
import { begin, QOS, send, text } from "../text";
import { boot, defaults2, set, TX_FIRST, WINDOW } from "./harness";

// The board of a spec sleeps whenever it is asked to, for more than 0 ms.

/** Boots a core, and has nothing with a deadline waiting from the test before. */
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
  test("is asked of the board, with what waits", () => {
    start();
    begin(1);
    text("a");
    send(QOS);
    expect(sleep(1000)).toBe(true);
    expect(sleep(0)).toBe(false);
  });

  test("waits until what has a deadline is decided: nobody would withdraw it", () => {
    start();
    expect(within(5)).toBe(true);
    expect(sleep(1000)).toBe(false);
    while (!expired()) {}
    expect(sleep(1000)).toBe(true);
  });

  test("leaves no time for further deadlines, until it is taken back", () => {
    start();
    expect(sleep(1000)).toBe(true);
    expect(within(1000)).toBe(false);
    sleep(0);
    expect(within(1000)).toBe(true);
  });
});
