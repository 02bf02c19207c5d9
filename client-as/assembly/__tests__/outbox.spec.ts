import {
  alive, begun, boot, CAN_SEND, defaults, fresh, get, hear, hex, intact, lines, linked, lose, open,
  OUTBOX, pass, piece, pump, say, SEND, set, STATE, step, TX_FIRST, TX_NEXT, UP, up, WINDOW,
} from "./harness";
import { room } from "../core";

describe("the outbox", () => {
  test("is full when the window is", () => {
    defaults();
    set(WINDOW, 3);
    boot();
    expect(say("a") && say("b") && say("c")).toBe(true);
    expect(room(1)).toBe(0);
    expect(say("d")).toBe(false);
    up(); // sends them, which makes no room yet
    expect(room(1)).toBe(0);
    hear("00\n");
    expect(say("d")).toBe(true);
    expect(say("e")).toBe(false);
  });

  test("keeps an acknowledged message while older ones lack an ack", () => {
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
    expect(room(12)).not.toBe(0); // 12 + 7 bytes are left
    expect(say("dddddddddddd")).toBe(true);
    expect(room(1)).toBe(0);
    expect(intact()).toBe(true);
    expect(pump()).toBe(
      "01aaaaaaaaaaaaaaaaaaaa\n02bbbbbbbbbbbbbbbbbbbb\n03cccccccccccccccccccc\n04dddddddddddd\n",
    );
  });

  test("moves its messages to the front to make room, and keeps them all", () => {
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

  test("holds 64 messages if the window allows it, and matches each one's ack", () => {
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

describe("a message without qos", () => {
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

  test("is done when it is sent, and never sent again", () => {
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

  test("that was not sent when the link was lost is never sent", () => {
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

  test("is done when those before it are, even if the socket was blocked between them", () => {
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

  test("is not sent again when others are", () => {
    begun();
    say("a");
    say("b", 0);
    pump();
    expect(alive(2500)).toBe("01a\n");
  });

  test("is refused when too many were sent and no ack came at all", () => {
    begun();
    let accepted = 0;
    for (let n = 0; n < 300; n++) {
      if (say("x", 0)) accepted++;
      pump();
    }
    expect(accepted).toBeGreaterThanOrEqual(32);
    expect(accepted).toBeLessThanOrEqual(64, "ids wrap after 255");
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
