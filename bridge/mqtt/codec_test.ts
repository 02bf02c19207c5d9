/** Packets are parsed from any pieces, and none takes more memory than allowed. */
import { assertEquals, assertThrows } from "@std/assert";
import { Decoder, encode, MOST_BYTES, type Packet } from "./codec.ts";
import { BrokerError } from "./errors.ts";

function message(payload: string, messageId = 1): Packet {
  return { cmd: "publish", qos: 2, dup: false, retain: false, topic: "a/b", payload, messageId };
}

Deno.test("packets are read from pieces of any size", () => {
  const decoder = new Decoder(5);
  const bytes = Uint8Array.from([...encode(message("one"), 5), ...encode(message("two", 2), 5)]);
  const came: number[] = [];
  for (const byte of bytes) {
    for (const { packet } of decoder.take(Uint8Array.of(byte))) came.push(packet.messageId!);
  }
  assertEquals(came, [1, 2]);
});

Deno.test("a message that is too long is cut, and the next one is whole", () => {
  const decoder = new Decoder(4);
  const long = encode(message("x".repeat(3 * MOST_BYTES), 7), 4);
  const came = [];
  for (let at = 0; at < long.length; at += 100_000) {
    came.push(...decoder.take(long.subarray(at, at + 100_000)));
  }
  came.push(...decoder.take(encode(message("next", 8), 4)));
  assertEquals(came.map(({ packet, isCut }) => [packet.messageId, isCut]), [[7, true], [8, false]]);
});

Deno.test("any other packet that is too long is refused, and so is a length of five bytes", () => {
  const suback = Uint8Array.of(0x90, 0xff, 0xff, 0xff, 0x7f);
  const codes = [suback, Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0xff)].map((bytes) =>
    assertThrows(() => [...new Decoder(5).take(bytes)], BrokerError).code
  );
  assertEquals(codes, ["TOO_LARGE", "MALFORMED"]);
});

Deno.test("invalid packets are refused as MALFORMED", () => {
  for (
    const bytes of [[0x36, 0x00], [0x50, 0x01, 0x00], [0x50, 0x02, 0x00, 0x00], [
      0x61,
      0x02,
      0x00,
      0x01,
    ]]
  ) {
    const error = assertThrows(() => [...new Decoder(5).take(Uint8Array.from(bytes))], BrokerError);
    assertEquals(error.code, "MALFORMED");
  }
});

Deno.test("a packet with the same property twice is refused", () => {
  const user = [0x26, 0, 1, 97, 0, 1, 98];
  const expiry = (seconds: number) => [0x02, 0, 0, 0, seconds];
  const message = (...properties: number[]) => {
    const body = [0, 1, 116, properties.length, ...properties];
    return Uint8Array.of(0x30, body.length, ...body);
  };
  const taken = (bytes: Uint8Array) => [...new Decoder(5).take(bytes)].length;
  assertEquals(taken(message(...user, ...user, ...expiry(1))), 1);
  const error = assertThrows(
    () => taken(message(...expiry(1), ...expiry(2))),
    BrokerError,
    "a property occurs twice",
  );
  assertEquals(error.code, "MALFORMED");
});
