import {
  again, boot, BYTES, CAN_RECEIVE, CAN_SEND, CONNECTS, defaults2, get, greet, hear, hearSome,
  helloText, hex, INBOX, intact, LINE, linked2, lose, MESSAGE, OUTBOX, pass, PEER, piece, pump,
  RX_EPOCH, RX_NEXT, say, SEND, set, STATE, step, text, TX_FIRST, TX_NEXT, UP, Welcome, welcomed,
  WINDOW,
} from "./harness";
import { take } from "../core";

describe("a message from the server", () => {
  test("is acknowledged when it is taken, and one ack covers many", () => {
    linked2();
    hear("00a\n01b\n02c\n");
    expect(pump()).toBe("[a][b][c]02\n");
    expect(get(RX_NEXT)).toBe(3);
  });

  test("moves the position when it is taken, before its ack can go out", () => {
    linked2();
    hear("00a\n");
    expect(step()).toBe(MESSAGE);
    expect(get(RX_NEXT)).toBe(0);
    take();
    expect(get(RX_NEXT)).toBe(1);
    expect(step()).toBe(SEND);
    expect(piece()).toBe("00\n");
  });

  test("comes in order, with 00 after ff", () => {
    linked2();
    for (let n = 0; n < 600; n++) {
      hear(hex(n & 255) + "text\n");
      expect(pump()).toBe("[text]" + hex(n & 255) + "\n");
    }
    expect(get(RX_NEXT)).toBe(600);
  });

  test("has a number that wraps at 2^32", () => {
    defaults2();
    set(RX_EPOCH, PEER);
    set(RX_NEXT, -2);
    boot();
    const welcome = new Welcome();
    welcome.txFirst = -2;
    welcomed(welcome);
    hear("fea\nffb\n00c\n");
    expect(pump()).toBe("[a][b][c]00\n");
    expect(get(RX_NEXT)).toBe(1);
    lose();
    expect(greet().substr(27, 8)).toBe("00000001");
  });

  test("that is missing ends the connection: those after it are not taken", () => {
    linked2();
    hear("01b\n");
    expect(pump()).toBe("[close GAP]");
    expect(get(RX_NEXT)).toBe(0);
  });

  test("with any number but the next ends the connection", () => {
    for (let id = 0; id < 256; id++) {
      linked2();
      hear("00a\n01b\n");
      pump();
      hear(hex(id) + "c\n");
      expect(pump()).toBe(id == 2 ? "[c]02\n" : "[close GAP]");
    }
  });

  test("that comes twice on a connection ends it", () => {
    linked2();
    hear("00a\n00a\n");
    expect(pump()).toBe("[close GAP]");
    expect(get(RX_NEXT)).toBe(0, "not taken: both come again");
    welcomed();
    hear("00a\n");
    expect(pump()).toBe("[a]00\n");
  });

  test("that was not taken when the connection was lost comes again", () => {
    linked2();
    hear("00a\n01b\n");
    expect(step()).toBe(MESSAGE);
    take();
    expect(step(0)).not.toBe(MESSAGE);
    lose();
    take();
    expect(greet().substr(27, 8)).toBe("00000001");
    const welcome = new Welcome();
    welcome.txFirst = 1;
    hear(welcome.sent);
    pump();
    hear("01b\n");
    expect(pump()).toBe("[b]01\n");
  });

  test("whose ack was lost is acknowledged by the next hello, and does not come again", () => {
    linked2();
    hear("00a\n");
    expect(pump(CAN_RECEIVE)).toBe("[a]");
    lose();
    expect(greet().substr(27, 8)).toBe("00000001");
    const welcome = new Welcome();
    welcome.txFirst = 1;
    hear(welcome.sent);
    expect(pump()).toBe("\n");
  });

  test("may have the same text as the one before it: it is not a repeat", () => {
    linked2();
    hear("00on\n01on\n02on\n");
    expect(pump()).toBe("[on][on][on]02\n");
    lose();
    const welcome = new Welcome();
    welcome.txFirst = 3;
    welcomed(welcome);
    hear("03on\n");
    expect(pump()).toBe("[on]03\n");
  });

  test("that was withdrawn is counted and acknowledged, but not shown", () => {
    linked2();
    hear("00\0\n");
    expect(pump()).toBe("00\n");
    expect(get(RX_NEXT)).toBe(1);
    hear("01a\n02\0\0\0\n03\0 as it was\n04b\n");
    expect(pump()).toBe("[a][b]04\n");
    expect(get(RX_NEXT)).toBe(5);
  });

  test("that was withdrawn waits behind others for the application to take them", () => {
    linked2();
    hear("00a\n01\0\n");
    expect(pump(CAN_SEND)).toBe("");
    expect(get(RX_NEXT)).toBe(0);
    expect(pump()).toBe("[a]01\n");
    expect(get(RX_NEXT)).toBe(2);
  });
});

