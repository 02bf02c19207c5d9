import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import { randomTest } from "../../tests/support/random.ts";
import {
  Command,
  decodeFieldsRead,
  decodeResult,
  decodeTexts,
  encodeChanges,
  encodeCommand,
  encodeFrame,
  encodeWifi,
  type Frame,
  FrameReader,
  FrameType,
} from "./improv.ts";
import { changeSettings, encodeFields, type Settings } from "./settings.ts";
import { bytesOfHex } from "../../tests/vectors/settings/vectors.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Everything that a reader finds in these pieces. */
function read(...pieces: Uint8Array[]): { frames: Frame[]; text: string } {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  let text = "";
  for (const piece of pieces) {
    const found = reader.push(piece);
    frames.push(...found.frames);
    text += new TextDecoder("latin1").decode(found.text);
  }
  return { frames, text };
}

/** The data of the only frame in some bytes, without the command and its length. */
function dataOf(frame: Uint8Array): Uint8Array {
  return read(frame).frames[0]!.data.subarray(2);
}

Deno.test("frames have the bytes that improv-wifi.com documents", () => {
  // "IMPROV", version 1, type 3, 2 bytes: command 2 with no data; sum of all before.
  assertEquals(
    encodeCommand(Command.state),
    bytesOfHex("494d50524f5601030202 00e50a".replace(" ", "")),
  );
  assertEquals(dataOf(encodeWifi("Home", "secret78")), bytes("\x04Home\x08secret78"));
});

Deno.test("frames are found between the lines of the console", () => {
  const frame = { type: FrameType.state, data: Uint8Array.of(4) };
  assertEquals(read(bytes("holdfast: boot\r\n"), encodeFrame(frame), bytes("app: hello\r\n")), {
    frames: [frame],
    text: "holdfast: boot\r\napp: hello\r\n",
  });
});

Deno.test("bytes that only look like a frame are text", () => {
  const whole = encodeFrame({ type: FrameType.state, data: Uint8Array.of(2) });
  const spoilt = whole.slice();
  spoilt[9]! ^= 1;
  assertEquals(read(spoilt, whole).frames.length, 1);
  assertEquals(read(bytes("IMPROVED\r\n")).text, "IMPROVED\r\n");
  const next = whole.slice();
  next[6] = 2; // another version of the protocol
  assertEquals(read(next).frames, []);
});

Deno.test("a frame that begins within a broken one is found", () => {
  const whole = encodeFrame({ type: FrameType.error, data: Uint8Array.of(1) });
  assertEquals(read(bytes("IMPROV\x01\x03\x05"), whole, bytes("  ")).frames.length, 1);
});

randomTest("frames are found wherever the stream is split", 100, (random) => {
  const frames: Frame[] = Array.from({ length: random.int(1, 5) }, () => ({
    type: random.int(0, 255),
    data: random.bytes(random.int(0, 255)),
  }));
  const stream = new Uint8Array(frames.flatMap((f) => [...bytes("line\r\n"), ...encodeFrame(f)]));
  const found = read(...random.cut(stream, 40));
  assertEquals(found, { frames, text: "line\r\n".repeat(frames.length) });
});

Deno.test("changes name what is set and what is removed", () => {
  const [frame, ...others] = encodeChanges({ server: "a", key: null, dialect: 1 });
  assertEquals(others, []);
  assertEquals(dataOf(frame!), bytesOfHex("0600" + "030161" + "080101"));
  assertEquals(encodeChanges({}), []);
});

Deno.test("changes that do not fit one frame take several", () => {
  const changes: Settings = {
    ssid: "s".repeat(32),
    password: "p".repeat(64),
    server: "a".repeat(64),
    id: "i".repeat(64),
    key: new Uint8Array(32),
    port: 1,
  };
  const frames = encodeChanges(changes);
  assertEquals(frames.length, 2);
  let settings: Settings = {};
  for (const frame of frames) settings = changeSettings(settings, dataOf(frame));
  assertEquals(settings, changes);
});

Deno.test("changes that the device would refuse are not sent", () => {
  assertThrows(() => encodeChanges({ timeout: 1 }), LocalError, "timeout");
  assertThrows(() => encodeWifi("", ""), LocalError, "ssid");
  assertThrows(() => encodeWifi("Home", "short"), LocalError, "password");
});

Deno.test("settings are read without their secrets", () => {
  const fields = encodeFields({ ssid: "Home", id: "1" });
  assertEquals(decodeFieldsRead(Uint8Array.of(...fields, 6, 0)), {
    settings: { ssid: "Home", id: "1" },
    key: true,
  });
  assertEquals(decodeFieldsRead(fields).key, false);
  assertThrows(() => decodeFieldsRead(fields.subarray(0, -1)), LocalError);
});

Deno.test("malformed results are ignored", () => {
  const result = (...data: number[]) => ({
    type: FrameType.result,
    data: Uint8Array.from(data),
  });
  assertEquals(decodeResult(result(3, 2, 1, 65)), { command: 3, data: Uint8Array.of(1, 65) });
  assertEquals(decodeResult(result(3, 3, 1, 65)), undefined);
  assertEquals(decodeResult(result(3)), undefined);
  assertEquals(decodeResult({ ...result(3, 0), type: FrameType.state }), undefined);
  assertEquals(decodeTexts(Uint8Array.of(1, 65, 0, 2, 66, 67)), ["A", "", "BC"]);
  assertEquals(decodeTexts(Uint8Array.of(2, 65)), undefined);
});
