import {
  boot, CAN_RECEIVE, CAN_SEND, defaults, TX_FIRST, get, hear, hearSome, hex, INBOX, intact, linked,
  lose, MESSAGE, NONE, pass, piece, pump, RX_ROOM, say, SEND, set, STATE, step, up, UP,
} from "./harness";
import { take } from "../core";

const A = "aaaaaaaaaaaaaaaaaaaa";
const B = "bbbbbbbbbbbbbbbbbbbb";
const C = "cccccccccccccccccccc";

describe("a message for the application", () => {
  test("is acknowledged when it is taken, not before", () => {
    linked();
    hear("01text\n");
    expect(step()).toBe(MESSAGE);
    expect(piece()).toBe("text");
    expect(step(CAN_SEND)).toBe(NONE);
    take();
    expect(step()).toBe(SEND);
    expect(piece()).toBe("01\n");
    expect(step()).toBe(NONE);
  });

  test("is offered only when the application can take it", () => {
    linked();
    hear("01text\n");
    expect(pass(1000, CAN_SEND)).toBe("\n\n");
    expect(pump()).toBe("[text]01\n");
  });

  test("is offered again until it is taken", () => {
    linked();
    hear("01text\n");
    for (let i = 0; i < 5; i++) {
      expect(step()).toBe(MESSAGE);
      expect(piece()).toBe("text");
    }
    take();
    expect(pump()).toBe("01\n");
  });

  test("is taken once, however often take is called", () => {
    linked();
    hear("01one\n02two\n");
    expect(step()).toBe(MESSAGE);
    take();
    take();
    take();
    expect(pump()).toBe("[two]01\n02\n");
  });

  test("cannot be taken unless it was offered", () => {
    linked();
    take();
    hear("01text\n");
    take();
    expect(pump(CAN_SEND)).toBe("");
    take();
    expect(pump()).toBe("[text]01\n");
  });

  test("cannot be taken after its connection was lost, and comes again", () => {
    linked();
    hear("01text\n");
    expect(step()).toBe(MESSAGE);
    lose();
    take();
    up();
    expect(pump()).toBe("", "nothing was acknowledged");
    hear("01text\n");
    expect(pump()).toBe("[text]01\n");
  });

  test("whose ack could not be sent in time comes again, and is recognised", () => {
    linked();
    hear("01text\n");
    expect(pump(CAN_RECEIVE)).toBe("[text]");
    lose();
    up();
    expect(pump()).toBe("");
    hear("01text\n");
    expect(pump()).toBe("01\n");
  });

  test("comes in the order in which it was sent, mixed with acks", () => {
    linked();
    say("out");
    pump();
    hear("01a\n02b\n00\n03c\n\n");
    expect(pump()).toBe("[a][b][c]01\n02\n03\n");
    expect(get(TX_FIRST)).toBe(1);
  });

  test("stays as it is while others arrive", () => {
    linked();
    hear("01first\n");
    expect(step()).toBe(MESSAGE);
    expect(step(0)).toBe(NONE);
    hear("02second\n");
    expect(step(0)).toBe(NONE);
    expect(step()).toBe(MESSAGE);
    expect(piece()).toBe("first");
  });
});

