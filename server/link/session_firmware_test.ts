/** Messages between server and firmware: they are numbered like all others, and do not delay them. */
import { assertEquals } from "@std/assert";
import { TIMEOUT } from "../../tests/support/session_rig.ts";
import { defaultLimits } from "./limits.ts";
import { Session } from "./session.ts";
import { NOBODY } from "./session_reports.ts";
import { Dialect2Rig } from "../../tests/support/dialect2_rig.ts";

const APP = { metadata: "app=kitchen/3/47DEQpj8" };

/** Sends a text to the firmware. @returns how often its arrival was reported */
function tell(link: Dialect2Rig, text: string): () => number {
  let count = 0;
  link.session.tell(`\x02${text}`, () => count++, link.now);
  link.flush();
  return () => count;
}

Deno.test("a message to the firmware is sent among other messages, and its writer is told", () => {
  const link = Dialect2Rig.up(APP);
  link.hears("\n");
  link.write("one");
  const told = tell(link, "x");
  link.write("two");
  assertEquals(link.said(), ["00one", "01\x02x", "02two"]);
  link.hears("00\n");
  assertEquals(told(), 0);
  link.hears("02\n");
  assertEquals(told(), 1);
  const { written, delivered } = link.session.counts;
  assertEquals([written, delivered], [2, 2], "messages to the firmware are not counted");
});

Deno.test("only a device whose hello has app=, and that has a link, gets messages to its firmware", () => {
  const link = Dialect2Rig.up();
  assertEquals(link.session.takesFirmware, false);
  link.connect(APP);
  assertEquals(link.session.takesFirmware, true);
  link.lose();
  assertEquals(link.session.takesFirmware, false);
  link.connect1();
  assertEquals(link.session.takesFirmware, false);
});

Deno.test("a message that the device does not have by the next greeting is withdrawn, even if that greeting has no app=", () => {
  for (const metadata of ["", APP.metadata]) {
    const link = Dialect2Rig.up(APP);
    link.hears("\n");
    const [first, second] = [tell(link, "1"), tell(link, "2")];
    link.write("kept");
    link.said();
    link.hears("00\n");
    link.lose();
    assertEquals([link.session.isIdle, link.record.outbox.length], [false, 2]);
    link.connect({
      metadata,
      rxEpoch: link.record.positions.txEpoch,
      rxNext: 1,
      txFirst: link.record.positions.rxNext,
    });
    link.hears("\n");
    assertEquals(link.said(), ["01\0", "02kept"]);
    link.hears("02\n");
    assertEquals([first(), second()], [1, 0]);
    assertEquals(link.session.isIdle, true);
  }
});

Deno.test("a message that an older server accepted, and that would now be for the firmware, is withdrawn and reported", () => {
  const link = new Dialect2Rig();
  const manner = { overtakes: false, qos: true };
  for (const text of ["\x02hello", "\x02p 0 AAAA", "\x02", "\x02xy", "kept"]) {
    link.record.write(text, manner, 0);
  }
  const told: string[] = [];
  const notWritten = (device: string, text: string) => void told.push(`${device} ${text}`);
  link.session = new Session(link.record, TIMEOUT, defaultLimits, { ...NOBODY, notWritten });
  link.connect(APP);
  assertEquals(told, ["1 \x02hello", "1 \x02", "1 \x02xy"]);
  link.hears("\n");
  assertEquals(link.said(), ["00\0", "01\0", "02\0", "03\0", "04kept"]);
  link.lose();
  link.connect();
  assertEquals(told.length, 3, "each is reported once");
});

Deno.test("a full outbox has room for the few messages to the firmware, and these do not count as waiting", () => {
  const link = Dialect2Rig.up(APP, { outbox: 1, outboxAge: 10 });
  link.hears("\n");
  tell(link, "x");
  link.now += 100;
  link.said();
  link.hears("00\n");
  assertEquals(link.write("one").accepted, true);
  tell(link, "y");
  assertEquals(link.said(), ["01one", "02\x02y"]);
  link.hears("02\n");
  tell(link, "z");
  assertEquals(link.session.isIdle, true, "a device is not kept in memory for it");
});
