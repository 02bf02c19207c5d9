import { assert, assertEquals, assertThrows } from "@std/assert";
import { LocalError, PeerError } from "./errors.ts";
import { byteLength, checkText, frame, lineId, LineSplitter, nextId } from "./lines.ts";

const encoder = new TextEncoder();

/** Feeds pieces of text or bytes to one splitter; returns the lines and the first error's code. */
function split(maxBytes: number, ...pieces: (string | number[])[]) {
  const splitter = new LineSplitter(maxBytes);
  const lines: string[] = [];
  for (const piece of pieces) {
    const bytes = typeof piece === "string" ? encoder.encode(piece) : new Uint8Array(piece);
    const result = splitter.push(bytes);
    lines.push(...result.lines);
    if (result.error) return { lines, code: result.error.code };
    assert(splitter.held <= maxBytes, `${splitter.held} bytes are held`);
  }
  return { lines, code: undefined };
}

Deno.test("several lines in one segment, keepalives among them", () => {
  const lines = ["00one", "", "", "01", "02zwei"];
  assertEquals(split(100, "00one\n\n\n01\n02zwei\n"), { lines, code: undefined });
});

Deno.test("a stream gives the same lines wherever the network cuts it", () => {
  const text = "00one\n\n01grüße, 世界 🐙\n02\n\n\n03\r\n";
  const bytes = encoder.encode(text);
  const lines = text.split("\n").slice(0, -1);
  for (let size = 1; size <= bytes.length; size++) {
    const pieces: number[][] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push([...bytes.slice(at, at + size)]);
    assertEquals(split(100, ...pieces), { lines, code: undefined }, `segments of ${size}`);
  }
});

Deno.test("a newline that starts a segment ends its line and is no keepalive", () => {
  assertEquals(split(100, "00text", "\n", "01").lines, ["00text"]);
});

Deno.test("the buffer that a segment was read into may be used again", () => {
  const splitter = new LineSplitter(100);
  const buffer = encoder.encode("00half");
  splitter.push(buffer);
  buffer.fill(120);
  assertEquals(splitter.push(encoder.encode(" and half\n")).lines, ["00half and half"]);
});

Deno.test("lines before a byte that is not UTF-8 count, those after it do not", () => {
  const segment = [...encoder.encode("00good\n01"), 0xff, ...encoder.encode("\n02lost\n")];
  assertEquals(split(100, segment), { lines: ["00good"], code: "BAD_UTF8" });
});

Deno.test("no sequence that is not UTF-8 passes", () => {
  const sequences = [
    [0x80], // a continuation of nothing
    [0xc3], // cut short by the newline
    [0xe2, 0x82],
    [0xc0, 0xaf], // overlong
    [0xed, 0xa0, 0x80], // half a surrogate pair
    [0xf4, 0x90, 0x80, 0x80], // beyond Unicode
    [0xff],
  ];
  for (const sequence of sequences) {
    assertEquals(split(100, [48, 48, ...sequence, 10]).code, "BAD_UTF8", sequence.join());
  }
});

Deno.test("the replacement character U+FFFD passes where it was sent", () => {
  const lines = ["00a\ufffd", "", "01\ufffd", "02b"];
  assertEquals(split(100, lines.map((line) => `${line}\n`).join("")), { lines, code: undefined });
  const segment = [...encoder.encode("00\ufffd\n01"), 0xff, 10];
  assertEquals(split(100, segment), { lines: ["00\ufffd"], code: "BAD_UTF8" });
});

Deno.test("a byte order mark and a zero byte are text like any other", () => {
  assertEquals(split(100, "\ufeff\n00\ufeffa\0b\n").lines, ["\ufeff", "00\ufeffa\0b"]);
});

Deno.test("a line as long as permitted passes, whole or in pieces", () => {
  const line = "x".repeat(10);
  for (const pieces of [[`${line}\n`], [line, "\n"], [...`${line}\n`], [`${line}\n${line}\n`]]) {
    assertEquals(split(10, ...pieces).code, undefined);
    assertEquals(split(10, ...pieces).lines[0], line);
  }
});

