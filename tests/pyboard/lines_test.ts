/** Bad lines, bad configurations and resets of the board: the application loses nothing, and logs each. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Random } from "../support/random.ts";
import { Kept } from "../../bridge/host/mod.ts";
import { assertSound, configuration, configured, GaveUp, Rig, Steppable } from "./rig.ts";

Deno.test("a malformed configuration is refused, and the next one accepted", () => {
  const good: unknown[] = ["1", 8123, "10.0.0.1", 1500, 10, "net", "password", "cfg"];
  const changed = (n: number, value: unknown) => JSON.stringify(good.with(n, value));
  const bad = [
    "[",
    "[]",
    "[not json",
    '["cfg"]',
    "[[],8123]",
    JSON.stringify(good).slice(0, -1),
    JSON.stringify(good) + "x",
    JSON.stringify(good.slice(0, -1)),
    JSON.stringify(good.slice(1)),
    JSON.stringify([...good.slice(0, -1), 1, 2, 3, "cfg"]),
    JSON.stringify([...good.slice(0, -1), 3, "cfg"]),
    JSON.stringify([...good.slice(0, -1), "2", "cfg"]),
    JSON.stringify([...good.slice(0, -1), 2, -1, "cfg"]),
    ...[0, "8123", 65536, -1, 1.5, null, true, [1]].map((port) => changed(1, port)),
    ...["", 7, null, "x".repeat(65)].map((server) => changed(2, server)),
    ...[99, 3_600_001, "1500", null].map((timeout) => changed(3, timeout)),
    ...[-1, "10", null].map((report) => changed(4, report)),
    ...["x".repeat(33), 5, null].map((ssid) => changed(5, ssid)),
    ...["short", 5, "x".repeat(65)].map((password) => changed(6, password)),
    ...["", 1, null, "a\u0001b", "x".repeat(65)].map((id) => changed(0, id)),
    changed(0, "\ud83d\ude00").replace("\ud83d\ude00", "\\ud83d\\ude00"),
    changed(0, "a\tb"),
    changed(7, "CFG"),
  ];
  for (const line of bad) {
    const rig = new Rig();
    const initiator = new Steppable(rig);
    rig.run(initiator.synchronise());
    rig.said();
    const size = new TextEncoder().encode(line).length + 1;
    if (size > 200) throw new Error(`too long for this test: ${line}`);
    assertThrows(() => rig.run(initiator.exchange(`${line}\n`)), GaveUp, "no answer", line);
    const said = rig.said();
    assert(
      /^initiator link reset: configuration (not understood|refused)$/.test(said[0]!),
      `${line}: ${said}`,
    );
    assertEquals(rig.fields, undefined, line);
    assertSound(rig, line);
  }
});

Deno.test("lines before the configuration wait for it, but not for long", () => {
  const rig = new Rig();
  const initiator = new Steppable(rig);
  rig.run(initiator.synchronise());
  rig.said();
  assert(rig.run(initiator.exchange("3early\n"))!.gone);
  assertThrows(() => {
    for (let i = 0; i < 30; i++) rig.run(initiator.exchange());
  }, GaveUp);
  assertEquals(rig.said()[0], "initiator link reset: no configuration");
  const again = configured(rig.kept).rig;
  again.pass(10);
  assertEquals(again.messages, 1);
});

Deno.test("the board gets the fields that the configuration contains", () => {
  const cases: [string, Rig["fields"]][] = [
    [configuration(), { id: "1", port: 8123, host: "10.0.0.1", timeout: 1500, line: 198 }],
    [configuration(1), {
      id: "1",
      port: 8123,
      host: "10.0.0.1",
      timeout: 1500,
      dialect: 1,
      line: 198,
    }],
    [configuration(0, 77), { id: "1", port: 8123, host: "10.0.0.1", timeout: 1500, line: 194 }],
    [
      '[ "k\\u00fcche \\"\\\\\\/€\\n", 1, "name.local", 100, 0, "net", "", "cfg" ]\n',
      {
        id: 'küche "\\/€',
        port: 1,
        host: "name.local",
        timeout: 100,
        ssid: "net",
        password: "",
        line: 198,
      },
    ],
    [
      `["x",65535,"s",3600000,9,"${"n".repeat(32)}","${"p".repeat(64)}","cfg"]\n`,
      {
        id: "x",
        port: 65535,
        host: "s",
        timeout: 3_600_000,
        ssid: "n".repeat(32),
        password: "p".repeat(64),
        line: 198,
      },
    ],
  ];
  for (const [line, fields] of cases) assertEquals(configured(undefined, line).rig.fields, fields);
});

Deno.test("malformed lines reset the link, lines that cannot be sent are dropped, and both are logged", () => {
  const bytes = (...values: number[]) => new Uint8Array(values);
  const refused: [string | Uint8Array, string][] = [
    ["3no end", "line without an end"],
    ["8text\n", "unknown line"],
    ["hello\n", "unknown line"],
    ["\n", "unknown line"],
    ["7atext\n", "unknown line"], // numbered, without a session
    ["3good\nbad\n", "unknown line"],
  ];
  for (const [line, why] of refused) {
    const { rig, initiator } = configured();
    assertThrows(() => rig.run(initiator.exchange(line)), GaveUp);
    assertEquals(rig.said()[0], `initiator link reset: ${why}`);
    rig.pass(10);
    assertEquals(rig.messages, 0, `${line}`);
    assertSound(rig, `${line}`);
  }
  const dropped: (string | Uint8Array)[] = [
    "3\n",
    "3\0null\n",
    "3\x01log\n",
    bytes(0x33, 0xff, 10),
    bytes(0x33, 0xc3, 10),
    bytes(0x33, 0xe0, 0x80, 0x80, 10), // overlong
    bytes(0x33, 0xed, 0xa0, 0x80, 10), // a surrogate
    bytes(0x33, 0xf4, 0x90, 0x80, 0x80, 10),
    bytes(0x33, 0xf0, 0x9f, 0x98, 10),
    bytes(0x33, 0xc3, 0x28, 10),
  ];
  for (const line of dropped) {
    const { rig, initiator } = configured();
    assert(rig.run(initiator.exchange(line))!.gone);
    assertEquals(rig.said().length, 1, `${line}`);
    assertEquals(rig.messages, 0);
  }
  const { rig, initiator } = configured();
  rig.run(initiator.exchange("3äö€😀\n3two\n0three\n"));
  rig.pass(10);
  assertEquals([rig.messages, rig.said()], [3, []]);
});

Deno.test("an initiator is held back while there is no room, and none of its lines is lost", () => {
  const { rig, initiator } = configured();
  let sent = 0;
  for (let i = 0; i < 60; i++) {
    if (rig.run(initiator.exchange(`3message ${i} ${"x".repeat(i)}\n`))!.gone) sent++;
  }
  assert(!initiator.mayWrite && sent >= 3 && sent < 10, `${sent}`);
  assertEquals(rig.messages, sent);
  const again = configured(rig.kept); // after a reset
  again.rig.pass(100);
  assertEquals(again.rig.messages, sent);
  assertEquals(again.rig.said(), []);
});

Deno.test("after a reset one more line of up to 100 bytes fits before the configuration, however many wait", () => {
  const line = (length: number) => `3${"x".repeat(length - 2)}\n`;
  for (const [length, fits] of [[3, true], [60, true], [100, true], [101, false]] as const) {
    const { rig, initiator } = configured();
    // Fills the memory: the initiator is held back once the next line might not fit.
    for (let i = 0; i < 8; i++) assert(rig.run(initiator.exchange(line(11)))!.gone);
    assert(rig.run(initiator.exchange(line(100)))!.gone);
    assert(!initiator.mayWrite);
    const again = new Rig(rig.kept);
    const next = new Steppable(again);
    again.run(next.synchronise());
    again.said();
    const exchange = () => again.run(next.exchange(line(length)))!.gone;
    if (!fits) {
      assertThrows(exchange, GaveUp);
      assertEquals(again.said(), ["initiator link reset: more than there is room for"]);
      continue;
    }
    assert(exchange());
    assert(again.run(next.exchange(configuration()))!.gone);
    assertEquals(again.said(), ["initiator configured"]);
    again.pass(100);
    assertEquals(again.messages, 8); // of ten: the core has room for eight
  }
});

Deno.test("after a reset at any moment the lines before it remain, and perhaps one more", () => {
  const line = (n: number) => `3line ${n}\n`;
  for (const done of [0, 0.3, 0.6, 1]) {
    for (let call = 0;; call++) {
      const { rig, initiator } = configured();
      rig.resetAt = { call: rig.keeps + call, done };
      let sent = 0;
      while (sent < 3 && rig.run(initiator.exchange(line(sent)))) sent++;
      if (sent === 3) break;
      const again = configured(rig.kept).rig;
      again.pass(10);
      assert(
        again.messages === sent || again.messages === sent + 1,
        `${again.messages} of ${sent}`,
      );
    }
  }
});

Deno.test("the lines from before a reset are in the core before it connects, because a server may have them", () => {
  const kept = new Kept();
  const { rig, initiator } = configured(kept);
  for (const line of ["3one\n", "3two\n"]) rig.run(initiator.exchange(line));
  assertEquals([rig.messages, rig.atBoot], [2, 0]);
  assertEquals(configured(kept).rig.atBoot, 2);
});

Deno.test("a message whose handover a reset interrupts is repeated only if its end was not seen, and then unchanged", () => {
  for (const [letter, config] of [["n", configuration()], ["m", configuration(0, 42)]] as const) {
    let twice = 0;
    for (let wait = 0;; wait++) {
      const { rig, initiator } = configured(undefined, config);
      assertEquals(rig.offer("text"), false);
      const end = rig.run(initiator.exchange(), wait);
      const got = new TextDecoder().decode(new Uint8Array(rig.received));
      // The initiator has the line once it lowers SYN.
      const has = got.startsWith(letter) && rig.syn === 0;
      const again = configured(rig.kept, config);
      const seen = again.rig.offer("text");
      assert(has || !seen, `lost in ${wait}`);
      if (!seen) {
        const { text } = again.rig.run(again.initiator.exchange())!;
        assertEquals(text, letter === "n" ? "ntext\n" : "m0701text\n");
        assertEquals(again.rig.offer("text"), true);
      }
      if (has && !seen) twice++;
      if (!end) continue;
      assert(seen, "a finished handover was not remembered");
      break;
    }
    assertEquals(twice, 1); // reset between the last edge and its detection
  }
});

Deno.test("memory with arbitrary content counts as empty", () => {
  const random = new Random(5);
  for (let round = 0; round < 200; round++) {
    const kept = new Kept();
    kept.bytes.forEach((_, at) => kept.bytes[at] = random.int(0, 255));
    if (round % 2) { // a header that is almost valid
      const sound = configured();
      sound.rig.run(sound.initiator.exchange("3text\n"));
      kept.bytes.set(sound.rig.kept.bytes);
      for (const at of [0, 48]) kept.bytes[at + random.int(0, 47)]! ^= 1 << random.int(0, 7);
    }
    const { rig } = configured(kept);
    rig.pass(10);
    assertEquals([rig.messages, rig.said()], [0, []]);
  }
});

Deno.test("lines for another server are dropped, and the log says so", () => {
  const { rig, initiator } = configured();
  rig.run(initiator.exchange("3for the first\n"));
  const other = configuration().replace("10.0.0.1", "10.0.0.2");
  rig.run(initiator.exchange(other));
  rig.pass(10);
  assertEquals(rig.messages, 0);
  assertEquals(rig.said(), ["lines for another server or id, dropped", "initiator configured"]);
});

Deno.test("a numbered line that an initiator sends twice counts once, even after a reset", () => {
  const config = configuration(0, 42);
  const { rig, initiator } = configured(undefined, config);
  rig.run(initiator.exchange("7aone\n"));
  rig.run(initiator.exchange("7aone\n"));
  const again = configured(rig.kept, config);
  again.rig.run(again.initiator.exchange("7aone\n"));
  again.rig.run(again.initiator.exchange("7btwo\n"));
  again.rig.pass(10);
  assertEquals(again.rig.messages, 2);
  const another = configured(again.rig.kept, configuration(0, 43)); // a new program, with new numbers
  another.rig.run(another.initiator.exchange("7btwo\n"));
  another.rig.pass(10);
  assertEquals(another.rig.messages, 3);
});

Deno.test("the initiator is told once that there is no WiFi, or no server", () => {
  for (const [wifi, letter] of [[1, "b"], [2, "s"]] as const) {
    const { rig, initiator } = configured();
    rig.wifi = wifi;
    let told = "";
    for (let i = 0; i < 500; i++) told += rig.run(initiator.exchange())!.text;
    assertEquals(told.replaceAll("k\n", ""), `${letter}\n`);
    assert(told.split("k").length > 20);
  }
});
