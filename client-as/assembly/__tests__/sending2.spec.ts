import {
  again, alive2, answerTo, boot, CAN_SEND, changed, CONNECTS, defaults2, get, greet, hear, helloText, hex, intact,
  later, linked2, linkedTo, lose, OUTBOX, pass, piece, pump, RX_NEXT, say, SEND, set, STATE, step,
  SUITE, text, time, TX_FIRST, TX_NEXT, UP, WAIT, Welcome, welcomed, WINDOW, withKey, withSuite,
} from "./harness";
import { room, take } from "../core";

describe("a message of ours in dialect 2", () => {
  test("has the low byte of its number as id, 00 to ff again and again", () => {
    linked2();
    for (let n = 0; n < 600; n++) {
      expect(say("text")).toBe(true);
      expect(pump()).toBe(hex(n & 255) + "text\n");
      hear(hex(n & 255) + "\n");
      expect(get(TX_FIRST)).toBe(n + 1);
    }
  });

  test("with id 00 is sent like any other, not alone", () => {
    linked2();
    say("a");
    say("b");
    say("c");
    expect(pump()).toBe("00a\n01b\n02c\n");
  });

  test("has a number that wraps at 2^32", () => {
    defaults2();
    boot();
    set(TX_FIRST, -3);
    set(TX_NEXT, -3);
    for (let n = 0; n < 6; n++) say("x");
    const welcome = new Welcome();
    welcome.rxNext = -3;
    expect(welcomed(welcome)).toBe("\nfdx\nfex\nffx\n00x\n01x\n02x\n");
    hear("fe\n");
    expect(get(TX_FIRST)).toBe(-1);
    lose();
    expect(greet().substr(11, 8)).toBe("ffffffff");
    welcome.rxNext = 1;
    hear(welcome.sent);
    expect(pump()).toBe("\n01x\n02x\n");
    hear("02\n");
    expect(get(TX_FIRST)).toBe(3);
    expect(get(TX_NEXT)).toBe(3);
  });

  test("is not sent again on the same connection, however long its ack takes", () => {
    linked2();
    say("a");
    expect(pump()).toBe("00a\n");
    expect(alive2(20000)).toBe("");
    hear("00\n");
    expect(get(TX_FIRST)).toBe(1);
  });

  test("is sent again on the next connection if the server does not have it, with those after it", () => {
    linked2();
    say("a");
    say("b");
    say("c");
    pump();
    expect(again(1)).toBe("\n01b\n02c\n");
    expect(again(1)).toBe("\n01b\n02c\n");
    expect(again(3)).toBe("\n");
  });

  test("cut by the end of its connection is sent whole on the next", () => {
    linked2();
    say("a");
    say("b");
    expect(step()).toBe(SEND);
    expect(piece()).toBe("00a\n");
    expect(again(0)).toBe("\n00a\n01b\n");
  });

  test("that starts with NUL is refused", () => {
    linked2();
    expect(say("\0")).toBe(false);
    expect(say("\0a", 0)).toBe(false);
    expect(get(TX_NEXT)).toBe(0);
  });

  test("waits in order through many lost connections", () => {
    linked2();
    let sent = 0;
    let has = 0;
    for (let round = 0; round < 200; round++) {
      while (say("n" + sent.toString())) sent++;
      let log = again(has);
      expect(log.startsWith("\n")).toBe(true);
      log = log.substr(1);
      for (let n = has; n < sent; n++) {
        const line = hex(n & 255) + "n" + n.toString() + "\n";
        expect(log.startsWith(line)).toBe(true);
        log = log.substr(line.length);
      }
      expect(log).toBe("");
      has = min(sent, has + round % 7);
    }
    expect(intact()).toBe(true);
  });
});

describe("a boot at any moment", () => {
  test("forgets messages written, offered, sent and received, and keeps the position", () => {
    linked2();
    hear("00taken\n");
    say("a");
    say("b", 0);
    pump();
    hear("00\n01on offer\n");
    pump(CAN_SEND);
    boot(time());
    take();
    expect(get(TX_FIRST)).toBe(0);
    expect(get(TX_NEXT)).toBe(0);
    expect(get(CONNECTS)).toBe(0);
    expect(get(RX_NEXT)).toBe(1);
    expect(greet()).toBe(helloText());
    const welcome = new Welcome();
    welcome.txFirst = 1;
    hear(welcome.sent);
    expect(pump()).toBe("\n");
    expect(get(CONNECTS)).toBe(1);
    expect(say("c")).toBe(true);
    expect(pump()).toBe("00c\n");
    hear("01next\n");
    expect(pump()).toBe("[next]01\n");
  });

  test("forgets failed attempts: the next one comes at once", () => {
    defaults2();
    boot();
    for (let i = 0; i < 5; i++) {
      pump();
      lose();
      later(get(WAIT));
    }
    boot(time());
    expect(pump()).toBe("[connect]");
    lose();
    expect(pump()).toBe("");
    expect(get(WAIT)).toBeLessThanOrEqual(63);
  });
});

