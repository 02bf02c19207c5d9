import {
  boot, CLOSE, CONNECT, CONNECTING, CONNECTS, defaults, fresh, get, GREETING, hear, ID_LEN, IDLE,
  intact, later, LEN, linked, lose, NONE, open, pass, piece, pump, TX_FIRST, TX_NEXT, REASON, say, SEED,
  SEND, set, STATE, step, time, TIMEOUT, up, UP, WAIT,
} from "./harness";

/** Lets an attempt fail, waits out the pause before the next, and returns its length. */
function pauseAfterFailure(): i32 {
  lose();
  assert(pump() == "", "something happens before the pause");
  const pause = get(WAIT);
  assert(get(STATE) == IDLE || get(STATE) == CONNECTING, "neither waiting nor connecting");
  assert(pass(pause - 1) == "", "it did not wait");
  later(1);
  return pause;
}

/** Connects at a given time, after the pause. */
function connectAt(at: i32): void {
  later(at - time());
  assert(pump() == "[connect]", "still pausing");
}

describe("on the way to a link", () => {
  test("the core connects at once after boot", () => {
    fresh();
    expect(get(STATE)).toBe(IDLE);
    expect(step()).toBe(CONNECT);
    expect(get(STATE)).toBe(CONNECTING);
    expect(step()).toBe(NONE);
  });

  test("the hello is the first thing sent, and nothing follows it", () => {
    fresh();
    pump();
    open();
    expect(get(STATE)).toBe(GREETING);
    expect(step()).toBe(SEND);
    expect(piece()).toBe("1\n");
    expect(step()).toBe(NONE);
  });

  test("a hello of 256 bytes is sent in one piece", () => {
    defaults();
    set(ID_LEN, 256);
    boot();
    pump();
    open();
    expect(step()).toBe(SEND);
    expect(get(LEN)).toBe(256);
    expect(piece().endsWith("11\n")).toBe(true);
    expect(intact()).toBe(true);
  });

  test("the hello is sent again on every connection", () => {
    linked();
    lose();
    expect(pass(100)).toBe("[connect]");
    open();
    expect(pump()).toBe("1\n");
  });

  test("only keepalives follow the hello until something is heard", () => {
    fresh();
    say("waits");
    expect(pump()).toBe("[connect]");
    open();
    expect(pump()).toBe("1\n");
    expect(pass(1900)).toBe("\n");
    hear("\n");
    expect(pump()).toBe("\n00waits\n");
  });

  test("half a line is not a greeting", () => {
    fresh();
    say("waits");
    pump();
    open();
    pump();
    hear("01hel");
    expect(pump()).toBe("");
    expect(get(STATE)).toBe(GREETING);
    hear("lo\n");
    expect(pump()).toBe("[hello]01\n00waits\n");
    expect(get(STATE)).toBe(UP);
  });

  test("a message is a greeting, like a keepalive", () => {
    fresh();
    pump();
    open();
    pump();
    hear("00first\n");
    expect(get(STATE)).toBe(UP);
    expect(pump()).toBe("[first]00\n");
  });

  test("a greeting is answered with a keepalive at once", () => {
    fresh();
    pump();
    open();
    pump();
    later(100);
    hear("\n");
    expect(pump()).toBe("\n");
  });

  test("a message that comes before the hello could be sent is acknowledged after it", () => {
    fresh();
    pump();
    open();
    expect(pump(0)).toBe("");
    hear("00early\n");
    expect(pump()).toBe("[early]1\n00\n");
  });

  test("each time the link comes up is counted once", () => {
    fresh();
    expect(get(CONNECTS)).toBe(0);
    up();
    expect(get(CONNECTS)).toBe(1);
    hear("\n\n");
    expect(get(CONNECTS)).toBe(1);
    lose();
    expect(get(CONNECTS)).toBe(1);
    up();
    expect(get(CONNECTS)).toBe(2);
  });

  test("booting again forgets everything", () => {
    linked();
    say("old");
    pump();
    hear("05new\n");
    pump();
    boot(time());
    expect(get(STATE)).toBe(IDLE);
    expect(get(CONNECTS)).toBe(0);
    expect(get(TX_FIRST)).toBe(0);
    expect(get(TX_NEXT)).toBe(0);
    up();
    expect(get(CONNECTS)).toBe(1);
    expect(pump()).toBe("");
    say("young");
    expect(pump()).toBe("00young\n");
    hear("05new\n");
    expect(pump()).toBe("[new]05\n");
  });
});