describe("our credit", () => {
  test("in bytes is as in the hello, and that much fits, with the acks behind it", () => {
    const sizes = [248, 249, 300, 371, 372, 1000];
    for (let i = 0; i < sizes.length; i++) {
      for (let length = 1; length <= 121; length += 5) {
        defaults2();
        set(INBOX, sizes[i]);
        set(OUTBOX, 1000);
        boot();
        welcomed();
        say("out");
        pump();
        let left = get(BYTES);
        expect(left).toBe(sizes[i] - 124);
        let rest = "";
        let n = 0;
        while (left > 3) {
          const size = min(length, left - 3);
          rest += hex(n++ & 255) + text(size) + "\n";
          left -= size + 3;
        }
        rest += "00\n"; // an ack behind all that
        for (let turn = 0; rest != ""; turn++) {
          assert(turn < 100, "it came to a halt at " + sizes[i].toString());
          rest = hearSome(rest);
          pump(CAN_SEND);
        }
        expect(get(TX_FIRST)).toBe(1);
        expect(get(STATE)).toBe(UP);
        expect(intact()).toBe(true);
        pump();
        expect(get(RX_NEXT)).toBe(n);
      }
    }
  });

  test("can be used up and given back for ever", () => {
    linked2();
    const credit = get(BYTES);
    let unacked: i32[] = [];
    let held = 0;
    let n = 0;
    for (let turn = 0; turn < 3000; turn++) {
      const size = turn * 31 % 121 + 1;
      if (held + size + 3 <= credit) {
        pump(CAN_SEND);
        let rest = hex(n++ & 255) + text(size) + "\n";
        while (rest != "") {
          rest = hearSome(rest);
          pump(CAN_SEND);
        }
        unacked.push(size + 3);
        held += size + 3;
      } else {
        for (let i = turn % 3 + 1; i > 0 && step(CAN_RECEIVE) == MESSAGE; i--) {
          expect(get(LINE)).toBe(121);
          take();
          held -= unacked.shift();
        }
      }
    }
    expect(n).toBeGreaterThan(1000);
    expect(get(STATE)).toBe(UP);
    expect(intact()).toBe(true);
  });
});

describe("a message without qos in dialect 2", () => {
  test("is refused without a link", () => {
    defaults2();
    boot();
    expect(say("a", 0)).toBe(false);
    greet();
    expect(say("a", 0)).toBe(false);
    hear(new Welcome().sent);
    expect(say("a", 0)).toBe(true);
    lose();
    expect(say("a", 0)).toBe(false);
  });

  test("is numbered and acknowledged like any other", () => {
    linked2();
    say("a");
    expect(say("b", 0)).toBe(true);
    say("c");
    expect(pump()).toBe("00a\n01b\n02c\n");
    expect(get(TX_FIRST)).toBe(0);
    hear("01\n");
    expect(get(TX_FIRST)).toBe(2);
  });

  test("is withdrawn by the end of its connection: its number is sent, its text is not", () => {
    linked2();
    say("a");
    say("bcd", 0);
    say("e");
    expect(pump()).toBe("00a\n01bcd\n02e\n");
    expect(again(0)).toBe("\n00a\n01\0\n02e\n");
    hear("02\n");
    expect(get(TX_FIRST)).toBe(3);
  });

  test("is withdrawn whole, whatever its characters", () => {
    linked2();
    say("é€😀", 0);
    pump();
    expect(again(0)).toBe("\n00\0\n");
  });

  test("is withdrawn also when it was not sent yet", () => {
    linked2();
    say("b", 0);
    expect(again(0)).toBe("\n00\0\n");
  });

  test("is withdrawn also by an outage, and by a fault", () => {
    linked2();
    say("a", 0);
    pump();
    expect(pass(2000).endsWith("[close SILENT][connect]")).toBe(true);
    expect(again(0)).toBe("\n00\0\n");
    say("b", 0);
    pump();
    hear("no id\n");
    expect(pump()).toBe("[close BAD_LINE]");
    expect(again(0)).toBe("\n00\0\n01\0\n");
  });

  test("that has arrived is not withdrawn any more", () => {
    linked2();
    say("a", 0);
    say("b");
    pump();
    expect(again(1)).toBe("\n01b\n");
  });

  test("is withdrawn once, and those after it stay as they are", () => {
    linked2();
    say("a");
    say("long\0enough", 0);
    say("c");
    say("d", 0);
    for (let i = 0; i < 3; i++) expect(again(0)).toBe("\n00a\n01\0\n02c\n03\0\n");
    hear("01\n");
    say("e");
    expect(pump()).toBe("04e\n");
    expect(again(2)).toBe("\n02c\n03\0\n04e\n");
    hear("04\n");
    expect(get(TX_FIRST)).toBe(5);
    expect(intact()).toBe(true);
  });

  test("keeps its number through many lost connections", () => {
    linked2();
    say("ab", 0);
    for (let i = 0; i < 5; i++) expect(again(0)).toBe("\n00\0\n");
    expect(again(1)).toBe("\n");
    say("c");
    expect(pump()).toBe("01c\n");
  });

  test("is refused when too many were sent and no ack came at all", () => {
    defaults2();
    set(WINDOW, 64);
    set(OUTBOX, 1000);
    boot();
    welcomed();
    let accepted = 0;
    for (let n = 0; n < 300; n++) {
      if (say("x", 0)) accepted++;
      pump();
    }
    expect(accepted).toBe(64);
  });
});

