import {
  boot, CAN_RECEIVE, CONNECTS, defaults2, EPOCH, get, greet, GREETING, hear, helloText, ID_LEN,
  IDLE, INBOX, intact, later, LEN, linked, linked2, lose, NONCE, open, pass, PEER, piece, proof, pump,
  REASON, RX_EPOCH, RX_NEXT, RX_ROOM, say, SEND, set, STATE, step, SUITE, TX_EPOCH, TX_FIRST,
  TX_NEXT, UP, WAIT, Welcome, welcomed, WINDOW, word,
} from "./harness";
import { room } from "../core";

/** What comes of a line where the welcome should be, on a new connection of a core that has just booted. */
function answerTo(line: string): string {
  defaults2();
  boot();
  greet();
  hear(line);
  const log = pump();
  assert(intact(), "something was written behind the core's memory");
  return log;
}

/** Boots a device with a key, and returns its hello. */
function withKey(): string {
  defaults2();
  set(SUITE, 1);
  boot();
  return greet();
}

function withSuite(suite: i32): Welcome {
  const welcome = new Welcome();
  welcome.suite = suite;
  return welcome;
}

/** A text with the character at an index replaced. */
function changed(text: string, at: i32, by: string): string {
  return text.substr(0, at) + by + text.substr(at + 1);
}

describe("the hello of dialect 2", () => {
  test("says who is there and how far it has got, byte for byte", () => {
    defaults2();
    set(RX_EPOCH, 0x89abcdef);
    set(RX_NEXT, 0x01234567);
    boot();
    set(TX_FIRST, 0xfedcba98);
    set(TX_NEXT, 0xfedcba98);
    expect(greet()).toBe(
      "\x0100" + "0dec0de1" + "fedcba98" + "89abcdef" + "01234567" + "00000008" + "000000b0" +
        "00000079" + "01010101020202020303030304040404" + "1\n",
    );
  });

  test("of a device with a key asks for a proof", () => {
    expect(withKey().startsWith("\x01010dec0de1")).toBe(true);
  });

  test("has another nonce on each connection", () => {
    linked2();
    lose();
    const hello = greet();
    expect(hello).toBe(helloText());
    expect(hello.includes("11111111121212121313131314141414")).toBe(true);
  });

  test("goes out in one piece, also with the longest id", () => {
    defaults2();
    set(ID_LEN, 129);
    set(INBOX, 121 + 94 + 129);
    boot();
    pump();
    open();
    expect(step()).toBe(SEND);
    expect(get(LEN)).toBe(91 + 129);
    expect(piece().endsWith("11\n")).toBe(true);
    hear(new Welcome().sent);
    pump();
    expect(get(STATE)).toBe(UP);
    expect(intact()).toBe(true);
  });

  test("of the longest id leaves room for the longest line, in the smallest inbox", () => {
    for (let length = 2; length <= 129; length++) {
      defaults2();
      set(ID_LEN, length);
      set(INBOX, max(2 * 124, 121 + 94 + length));
      boot();
      greet();
      expect(get(RX_ROOM)).toBeGreaterThanOrEqual(124);
      hear("\x02".repeat(123));
      expect(pump()).toBe("");
      hear("\x02");
      expect(pump()).toBe("[close LINE_TOO_LONG]");
      expect(intact()).toBe(true);
    }
  });

  test("goes out when the socket takes it, and the welcome may not wait for that", () => {
    defaults2();
    boot();
    pump();
    open();
    expect(pump(0)).toBe("");
    later(100);
    expect(pump()).toBe(helloText());
  });

  test("is all that goes out before the welcome, not even a keepalive", () => {
    defaults2();
    boot();
    say("waits");
    greet();
    expect(pass(749)).toBe("");
    expect(pass(1)).toBe("[close NO_GREETING][connect]");
  });

  test("is all that goes out while the welcome comes slowly, and that is not waited for longer", () => {
    defaults2();
    boot();
    greet();
    const welcome = new Welcome().sent;
    for (let i = 0; i < 7; i++) {
      expect(pass(100)).toBe("");
      hear(welcome.charAt(i));
    }
    expect(pass(49)).toBe("");
    expect(pass(1)).toBe("[close NO_GREETING][connect]");
  });

  test("is said again every 3/8 of the timeout to one that accepts and is silent, and not more often", () => {
    defaults2();
    boot();
    for (let attempt = 0; attempt < 5; attempt++) {
      greet();
      expect(pass(749)).toBe("");
      expect(pass(1)).toBe("[close NO_GREETING][connect]");
    }
    lose(); // and from here on nobody accepts: that may be quick, so it has a pause
    expect(pass(249)).toBe("");
    expect(pass(251)).toBe("[connect]");
  });
});

