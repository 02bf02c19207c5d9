import {
  alive, begun, CAN_SEND, fresh, get, hear, hex, lines, linked, lose, open, pass, piece, pump, say,
  SEND, STATE, step, TX_FIRST, TX_NEXT, UP,
} from "./harness";
import { room, write } from "../core";

describe("a message", () => {
  test("has id 00 first, then 01 to ff again and again", () => {
    linked();
    for (let n = 0; n < 600; n++) {
      const id = hex(n == 0 ? 0 : (n - 1) % 255 + 1);
      expect(say("text")).toBe(true);
      expect(pump()).toBe(id + "text\n");
      hear(id + "\n");
    }
    expect(get(TX_NEXT)).toBe(600);
    expect(get(TX_FIRST)).toBe(600);
  });

  test("with id 00 is sent alone: nothing follows it before its ack", () => {
    linked();
    say("a");
    say("b");
    say("c");
    expect(pump()).toBe("00a\n");
    expect(alive(2500)).toBe("00a\n");
    lose();
    pass(100);
    open();
    pump();
    hear("\n");
    expect(lines(pump())).toBe("00a\n");
    hear("00\n");
    expect(pump()).toBe("01b\n02c\n");
  });

  test("written before the link is up is sent when it is, in order", () => {
    begun();
    lose();
    expect(say("one")).toBe(true);
    expect(say("two")).toBe(true);
    expect(pass(100)).toBe("[connect]");
    expect(say("three")).toBe(true);
    open();
    expect(pump()).toBe("1\n");
    hear("\n");
    expect(lines(pump())).toBe("01one\n02two\n03three\n");
  });

  test("is done when its ack has come, not before", () => {
    linked();
    say("text");
    pump();
    expect(get(TX_NEXT)).toBe(1);
    expect(get(TX_FIRST)).toBe(0);
    hear("00\n");
    expect(get(TX_FIRST)).toBe(1);
  });

  test("of one byte, and of the longest text, can be written", () => {
    begun();
    expect(say("x")).toBe(true);
    expect(say("12345678901234567890")).toBe(true);
    expect(pump()).toBe("01x\n0212345678901234567890\n");
  });

  test("may contain any byte but the newline", () => {
    linked();
    expect(say("\r\0\t\x7fé😀")).toBe(true);
    expect(pump()).toBe("00\r\0\t\x7fé😀\n");
  });

  test("that starts with NUL is refused: that marks withdrawn messages", () => {
    linked();
    expect(say("\0")).toBe(false);
    expect(say("\0text", 0)).toBe(false);
    expect(get(TX_NEXT)).toBe(0);
    expect(pump()).toBe("");
  });

  test("with a newline anywhere is refused, and uses no id", () => {
    linked();
    expect(say("\nab")).toBe(false);
    expect(say("a\nb")).toBe(false);
    expect(say("ab\n")).toBe(false);
    expect(say("\n")).toBe(false);
    expect(say("\n", 0)).toBe(false);
    expect(get(TX_NEXT)).toBe(0);
    expect(pump()).toBe("");
    say("ab");
    expect(pump()).toBe("00ab\n");
  });

  test("that is empty or too long is refused", () => {
    linked();
    expect(room(0)).toBe(0);
    expect(room(21)).toBe(0);
    expect(room(-1)).toBe(0);
    expect(room(i32.MIN_VALUE)).toBe(0);
    expect(room(i32.MAX_VALUE)).toBe(0);
    expect(write(0, 1)).toBe(0);
    expect(write(21, 1)).toBe(0);
    expect(write(-1, 1)).toBe(0);
    expect(pump()).toBe("");
  });

  test("is not accepted just by asking for room for it", () => {
    linked();
    const at = room(10);
    expect(at).not.toBe(0);
    expect(room(10)).toBe(at);
    expect(pump()).toBe("");
    expect(get(TX_NEXT)).toBe(0);
  });
});

