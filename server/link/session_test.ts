/** Dialect 1: connections, keepalives and silence. */
import { assertEquals } from "@std/assert";
import { breaks, SessionRig, TIMEOUT } from "../../tests/support/session_rig.ts";

Deno.test("a hello is answered with a keepalive, and messages wait until something is heard", () => {
  const link = new SessionRig();
  link.write("early");
  assertEquals(link.saidAll(), []);
  link.connect();
  assertEquals(link.saidAll(), [""]);
  link.pass(TIMEOUT / 2);
  assertEquals(link.said(), []);
  link.hears("\n");
  assertEquals(link.said(), ["00early"]);
});

Deno.test("messages wait until the device has sent a whole line: half a line is not enough", () => {
  const link = new SessionRig();
  link.write("early");
  link.connect("00hal");
  assertEquals(link.said(), []);
  link.hears("f\n");
  assertEquals(link.said(), ["00", "00early"]);
});

Deno.test("a message that came with the hello is not lost", () => {
  const link = new SessionRig();
  link.connect("00behind the hello\n01and another\n");
  assertEquals(link.readAll(), ["behind the hello", "and another"]);
  assertEquals(link.said(), ["00", "01"]);
});

Deno.test("a keepalive goes out when nothing else did for a quarter of the timeout", () => {
  const link = SessionRig.booted();
  link.passAlive(3 * TIMEOUT);
  assertEquals(link.saidAll().length, 12);
  for (let n = 0; n < 8; n++) {
    link.write(`message ${n}`, { wait: false });
    link.pass(TIMEOUT / 8);
    link.hears("\n");
  }
  assertEquals(link.saidAll().filter((line) => line === "").length, 0);
});

Deno.test("a device that is silent for the timeout is dropped", () => {
  const link = SessionRig.up();
  link.pass(TIMEOUT - 1);
  breaks("SILENT", () => link.pass(1));
});

Deno.test("a single byte counts as a sign of life", () => {
  const link = SessionRig.up();
  for (const byte of "00slow") {
    link.pass(TIMEOUT - 1);
    link.hears(byte);
  }
  breaks("SILENT", () => link.pass(TIMEOUT));
});

Deno.test("without a connection there is no deadline, and time may pass", () => {
  const link = new SessionRig();
  assertEquals(link.session.deadline(), Infinity);
  link.connect("\n");
  link.lose();
  assertEquals(link.session.deadline(), Infinity);
  link.pass(100 * TIMEOUT);
  assertEquals(link.said(), []);
  assertEquals(link.session.connected, false);
});

Deno.test("a new connection may come after a long time, or in place of a live one", () => {
  const link = SessionRig.up();
  link.lose();
  link.now += 1000 * TIMEOUT;
  link.connect("\n");
  link.pass(TIMEOUT / 2);
  link.connect("\n");
  link.pass(TIMEOUT - 1);
  assertEquals(link.session.connected, true);
  assertEquals(link.record.positions.connects, 3);
});
