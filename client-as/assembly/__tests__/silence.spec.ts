import {
  boot, CAN_RECEIVE, CAN_SEND, CLOSE, defaults, fresh, get, GREETING, hear, hearSome, later,
  linked, MESSAGE, NONE, open, pass, piece, pump, REASON, RX_ROOM, say, SEND, set, STATE, step,
  TIMEOUT, up, UP, WAIT,
} from "./harness";
import { take } from "../core";

describe("keepalives", () => {
  test("are sent every quarter of the timeout while nothing else is", () => {
    linked();
    expect(pass(499)).toBe("");
    expect(pass(1)).toBe("\n");
    expect(pass(499)).toBe("");
    expect(pass(1)).toBe("\n");
  });

  test("go on for ever on an idle link", () => {
    linked();
    for (let i = 0; i < 1000; i++) {
      expect(pass(500)).toBe("\n");
      hear("\n");
    }
    expect(get(STATE)).toBe(UP);
  });

  test("are put off by anything else that is sent", () => {
    linked();
    expect(pass(400)).toBe("");
    say("message");
    expect(pump()).toBe("00message\n");
    expect(pass(499)).toBe("");
    hear("01text\n");
    expect(pump()).toBe("[text]01\n", "an ack");
    expect(pass(499)).toBe("");
    expect(pass(1)).toBe("\n");
  });

  test("are sent once, not many times, after the socket was blocked", () => {
    linked();
    expect(pass(1900, CAN_RECEIVE)).toBe("");
    expect(pump()).toBe("\n");
  });

  test("are sent at a quarter of any timeout", () => {
    for (let timeout = 100; timeout <= 1000000; timeout *= 10) {
      defaults();
      set(TIMEOUT, timeout);
      boot();
      up();
      expect(pass(timeout / 4 - 1)).toBe("");
      expect(pass(1)).toBe("\n");
    }
  });
});

describe("silence", () => {
  test("ends the connection after the timeout, not before", () => {
    linked();
    pass(1999);
    expect(get(STATE)).toBe(UP);
    later(1);
    expect(step()).toBe(CLOSE);
    expect(get(REASON)).toBe(4);
  });

  test("is broken by a keepalive", () => {
    linked();
    pass(1999);
    hear("\n");
    pass(1999);
    expect(get(STATE)).toBe(UP);
    pass(1);
    expect(get(STATE)).not.toBe(UP);
  });

  test("is broken by a single byte of a line", () => {
    linked();
    pass(1999);
    hear("0");
    pass(1999);
    expect(get(STATE)).toBe(UP);
  });

  test("is not broken by what we send", () => {
    linked();
    for (let i = 0; i < 19; i++) {
      say("x", 0);
      pass(100);
    }
    later(100);
    expect(step()).toBe(CLOSE);
  });

  test("is noticed even if late", () => {
    linked();
    later(100000);
    expect(step()).toBe(CLOSE);
    expect(get(REASON)).toBe(4);
  });

  test("does not withhold messages that came before it from the application", () => {
    linked();
    hear("01last words\n");
    pump(CAN_SEND);
    later(2000);
    expect(pump()).toBe("[last words][close SILENT][connect]");
  });

  test("means nothing while the inbox is full", () => {
    linked();
    let rest = "01aaaaaaaaaaaaaaaaaaaa\n02bbbbbbbbbbbbbbbbbbbb\n03cccccccccccccccccccc\n";
    rest = hearSome(rest);
    pump(CAN_SEND);
    rest = hearSome(rest);
    pump(CAN_SEND);
    expect(get(RX_ROOM)).toBe(0);
    pass(10000, CAN_SEND);
    expect(get(STATE)).toBe(UP);
    pump();
    expect(get(RX_ROOM)).toBeGreaterThan(0);
    pass(1999);
    expect(get(STATE)).toBe(UP);
    expect(pass(1)).toBe("[close SILENT][connect]");
  });

  test("does not stop keepalives while the inbox is full", () => {
    linked();
    hearSome(hearSome("01aaaaaaaaaaaaaaaaaaaa\n02bbbbbbbbbbbbbbbbbbbb\n03cccccccccccccc"));
    expect(get(RX_ROOM)).toBe(0);
    expect(pass(2000, CAN_SEND)).toBe("\n\n\n\n");
  });
});

describe("a socket that takes nothing", () => {
  test("ends the connection after the timeout", () => {
    linked();
    say("stuck");
    pass(1000, CAN_RECEIVE);
    hear("\n");
    pass(999, CAN_RECEIVE);
    expect(get(STATE)).toBe(UP);
    expect(pass(1, CAN_RECEIVE)).toBe("[close STALLED][connect]");
  });

  test("is forgiven when it takes something in time", () => {
    linked();
    say("stuck");
    pass(1000, CAN_RECEIVE);
    hear("\n");
    pass(999, CAN_RECEIVE);
    expect(pump()).toBe("\n00stuck\n");
    hear("\n");
    pass(1500, CAN_RECEIVE);
    expect(get(STATE)).toBe(UP);
  });

  test("is noticed before the greeting, too", () => {
    fresh();
    pump();
    open();
    expect(pass(1999, 0)).toBe("");
    expect(get(STATE)).toBe(GREETING);
    later(1);
    expect(step(0)).toBe(CLOSE);
    expect(get(REASON)).toBe(5);
  });

  test("is noticed even if the other end is heard", () => {
    linked();
    for (let i = 0; i < 19; i++) {
      expect(pass(100, CAN_RECEIVE)).toBe("");
      hear("\n");
    }
    later(100);
    expect(step(CAN_RECEIVE)).toBe(CLOSE);
    expect(get(REASON)).toBe(5);
  });

  test("does not stop messages from coming in", () => {
    linked();
    hear("01in\n");
    expect(step(CAN_RECEIVE)).toBe(MESSAGE);
    expect(piece()).toBe("in");
    take();
    expect(step(CAN_RECEIVE)).toBe(NONE);
    expect(step()).toBe(SEND);
    expect(piece()).toBe("01\n");
  });
});

describe("the wait until the next poll", () => {
  test("ends at the next keepalive", () => {
    linked();
    expect(get(WAIT)).toBe(500);
    later(123);
    pump();
    expect(get(WAIT)).toBe(377);
  });

  test("ends when the silence is too long, if that is sooner", () => {
    linked();
    pass(1900);
    expect(get(WAIT)).toBe(100);
  });

  test("ends when the attempt to connect is given up", () => {
    fresh();
    pump();
    expect(get(WAIT)).toBe(750);
  });
});