describe("the server's credit", () => {
  test("in messages is never exceeded", () => {
    for (let window = 1; window <= 64; window++) {
      linkedTo(window, 4000, 512);
      for (let n = 0; n < 64; n++) expect(say("x")).toBe(true);
      let log = pump();
      expect(log.length).toBe(4 * window);
      let sent = window;
      for (let n = 0; n < 64; n += 3) {
        const acked = min(n, sent - 1);
        hear(hex(acked) + "\n");
        log = pump();
        expect(sent + log.length / 4).toBe(min(64, acked + 1 + window));
        sent += log.length / 4;
      }
    }
  });

  test("in messages works when numbers wrap at 256 and 2^32", () => {
    defaults2();
    boot();
    set(TX_FIRST, -2);
    set(TX_NEXT, -2);
    const welcome = new Welcome();
    welcome.rxNext = -2;
    welcome.window = 2;
    welcomed(welcome);
    say("a");
    say("b");
    say("c");
    say("d");
    expect(pump()).toBe("fea\nffb\n");
    hear("fe\n");
    expect(pump()).toBe("00c\n");
    hear("00\n");
    expect(pump()).toBe("01d\n");
  });

  test("in bytes is never exceeded", () => {
    linkedTo(64, 103, 100);
    let unread = "";
    let acked = 0;
    for (let n = 0; n < 400; n++) {
      say(text(n * 37 % 100 + 1));
      say(text(n * 11 % 5 + 1));
      unread += pump();
      assert(unread.length <= 103, "too many bytes are on their way");
      if (n % 3) continue;
      const end = unread.indexOf("\n") + 1; // the server takes the oldest
      expect(unread.substr(0, 2)).toBe(hex(acked & 255));
      unread = unread.substr(end);
      hear(hex(acked++ & 255) + "\n");
    }
    expect(acked).toBeGreaterThan(100);
  });

  test("in bytes lets any single message through", () => {
    linkedTo(64, 103, 100);
    say(text(100));
    say("x");
    expect(pump()).toBe("00" + text(100) + "\n");
    hear("00\n");
    expect(pump()).toBe("01x\n");
  });

  test("is that of the newest welcome", () => {
    linkedTo(1, 4000, 512);
    say("a");
    say("b");
    expect(pump()).toBe("00a\n");
    lose();
    const welcome = new Welcome();
    welcome.window = 2;
    expect(welcomed(welcome)).toBe("\n00a\n01b\n");
  });

  test("counts messages without qos, too", () => {
    linkedTo(2, 4000, 512);
    expect(say("a", 0)).toBe(true);
    expect(say("b", 0)).toBe(true);
    expect(say("c", 0)).toBe(true);
    expect(pump()).toBe("00a\n01b\n");
    hear("00\n");
    expect(pump()).toBe("02c\n");
  });

  test("does not hold back acks and keepalives", () => {
    linkedTo(1, 4000, 512);
    say("a");
    say("b");
    expect(pump()).toBe("00a\n");
    hear("00in\n");
    expect(pump()).toBe("[in]00\n");
    expect(pass(500)).toBe("\n");
  });

  test("with a shorter line than before withdraws waiting messages that are longer", () => {
    linkedTo(64, 4000, 121);
    expect(say(text(60))).toBe(true);
    expect(say(text(61))).toBe(true);
    expect(say("c")).toBe(true);
    expect(say(text(121))).toBe(true);
    pump();
    lose();
    const welcome = new Welcome();
    welcome.line = 60;
    welcome.bytes = 63;
    expect(welcomed(welcome)).toBe("\n00" + text(60) + "\n");
    hear("00\n");
    expect(pump()).toBe("01\0\n");
    hear("01\n");
    expect(pump()).toBe("02c\n");
    hear("02\n");
    expect(pump()).toBe("03\0\n");
    hear("03\n");
    expect(pump()).toBe("");
    expect(get(TX_FIRST)).toBe(4);
    expect(intact()).toBe(true);
  });

  test("with a shorter line withdraws for good, but nothing that has arrived", () => {
    linkedTo(64, 4000, 121);
    say(text(100));
    say(text(101));
    pump();
    lose();
    const welcome = new Welcome();
    welcome.line = 60;
    welcome.rxNext = 1;
    expect(welcomed(welcome)).toBe("\n01\0\n");
    expect(get(TX_FIRST)).toBe(1);
    lose();
    welcome.line = 121;
    expect(welcomed(welcome)).toBe("\n01\0\n");
  });

  test("with a shorter line withdraws nothing without a proof", () => {
    defaults2();
    set(SUITE, 2);
    boot();
    say(text(100));
    const forged = new Welcome();
    forged.suite = 2;
    forged.line = 1;
    greet();
    hear(forged.proven("another hello"));
    expect(pump().startsWith("[close BAD_PROOF]")).toBe(true);
    later(get(WAIT));
    const honest = new Welcome();
    honest.suite = 2;
    hear(honest.proven(greet()));
    expect(pump().endsWith("00" + text(100) + "\n")).toBe(true);
  });

  test("with a shorter line refuses no writer without a proof, or if it is malformed", () => {
    const forged = new Welcome();
    forged.line = 1;
    answerTo(changed(forged.sent, 3, "g"));
    expect(room(2)).not.toBe(0);
    forged.window = 0;
    answerTo(forged.sent);
    expect(room(2)).not.toBe(0);
    forged.window = 64;
    forged.suite = 2;
    withKey();
    hear(forged.proven("another hello"));
    expect(pump()).toBe("[close BAD_PROOF]");
    expect(room(2)).not.toBe(0);
  });

  test("with a longer line allows no longer messages without a proof", () => {
    const honest = withSuite(2);
    honest.line = 60;
    hear(honest.proven(withKey()));
    pump();
    lose();
    greet();
    hear(withSuite(2).proven("another hello"));
    expect(pump()).toBe("[close BAD_PROOF]");
    expect(room(61)).toBe(0);
    expect(room(60)).not.toBe(0);
  });

  test("with the longest possible line withdraws nothing", () => {
    linkedTo(64, -1, -4);
    say(text(100));
    pump();
    lose();
    const welcome = new Welcome();
    welcome.bytes = -1;
    welcome.line = -4;
    expect(welcomed(welcome)).toBe("\n00" + text(100) + "\n");
  });

  test("with a shorter line refuses longer messages when they are written", () => {
    linkedTo(64, 103, 100);
    expect(room(101)).toBe(0);
    expect(say(text(101))).toBe(false);
    expect(say(text(100))).toBe(true);
  });
});

