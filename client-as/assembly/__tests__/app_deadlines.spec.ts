import { expired, sendWithin } from "../deadlines";
import { begin, text } from "../text";
import { again, boot, defaults, defaults2, get, hear, pump, set, TX_FIRST, up, WINDOW } from "./harness";

// In specs the board's clock advances by 1 ms whenever it is read: with each of these calls.

function send(literal: string, ms: i32): bool {
  begin(20);
  text(literal);
  return sendWithin(ms);
}

/** Boots a core, without deadlines left from the test before. */
function start(): void {
  defaults2();
  set(WINDOW, 64);
  boot();
  set(TX_FIRST, 1000);
  expired();
  set(TX_FIRST, 0);
}

describe("a line with a deadline", () => {
  test("expires at the deadline, and not before", () => {
    start();
    expect(send("a", 4)).toBe(true);
    expect(send("b", 100)).toBe(true);
    expect(expired()).toBe(0);
    expect(expired()).toBe(0);
    expect(expired()).toBe(1);
    expect(expired()).toBe(0);
    expect(again(0)).toBe("\n00\0\n01b\n");
  });

  test("does not expire if it has arrived", () => {
    start();
    again(0);
    send("a", 1);
    expect(pump()).toBe("00a\n");
    expect(expired()).toBe(0);
    hear("00\n");
    expect(expired()).toBe(0);
  });

  test("expires on the next link if it was on its way when the link was lost and did not arrive", () => {
    start();
    again(0);
    send("a", 1);
    send("b", 1);
    pump();
    expect(expired()).toBe(0);
    expect(again(1)).toBe("\n");
    expect(get(TX_FIRST)).toBe(1);
    expect(expired()).toBe(0);
    hear("\n");
    expect(expired()).toBe(1);
    expect(pump()).toBe("01\0\n");
  });

  test("is refused without a time, or if eight others wait, and those still expire", () => {
    start();
    expect(send("a", 0)).toBe(false);
    expect(send("a", -1)).toBe(false);
    expect(send("", 100)).toBe(false);
    for (let n = 0; n < 8; n++) expect(send("a", n & 1 ? 1 : 1000)).toBe(true);
    expect(send("a", 1)).toBe(false);
    expect(expired()).toBe(4);
    expect(send("b", 1)).toBe(true);
    expect(expired()).toBe(1);
    expect(again(0)).toBe("\n00a\n01\0\n02a\n03\0\n04a\n05\0\n06a\n07\0\n08\0\n");
  });

  test("counts as expired in dialect 1 if nobody can know whether it arrived", () => {
    start();
    defaults();
    boot();
    up();
    send("first", 1);
    pump();
    expect(expired()).toBe(0);
    hear("00\n");
    send("a", 1);
    expect(pump()).toBe("01a\n");
    expect(expired()).toBe(1);
    expect(get(TX_FIRST)).toBe(2);
  });
});
