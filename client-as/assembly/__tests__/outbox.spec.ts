import {
  boot, CAN_SEND, defaults, TX_FIRST, fresh, get, hear, hex, intact, linked, lose, open, OUTBOX, pass,
  piece, pump, TX_NEXT, say, SEND, set, STATE, step, up, UP, WINDOW,
} from "./harness";
import { room, write } from "../core";

/** Keeps a link alive for a while. Returns what went out but keepalives. */
function alive(ms: i32): string {
  let log = "";
  for (let i = 0; i < ms / 100; i++) {
    log += pass(100);
    hear("\n");
  }
  return lines(log + pump());
}

/** A core whose first message is through: the one with id 00, which is like no other. */
function begun(): void {
  linked();
  say("first");
  pump();
  hear("00\n");
  pump();
}

/** A log without its keepalives. */
function lines(log: string): string {
  while (log.startsWith("\n")) log = log.substr(1);
  while (log.includes("\n\n")) log = log.replaceAll("\n\n", "\n");
  return log;
}

describe("a message", () => {
  test("carries 00 first, then 01 to ff again and again", () => {
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

  test("with id 00 goes alone: nothing follows it before its ack", () => {
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

  test("written before there is a link goes out when there is one, in order", () => {
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

  test("is done with its ack, not before", () => {
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

  test("may hold any byte but the newline", () => {
    linked();
    expect(say("\r\0\t\x7fé😀")).toBe(true);
    expect(pump()).toBe("00\r\0\t\x7fé😀\n");
  });

  test("that starts with NUL is refused: it would be one that was withdrawn", () => {
    linked();
    expect(say("\0")).toBe(false);
    expect(say("\0text", 0)).toBe(false);
    expect(get(TX_NEXT)).toBe(0);
    expect(pump()).toBe("");
  });

  test("with a newline anywhere is refused, and costs no id", () => {
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

  test("whose room was only asked for is none", () => {
    linked();
    const at = room(10);
    expect(at).not.toBe(0);
    expect(room(10)).toBe(at);
    expect(pump()).toBe("");
    expect(get(TX_NEXT)).toBe(0);
  });
});

describe("a lost ack", () => {
  test("makes the message go out again after the timeout", () => {
    linked();
    say("text");
    expect(pump()).toBe("00text\n");
    expect(alive(1900)).toBe("");
    expect(alive(600)).toBe("00text\n"); // looked at when a keepalive is due
    expect(alive(1400)).toBe("");
    expect(alive(1100)).toBe("00text\n");
    hear("00\n");
    expect(alive(3000)).toBe("");
    expect(get(TX_FIRST)).toBe(1);
  });

  test("makes all that lack one go out again, in order", () => {
    begun();
    say("a");
    say("b");
    say("c");
    pump();
    hear("02\n");
    expect(alive(2500)).toBe("01a\n03c\n");
  });

  test("is waited for from the last ack that came", () => {
    begun();
    say("a");
    say("b");
    pump();
    expect(alive(1500)).toBe("");
    hear("01\n");
    expect(alive(1500)).toBe("");
    expect(alive(1000)).toBe("02b\n");
  });

  test("is waited for from the sending, not from the time before", () => {
    linked();
    alive(5000);
    say("a");
    expect(pump()).toBe("00a\n");
    expect(alive(1900)).toBe("");
  });

  test("makes the message go out first after a reconnection", () => {
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

  test("can repeat over any number of connections", () => {
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

  test("that overtook is remembered by the next connection", () => {
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

  test("for what was not sent on this connection does nothing", () => {
    fresh();
    say("a");
    pump();
    open();
    pump();
    hear("00\n");
    expect(lines(pump())).toBe("00a\n");
    expect(get(TX_FIRST)).toBe(0);
  });

  test("for an id that nobody uses does nothing", () => {
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

describe("the outbox", () => {
  test("is full when the window is", () => {
    defaults();
    set(WINDOW, 3);
    boot();
    expect(say("a") && say("b") && say("c")).toBe(true);
    expect(room(1)).toBe(0);
    expect(say("d")).toBe(false);
    up(); // sends them: that alone makes no room
    expect(room(1)).toBe(0);
    hear("00\n");
    expect(say("d")).toBe(true);
    expect(say("e")).toBe(false);
  });

  test("keeps its place for a message whose older ones lack an ack", () => {
    defaults();
    set(WINDOW, 3);
    boot();
    up();
    say("first");
    pump();
    hear("00\n");
    say("a");
    say("b");
    say("c");
    pump();
    hear("02\n03\n");
    expect(room(1)).toBe(0);
    hear("01\n");
    expect(room(1)).not.toBe(0);
    expect(get(TX_FIRST)).toBe(4);
  });

  test("is full when its bytes are", () => {
    begun(); // 100 bytes: three messages of 20 + 7
    expect(say("aaaaaaaaaaaaaaaaaaaa")).toBe(true);
    expect(say("bbbbbbbbbbbbbbbbbbbb")).toBe(true);
    expect(say("cccccccccccccccccccc")).toBe(true);
    expect(room(20)).toBe(0);
    expect(room(13)).toBe(0);
    expect(room(12)).not.toBe(0); // 19 bytes are left
    expect(say("dddddddddddd")).toBe(true);
    expect(room(1)).toBe(0);
    expect(intact()).toBe(true);
    expect(pump()).toBe(
      "01aaaaaaaaaaaaaaaaaaaa\n02bbbbbbbbbbbbbbbbbbbb\n03cccccccccccccccccccc\n04dddddddddddd\n",
    );
  });

  test("moves to its front to make room, and keeps what it holds", () => {
    begun();
    say("aaaaaaaaaaaaaaaaaaaa");
    say("bbbbbbbbbbbbbbbbbbbb");
    expect(pump()).toBe("01aaaaaaaaaaaaaaaaaaaa\n02bbbbbbbbbbbbbbbbbbbb\n");
    say("cccccccccccccccccccc"); // not sent yet
    hear("01\n");
    expect(say("dddddddddddddddddddd")).toBe(true);
    expect(pump()).toBe("03cccccccccccccccccccc\n04dddddddddddddddddddd\n");
    hear("03\n");
    lose();
    up();
    expect(get(TX_FIRST)).toBe(2);
    expect(alive(2500)).toBe("02bbbbbbbbbbbbbbbbbbbb\n04dddddddddddddddddddd\n");
    hear("04\n02\n");
    expect(get(TX_FIRST)).toBe(5);
    expect(intact()).toBe(true);
  });

  test("of the smallest size carries one message after the other", () => {
    defaults();
    set(OUTBOX, 27);
    boot();
    up();
    for (let n = 0; n < 300; n++) {
      const id = hex(n == 0 ? 0 : (n - 1) % 255 + 1);
      expect(say("aaaaaaaaaaaaaaaaaaaa")).toBe(true);
      expect(say("b")).toBe(false);
      expect(pump()).toBe(id + "aaaaaaaaaaaaaaaaaaaa\n");
      hear(id + "\n");
    }
    expect(intact()).toBe(true);
  });

  test("holds 64 messages where the window allows it, and finds each one's ack", () => {
    defaults();
    set(WINDOW, 64);
    set(OUTBOX, 64 * 8);
    boot();
    up();
    say("first");
    pump();
    hear("00\n");
    for (let round = 0; round < 9; round++) {
      for (let n = 0; n < 64; n++) expect(say("x")).toBe(true);
      expect(say("x")).toBe(false);
      const log = pump();
      for (let at = log.length - 4; at >= 0; at -= 4) {
        hear(log.substr(at, 2) + "\n"); // the last one first
        pump();
      }
      expect(get(TX_FIRST)).toBe(1 + 64 * (round + 1));
    }
  });

  test("survives a connection lost at any time", () => {
    linked();
    for (let n = 0; n < 500; n++) {
      say("text " + n.toString());
      if (n % 3 == 0) lose();
      if (get(STATE) != UP) up(); // what it sends is lost
      say("late " + n.toString());
      const log = (n % 5 == 0 ? alive(2500) : "") + pass(n * 7 % 13);
      for (let id = 0; id < 256; id++) {
        if ((log.includes(hex(id) + "text") || log.includes(hex(id) + "late")) && id % 5 != n % 7) {
          hear(hex(id) + "\n");
          pump();
        }
      }
      expect(get(TX_NEXT) - get(TX_FIRST)).toBeLessThanOrEqual(8);
    }
    expect(intact()).toBe(true);
    expect(get(TX_FIRST)).toBeGreaterThan(100);
  });
});

describe("a message with qos off", () => {
  test("is refused without a link", () => {
    fresh();
    expect(say("a", 0)).toBe(false);
    pump();
    expect(say("a", 0)).toBe(false, "connecting");
    open();
    pump();
    expect(say("a", 0)).toBe(false, "not greeted");
    hear("\n");
    expect(say("a", 0)).toBe(true);
    lose();
    expect(say("a", 0)).toBe(false, "lost");
    expect(get(TX_NEXT)).toBe(1);
  });

  test("is done when it was sent, and never sent again", () => {
    linked();
    expect(say("a", 0)).toBe(true);
    expect(get(TX_FIRST)).toBe(0);
    expect(pump()).toBe("00a\n");
    expect(get(TX_FIRST)).toBe(1);
    expect(alive(5000)).toBe("");
    lose();
    up();
    expect(alive(5000)).toBe("");
  });

  test("that was not sent when the link was lost never is", () => {
    linked();
    say("a", 0);
    lose();
    expect(get(TX_FIRST)).toBe(1);
    up();
    expect(alive(3000)).toBe("");
    say("b");
    expect(pump()).toBe("01b\n", "its id is used up");
  });

  test("keeps its place among the others", () => {
    begun();
    say("a");
    say("b", 0);
    say("c");
    expect(pump()).toBe("01a\n02b\n03c\n");
    expect(get(TX_FIRST)).toBe(1);
    hear("01\n");
    expect(get(TX_FIRST)).toBe(3);
    lose();
    pass(100);
    open();
    pump();
    hear("\n");
    expect(lines(pump())).toBe("03c\n");
  });

  test("needs no ack, and one that comes does nothing", () => {
    begun();
    say("a", 0);
    say("b");
    pump();
    hear("01\n");
    expect(get(TX_FIRST)).toBe(2);
    hear("02\n");
    expect(get(TX_FIRST)).toBe(3);
  });

  test("is done when those before it are, though the socket was blocked between them", () => {
    begun();
    say("a");
    say("b", 0);
    expect(pump()).toBe("01a\n02b\n");
    expect(get(TX_FIRST)).toBe(1);
    lose();
    pass(100);
    open();
    expect(pump()).toBe("1\n");
    hear("\n");
    expect(step(CAN_SEND)).toBe(SEND); // a keepalive: the greeting's answer
    expect(step(CAN_SEND)).toBe(SEND);
    expect(piece()).toBe("01a\n");
    pump(0); // the socket takes no more for now
    hear("01\n");
    pump();
    expect(get(TX_FIRST)).toBe(3);
    expect(get(TX_NEXT)).toBe(3);
  });

  test("is not sent again by the repetition of others", () => {
    begun();
    say("a");
    say("b", 0);
    pump();
    expect(alive(2500)).toBe("01a\n");
  });

  test("is refused when too many went out and no ack came at all", () => {
    begun();
    let accepted = 0;
    for (let n = 0; n < 300; n++) {
      if (say("x", 0)) accepted++;
      pump();
    }
    expect(accepted).toBeGreaterThanOrEqual(32);
    expect(accepted).toBeLessThanOrEqual(64, "ids come round after 255");
    hear(hex(accepted) + "\n");
    expect(say("x", 0)).toBe(true);
    expect(say("y")).toBe(true, "with qos it is never refused for that");
  });

  test("finds no room in a full outbox", () => {
    defaults();
    set(WINDOW, 2);
    boot();
    up();
    say("a");
    say("b");
    expect(say("c", 0)).toBe(false);
    pump();
    expect(say("c", 0)).toBe(false);
  });
});
