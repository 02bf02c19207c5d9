import { answer, answered, ask, canReceive, done, hear, hello, on, refuse, tell, tellAt } from "../channel";
import { integer, is, valueLength } from "../json";
import { begin, byte, number, QOS, send, text } from "../text";
import { again, alive2, get, hear as arrives, hex, intact, linked2, linkedTo, pump, say, WINDOW } from "./harness";

const PAGE: usize = memory.data(256);

/** Offers the application a message. Returns whether it is about a channel. */
function offered(line: string): bool {
  const bytes = String.UTF8.encode(line);
  memory.copy(PAGE, changetype<usize>(bytes), bytes.byteLength);
  return hear(PAGE, bytes.byteLength);
}

/** Answer of an application with a heater (0 or 1), an adc and a bell, with id and newline; "plain": a plain line. */
function answerTo(line: string): string {
  if (!offered(line)) return "plain";
  if (on("=heater")) {
    const wanted = integer(-1);
    if (wanted == 0 || wanted == 1) {
      answer();
      number(wanted);
    }
  } else if (on("?adc")) {
    if (is("busy")) refuse("busy try later");
    else {
      answer();
      number(512);
    }
  } else if (on("=text")) {
    answer();
    for (let i = 0; i < integer(0); i++) byte(0x78);
  } else if (on("!bell")) {
    answer(); // not due
    number(1);
  } else if (answered(":time")) {
    tell("=now");
    number(integer(-1));
    send(QOS);
  }
  expect(done()).toBe(true, line);
  return pump();
}

/** The same for the first message of a link. */
function once(line: string): string {
  linked2();
  return answerTo(line);
}

describe("a setting", () => {
  test("is answered with the channel's value and the setting's tag", () => {
    expect(once("=heater.8 1")).toBe("00:heater.8 1\n");
    expect(once("=heater.0000000008 0")).toBe("00:heater.0000000008 0\n");
    expect(once("=heater 1")).toBe("00:heater 1\n");
  });

  test("with a bad value, or of an unknown channel, is answered with that error", () => {
    expect(once("=heater.8 2")).toBe("00~heater.8 bad_value\n");
    expect(once("=heater on")).toBe("00~heater bad_value\n");
    expect(once("=fan.8 1")).toBe("00~fan.8 unknown\n");
    expect(once("=heate 1")).toBe("00~heate unknown\n");
    expect(once("=heater/2 1")).toBe("00~heater/2 unknown\n");
    expect(once("=a-b_c/9.1 x")).toBe("00~a-b_c/9.1 unknown\n");
  });

  test("whose answer is too long is answered with failed", () => {
    expect(once("=text.1 113")).toBe("00:text.1 " + "x".repeat(113) + "\n");
    expect(once("=text.1 114")).toBe("00~text.1 failed\n");
    expect(intact()).toBe(true);
  });

  test("of the longest name and tag is answered, too", () => {
    const name = "n".repeat(32);
    expect(once("=" + name + ".1234567890 1")).toBe("00~" + name + ".1234567890 unknown\n");
  });
});

describe("a request", () => {
  test("is answered with its tag", () => {
    expect(once("?adc.7")).toBe("00:adc.7 512\n");
    expect(once("?adc.7 3")).toBe("00:adc.7 512\n");
  });

  test("is refused with a code, and words", () => {
    expect(once("?adc.7 busy")).toBe("00~adc.7 busy try later\n");
    expect(once("?heater.7")).toBe("00~heater.7 unknown\n"); // it can only be set
  });
});

describe("a line that is neither a setting nor a request", () => {
  test("is never answered", () => {
    expect(once("!bell")).toBe("");
    expect(once("!bell 3")).toBe("");
    expect(once("!gong")).toBe("");
    expect(once(":time.1 5")).toBe("");
    expect(once("~time.1 unknown")).toBe("");
    expect(once(":heater 1")).toBe("");
  });

  test("may have a value or not", () => {
    expect(offered("!bell 3")).toBe(true);
    expect(on("!bell")).toBe(true);
    expect(integer(-1)).toBe(3);
    expect(offered("!bell")).toBe(true);
    expect(on("!bell")).toBe(true);
    expect(valueLength()).toBe(0);
    expect(offered("=mode half past  two ")).toBe(true);
    expect(is("half past  two ")).toBe(true);
  });
});