describe("faults in dialect 2", () => {
  test("are named as in dialect 1", () => {
    linked2();
    hear("hello\n");
    expect(pump()).toBe("[close BAD_LINE]");
    linked2();
    hear("00" + text(122));
    expect(pump()).toBe("[close LINE_TOO_LONG]");
    linked2();
    hear("0Aa\n");
    expect(pump()).toBe("[close BAD_LINE]");
    linked2();
    expect(pass(2000).endsWith("[close SILENT]")).toBe(false, "the link lasted, so it connects again at once");
    expect(get(STATE)).not.toBe(UP);
    linked2();
    say("a");
    expect(pass(1999, CAN_RECEIVE)).toBe("");
    expect(pass(1, CAN_RECEIVE).startsWith("[close S")).toBe(true);
  });

  test("a hello, or another line of a greeting, ends the connection", () => {
    linked2();
    hear(helloText());
    expect(pump()).toBe("[close BAD_LINE]");
    linked2();
    hear("\x03" + "0".repeat(32) + "\n");
    expect(pump()).toBe("[close BAD_LINE]");
  });

  test("lose no message that was taken before", () => {
    linked2();
    hear("00a\n");
    expect(pump()).toBe("[a]00\n");
    hear("01b\n02c");
    expect(step()).toBe(MESSAGE);
    hear("\nno id\n");
    expect(pump()).toBe("[close BAD_LINE]");
    expect(get(RX_NEXT)).toBe(1);
  });

  test("a line cut anywhere is not taken", () => {
    const line = "00text\n";
    for (let at = 1; at < line.length; at++) {
      linked2();
      hear(line.substr(0, at));
      expect(pump()).toBe("");
      lose();
      welcomed();
      hear(line);
      expect(pump()).toBe("[text]00\n");
    }
  });

  test("at any byte of a session lose nothing and double nothing", () => {
    // The server sends this, and the connection is lost after `at` bytes; the next one goes on.
    const session = new Welcome().sent + "00a\n00\n01\0\n01\n02b\n\n";
    for (let at = 0; at <= session.length; at++) {
      defaults2();
      boot();
      say("out 0");
      say("out 1");
      greet();
      hear(session.substr(0, at));
      let log = pump();
      lose();
      const hello = greet();
      const next = i32.parse(hello.substr(27, 8), 16);
      const welcome = new Welcome();
      welcome.rxNext = get(TX_FIRST);
      welcome.txFirst = next;
      let rest = welcome.sent;
      if (next < 1) rest += "00a\n";
      if (next < 2) rest += "01\0\n";
      if (next < 3) rest += "02b\n";
      hear(rest);
      log += pump();
      expect(log.indexOf("[a]")).not.toBe(-1);
      expect(log.indexOf("[a]")).toBe(log.lastIndexOf("[a]"));
      expect(log.indexOf("[b]")).not.toBe(-1);
      expect(log.indexOf("[b]")).toBe(log.lastIndexOf("[b]"));
      expect(get(RX_NEXT)).toBe(3);
    }
  });
});

describe("a boot in dialect 2", () => {
  test("forgets what was written, and keeps the position in the server's stream", () => {
    linked2();
    say("lost");
    hear("00a\n01b\n");
    pump();
    boot();
    expect(get(TX_NEXT)).toBe(0);
    expect(get(CONNECTS)).toBe(0);
    expect(get(RX_EPOCH)).toBe(PEER);
    expect(get(RX_NEXT)).toBe(2);
  });

  test("with a position in another server's stream starts the new one from its beginning", () => {
    defaults2();
    set(RX_EPOCH, PEER + 5);
    set(RX_NEXT, 1000);
    boot();
    welcomed();
    hear("00a\n");
    expect(pump()).toBe("[a]00\n");
    expect(get(RX_EPOCH)).toBe(PEER);
    expect(get(RX_NEXT)).toBe(1);
  });
});
