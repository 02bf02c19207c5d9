/**
 * Replays what real initiators did on their wires, edge by edge: `vectors/*.json` are recordings of the unmodified
 * `pb_link` in a Unix MicroPython (`record.ts`). A step is [ms, what, value]:
 *
 *     syn 0|1      the initiator sets its wire, at that time; the other times are only information
 *     send HEX     its I2C slave was read: two bytes of size, or the bytes
 *     ack 0|1      it has seen the responder's wire change
 *     recv HEX     its I2C slave was written
 *
 * Timing decides in which exchange an answer comes: so the answers are compared as lines.
 */
import { assert, assertEquals } from "@std/assert";
import { Rig } from "./rig.ts";

interface Vector {
  name: string;
  steps: [number, "syn" | "ack" | "send" | "recv", number | string][];
}

const FOLDER = new URL("vectors/", import.meta.url);
/** Longest time for the responder's part, in ms. */
const MOST = 1000;

const fromHex = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (h) => parseInt(h, 16));
const decode = (hex: string[]) => hex.map((h) => new TextDecoder().decode(fromHex(h))).join("");

/** What happened, in order: the bytes of each transfer, sent or received, or their size. */
function events({ steps }: Vector): { ms: number; what: "send" | "size" | "bytes"; hex: string }[] {
  let bytesFollow = false;
  return steps.filter(([, what]) => what === "send" || what === "recv").map(([ms, what, value]) => {
    const hex = String(value);
    if (what === "send") return { ms, what, hex };
    const isSize = !bytesFollow;
    bytesFollow = isSize &&
      (parseInt(hex.slice(0, 2), 16) !== 0 || !/^(00|80)$/.test(hex.slice(2)));
    return { ms, what: isSize ? "size" : "bytes", hex };
  });
}

/** Acts as the initiator. Returns the answers in the order of arrival. */
function replay(rig: Rig, vector: Vector): string {
  let came = "";
  const pass = (until: () => boolean, what: string) => {
    rig.pass(MOST, until);
    assert(until(), `${what} at ${rig.now} ms: ${rig.lines}`);
  };
  const receive = (length: number) => {
    pass(() => rig.ack === 1, "a request to send");
    rig.syn = 1;
    rig.slave = { receive: length };
    pass(() => rig.slave === undefined, "bytes");
    pass(() => rig.ack === 0, "the end of them");
    rig.syn = 0;
    return rig.received;
  };
  rig.syn = 0;
  for (const { ms, what, hex } of events(vector)) {
    if (what === "send") {
      if (rig.now < ms) rig.pass(ms - rig.now);
      rig.syn = 1;
      rig.slave = { send: [...fromHex(hex)] };
      pass(() => rig.slave === undefined, `${hex} to be read`);
      pass(() => rig.ack === 1, "an acknowledgement");
      rig.syn = 0;
      pass(() => rig.ack === 0, "its end");
    } else if (what === "size") {
      const [low = 0, high = 0] = receive(2);
      const length = low + (high & 127) * 256;
      if (length) came += new TextDecoder().decode(new Uint8Array(receive(length)));
    }
  }
  return came;
}

for (const { name: file } of Deno.readDirSync(FOLDER)) {
  const vector: Vector = JSON.parse(Deno.readTextFileSync(new URL(file, FOLDER)));
  Deno.test(`replay: ${vector.name}`, () => {
    const rig = new Rig();
    const came = replay(rig, vector);
    const of = (wanted: string) =>
      events(vector).filter(({ what }) => what === wanted).map(({ hex }) => hex);
    const told = (text: string) => text.split("\n").filter((line) => !/^[kr]/.test(line));
    assertEquals(told(came), told(decode(of("bytes"))));
    assert(came.includes("k\n") && came.includes("r["), came);
    // The first line sent was the configuration.
    const lines = of("send").filter((hex) => hex.length > 4);
    assertEquals(rig.messages, lines.length - 1);
    assertEquals(rig.lines.filter((line) => line.includes("reset")), []);
  });
}
