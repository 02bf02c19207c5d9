import {
  again, boot, defaults2, fresh, get, hear, hex, linked, linked2, linkedTo, lose, pump, say, text, TX_FIRST, TX_NEXT, up,
  Welcome, welcomed,
} from "./harness";
import { expire } from "../core";

describe("a message of ours whose time is up, in dialect 2", () => {
  test("is withdrawn if it was not sent, and its number is sent", () => {
    defaults2();
    boot();
    say("a");
    say("b");
    expect(expire(0)).toBe(1);
    expect(welcomed()).toBe("\n00\0\n01b\n");
    hear("01\n");
    expect(get(TX_FIRST)).toBe(2);
  });

  test("is withdrawn while the link is up, if the server had no room for it", () => {
    linkedTo(1, 4000, 100);
    say("a");
    say("b");
    expect(pump()).toBe("00a\n");
    expect(expire(0)).toBe(0);
    expect(expire(1)).toBe(1);
    hear("00\n");
    expect(pump()).toBe("01\0\n");
  });

  test("stays until its ack if it is on its way", () => {
    linked2();
    say("a");
    expect(pump()).toBe("00a\n");
    expect(expire(0)).toBe(0);
    hear("\n");
    expect(expire(0)).toBe(0);
    hear("00\n");
    expect(get(TX_FIRST)).toBe(1);
    expect(expire(0)).toBe(0);
  });

  test("is not sent again on the next connection, and withdrawn once something has come after its welcome", () => {
    linked2();
    say("a");
    say("b");
    say("c");
    pump();
    expect(expire(1)).toBe(0);
    expect(again(0)).toBe("\n00a\n");
    expect(expire(1)).toBe(0);
    hear("\n");
    expect(pump()).toBe("");
    expect(expire(1)).toBe(1);
    expect(pump()).toBe("01\0\n02c\n");
    hear("02\n");
    expect(get(TX_FIRST)).toBe(3);
  });

  test("has arrived if the next greeting says so", () => {
    linked2();
    say("a");
    pump();
    expect(expire(0)).toBe(0);
    expect(again(1)).toBe("\n");
    expect(get(TX_FIRST)).toBe(1);
    expect(expire(0)).toBe(0);
  });

  test("may have arrived as long as nothing has come after a welcome, over any number of connections", () => {
    linked2();
    say("a");
    pump();
    for (let i = 0; i < 3; i++) {
      expect(again(0)).toBe(i == 0 ? "\n00a\n" : "\n");
      expect(expire(0)).toBe(0);
    }
    hear("\n");
    expect(expire(0)).toBe(1);
  });

  test("may have arrived even if the outbox has moved it since", () => {
    linked2();
    const welcome = new Welcome();
    for (let n = 0; n < 200; n += 3) {
      say(text(100));
      say(text(30));
      pump();
      lose();
      welcome.rxNext = n + 1;
      expect(expire(n + 1)).toBe(0);
      expect(welcomed(welcome)).toBe("\n");
      expect(say(text(90))).toBe(true);
      expect(expire(n + 2)).toBe(1);
      expect(expire(n + 1)).toBe(0);
      hear("\n");
      expect(expire(n + 1)).toBe(1);
      expect(pump()).toBe(hex(n + 1) + "\0\n" + hex(n + 2) + "\0\n");
      hear(hex(n + 2) + "\n");
      expect(get(TX_FIRST)).toBe(n + 3);
    }
  });

  test("is withdrawn once, and only if it is in the outbox and has qos", () => {
    linked2();
    say("a");
    say("b", 0);
    expect(expire(1)).toBe(0);
    expect(expire(0)).toBe(1);
    expect(expire(0)).toBe(0);
    expect(expire(2)).toBe(0);
    expect(expire(-1)).toBe(0);
    expect(pump()).toBe("00\0\n01b\n");
  });

  test("may have arrived if an earlier boot has sent it, until something has come after a welcome", () => {
    defaults2();
    boot();
    say("a", 3);
    say("b", 1);
    expect(expire(1)).toBe(1);
    expect(expire(0)).toBe(0);
    expect(welcomed()).toBe("\n");
    expect(expire(0)).toBe(0);
    hear("\n");
    expect(expire(0)).toBe(1);
    expect(pump()).toBe("00\0\n01\0\n");
  });
});

describe("a message of ours whose time is up, in dialect 1", () => {
  test("is withdrawn if it was not sent", () => {
    linked();
    say("first");
    pump();
    hear("00\n");
    lose();
    say("a");
    say("b");
    expect(expire(1)).toBe(1);
    up();
    expect(get(TX_FIRST)).toBe(2);
    expect(get(TX_NEXT)).toBe(3);
  });

  test("is withdrawn if it was sent, and nobody knows whether it arrived", () => {
    linked();
    say("first");
    pump();
    hear("00\n");
    say("a");
    say("b");
    expect(pump()).toBe("01a\n02b\n");
    expect(expire(1)).toBe(2);
    expect(get(TX_FIRST)).toBe(2);
    hear("01\n");
    hear("02\n");
    expect(get(TX_FIRST)).toBe(3);
  });

  test("has arrived if it has its ack, and only waits for those before it", () => {
    linked();
    say("first");
    pump();
    hear("00\n");
    say("a");
    say("b");
    pump();
    hear("02\n");
    expect(expire(2)).toBe(0);
    expect(get(TX_FIRST)).toBe(1);
  });

  test("stays if it is the first one after a boot, which tells the server to forget everything before", () => {
    fresh();
    say("a");
    expect(expire(0)).toBe(0);
    up();
    expect(expire(0)).toBe(0);
  });

  test("stays if 64 ids are unknown to the server, so that it confuses none", () => {
    linked();
    say("first");
    pump();
    hear("00\n");
    lose();
    for (let n = 1; n < 65; n++) {
      say("x");
      expect(expire(n)).toBe(1);
    }
    say("x");
    expect(expire(65)).toBe(0);
    up();
    expect(get(TX_NEXT)).toBe(66);
    expect(get(TX_FIRST)).toBe(65);
  });
});