describe("a welcome", () => {
  test("takes the link up, and is answered at once", () => {
    defaults2();
    boot();
    greet();
    later(100);
    hear(new Welcome().sent);
    expect(get(STATE)).toBe(UP);
    expect(get(CONNECTS)).toBe(1);
    expect(pump()).toBe("\n");
    expect(pass(499)).toBe("");
    expect(pass(1)).toBe("\n");
  });

  test("lets go what was written before it", () => {
    defaults2();
    boot();
    say("a");
    say("b");
    expect(welcomed()).toBe("\n00a\n01b\n");
  });

  test("counts as heard", () => {
    defaults2();
    boot();
    greet();
    later(700);
    hear(new Welcome().sent);
    pump();
    pass(1999);
    expect(get(STATE)).toBe(UP);
    expect(pass(1).startsWith("[close SILENT]")).toBe(true);
  });

  test("may be cut anywhere, with messages behind it", () => {
    const text = new Welcome().sent + "\n00one\n01two\n";
    for (let at = 0; at <= text.length; at++) {
      defaults2();
      boot();
      greet();
      hear(text.substr(0, at));
      let log = pump();
      hear(text.substr(at));
      log += pump();
      // Acks wait for a poll: where the cut is decides whether they go out together.
      expect(log.replaceAll("\n", "").replace("00", "").replace("01", "")).toBe("[one][two]");
      expect(get(STATE)).toBe(UP);
      expect(get(RX_NEXT)).toBe(2);
    }
  });

  test("may come byte by byte", () => {
    defaults2();
    boot();
    greet();
    const text = new Welcome().sent + "00one\n";
    let log = "";
    for (let i = 0; i < text.length; i++) {
      hear(text.charAt(i));
      log += pump();
    }
    expect(log).toBe("\n[one]00\n");
  });

  test("may come with messages in one segment", () => {
    expect(answerTo(new Welcome().sent + "00one\n01two\n\n02three\n")).toBe(
      "[one][two][three]02\n",
    );
  });

  test("that is left unfinished by a dead connection is forgotten", () => {
    defaults2();
    boot();
    greet();
    hear(new Welcome().sent.substr(0, 50));
    pump();
    lose();
    expect(welcomed()).toBe("\n");
  });

  test("comes once: a second one on the same connection is no line of the link", () => {
    linked2();
    hear(new Welcome().sent);
    expect(pump()).toBe("[close BAD_LINE]");
  });
});

