import { begin, byte, bytes, close, item, NO_QOS, number, open, QOS, send, text } from "../text";
import { connected, connects, pending } from "../status";
import {
  boot, defaults, fresh, hear, intact, LINE, linked, lose, OUTBOX, pump, set, up as link,
  WINDOW,
} from "./harness";

/** A link that is up, with nothing left to send. */
function up(): void {
  linked();
  pump();
}

/** The message that carries a literal. */
function lineOf(literal: string): string {
  up();
  begin(20);
  text(literal);
  return send(QOS) ? pump() : "[refused]";
}

/** The message that carries a number. */
function lineOfNumber(value: i32): string {
  up();
  begin(11);
  number(value);
  return send(QOS) ? pump() : "[refused]";
}

describe("a number", () => {
  test("is decimal", () => {
    expect(lineOfNumber(0)).toBe("000\n");
    expect(lineOfNumber(9)).toBe("009\n");
    expect(lineOfNumber(10)).toBe("0010\n");
    expect(lineOfNumber(1020)).toBe("001020\n");
    expect(lineOfNumber(-7)).toBe("00-7\n");
  });

  test("may be any i32", () => {
    expect(lineOfNumber(i32.MAX_VALUE)).toBe("002147483647\n");
    expect(lineOfNumber(i32.MIN_VALUE)).toBe("00-2147483648\n");
  });
});

describe("a literal", () => {
  test("is sent as UTF-8, with one to four bytes for a character", () => {
    expect(lineOf("aé€😀ÿ")).toBe("00aé€😀ÿ\n");
    expect(lineOf("\u{7f}\u{80}\u{7ff}\u{800}")).toBe("00\u{7f}\u{80}\u{7ff}\u{800}\n");
    expect(lineOf("\uffff\u{10000}\u{10ffff}")).toBe("00\uffff\u{10000}\u{10ffff}\n");
    expect(lineOf("\ud7ff\ue000")).toBe("00\ud7ff\ue000\n");
  });

  test("that starts with NUL, 1 or 2 makes the line refused: they have another meaning for a server", () => {
    expect(lineOf("\u{0}a")).toBe("[refused]");
    expect(lineOf("\u{1}a")).toBe("[refused]");
    expect(lineOf("\u{2}a")).toBe("[refused]");
    expect(lineOf("\u{3}a\u{0}\u{1}")).toBe("00\u{3}a\u{0}\u{1}\n");
  });

  test("with half a surrogate pair makes the line refused", () => {
    expect(lineOf("a\ud83d")).toBe("[refused]");
    expect(lineOf("\ud83da")).toBe("[refused]");
    expect(lineOf("\ude00\ud83d")).toBe("[refused]");
    expect(lineOf("\ud83d\ud83d")).toBe("[refused]");
    expect(lineOf("\ud83d\ue000")).toBe("[refused]");
  });

  test("with a newline inside makes the line refused", () => {
    expect(lineOf("a\nb")).toBe("[refused]");
  });
});

describe("an array", () => {
  test("has commas between its elements", () => {
    up();
    begin(20);
    open();
    item(1);
    item(-2);
    item(3);
    close();
    expect(send(QOS)).toBe(true);
    expect(pump()).toBe("00[1,-2,3]\n");
  });

  test("may be empty, and part of a longer text", () => {
    up();
    begin(20);
    text("{\"a\":");
    open();
    close();
    text("}");
    send(QOS);
    expect(pump()).toBe("00{\"a\":[]}\n");
  });
});

describe("bytes", () => {
  test("are copied as they are", () => {
    up();
    const from = String.UTF8.encode("[1,2]");
    begin(3);
    bytes(changetype<usize>(from) + 1, 3);
    send(QOS);
    expect(pump()).toBe("001,2\n");
  });
});

describe("a line", () => {
  test("may fill its room to the last byte", () => {
    up();
    begin(3);
    text("abc");
    expect(send(QOS)).toBe(true);
    expect(pump()).toBe("00abc\n");
  });

  test("that is a byte too long is refused, even if the next part would fit", () => {
    up();
    begin(3);
    text("abcd");
    byte(97);
    expect(send(QOS)).toBe(false);
    begin(2);
    number(100);
    expect(send(QOS)).toBe(false);
    begin(2);
    text("€");
    expect(send(QOS)).toBe(false);
    expect(pump()).toBe("");
    expect(intact()).toBe(true);
  });

  test("longer than LINE cannot be begun", () => {
    up();
    expect(begin(20)).toBe(true);
    expect(begin(21)).toBe(false);
    text("a");
    expect(send(QOS)).toBe(false);
    expect(begin(0)).toBe(false);
    expect(begin(-1)).toBe(false);
    expect(begin(i32.MIN_VALUE)).toBe(false);
    expect(begin(i32.MAX_VALUE)).toBe(false);
  });

  test("that is empty is refused", () => {
    up();
    begin(10);
    expect(send(QOS)).toBe(false);
  });

  test("is sent once", () => {
    up();
    begin(10);
    text("a");
    expect(send(QOS)).toBe(true);
    expect(send(QOS)).toBe(false);
    text("b");
    expect(send(QOS)).toBe(false);
    expect(pump()).toBe("00a\n");
  });

  test("that was not sent is dropped by the next", () => {
    up();
    begin(20);
    text("not this one");
    begin(20);
    text("a");
    send(QOS);
    expect(pump()).toBe("00a\n");
  });

  test("may be shorter than its room, even if that was only just available", () => {
    defaults();
    set(LINE, 20);
    set(OUTBOX, 27 + 8); // a full line, or one byte in front of it
    boot();
    begin(20);
    text("a");
    expect(send(QOS)).toBe(true);
    expect(begin(20)).toBe(true);
    text("twenty bytes exactly");
    expect(send(QOS)).toBe(true);
    expect(intact()).toBe(true);
  });

  test("without qos needs a link", () => {
    fresh();
    begin(10);
    text("a");
    expect(send(NO_QOS)).toBe(false);
    up();
    begin(10);
    text("b");
    expect(send(NO_QOS)).toBe(true);
    expect(pump()).toBe("00b\n");
  });
});

describe("a full outbox", () => {
  test("refuses a line when it is begun, and changes nothing", () => {
    up();
    let accepted = 0;
    while (begin(20)) {
      text("twenty bytes exactly");
      expect(send(QOS)).toBe(true);
      accepted++;
    }
    expect(accepted).toBe(3);
    text("more");
    open();
    item(1);
    close();
    expect(send(QOS)).toBe(false);
    expect(pending()).toBe(3);
    expect(pump()).toBe("00twenty bytes exactly\n"); // nothing follows the first before its ack
    expect(intact()).toBe(true);
  });

  test("accepts lines again after an ack", () => {
    defaults();
    set(WINDOW, 1);
    boot();
    link();
    pump();
    begin(1);
    text("a");
    send(QOS);
    pump();
    expect(begin(1)).toBe(false);
    hear("00\n");
    expect(begin(1)).toBe(true);
  });
});

describe("the state of the link", () => {
  test("shows connections, and messages without an ack", () => {
    fresh();
    expect(connected()).toBe(false);
    expect(connects()).toBe(0);
    up();
    expect(connected()).toBe(true);
    expect(connects()).toBe(1);
    expect(pending()).toBe(0);
    begin(1);
    text("a");
    send(QOS);
    expect(pending()).toBe(1);
    pump();
    expect(pending()).toBe(1);
    hear("00\n");
    expect(pending()).toBe(0);
    lose();
    expect(connected()).toBe(false);
    expect(connects()).toBe(1);
  });
});
