import {
  boot, defaults, get, hear, hearBytes, INBOX, intact, LINE, linked, lose, open, OUTBOX, pass,
  pump, REASON, say, set, STATE, up, UP,
} from "./harness";

/** Log of a text that arrives cut in two. */
function cutAt(text: string, at: i32): string {
  linked();
  say("out");
  pump();
  hear(text.substr(0, at));
  let log = pump();
  hear(text.substr(at));
  return log + pump();
}

/** Log of these bytes on a link that is up. */
function outcome(text: string): string {
  linked();
  hear(text);
  return pump();
}

describe("a line", () => {
  test("may be cut anywhere", () => {
    const text = "\n01one\n00\n02two\n\n03t\n";
    for (let at = 0; at <= text.length; at++) {
      const log = cutAt(text, at);
      // Acks wait for a poll: the cut decides which of them are sent together.
      expect(log.replace("01\n", "").replace("02\n", "").replace("03\n", ""))
        .toBe("[one][two][t]");
      expect(log.includes("01\n") && log.includes("02\n") && log.includes("03\n")).toBe(true);
      expect(get(STATE)).toBe(UP);
    }
  });

  test("may come byte by byte", () => {
    linked();
    const text = "\n01one\n02two\n\n";
    let log = "";
    for (let i = 0; i < text.length; i++) {
      hear(text.charAt(i));
      log += pump();
    }
    expect(log).toBe("[one]01\n[two]02\n");
  });

  test("may come with many others at once", () => {
    expect(outcome("01a\n02b\n\n03c\n04d\n\n\n05e\n")).toBe("[a][b][c][d][e]01\n02\n03\n04\n05\n");
  });

  test("ends with a newline that comes alone, or first in its segment", () => {
    linked();
    hear("01text");
    expect(pump()).toBe("");
    hear("\n");
    expect(pump()).toBe("[text]01\n");
    hear("02more");
    pump();
    hear("\n03next\n");
    expect(pump()).toBe("[more][next]02\n03\n");
  });

  test("cut between its id and its text is not an ack", () => {
    linked();
    say("out");
    pump();
    hear("00");
    expect(pump()).toBe("");
    hear("text\n");
    expect(pump()).toBe("[text]00\n");
    hear("00");
    pump();
    hear("\n");
    pump();
    expect(pass(2000 - 1).includes("00out")).toBe(false, "the ack was understood");
  });

  test("that a dead connection left unfinished is forgotten", () => {
    linked();
    hear("01half a li");
    pump();
    lose();
    up();
    hear("ne\n"); // would be the rest of it
    expect(pump()).toBe("[close BAD_LINE]");
    up();
    hear("01half a line\n");
    expect(pump()).toBe("[half a line]01\n");
  });

  test("may have the longest text allowed", () => {
    expect(outcome("01aaaaaaaaaaaaaaaaaaaa\n")).toBe("[aaaaaaaaaaaaaaaaaaaa]01\n");
  });

  test("with one byte more ends the connection", () => {
    expect(outcome("01aaaaaaaaaaaaaaaaaaaaa\n")).toBe("[close LINE_TOO_LONG]");
    expect(intact()).toBe(true);
  });

  test("that is too long is noticed before its end", () => {
    linked();
    hear("01aaaaaaaaaaaaaaaaaaaa");
    pump();
    expect(get(STATE)).toBe(UP);
    hear("a");
    expect(pump()).toBe("[close LINE_TOO_LONG]");
  });

  test("that is too long does not lose the messages before it", () => {
    linked();
    hear("01first\n02aaaaaaaaaaaaaaaaaaaaaaaaa");
    expect(pump()).toBe("[close LINE_TOO_LONG]", "not acknowledged: it will come again");
    up();
    hear("01first\n");
    expect(pump()).toBe("[first]01\n");
  });

  test("without an id ends the connection", () => {
    expect(outcome("hello\n")).toBe("[close BAD_LINE]");
    expect(get(REASON)).toBe(7);
    expect(outcome("g0text\n")).toBe("[close BAD_LINE]");
    expect(outcome("0gtext\n")).toBe("[close BAD_LINE]");
    expect(outcome(" 1text\n")).toBe("[close BAD_LINE]");
    expect(outcome("-1text\n")).toBe("[close BAD_LINE]");
    expect(outcome("/0text\n")).toBe("[close BAD_LINE]");
    expect(outcome("0:text\n")).toBe("[close BAD_LINE]");
    expect(outcome("`0text\n")).toBe("[close BAD_LINE]");
    expect(outcome("é1text\n")).toBe("[close BAD_LINE]");
  });

  test("with an id in upper case ends the connection", () => {
    expect(outcome("0Atext\n")).toBe("[close BAD_LINE]");
    expect(outcome("A0text\n")).toBe("[close BAD_LINE]");
    expect(outcome("FF\n")).toBe("[close BAD_LINE]");
  });

  test("of one character ends the connection", () => {
    expect(outcome("0\n")).toBe("[close BAD_LINE]");
    expect(outcome("\r\n")).toBe("[close BAD_LINE]");
  });

  test("of only an id is an ack, even of a message that was never sent", () => {
    expect(outcome("00\n")).toBe("");
    expect(outcome("ff\n")).toBe("");
    expect(get(STATE)).toBe(UP);
  });

  test("keeps every other byte as it is", () => {
    expect(outcome("01 \t\r\0\x7f\n")).toBe("[ \t\r\0\x7f]01\n");
    expect(outcome("0112\n")).toBe("[12]01\n");
    expect(outcome("01žluťoučký\n")).toBe("[žluťoučký]01\n");
    expect(outcome("01😀\n")).toBe("[😀]01\n");
  });

  test("may be cut inside a UTF-8 character", () => {
    const bytes = String.UTF8.encode("01€\n");
    for (let cut = 3; cut < 5; cut++) {
      linked();
      hearBytes(changetype<usize>(bytes), cut);
      expect(pump()).toBe("");
      hearBytes(changetype<usize>(bytes) + cut, 6 - cut);
      expect(pump()).toBe("[€]01\n");
    }
  });

  test("that is bad before the greeting ends the connection as well", () => {
    linked();
    lose();
    pass(100);
    open();
    pump();
    hear("HTTP/1.1 400 Bad\n");
    expect(pump()).toBe("[close BAD_LINE]");
  });

  test("of 512 bytes of text passes if the buffers are as large as the chip's", () => {
    defaults();
    set(LINE, 512);
    set(OUTBOX, 1024);
    set(INBOX, 1100);
    boot();
    up();
    let text = "";
    for (let i = 0; i < 512; i++) text += "0123456789abcdef".charAt(i & 15);
    hear("01" + text + "\n");
    expect(pump()).toBe("[" + text + "]01\n");
    expect(say(text)).toBe(true);
    expect(pump()).toBe("00" + text + "\n");
    expect(intact()).toBe(true);
  });
});