describe("an ack in dialect 2", () => {
  test("covers all messages before it", () => {
    linked2();
    for (let n = 0; n < 5; n++) say("x");
    pump();
    hear("02\n");
    expect(get(TX_FIRST)).toBe(3);
    hear("04\n");
    expect(get(TX_FIRST)).toBe(5);
  });

  test("that comes again changes nothing", () => {
    linked2();
    say("a");
    say("b");
    pump();
    hear("00\n00\n00\n");
    pump();
    expect(get(TX_FIRST)).toBe(1);
    expect(get(STATE)).toBe(UP);
  });

  test("for a message that was never sent ends the connection, and acknowledges nothing", () => {
    linked2();
    say("a");
    say("b");
    pump();
    hear("02\n");
    expect(get(TX_FIRST)).toBe(0);
    expect(pump()).toBe("[close BAD_POSITION]");
    later(100);
    expect(welcomed()).toBe("\n00a\n01b\n");
  });

  test("for any number that is not on its way ends the connection", () => {
    for (let id = 0; id < 256; id++) {
      linked2();
      for (let n = 0; n < 7; n++) say("x");
      pump();
      hear("02\n");
      hear(hex(id) + "\n");
      if (id >= 2 && id <= 6) {
        expect(get(STATE)).toBe(UP);
        expect(get(TX_FIRST)).toBe(id + 1);
      } else {
        expect(pump()).toBe("[close BAD_POSITION]");
        expect(get(TX_FIRST)).toBe(3);
      }
    }
  });

  test("with nothing on its way ends the connection", () => {
    linked2();
    hear("00\n");
    expect(pump()).toBe("[close BAD_POSITION]");
  });

  test("for a message that waits for a blocked socket ends the connection", () => {
    linked2();
    say("a");
    say("b");
    expect(step(CAN_SEND)).toBe(SEND);
    pump(0);
    hear("01\n");
    expect(pump()).toBe("[close BAD_POSITION]");
    expect(get(TX_FIRST)).toBe(0);
  });

  test("for a message that waits for credit ends the connection", () => {
    linkedTo(1, 4000, 512);
    say("a");
    say("b");
    pump();
    hear("01\n");
    expect(pump()).toBe("[close BAD_POSITION]");
  });

  test("of a full window is not confused with the next window's", () => {
    defaults2();
    set(WINDOW, 64);
    set(OUTBOX, 64 * 8);
    boot();
    welcomed();
    for (let n = 0; n < 2000; n += 64) {
      for (let i = 0; i < 64; i++) expect(say("x")).toBe(true);
      expect(say("x")).toBe(false);
      pump();
      hear(hex(n + 63 & 255) + "\n");
      expect(get(TX_FIRST)).toBe(n + 64);
    }
  });
});