Deno.test("a line that is a byte too long is refused as soon as that is known", () => {
  const line = "x".repeat(11);
  for (const pieces of [[`ok\n${line}\n`], ["ok\n", line], [..."ok\n", ...line]]) {
    assertEquals(split(10, ...pieces), { lines: ["ok"], code: "LINE_TOO_LONG" });
  }
});

Deno.test("a line's length is counted in bytes, not in characters", () => {
  assertEquals(split(10, "ééééé\n").code, undefined);
  assertEquals(split(10, "éééééé\n").code, "LINE_TOO_LONG");
});

Deno.test("a line's id is two lower-case hex digits, and nothing else", () => {
  for (let id = 0; id < 256; id++) {
    const digits = id.toString(16).padStart(2, "0");
    assertEquals([lineId(digits), lineId(`${digits}text`)], [id, id]);
    assertEquals(frame(id, "text"), `${digits}text\n`);
  }
  for (const line of ["", "0", "g0", "0g", "0A", "A0", "0 ", " 0", "-1", "0x", "٣٣", "\ufeff00"]) {
    assert(lineId(line) < 0, JSON.stringify(line));
  }
});

Deno.test("ids run 00 to ff and go on with 01", () => {
  const ids = [0];
  for (let n = 0; n < 256; n++) ids.push(nextId(ids.at(-1)!));
  assertEquals(ids.slice(0, 3), [0, 1, 2]);
  assertEquals(ids.slice(-3), [254, 255, 1]);
});

Deno.test("a text may end with a newline, which is not part of it", () => {
  assertEquals(checkText("one\n", 100), "one");
  assertEquals(checkText("one", 100), "one");
});

Deno.test("texts that no line can carry are refused, with the reason", () => {
  const reasons = {
    "": "empty",
    "\n": "empty",
    "two\nlines": "one line",
    "two\n\n": "one line",
    "\nlate": "one line",
    "\0": "start with \\0",
    "\0x": "start with \\0",
    "\x01": "start with \\x01",
    "\x01x\n": "start with \\x01",
    "\x02": "start with \\x02",
    "\x02x\n": "start with \\x02",
    "half a \ud83d": "surrogate",
    "\udc19 half": "surrogate",
    "eleven byte": "10 bytes, this one has 11",
    "€€€€": "10 bytes, this one has 12",
  };
  for (const [text, reason] of Object.entries(reasons)) {
    const error = assertThrows(() => checkText(text, 10), LocalError, reason);
    assertEquals(error.code, "BAD_TEXT");
  }
  for (const text of ["ten bytes.", "€€€.", "🐙🐙", "\r", " ", "\x03", "a\0\x01\x02"]) {
    assertEquals(checkText(text, 10), text);
  }
});

Deno.test("an error of the peer names its cause", () => {
  const { error } = new LineSplitter(10).push(new Uint8Array([0xff, 10]));
  assert(error instanceof PeerError && error.cause instanceof TypeError);
});

Deno.test("each character of an id is a lower-case hex digit, and no other ASCII character is accepted", () => {
  for (let code = 0; code < 128; code++) {
    const character = String.fromCharCode(code);
    const value = /[0-9a-f]/.test(character) ? parseInt(character, 16) : undefined;
    assertEquals(lineId(`0${character}`), value ?? -1, JSON.stringify(character));
    assertEquals(lineId(`${character}0`) >= 0, value !== undefined, JSON.stringify(character));
  }
});

Deno.test("a text's length is counted in bytes of UTF-8, also at each boundary", () => {
  const encoder = new TextEncoder();
  const units = [0, 0x7e, 0x7f, 0x80, 0x7fe, 0x7ff, 0x800, 0xd7fe, 0xd7ff, 0xe000, 0xe001, 0xffff];
  for (const unit of units) {
    const text = String.fromCharCode(unit);
    assertEquals(byteLength(text), encoder.encode(text).length, unit.toString(16));
  }
  for (const point of [0x10000, 0x10ffff]) {
    assertEquals(byteLength(`a${String.fromCodePoint(point)}`), 5, point.toString(16));
  }
});