describe("a full inbox", () => {
  test("stops reading", () => {
    linked(); // 80 bytes: two messages of 20 + 3, and as much in reserve
    const rest = hearSome("01" + A + "\n02" + B + "\n03" + C + "\n04more\n");
    expect(rest).not.toBe("");
    pump(CAN_SEND);
    expect(get(RX_ROOM)).toBe(0);
    pass(5000, CAN_SEND);
    expect(get(RX_ROOM)).toBe(0);
  });

  test("loses nothing, whatever the speeds of the two sides", () => {
    for (let pace = 1; pace < 30; pace++) {
      linked();
      let stream = "";
      let expected = "";
      let taken = "";
      for (let n = 1; n <= 100; n++) {
        const text = A.substr(0, n * 7 % 20) + n.toString().padStart(3, ".").substr(0, 1) + "!";
        stream += hex(n) + text.substr(0, 20) + "\n";
        expected += text.substr(0, 20) + "|";
      }
      let calm = 0;
      for (let turn = 0; calm < 3; turn++) {
        assert(turn < 20000, "it came to a halt: " + stream);
        pump(CAN_SEND);
        calm = stream == "" ? calm + 1 : 0;
        const n = min(min(pace, stream.length), get(RX_ROOM));
        if (n) {
          hear(stream.substr(0, n));
          stream = stream.substr(n);
        }
        if (turn % 5 == 0) {
          for (let i = 0; i < pace % 4 + 1 && step(CAN_RECEIVE) == MESSAGE; i++) {
            taken += piece() + "|";
            take();
            calm = 0;
          }
        }
        if (turn % 5 != 0 && calm) calm--;
        if (stream == "" && turn % 5 == 0 && step(CAN_RECEIVE) == NONE) break;
      }
      expect(taken).toBe(expected);
      expect(get(STATE)).toBe(UP);
      expect(intact()).toBe(true);
    }
  });

  test("lets the acks behind it through", () => {
    linked();
    say("out");
    pump();
    hear("01" + A + "\n02" + B + "\n");
    pump(CAN_SEND);
    expect(get(RX_ROOM)).toBeGreaterThan(0);
    hear("00\n");
    expect(get(TX_FIRST)).toBe(1);
    pump(CAN_SEND);
    expect(pump()).toBe("[" + A + "][" + B + "]01\n02\n");
  });

  test("reads further messages only to reach the acks behind them, and does not acknowledge them", () => {
    linked();
    say("out");
    pump();
    hear("01" + A + "\n02" + B + "\n");
    pump(CAN_SEND);
    for (let i = 0; i < 10; i++) {
      hear("03" + C + "\n");
      pump(CAN_SEND);
      expect(get(RX_ROOM)).toBeGreaterThan(0);
    }
    hear("00\n");
    expect(get(TX_FIRST)).toBe(1);
    expect(pump()).toBe("[" + A + "][" + B + "]01\n02\n");
    hear("03" + C + "\n"); // it comes again
    expect(pump()).toBe("[" + C + "]03\n");
    expect(intact()).toBe(true);
  });

  test("finishes a line that began beyond its limit when there is room again", () => {
    linked();
    say("out");
    pump();
    hear("01" + A + "\n02" + B + "\n");
    pump(CAN_SEND);
    hear("03ccccc");
    pump(CAN_SEND);
    hear("ccccc");
    expect(pump()).toBe("[" + A + "][" + B + "]01\n02\n");
    hear("cccccccccc\n");
    expect(pump()).toBe("[" + C + "]03\n");
  });

  test("of the smallest size takes one longest message after the other", () => {
    defaults();
    set(INBOX, 46);
    boot();
    up();
    let stream = "";
    let expected = "";
    for (let n = 1; n <= 50; n++) {
      stream += hex(n) + A + "\n";
      expected += "[" + A + "]" + hex(n) + "\n";
    }
    let log = "";
    for (let turn = 0; stream != ""; turn++) {
      assert(turn < 1000, "it came to a halt");
      stream = hearSome(stream);
      log += pump();
    }
    expect(log).toBe(expected);
    expect(intact()).toBe(true);
  });

  test("of the smallest size lets acks through, too", () => {
    defaults();
    set(INBOX, 46);
    boot();
    up();
    say("out");
    pump();
    hear("01" + A + "\n");
    pump(CAN_SEND);
    let rest = "02" + B + "\n00\n";
    for (let turn = 0; rest != ""; turn++) {
      assert(turn < 100, "it came to a halt");
      rest = hearSome(rest);
      pump(CAN_SEND);
    }
    expect(get(TX_FIRST)).toBe(1);
    expect(pump()).toBe("[" + A + "]01\n");
    expect(intact()).toBe(true);
  });

  test("of any size, filled to any byte, reads the longest line and the ack behind it", () => {
    for (let size = 46; size < 110; size++) {
      defaults();
      set(INBOX, size);
      boot();
      up();
      say("out");
      pump();
      let rest = "";
      for (let n = 1; n <= 40; n++) rest += hex(n) + A.substr(0, n * size % 19 + 1) + "\n";
      rest += "40" + B + "\n00\n";
      for (let turn = 0; rest != ""; turn++) {
        assert(turn < 1000, "it came to a halt at " + size.toString());
        rest = hearSome(rest);
        pump(CAN_SEND);
      }
      expect(get(TX_FIRST)).toBe(1);
      expect(intact()).toBe(true);
    }
  });

  test("has the room that a poll has announced, to the last byte", () => {
    linked();
    while (get(RX_ROOM)) {
      hear("0".repeat(1));
      if (get(STATE) != UP) break;
      pump(CAN_SEND);
    }
    expect(get(STATE)).not.toBe(UP, "a line of zeros was too long well before");
    expect(intact()).toBe(true);
  });
});

describe("acks on their way out", () => {
  test("that fill their buffer hold back further messages", () => {
    defaults();
    set(INBOX, 400);
    boot();
    up();
    let stream = "";
    for (let n = 1; n <= 30; n++) stream += hex(n) + "x\n";
    hear(stream);
    const taken = pump(CAN_RECEIVE); // the socket is blocked
    expect(taken).toBe("[x]".repeat(21)); // 64 bytes hold 21 acks
    let acks = "";
    for (let n = 1; n <= 21; n++) acks += hex(n) + "\n";
    expect(step(CAN_SEND)).toBe(SEND);
    expect(piece()).toBe(acks);
    expect(pump()).toBe("[x]".repeat(9) + "16\n17\n18\n19\n1a\n1b\n1c\n1d\n1e\n");
    expect(intact()).toBe(true);
  });

  test("that fill their buffer hold back repeats, too", () => {
    defaults();
    set(INBOX, 400);
    boot();
    up();
    let stream = "";
    for (let n = 0; n < 30; n++) stream += "01x\n";
    hear(stream);
    expect(pump(CAN_RECEIVE)).toBe("[x]");
    expect(step(CAN_SEND)).toBe(SEND);
    expect(piece()).toBe("01\n".repeat(21));
    expect(pump()).toBe("01\n".repeat(9));
    expect(intact()).toBe(true);
  });

  test("are sent before messages", () => {
    linked();
    hear("01in\n");
    pump(CAN_RECEIVE);
    say("out");
    expect(pump()).toBe("01\n00out\n");
  });

  test("are forgotten with their connection", () => {
    linked();
    hear("01in\n");
    expect(pump(CAN_RECEIVE)).toBe("[in]");
    lose();
    up();
    expect(pump()).toBe("");
  });
});