describe("where the welcome should be", () => {
  test("a keepalive of dialect 1 is none", () => {
    expect(answerTo("\n")).toBe("[close BAD_GREETING]");
    expect(get(REASON)).toBe(10);
  });

  test("a message or an ack is none", () => {
    expect(answerTo("00hello\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("00\n")).toBe("[close BAD_GREETING]");
  });

  test("another protocol is none", () => {
    expect(answerTo("HTTP/1.1 400 Bad Request\r\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("SSH-2.0-x\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("x".repeat(124))).toBe("[close LINE_TOO_LONG]");
  });

  test("a hello is none: two devices, connected to each other", () => {
    defaults2();
    boot();
    const hello = greet();
    hear(hello);
    expect(pump()).toBe("[close BAD_GREETING]");
  });

  test("one that lacks a character, or has one more, is none", () => {
    const text = new Welcome().text;
    expect(answerTo(text.substr(0, 90) + "\n")).toBe("[close BAD_GREETING]");
    expect(answerTo(text + "0\n")).toBe("[close BAD_GREETING]");
    expect(answerTo(text + " \n")).toBe("[close BAD_GREETING]");
    expect(answerTo(text + "0".repeat(32) + "\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("\x02\n")).toBe("[close BAD_GREETING]");
  });

  test("one with anything but lower-case hex digits is none", () => {
    const text = new Welcome().sent;
    for (let at = 1; at < 3 + 7 * 8; at++) {
      expect(answerTo(changed(text, at, "g"))).toBe("[close BAD_GREETING]");
      expect(answerTo(changed(text, at, "A"))).toBe("[close BAD_GREETING]");
      expect(answerTo(changed(text, at, "\0"))).toBe("[close BAD_GREETING]");
    }
  });

  test("one of another suite is none", () => {
    expect(answerTo(withSuite(1).sent)).toBe("[close BAD_GREETING]");
    expect(answerTo(withSuite(2).sent)).toBe("[close BAD_GREETING]");
    expect(answerTo(withSuite(255).sent)).toBe("[close BAD_GREETING]");
  });

  test("one with a window of 0, or of more than 64, is none", () => {
    const windows = [0, 65, 128, 256, 0x01000000, 0x7fffffff, i32.MIN_VALUE, -1];
    for (let i = 0; i < windows.length; i++) {
      const welcome = new Welcome();
      welcome.window = windows[i];
      expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]", windows[i].toString());
    }
    const welcome = new Welcome();
    welcome.window = 1;
    expect(answerTo(welcome.sent)).toBe("\n");
    welcome.window = 64;
    expect(answerTo(welcome.sent)).toBe("\n");
  });

  test("one without room for its own longest line is none", () => {
    const welcome = new Welcome();
    welcome.line = 100;
    welcome.bytes = 102;
    expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]");
    welcome.bytes = 0;
    expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]");
    welcome.bytes = 103;
    expect(answerTo(welcome.sent)).toBe("\n");
    welcome.bytes = i32.MIN_VALUE; // 2^31
    expect(answerTo(welcome.sent)).toBe("\n");
    expect(say("one after the other")).toBe(true);
    expect(pump()).toBe("00one after the other\n");
  });

  test("one of which the longest line is so long that line + 3 comes round is none", () => {
    const welcome = new Welcome();
    welcome.line = -1;
    for (let bytes = -4; bytes < 5; bytes++) {
      welcome.bytes = bytes;
      expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]", bytes.toString());
    }
  });

  test("one that takes no text is none", () => {
    const welcome = new Welcome();
    welcome.line = 0;
    for (let bytes = -4; bytes < 5; bytes++) {
      welcome.bytes = bytes;
      expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]", bytes.toString());
    }
  });

  test("one whose stream is named 0 is none", () => {
    const welcome = new Welcome();
    welcome.txEpoch = 0;
    expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]");
  });

  test("one that takes lines of 4 GB changes nothing in what we can write", () => {
    const welcome = new Welcome();
    welcome.line = -4;
    welcome.bytes = -1;
    expect(answerTo(welcome.sent)).toBe("\n");
    expect(room(122)).toBe(0);
    expect(room(0)).toBe(0);
    expect(room(-1)).toBe(0);
    expect(room(i32.MIN_VALUE)).toBe(0);
    expect(room(121)).not.toBe(0);
  });
});

