import {
  answerTo, boot, changed, CONNECTS, defaults2, get, greet, hear, helloText, ID_LEN, INBOX, intact,
  later, LEN, linked2, lose, open, pass, piece, proof, pump, REASON, RX_EPOCH, RX_NEXT, RX_ROOM, say, SEND,
  set, STATE, step, text, TX_FIRST, TX_NEXT, UP, Welcome, welcomed, withKey, withSuite,
} from "./harness";
import { room } from "../core";

describe("the hello of dialect 2", () => {
  test("has the id and the position, byte for byte", () => {
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

  test("asks for a proof if the device has a key", () => {
    expect(withKey().startsWith("\x01020dec0de1")).toBe(true);
  });

  test("has another nonce on each connection", () => {
    linked2();
    lose();
    const hello = greet();
    expect(hello).toBe(helloText());
    expect(hello.includes("11111111121212121313131314141414")).toBe(true);
  });

  test("is sent in one piece, also with the longest id", () => {
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

  test("with any id leaves room for the longest line in the smallest inbox", () => {
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

  test("is sent when the socket takes it", () => {
    defaults2();
    boot();
    pump();
    open();
    expect(pump(0)).toBe("");
    later(100);
    expect(pump()).toBe(helloText());
  });

  test("is not followed by anything before the welcome, not even a keepalive", () => {
    defaults2();
    boot();
    say("waits");
    greet();
    expect(pass(749)).toBe("");
    expect(pass(1)).toBe("[close NO_GREETING][connect]");
  });

  test("is not followed by anything while the welcome comes slowly, which does not extend the wait", () => {
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

  test("is sent every 3/8 of the timeout to a server that accepts and is silent, and not more often", () => {
    defaults2();
    boot();
    for (let attempt = 0; attempt < 5; attempt++) {
      greet();
      expect(pass(749)).toBe("");
      expect(pass(1)).toBe("[close NO_GREETING][connect]");
    }
    lose(); // from here on nobody accepts: attempts may fail quickly, so there is a pause
    expect(pass(249)).toBe("");
    expect(pass(251)).toBe("[connect]");
  });
});

describe("a welcome", () => {
  test("is not just any line of its length: the kind counts", () => {
    defaults2();
    boot();
    greet();
    const welcome = new Welcome();
    welcome.kind = "\x05";
    hear(welcome.sent);
    expect(pump()).toBe("[close BAD_GREETING]");
  });

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

  test("lets earlier messages be sent", () => {
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
      // Acks wait for a poll: the cut decides whether they are sent together.
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

  test("that a dead connection left unfinished is forgotten", () => {
    defaults2();
    boot();
    greet();
    hear(new Welcome().sent.substr(0, 50));
    pump();
    lose();
    expect(welcomed()).toBe("\n");
  });

  test("must come once: a second one on the same connection is a bad line", () => {
    linked2();
    hear(new Welcome().sent);
    expect(pump()).toBe("[close BAD_LINE]");
  });
});

describe("instead of a welcome", () => {
  test("a keepalive of dialect 1 is refused", () => {
    expect(answerTo("\n")).toBe("[close BAD_GREETING]");
    expect(get(REASON)).toBe(10);
  });

  test("a message or an ack is refused", () => {
    expect(answerTo("00hello\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("00\n")).toBe("[close BAD_GREETING]");
  });

  test("another protocol is refused", () => {
    expect(answerTo("HTTP/1.1 400 Bad Request\r\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("SSH-2.0-x\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("x".repeat(124))).toBe("[close LINE_TOO_LONG]");
  });

  test("a hello is refused: two devices are connected to each other", () => {
    defaults2();
    boot();
    const hello = greet();
    hear(hello);
    expect(pump()).toBe("[close BAD_GREETING]");
  });

  test("one that lacks a character, or has one more, is refused", () => {
    const text = new Welcome().text;
    expect(answerTo(text.substr(0, 90) + "\n")).toBe("[close BAD_GREETING]");
    expect(answerTo(text + "0\n")).toBe("[close BAD_GREETING]");
    expect(answerTo(text + " \n")).toBe("[close BAD_GREETING]");
    expect(answerTo(text + "0".repeat(32) + "\n")).toBe("[close BAD_GREETING]");
    expect(answerTo("\x02\n")).toBe("[close BAD_GREETING]");
  });

  test("one with anything but lower-case hex digits is refused", () => {
    const text = new Welcome().sent;
    for (let at = 1; at < 3 + 7 * 8; at++) {
      expect(answerTo(changed(text, at, "g"))).toBe("[close BAD_GREETING]");
      expect(answerTo(changed(text, at, "A"))).toBe("[close BAD_GREETING]");
      expect(answerTo(changed(text, at, "\0"))).toBe("[close BAD_GREETING]");
      expect(answerTo(changed(text, at, "W"))).toBe("[close BAD_GREETING]"); // it would be a 0
    }
  });

  test("one of another suite is refused", () => {
    expect(answerTo(withSuite(1).sent)).toBe("[close BAD_GREETING]");
    expect(answerTo(withSuite(2).sent)).toBe("[close BAD_GREETING]");
    expect(answerTo(withSuite(255).sent)).toBe("[close BAD_GREETING]");
  });

  test("one of suite 03 is handled like one of suite 02: the host does the sealing", () => {
    const hello = withKey(3);
    expect(hello.substr(0, 3)).toBe("\x0103");
    const welcome = withSuite(3);
    welcome.txFirst = 77;
    const line = welcome.proven(hello);
    hear(line);
    expect(pump()).toBe("\x03" + proof(hello + line) + "\n");
    expect(get(RX_NEXT)).toBe(77);
  });

  test("one of another suite than the key's is refused", () => {
    hear(withSuite(2).proven(withKey(3)));
    expect(pump()).toBe("[close BAD_GREETING]");
    hear(withSuite(3).proven(withKey(2)));
    expect(pump()).toBe("[close BAD_GREETING]");
    withKey(3);
    hear(new Welcome().sent);
    expect(pump()).toBe("[close BAD_GREETING]");
  });

  test("one with a window of 0, or of more than 64, is refused", () => {
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

  test("one without room for its own longest line is refused", () => {
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

  test("one with a longest line so long that line + 3 wraps is refused", () => {
    const welcome = new Welcome();
    welcome.line = -1;
    for (let bytes = -4; bytes < 5; bytes++) {
      welcome.bytes = bytes;
      expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]", bytes.toString());
    }
  });

  test("one that takes no text is refused", () => {
    const welcome = new Welcome();
    welcome.line = 0;
    for (let bytes = -4; bytes < 5; bytes++) {
      welcome.bytes = bytes;
      expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]", bytes.toString());
    }
  });

  test("one with epoch 0 is refused", () => {
    const welcome = new Welcome();
    welcome.txEpoch = 0;
    expect(answerTo(welcome.sent)).toBe("[close BAD_GREETING]");
  });

  test("one that takes lines of 4 GB does not change what we can write", () => {
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
