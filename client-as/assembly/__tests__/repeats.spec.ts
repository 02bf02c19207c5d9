import {
  boot, defaults, hear, hex, linked, lose, pump, RECENT, set, time, up,
} from "./harness";

/** What the application gets from a line, which must be acknowledged in any case. */
function brings(line: string): string {
  hear(line + "\n");
  const log = pump();
  assert(log.endsWith(line.substr(0, 2) + "\n"), "no ack for " + line + ": " + log);
  return log.substr(0, log.length - 3);
}

function reconnect(): void {
  lose();
  up();
}

describe("a repeat", () => {
  test("on the same connection is acknowledged again, and dropped", () => {
    linked();
    expect(brings("01text")).toBe("[text]");
    expect(brings("01text")).toBe("");
    expect(brings("01text")).toBe("");
  });

  test("on a new connection is acknowledged again, and dropped", () => {
    linked();
    expect(brings("01text")).toBe("[text]");
    reconnect();
    expect(brings("01text")).toBe("");
    reconnect();
    reconnect();
    expect(brings("01text")).toBe("");
  });

  test("is recognised while the first is still in the inbox", () => {
    linked();
    hear("01text\n01text\n02more\n01text\n");
    expect(pump()).toBe("[text][more]01\n01\n02\n01\n");
  });

  test("is recognised after as many newer messages as are remembered", () => {
    linked(); // 8
    expect(brings("01text")).toBe("[text]");
    for (let n = 2; n <= 8; n++) expect(brings(hex(n) + "text")).toBe("[text]");
    reconnect();
    for (let n = 1; n <= 8; n++) expect(brings(hex(n) + "text")).toBe("");
  });

  test("is not recognised after more newer messages than that", () => {
    linked();
    expect(brings("01text")).toBe("[text]");
    for (let n = 2; n <= 9; n++) expect(brings(hex(n) + "text")).toBe("[text]");
    expect(brings("01text")).toBe("[text]");
  });

  test("is not recognised after as many lost messages, either", () => {
    linked();
    expect(brings("01text")).toBe("[text]");
    expect(brings("0atext")).toBe("[text]"); // eight between them were lost
    expect(brings("01text")).toBe("[text]");
  });

  test("is recognised even if another message was overtaken", () => {
    linked();
    expect(brings("01text")).toBe("[text]");
    expect(brings("03text")).toBe("[text]");
    expect(brings("02text")).toBe("[text]");
    expect(brings("01text")).toBe("");
  });

  test("uses no memory that others need", () => {
    linked();
    expect(brings("01text")).toBe("[text]");
    for (let i = 0; i < 50; i++) expect(brings("01text")).toBe("");
    for (let n = 2; n <= 8; n++) {
      expect(brings(hex(n) + "text")).toBe("[text]");
      expect(brings(hex(n) + "text")).toBe("");
    }
    expect(brings("01text")).toBe("");
  });

  test("is told from a new message with the same text when the ids have wrapped", () => {
    defaults();
    set(RECENT, 223);
    boot();
    up();
    expect(brings("00text")).toBe("[text]");
    for (let n = 0; n < 1000; n++) expect(brings(hex(n % 255 + 1) + "text")).toBe("[text]");
  });

  test("is recognised at the end of the longest memory", () => {
    defaults();
    set(RECENT, 223);
    boot();
    up();
    for (let n = 1; n <= 223; n++) expect(brings(hex(n) + "text")).toBe("[text]");
    reconnect();
    for (let n = 1; n <= 223; n++) expect(brings(hex(n) + "text")).toBe("");
  });

  test("is recognised only directly after the first, with a memory of one", () => {
    defaults();
    set(RECENT, 1);
    boot();
    up();
    expect(brings("01a")).toBe("[a]");
    expect(brings("01a")).toBe("");
    expect(brings("02b")).toBe("[b]");
    expect(brings("01a")).toBe("[a]");
  });
});

describe("the same id", () => {
  test("with another text is a new message", () => {
    linked();
    expect(brings("01text")).toBe("[text]");
    expect(brings("01texu")).toBe("[texu]");
    expect(brings("01tex")).toBe("[tex]");
    expect(brings("01text ")).toBe("[text ]");
    expect(brings("01Text")).toBe("[Text]");
  });

  test("with another text is a new message after the other end has booted and its 00 was lost", () => {
    linked();
    for (let n = 0; n < 5; n++) expect(brings(hex(n) + "old " + n.toString())).not.toBe("");
    reconnect();
    for (let n = 1; n < 5; n++) expect(brings(hex(n) + "new " + n.toString())).not.toBe("");
  });
});

describe("id 00", () => {
  test("again on the connection that brought it is a repeat", () => {
    linked();
    expect(brings("00boot")).toBe("[boot]");
    expect(brings("00boot")).toBe("");
    expect(brings("01more")).toBe("[more]");
    expect(brings("00boot")).toBe("");
    expect(brings("01more")).toBe("", "this has not cleared the memory");
  });

  test("again on a new connection with nothing newer is a repeat", () => {
    linked();
    expect(brings("00boot")).toBe("[boot]");
    reconnect();
    expect(brings("00boot")).toBe("");
    reconnect();
    expect(brings("00boot")).toBe("");
    expect(brings("01more")).toBe("[more]");
  });

  test("again on a new connection after a newer message is another boot", () => {
    linked();
    expect(brings("00boot")).toBe("[boot]");
    expect(brings("01more")).toBe("[more]");
    reconnect();
    expect(brings("00boot")).toBe("[boot]");
    expect(brings("01more")).toBe("[more]");
    expect(brings("01more")).toBe("");
  });

  test("with another text is another boot, even with nothing newer", () => {
    linked();
    expect(brings("00boot")).toBe("[boot]");
    reconnect();
    expect(brings("00boot 2")).toBe("[boot 2]");
  });

  test("makes the ids before it new again", () => {
    linked();
    expect(brings("05text")).toBe("[text]");
    reconnect();
    expect(brings("00boot")).toBe("[boot]");
    expect(brings("05text")).toBe("[text]");
  });

  test("after our own boot is taken as it comes", () => {
    linked();
    expect(brings("00boot")).toBe("[boot]");
    boot(time());
    up();
    expect(brings("00boot")).toBe("[boot]");
  });
});