describe("a position", () => {
  test("says what the server has: that leaves the outbox", () => {
    for (let have = 0; have <= 3; have++) {
      defaults2();
      boot();
      say("a");
      say("b");
      say("c");
      const welcome = new Welcome();
      welcome.rxNext = have;
      expect(welcomed(welcome)).toBe("\n" + "00a\n01b\n02c\n".substr(4 * have));
      expect(get(TX_FIRST)).toBe(have);
    }
  });

  test("tells both where to go on after a connection was lost", () => {
    linked2();
    say("a");
    say("b");
    say("c");
    pump();
    hear("00in\n01in\n00\n");
    pump();
    lose();
    const hello = greet();
    expect(hello.substr(3, 32)).toBe(word(EPOCH) + word(1) + word(PEER) + word(2));
    const welcome = new Welcome();
    welcome.rxNext = 2; // the ack of b was lost
    welcome.txFirst = 2;
    hear(welcome.sent);
    expect(pump()).toBe("\n02c\n");
    expect(get(TX_FIRST)).toBe(2);
    hear("02in\n02\n");
    expect(pump()).toBe("[in]02\n");
    expect(get(TX_FIRST)).toBe(3);
  });

  test("beyond what was ever sent ends the connection", () => {
    defaults2();
    boot();
    say("a");
    greet();
    const welcome = new Welcome();
    welcome.rxNext = 2;
    hear(welcome.sent);
    expect(pump()).toBe("[close BAD_POSITION]");
    expect(get(TX_FIRST)).toBe(0);
  });

  test("before what was acknowledged ends the connection", () => {
    linked2();
    say("a");
    say("b");
    pump();
    hear("01\n");
    lose();
    greet();
    const welcome = new Welcome();
    welcome.rxNext = 1;
    hear(welcome.sent);
    expect(pump().startsWith("[close BAD_POSITION]")).toBe(true);
    expect(get(TX_FIRST)).toBe(2);
  });

  test("that cannot be makes our stream another one, or it would be said for ever", () => {
    defaults2();
    boot();
    say("a");
    greet();
    const welcome = new Welcome();
    welcome.rxNext = 7;
    hear(welcome.sent);
    expect(pump()).toBe("[close BAD_POSITION]");
    const epoch = get(TX_EPOCH);
    expect(epoch).not.toBe(EPOCH);
    expect(epoch).not.toBe(0);
    expect(greet().substr(3, 16)).toBe(word(epoch) + word(0));
    welcome.rxEpoch = epoch;
    welcome.rxNext = 0;
    hear(welcome.sent);
    expect(pump()).toBe("\n00a\n");
  });

  test("in a stream that is not ours ends the connection", () => {
    const welcome = new Welcome();
    welcome.rxEpoch = EPOCH + 1;
    expect(answerTo(welcome.sent)).toBe("[close BAD_POSITION]");
    expect(get(TX_EPOCH)).toBe(EPOCH);
    welcome.rxEpoch = 0;
    expect(answerTo(welcome.sent)).toBe("[close BAD_POSITION]");
  });

  test("in a stream of the server's that is new to us is taken over", () => {
    const welcome = new Welcome();
    welcome.txFirst = 0x1fe;
    expect(answerTo(welcome.sent)).toBe("\n");
    expect(get(RX_EPOCH)).toBe(PEER);
    expect(get(RX_NEXT)).toBe(0x1fe);
    hear("fea\nffb\n00c\n");
    expect(pump()).toBe("[a][b][c]00\n");
    expect(get(RX_NEXT)).toBe(0x201);
  });

  test("in a stream of the server's that has begun anew is taken over", () => {
    linked2();
    hear("00a\n01b\n");
    pump();
    lose();
    const welcome = new Welcome();
    welcome.txEpoch = PEER + 1;
    welcome.txFirst = 0;
    welcomed(welcome);
    expect(get(RX_EPOCH)).toBe(PEER + 1);
    expect(get(RX_NEXT)).toBe(0);
    hear("00a\n");
    expect(pump()).toBe("[a]00\n");
  });

  test("of ours in a stream that we know stays, if the server says less", () => {
    linked2();
    hear("00a\n01b\n");
    pump();
    lose();
    welcomed(); // its oldest is 0
    expect(get(RX_NEXT)).toBe(2);
    hear("02c\n");
    expect(pump()).toBe("[c]02\n");
  });

  test("of ours moves on, if the server holds only newer ones", () => {
    linked2();
    hear("00a\n");
    pump();
    lose();
    const welcome = new Welcome();
    welcome.txFirst = 5;
    welcomed(welcome);
    expect(get(RX_NEXT)).toBe(5);
  });

  test("is compared across the end of the numbers", () => {
    for (let next = -3; next <= 3; next++) {
      for (let first = -3; first <= 3; first++) {
        defaults2();
        set(RX_EPOCH, PEER);
        set(RX_NEXT, next);
        boot();
        const welcome = new Welcome();
        welcome.txFirst = first;
        welcomed(welcome);
        expect(get(RX_NEXT)).toBe(max(next, first));
      }
    }
  });

  test("that outlived a reset is gone on from", () => {
    linked2();
    hear("00a\n01b\n");
    expect(pump()).toBe("[a][b]01\n");
    set(TX_EPOCH, EPOCH + 1); // what we had written is lost, so the stream is another
    boot();
    expect(greet().substr(3, 32)).toBe(word(EPOCH + 1) + word(0) + word(PEER) + word(2));
    const welcome = new Welcome();
    welcome.rxEpoch = EPOCH + 1;
    welcome.txFirst = 2;
    hear(welcome.sent + "02c\n");
    expect(pump()).toBe("[c]02\n");
  });

  test("that was lost with a reset is said to be none", () => {
    linked2();
    hear("00a\n");
    pump();
    set(RX_EPOCH, 0);
    set(RX_NEXT, 0);
    set(TX_EPOCH, EPOCH + 1);
    boot();
    expect(greet().substr(19, 16)).toBe(word(0) + word(0));
  });

  test("changes only with a welcome that holds", () => {
    const welcome = new Welcome();
    welcome.txFirst = 9;
    welcome.rxNext = 1;
    answerTo(welcome.sent);
    expect(get(RX_EPOCH)).toBe(0);
    expect(get(RX_NEXT)).toBe(0);
  });
});