describe("a line that only looks marked", () => {
  test("is a plain line", () => {
    const lines = [
      "=", "= ", "= 1", "=heater", "=heater ", "=heater=1", "=Heater 1", "=hätter 1", "=heater.1", "=heater.1 ",
      "=heater. 1", "=heater.x 1", "=heater.1.2 1", "=heater.1x 1", "=heater.12345678901 1", "=heater@5 1",
      "=a.1@5 1", "=a\t1", "==a 1", "=a:1", "=a`1", "={ 1", "=a{ 1", "=" + "n".repeat(33) + " 1", "!", "!bell ", "!b.1",
      "!b@1", "?", "?adc", "?adc 1", "?adc.", "?adc. 1", "?adc.x", "?.1", "?adc.1 ", "?adc.12345678901", ":", ":a ", ":a. 1",
      "~", "~ busy", "~a ", "@kitchen 3", "heater 1", "[1,2]", "{\"a\":1}", "1", " =a 1", "\x01=a 1", ">a 1", "<a 1", ";a 1",
    ];
    linked2();
    for (let i = 0; i < lines.length; i++) {
      expect(answerTo(lines[i])).toBe("plain", lines[i]);
      tell("=temp"); // allowed, as no answer is due
      expect(send(QOS)).toBe(true, lines[i]);
      expect(pump()).toBe(hex(i) + "=temp \n");
      arrives(hex(i) + "\n");
    }
  });

  test("may be any part of a channel's line, and nothing beyond it is read", () => {
    const whole = "=heater.8 1";
    const bytes = String.UTF8.encode(whole);
    // At the very end of the memory, reading one byte more would trap.
    const end = <usize>memory.size() << 16;
    const saved = new StaticArray<u8>(64);
    memory.copy(changetype<usize>(saved), end - 64, 64);
    let marked = 0;
    for (let length = 1; length <= whole.length; length++) {
      memory.copy(end - length, changetype<usize>(bytes), length);
      if (hear(end - length, length)) marked += length;
      on("=heater");
      integer(0);
      answered("=heater");
    }
    memory.copy(end - 64, changetype<usize>(saved), 64);
    expect(marked).toBe(whole.length); // only the whole line
  });
});

describe("an answer", () => {
  test("is given once, and sent before the application's own lines", () => {
    linked2();
    expect(offered("=heater.8 1")).toBe(true);
    expect(on("=heater")).toBe(true);
    tell("=temp");
    number(21);
    expect(send(QOS)).toBe(false);
    answer();
    number(1);
    expect(done()).toBe(true);
    expect(done()).toBe(true);
    answer();
    number(2);
    refuse("busy");
    expect(done()).toBe(true);
    tell("=temp");
    number(21);
    expect(send(QOS)).toBe(true);
    expect(pump()).toBe("00:heater.8 1\n01=temp 21\n");
  });

  test("without room is given when the message is offered again", () => {
    linkedTo(64, 4000, 512);
    while (say("x".repeat(100)));
    pump();
    expect(canReceive()).toBe(false);
    offered("=heater.8 1");
    on("=heater");
    answer();
    number(1);
    expect(done()).toBe(false);
    arrives("01\n"); // the first two have arrived
    pump();
    expect(canReceive()).toBe(true);
    expect(answerTo("=heater.8 1").endsWith(":heater.8 1\n")).toBe(true);
  });

  test("for which there is never room is given up", () => {
    linkedTo(64, 200, 50); // a server that takes only short lines
    expect(canReceive()).toBe(true);
    expect(answerTo("=heater.8 1")).toBe("");
  });
});

describe("a message", () => {
  test("is held back while there is no room for its answer", () => {
    linked2(); // room for 400 bytes
    for (let i = 0; i < 4; i++) {
      expect(canReceive()).toBe(true);
      say("x".repeat(65));
    }
    expect(canReceive()).toBe(false); // 288 are taken, and an answer needs up to 128
    pump();
    arrives("03\n");
    expect(canReceive()).toBe(true);
  });

  test("is held back while the window is full", () => {
    linked2();
    for (let i = 0; i < get(WINDOW); i++) {
      expect(canReceive()).toBe(true);
      say("x");
    }
    expect(canReceive()).toBe(false);
  });
});

describe("an application sends", () => {
  test("its name and version first", () => {
    linked2();
    expect(hello("@kitchen 3")).toBe(true);
    expect(pump()).toBe("00@kitchen 3\n");
  });

  test("reports, events, and their times", () => {
    linked2();
    tell("=temp");
    number(-5);
    send(QOS);
    tell("!button");
    text("pressed");
    send(QOS);
    tellAt("=temp", 0);
    number(7);
    send(QOS);
    tellAt("!button", -1); // the clock wraps at 2^32
    text("released");
    send(QOS);
    expect(pump()).toBe(
      "00=temp -5\n01!button pressed\n02=temp@0 7\n03!button@4294967295 released\n",
    );
  });

  test("events without a value like any line", () => {
    linked2();
    begin(7);
    text("!button");
    send(QOS);
    expect(pump()).toBe("00!button\n");
  });
});

describe("a request of the application", () => {
  test("has a tag, by which its answer is recognised", () => {
    linked2();
    hello("@kitchen 3"); // the specs' random numbers are 0
    ask("?time");
    send(QOS);
    ask("?time");
    byte(0x20);
    text("utc");
    send(QOS);
    expect(pump()).toBe("00@kitchen 3\n01?time.1\n02?time.2 utc\n");
    expect(answerTo(":time.1 5")).toBe(""); // a newer request was made since
    expect(answerTo(":time.2 1732838400")).toBe("03=now 1732838400\n");
    expect(answerTo(":time 1")).toBe("");
    expect(answerTo(":times.2 1")).toBe("");
    expect(answerTo("~time.2 busy")).toBe("");
    expect(offered("~time.2 busy")).toBe(true);
    expect(answered("~time")).toBe(true);
    expect(is("busy")).toBe(true);
  });

  test("keeps its tag through an outage", () => {
    linked2();
    hello("@kitchen 3");
    ask("?time");
    send(QOS);
    pump();
    expect(again(0)).toBe("\n00@kitchen 3\n01?time.3\n");
    expect(answerTo(":time.3 9")).toBe("02=now 9\n");
    expect(alive2(1000)).toBe("");
  });
});
