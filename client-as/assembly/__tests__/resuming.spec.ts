import {
  answerTo, boot, CAN_RECEIVE, changed, defaults2, EPOCH, get, greet, hear, IDLE, intact, later,
  lines, linked, linked2, lose, open, pass, PEER, proof, pump, REASON, RX_EPOCH, RX_NEXT, say, set,
  STATE, text, TX_EPOCH, TX_FIRST, UP, WAIT, Welcome, welcomed, withKey, withSuite, word,
} from "./harness";

describe("a position", () => {
  test("tells which messages the server has: these leave the outbox", () => {
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

  test("tells both ends where to resume after a lost connection", () => {
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

  test("beyond our last message ends the connection", () => {
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

  test("beyond our last message ends the connection, however many were acknowledged before", () => {
    linked2();
    say("a");
    say("b");
    pump();
    hear("01\n");
    say("c");
    lose();
    greet();
    const welcome = new Welcome();
    welcome.rxNext = 4;
    hear(welcome.sent);
    expect(pump().startsWith("[close BAD_POSITION]")).toBe(true);
    expect(get(TX_FIRST)).toBe(2);
  });

  test("of the server's oldest message ahead of ours is taken over: it has forgotten those between", () => {
    linked2();
    hear("00in\n");
    pump();
    lose();
    greet();
    const welcome = new Welcome();
    welcome.txFirst = 5;
    hear(welcome.sent);
    pump();
    hear("05in\n");
    expect(pump()).toBe("[in]05\n");
  });

  test("before the last acknowledged message ends the connection", () => {
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

  test("that is impossible makes us begin a new stream, or the server would repeat it for ever", () => {
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

  test("in a server's stream that is new to us is taken over", () => {
    const welcome = new Welcome();
    welcome.txFirst = 0x1fe;
    expect(answerTo(welcome.sent)).toBe("\n");
    expect(get(RX_EPOCH)).toBe(PEER);
    expect(get(RX_NEXT)).toBe(0x1fe);
    hear("fea\nffb\n00c\n");
    expect(pump()).toBe("[a][b][c]00\n");
    expect(get(RX_NEXT)).toBe(0x201);
  });

  test("in a new stream of the server is taken over", () => {
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

  test("of ours in a known stream stays if the server's is smaller", () => {
    linked2();
    hear("00a\n01b\n");
    pump();
    lose();
    welcomed(); // its oldest is 0
    expect(get(RX_NEXT)).toBe(2);
    hear("02c\n");
    expect(pump()).toBe("[c]02\n");
  });

  test("of ours moves on if the server has only newer messages", () => {
    linked2();
    hear("00a\n");
    pump();
    lose();
    const welcome = new Welcome();
    welcome.txFirst = 5;
    welcomed(welcome);
    expect(get(RX_NEXT)).toBe(5);
  });

  test("is compared correctly when numbers wrap", () => {
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

  test("that survived a reset is resumed from", () => {
    linked2();
    hear("00a\n01b\n");
    expect(pump()).toBe("[a][b]01\n");
    set(TX_EPOCH, EPOCH + 1); // our messages are lost, so the stream is a new one
    boot();
    expect(greet().substr(3, 32)).toBe(word(EPOCH + 1) + word(0) + word(PEER) + word(2));
    const welcome = new Welcome();
    welcome.rxEpoch = EPOCH + 1;
    welcome.txFirst = 2;
    hear(welcome.sent + "02c\n");
    expect(pump()).toBe("[c]02\n");
  });

  test("that was lost in a reset is sent as zeros", () => {
    linked2();
    hear("00a\n");
    pump();
    set(RX_EPOCH, 0);
    set(RX_NEXT, 0);
    set(TX_EPOCH, EPOCH + 1);
    boot();
    expect(greet().substr(19, 16)).toBe(word(0) + word(0));
  });

  test("changes only with a valid welcome", () => {
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
    const welcome = withSuite(2).proven(hello);
    hear(welcome);
    expect(get(STATE)).toBe(UP);
    expect(pump()).toBe("\x03" + proof(hello + welcome) + "\n00a\n");
    expect(intact()).toBe(true);
  });

  test("is right wherever the welcome is cut", () => {
    for (let at = 0; at < 124; at++) {
      const hello = withKey();
      const welcome = withSuite(2).proven(hello);
      hear(welcome.substr(0, at));
      expect(pump()).toBe("");
      hear(welcome.substr(at));
      expect(pump()).toBe("\x03" + proof(hello + welcome) + "\n");
    }
  });

  test("with any wrong digit is refused, and ours is not sent", () => {
    for (let at = 91; at < 91 + 32; at++) {
      const welcome = withSuite(2).proven(withKey());
      hear(changed(welcome, at, welcome.charAt(at) == "0" ? "1" : "0"));
      expect(pump()).toBe("[close BAD_PROOF]");
      expect(get(REASON)).toBe(11);
    }
  });

  test("with other characters is refused", () => {
    const others = ["g", "A", "F", " ", "\0", "/", ":", "`", "\x7f"];
    for (let i = 0; i < others.length; i++) {
      const welcome = withSuite(2).proven(withKey());
      hear(changed(welcome, 100, others[i]));
      expect(pump()).toBe("[close BAD_PROOF]");
    }
  });

  test("covers everything that was said", () => {
    // Suite and kind are checked first: a change of them is a bad greeting.
    for (let at = 3; at < 91; at++) {
      const welcome = withSuite(2).proven(withKey());
      if (at >= 35 && at < 59) continue; // window, bytes and line may be impossible then
      hear(changed(welcome, at, welcome.charAt(at) == "0" ? "1" : "0"));
      expect(pump()).toBe("[close BAD_PROOF]");
      expect(get(RX_EPOCH)).toBe(0);
    }
  });

  test("for an earlier hello is refused: a welcome cannot be replayed", () => {
    const welcome = withSuite(2).proven(withKey());
    hear(welcome);
    pump();
    lose();
    greet();
    hear(welcome);
    expect(pump()).toBe("[close BAD_PROOF]");
  });

  test("of ours sent back to us is refused", () => {
    const hello = withKey();
    const welcome = withSuite(2).proven(hello);
    hear(welcome);
    const ours = pump().substr(1, 32);
    lose();
    greet();
    hear(withSuite(2).text + ours + "\n");
    expect(pump()).toBe("[close BAD_PROOF]");
  });

  test("cannot be left out, or cut short", () => {
    const welcome = withSuite(2).proven(withKey());
    hear(welcome.substr(0, 91) + "\n");
    expect(pump()).toBe("[close BAD_GREETING]");
    withKey();
    hear(welcome.substr(0, 122) + "\n");
    expect(pump()).toBe("[close BAD_GREETING]");
    withKey();
    hear(new Welcome().sent);
    expect(pump()).toBe("[close BAD_GREETING]", "a server without the key says suite 00");
  });

  test("is not sent to a server that does not ask", () => {
    defaults2();
    boot();
    const hello = greet();
    hear(withSuite(2).proven(hello));
    expect(pump()).toBe("[close BAD_GREETING]");
  });

  test("does not make an impossible position acceptable", () => {
    const hello = withKey();
    const welcome = withSuite(2);
    welcome.rxNext = 1;
    hear(welcome.proven(hello));
    expect(pump()).toBe("[close BAD_POSITION]");
  });

  test("is sent when the socket takes it", () => {
    const hello = withKey();
    const welcome = withSuite(2).proven(hello);
    hear(welcome);
    expect(pump(CAN_RECEIVE)).toBe("");
    later(700);
    expect(pump()).toBe("\x03" + proof(hello + welcome) + "\n");
  });
});

describe("a refusal", () => {
  test("is reported with its code", () => {
    for (let code = 1; code <= 6; code++) {
      expect(answerTo("\x040" + code.toString() + "\n")).toBe(
        "[close REFUSED " + code.toString() + "]",
      );
      expect(get(STATE)).toBe(IDLE);
    }
  });

  test("with an unknown code, or without one, is still a refusal", () => {
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

  test("is recognised at any time: of a proof, of later lines, when a key is removed", () => {
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

  test("is not recognised in dialect 1, nor inside a line", () => {
    linked();
    hear("\x0402\n");
    expect(pump()).toBe("[close BAD_LINE]");
    linked2();
    hear("00\x0402\n");
    expect(pump()).toBe("[\x0402]00\n");
  });
});

describe("the pause before the next attempt", () => {
  test("is long after a fault that only a person can fix: at most four timeouts, at least half of that", () => {
    const lines = ["\x0401\n", "\x0402\n", "\x0406\n", "\n", new Welcome().text + "0\n"];
    for (let i = 0; i < lines.length; i++) {
      answerTo(lines[i]);
      expect(get(WAIT)).toBeGreaterThanOrEqual(4000);
      expect(get(WAIT)).toBeLessThanOrEqual(8000);
    }
    const welcome = withSuite(2).proven(withKey());
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

  test("is short after a fault that may pass", () => {
    const welcome = new Welcome();
    welcome.rxNext = 9;
    answerTo(welcome.sent);
    expect(get(WAIT)).toBeLessThanOrEqual(63);
  });
});