describe("a proof", () => {
  test("that is right is answered with ours, before anything else", () => {
    const hello = withKey();
    say("a");
    const welcome = withSuite(1).proven(hello);
    hear(welcome);
    expect(get(STATE)).toBe(UP);
    expect(pump()).toBe("\x03" + proof(hello + welcome) + "\n00a\n");
    expect(intact()).toBe(true);
  });

  test("is right wherever the welcome is cut", () => {
    for (let at = 0; at < 124; at++) {
      const hello = withKey();
      const welcome = withSuite(1).proven(hello);
      hear(welcome.substr(0, at));
      expect(pump()).toBe("");
      hear(welcome.substr(at));
      expect(pump()).toBe("\x03" + proof(hello + welcome) + "\n");
    }
  });

  test("with any digit wrong is wrong, and ours is not shown", () => {
    for (let at = 91; at < 91 + 32; at++) {
      const welcome = withSuite(1).proven(withKey());
      hear(changed(welcome, at, welcome.charAt(at) == "0" ? "1" : "0"));
      expect(pump()).toBe("[close BAD_PROOF]");
      expect(get(REASON)).toBe(11);
    }
  });

  test("in other characters is wrong", () => {
    const others = ["g", "A", "F", " ", "\0", "/", ":", "`", "\x7f"];
    for (let i = 0; i < others.length; i++) {
      const welcome = withSuite(1).proven(withKey());
      hear(changed(welcome, 100, others[i]));
      expect(pump()).toBe("[close BAD_PROOF]");
    }
  });

  test("holds for all that was said", () => {
    // The suite and the kind are looked at before: a change of them is a bad greeting.
    for (let at = 3; at < 91; at++) {
      const welcome = withSuite(1).proven(withKey());
      if (at >= 35 && at < 59) continue; // window, bytes and line may be impossible then
      hear(changed(welcome, at, welcome.charAt(at) == "0" ? "1" : "0"));
      expect(pump()).toBe("[close BAD_PROOF]");
      expect(get(RX_EPOCH)).toBe(0);
    }
  });

  test("for an earlier hello is wrong: a welcome cannot be replayed", () => {
    const welcome = withSuite(1).proven(withKey());
    hear(welcome);
    pump();
    lose();
    greet();
    hear(welcome);
    expect(pump()).toBe("[close BAD_PROOF]");
  });

  test("of ours sent back to us is wrong", () => {
    const hello = withKey();
    const welcome = withSuite(1).proven(hello);
    hear(welcome);
    const ours = pump().substr(1, 32);
    lose();
    greet();
    hear(withSuite(1).text + ours + "\n");
    expect(pump()).toBe("[close BAD_PROOF]");
  });

  test("cannot be left out, or cut short", () => {
    const welcome = withSuite(1).proven(withKey());
    hear(welcome.substr(0, 91) + "\n");
    expect(pump()).toBe("[close BAD_GREETING]");
    withKey();
    hear(welcome.substr(0, 122) + "\n");
    expect(pump()).toBe("[close BAD_GREETING]");
    withKey();
    hear(new Welcome().sent);
    expect(pump()).toBe("[close BAD_GREETING]", "a server without the key says suite 00");
  });

  test("is told by a device to nobody who does not ask", () => {
    defaults2();
    boot();
    const hello = greet();
    hear(withSuite(1).proven(hello));
    expect(pump()).toBe("[close BAD_GREETING]");
  });

  test("of a proven server does not make its position possible", () => {
    const hello = withKey();
    const welcome = withSuite(1);
    welcome.rxNext = 1;
    hear(welcome.proven(hello));
    expect(pump()).toBe("[close BAD_POSITION]");
  });

  test("goes out when the socket takes it", () => {
    const hello = withKey();
    const welcome = withSuite(1).proven(hello);
    hear(welcome);
    expect(pump(CAN_RECEIVE)).toBe("");
    later(700);
    expect(pump()).toBe("\x03" + proof(hello + welcome) + "\n");
  });
});