describe("an attempt that fails", () => {
  test("is given up after 3/8 of the timeout, and the next begins at once", () => {
    fresh();
    pump();
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(pass(749)).toBe("");
      expect(pass(1)).toBe("[close NO_ANSWER][connect]");
      expect(get(STATE)).toBe(CONNECTING);
    }
  });

  test("waits for a greeting for twice the timeout", () => {
    fresh();
    pump();
    later(300); // the time counts from here, not from the start of the attempt
    open();
    expect(pump()).toBe("1\n");
    expect(pass(3999)).toBe("\n\n\n");
    later(1);
    expect(step()).toBe(CLOSE);
    expect(get(REASON)).toBe(3);
  });

  test("waits longer for the greeting when part of it has come", () => {
    fresh();
    pump();
    open();
    pass(3999);
    hear("01gr");
    pass(3999);
    expect(get(STATE)).toBe(GREETING);
  });

  test("pauses grow from a 32nd to a quarter of the timeout", () => {
    fresh();
    pump();
    for (let attempt = 1; attempt < 12; attempt++) {
      const longest = 2000 >> max(6 - attempt, 2);
      const pause = pauseAfterFailure();
      expect(pause).toBeLessThanOrEqual(longest);
      expect(pause).toBeGreaterThanOrEqual(longest / 2);
      expect(pump()).toBe("[connect]");
    }
  });

  test("pauses differ between devices that fail at the same time", () => {
    let same = 0;
    let last = -1;
    for (let seed = 1; seed <= 20; seed++) {
      defaults();
      set(SEED, seed * 7919);
      boot();
      pump();
      let pause = 0;
      for (let attempt = 0; attempt < 6; attempt++) {
        lose();
        pump();
        pause = get(WAIT);
        if (attempt == 5) break;
        connectAt(2000 * (attempt + 1));
      }
      if (pause == last) same++;
      last = pause;
      expect(pause).toBeLessThanOrEqual(500);
      expect(pause).toBeGreaterThanOrEqual(250);
    }
    expect(same).toBeLessThan(5);
  });

  test("the longest timeout still gives pauses of at most a quarter of it", () => {
    defaults();
    set(TIMEOUT, 3600000);
    boot();
    pump();
    for (let attempt = 0; attempt < 30; attempt++) {
      lose();
      pump();
      expect(get(WAIT)).toBeLessThanOrEqual(900000);
      later(get(WAIT));
      expect(pump()).toBe("[connect]");
      later(attempt * 997);
    }
  });

  test("connects at once after a link that lasted for the timeout", () => {
    linked();
    for (let i = 0; i < 20; i++) { // 2000 ms in all
      pass(100);
      hear("\n");
    }
    lose();
    expect(pump()).toBe("[connect]");
  });

  test("pauses after links that never last", () => {
    linked();
    let last = 0;
    for (let link = 0; link < 4; link++) {
      pass(1999);
      lose();
      expect(pump()).toBe("");
      expect(get(WAIT)).toBeGreaterThan(last);
      last = get(WAIT);
      up();
    }
  });

  test("pauses are short again after a link that lasted", () => {
    fresh();
    pump();
    for (let attempt = 0; attempt < 6; attempt++) {
      pauseAfterFailure();
      pump();
    }
    open();
    pump();
    hear("\n");
    for (let i = 0; i < 20; i++) {
      pass(100);
      hear("\n");
    }
    lose();
    expect(pump()).toBe("[connect]");
    expect(pauseAfterFailure()).toBeLessThanOrEqual(62);
  });

  test("pauses also grow long after the last link", () => {
    linked();
    lose();
    pump();
    later(10_000);
    expect(pump()).toBe("[connect]");
    let pause = 0;
    for (let attempt = 0; attempt < 8; attempt++) {
      pause = pauseAfterFailure();
      expect(pump()).toBe("[connect]");
    }
    expect(pause).toBeGreaterThanOrEqual(250);
  });

  test("a link of more than 25 days counts as one that lasted", () => {
    defaults();
    set(TIMEOUT, 3600000);
    boot();
    pump();
    for (let attempt = 0; attempt < 6; attempt++) {
      pauseAfterFailure();
      pump();
    }
    up();
    for (let i = 0; i < 800; i++) { // more than 2^31 ms in all
      pass(3000000);
      hear("\n");
    }
    expect(get(STATE)).toBe(UP);
    lose();
    expect(pump()).toBe("[connect]");
  });
});

describe("calls out of turn", () => {
  test("opened does nothing unless connecting", () => {
    fresh();
    open();
    expect(get(STATE)).toBe(IDLE);
    up();
    open();
    expect(get(STATE)).toBe(UP);
    expect(pump()).toBe("");
  });

  test("closed does nothing without a connection", () => {
    linked();
    lose();
    pump();
    const pause = get(WAIT);
    later(1);
    lose();
    pump();
    expect(get(WAIT)).toBe(pause - 1);
    fresh();
    lose();
    expect(get(REASON)).toBe(0);
    expect(pump()).toBe("[connect]");
  });

  test("closed on a connection that the core has just given up replaces the close event", () => {
    linked();
    hear("no id\n");
    lose(); // the network reports the end to the host before it polls
    expect(get(STATE)).toBe(IDLE);
    pass(500);
    expect(get(STATE)).toBe(CONNECTING);
  });

  test("bytes do nothing without a connection", () => {
    fresh();
    hear("01ghost\n"); // polls, and so connects
    expect(get(STATE)).toBe(CONNECTING);
    expect(pump()).toBe("[connect]");
    hear("01ghost\n");
    expect(pump()).toBe("");
    open();
    expect(pump()).toBe("1\n");
    expect(get(STATE)).toBe(GREETING);
  });

  test("bytes do nothing after a bad line", () => {
    linked();
    hear("no id\n");
    hear("01ghost\n");
    expect(pump()).toBe("[close BAD_LINE]");
  });
});

describe("the clock", () => {
  test("may wrap from its largest to its smallest value at any time", () => {
    for (let before = 0; before < 6000; before += 250) {
      fresh(i32.MAX_VALUE - before);
      expect(pass(100)).toBe("[connect]");
      open();
      pump();
      hear("\n");
      pump();
      say("wraps");
      expect(pass(1600)).toBe("00wraps\n\n\n\n");
      hear("00\n");
      expect(pass(1999)).toBe("\n\n\n\n");
      expect(get(STATE)).toBe(UP);
      expect(pass(1)).toBe("[close SILENT][connect]");
      expect(pass(750)).toBe("[close NO_ANSWER][connect]");
    }
  });

  test("may pass zero, as an unsigned clock does when it wraps", () => {
    for (let before = 0; before < 6000; before += 250) {
      fresh(-before);
      expect(pass(100)).toBe("[connect]");
      open();
      pump();
      hear("\n");
      pump();
      expect(pass(1999)).toBe("\n\n\n");
      expect(get(STATE)).toBe(UP);
      expect(pass(1)).toBe("[close SILENT][connect]");
    }
  });
});