describe("a lost ack", () => {
  test("makes the message be sent again after the timeout", () => {
    linked();
    say("text");
    expect(pump()).toBe("00text\n");
    expect(alive(1900)).toBe("");
    expect(alive(600)).toBe("00text\n"); // checked when a keepalive is due
    expect(alive(1400)).toBe("");
    expect(alive(1100)).toBe("00text\n");
    hear("00\n");
    expect(alive(3000)).toBe("");
    expect(get(TX_FIRST)).toBe(1);
  });

  test("makes all messages without an ack be sent again, in order", () => {
    begun();
    say("a");
    say("b");
    say("c");
    pump();
    hear("02\n");
    expect(alive(2500)).toBe("01a\n03c\n");
  });

  test("counts as lost one timeout after the last ack", () => {
    begun();
    say("a");
    say("b");
    pump();
    expect(alive(1500)).toBe("");
    hear("01\n");
    expect(alive(1500)).toBe("");
    expect(alive(1000)).toBe("02b\n");
  });

  test("counts as lost one timeout after the sending, not after an earlier event", () => {
    linked();
    alive(5000);
    say("a");
    expect(pump()).toBe("00a\n");
    expect(alive(1900)).toBe("");
  });

  test("makes the message be sent first after a reconnection", () => {
    begun();
    say("a");
    say("b");
    expect(pump()).toBe("01a\n02b\n");
    lose();
    say("c");
    expect(pass(100)).toBe("[connect]");
    open();
    expect(pump()).toBe("1\n");
    hear("\n");
    expect(lines(pump())).toBe("01a\n02b\n03c\n");
    hear("01\n02\n03\n");
    expect(get(TX_FIRST)).toBe(4);
  });

  test("can happen on any number of connections in a row", () => {
    fresh();
    say("stubborn");
    for (let i = 0; i < 20; i++) {
      pass(500);
      open();
      expect(lines(pump())).toBe("1\n");
      hear("\n");
      expect(lines(pump())).toBe("00stubborn\n");
      lose();
    }
  });

  test("cut in the middle counts as lost", () => {
    linked();
    say("a");
    pump();
    hear("00");
    pump();
    lose();
    pass(100);
    open();
    pump();
    hear("\n");
    expect(lines(pump())).toBe("00a\n");
    expect(get(TX_FIRST)).toBe(0);
  });
});

describe("an ack", () => {
  test("may overtake others; messages are done in order", () => {
    begun();
    say("a");
    say("b");
    say("c");
    pump();
    hear("03\n");
    expect(get(TX_FIRST)).toBe(1);
    hear("01\n");
    expect(get(TX_FIRST)).toBe(2);
    hear("02\n");
    expect(get(TX_FIRST)).toBe(4);
  });

  test("that overtook others still counts on the next connection", () => {
    begun();
    say("a");
    say("b");
    say("c");
    pump();
    hear("02\n");
    lose();
    pass(100);
    open();
    pump();
    hear("\n");
    expect(lines(pump())).toBe("01a\n03c\n");
    hear("01\n");
    expect(get(TX_FIRST)).toBe(3);
  });

  test("that comes twice counts once", () => {
    begun();
    say("a");
    say("b");
    pump();
    hear("01\n01\n01\n");
    expect(get(TX_FIRST)).toBe(2);
  });

  test("for a message that was not sent on this connection does nothing", () => {
    fresh();
    say("a");
    pump();
    open();
    pump();
    hear("00\n");
    expect(lines(pump())).toBe("00a\n");
    expect(get(TX_FIRST)).toBe(0);
  });

  test("for an unused id does nothing", () => {
    linked();
    say("a");
    pump();
    hear("01\n7f\nff\n");
    expect(get(TX_FIRST)).toBe(0);
    expect(get(STATE)).toBe(UP);
  });

  test("may come while the socket is blocked", () => {
    begun();
    say("a");
    say("b");
    expect(step(CAN_SEND)).toBe(SEND);
    expect(piece()).toBe("01a\n");
    pump(0);
    hear("01\n02\n");
    expect(get(TX_FIRST)).toBe(2, "b was not sent yet");
    expect(pump()).toBe("02b\n");
  });
});