describe("a refusal", () => {
  test("is told with its code", () => {
    for (let code = 1; code <= 6; code++) {
      expect(answerTo("\x040" + code.toString() + "\n")).toBe(
        "[close REFUSED " + code.toString() + "]",
      );
      expect(get(STATE)).toBe(IDLE);
    }
  });

  test("with a code that nobody knows, or with none, is one nevertheless", () => {
    expect(answerTo("\x043f\n")).toBe("[close REFUSED 63]");
    expect(answerTo("\x0408\n")).toBe("[close REFUSED 8]");
    expect(answerTo("\x04\n").startsWith("[close REFUSED ")).toBe(true);
    expect(answerTo("\x04ff\n").startsWith("[close REFUSED ")).toBe(true);
    expect(answerTo("\x04zz of some other sort\n").startsWith("[close REFUSED ")).toBe(true);
  });

  test("may be cut anywhere", () => {
    for (let at = 0; at < 4; at++) {
      defaults2();
      boot();
      greet();
      hear("\x0405\n".substr(0, at));
      pump();
      hear("\x0405\n".substr(at));
      expect(pump()).toBe("[close REFUSED 5]");
    }
  });

  test("loses nothing", () => {
    defaults2();
    boot();
    say("a");
    greet();
    hear("\x0406\n");
    pump();
    expect(get(RX_EPOCH)).toBe(0);
    expect(welcomed()).toBe("\n00a\n");
  });

  test("is one whenever it comes: of a proof, of what came behind it, of a key that was taken away", () => {
    linked2();
    say("a");
    pump();
    hear("\x0402\n");
    expect(pump()).toBe("[close REFUSED 2]");
    expect(get(WAIT)).toBeGreaterThanOrEqual(4000);
    linked2();
    hear("\n\x0401\n00late\n");
    expect(pump()).toBe("[close REFUSED 1]");
  });

  test("is none in dialect 1, nor inside a line", () => {
    linked();
    hear("\x0402\n");
    expect(pump()).toBe("[close BAD_LINE]");
    linked2();
    hear("00\x0402\n");
    expect(pump()).toBe("[\x0402]00\n");
  });
});

describe("the pause before the next attempt", () => {
  test("is long after what a person must put right, at most four timeouts and at least half of that", () => {
    const lines = ["\x0401\n", "\x0402\n", "\x0406\n", "\n", new Welcome().text + "0\n"];
    for (let i = 0; i < lines.length; i++) {
      answerTo(lines[i]);
      expect(get(WAIT)).toBeGreaterThanOrEqual(4000);
      expect(get(WAIT)).toBeLessThanOrEqual(8000);
    }
    const welcome = withSuite(1).proven(withKey());
    hear(changed(welcome, 91, welcome.charAt(91) == "0" ? "1" : "0"));
    pump();
    expect(get(WAIT)).toBeGreaterThanOrEqual(4000);
    expect(get(WAIT)).toBeLessThanOrEqual(8000);
  });

  test("is long each time, and ends in another attempt", () => {
    answerTo("\x0401\n");
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(get(WAIT)).toBeGreaterThanOrEqual(4000);
      expect(pass(get(WAIT))).toBe("[connect]");
      open();
      pump();
      hear("\x0401\n");
      pump();
    }
  });

  test("is long also after a link that lasted", () => {
    linked2();
    for (let i = 0; i < 30; i++) {
      pass(100);
      hear("\n");
    }
    lose();
    expect(pump()).toBe("[connect]");
    open();
    pump();
    hear("\x0402\n");
    expect(pump()).toBe("[close REFUSED 2]");
    expect(get(WAIT)).toBeGreaterThanOrEqual(4000);
  });

  test("is short after what may be better in a moment", () => {
    const welcome = new Welcome();
    welcome.rxNext = 9;
    answerTo(welcome.sent);
    expect(get(WAIT)).toBeLessThanOrEqual(63);
  });
});
