import { assert, assertEquals } from "@std/assert";
import { hkdfSync } from "node:crypto";
import { Random } from "../../tests/support/random.ts";
import { bytesOfHex } from "../../tests/vectors/settings/vectors.ts";
import { ephemeral, hkdf, session } from "../../tests/vectors/seal/vectors.ts";
import { Ephemeral } from "./ephemeral.ts";
import { toHex } from "./greeting.ts";
import { RECORD, Seal, sealKeys } from "./seal.ts";

const LINE = 100;
const MOST = LINE + 3;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Both ends of one connection. */
function pair(): [device: Seal, server: Seal] {
  const { toServer, toDevice } = sealKeys(new Uint8Array(32).fill(1), "what was said");
  return [new Seal(toServer, toDevice, LINE, LINE), new Seal(toDevice, toServer, LINE, LINE)];
}

/** What an end opens of these bytes. */
function opened(end: Seal, bytes: Uint8Array): [text: string, error: string | undefined] {
  const { bytes: text, error } = end.open(bytes);
  return [decoder.decode(text), error?.code];
}

for (const { name, key, salt, info, bytes } of hkdf) {
  Deno.test(`${name}: the key derivation that is used`, () => {
    const [ikm, saltBytes, infoBytes] = [key, salt, info].map(bytesOfHex);
    const made = hkdfSync("sha256", ikm!, saltBytes!, infoBytes!, bytes.length / 2);
    assertEquals(toHex(new Uint8Array(made)), bytes);
  });
}

for (const vector of [session, ephemeral]) {
  const suite = vector.hello.slice(1, 3);
  Deno.test(`a whole session's keys and records are those of the vectors, in suite ${suite}`, () => {
    const { key, hello, welcome, line, records } = vector;
    const shared = vector === ephemeral ? bytesOfHex(ephemeral.shared) : undefined;
    const keys = sealKeys(bytesOfHex(key), hello + welcome, shared);
    assertEquals([toHex(keys.toServer), toHex(keys.toDevice)], [vector.toServer, vector.toDevice]);
    const device = new Seal(keys.toServer, keys.toDevice, line, line);
    const server = new Seal(keys.toDevice, keys.toServer, line, line);
    for (const { to, text, sealed } of records) {
      const [from, at] = to === "toServer" ? [device, server] : [server, device];
      const record = from.seal(encoder.encode(text));
      assertEquals(toHex(record), sealed);
      assertEquals(opened(at, record), [text, undefined]);
    }
  });
}

Deno.test("a greeting of suite 04 holds the public keys of the pairs that made its shared secret", () => {
  const { hello, welcome, deviceSecret, serverSecret, shared } = ephemeral;
  const [device, server] = [deviceSecret, serverSecret].map((secret) =>
    new Ephemeral(bytesOfHex(secret))
  );
  assertEquals([hello.slice(59, 123), welcome.slice(59, 123)], [
    device!.publicKey,
    server!.publicKey,
  ]);
  assertEquals(toHex(device!.share(server!.publicKey)!), shared);
  assertEquals(toHex(server!.share(device!.publicKey)!), shared);
});

Deno.test("with the device's key and the whole greeting, but not the shared secret, no record of suite 04 is opened", () => {
  const { key, hello, welcome, line, records } = ephemeral;
  for (const shared of [undefined, new Uint8Array(32)]) {
    const { toServer, toDevice } = sealKeys(bytesOfHex(key), hello + welcome, shared);
    const thief = new Seal(toDevice, toServer, line, line);
    assertEquals(opened(thief, bytesOfHex(records[0]!.sealed)), ["", "BAD_SEAL"]);
  }
});

Deno.test("what is sealed arrives, wherever the network cuts it, and takes few records", () => {
  const random = new Random(3);
  const [device, server] = pair();
  for (let n = 0; n < 300; n++) {
    const text = "x".repeat(random.int(1, 3 * MOST));
    const records = device.seal(encoder.encode(text));
    assertEquals(records.length, text.length + Math.ceil(text.length / MOST) * RECORD);
    let got = "";
    for (let at = 0; at < records.length;) {
      const next = at + random.int(1, 60);
      const [part, error] = opened(server, records.subarray(at, next));
      assertEquals(error, undefined);
      got += part;
      at = next;
    }
    assertEquals(got, text);
  }
});

Deno.test("a keepalive is a record of 19 bytes", () => {
  const [device] = pair();
  assertEquals(device.seal(encoder.encode("\n")).length, 19);
});

Deno.test("a record that was changed in one bit is BAD_SEAL, and what came before it is delivered", () => {
  for (let bit = 0; bit < (12 + RECORD) * 8; bit++) {
    const [device, server] = pair();
    const first = device.seal(encoder.encode("first\n"));
    const second = device.seal(encoder.encode("second line\n"));
    second[bit >> 3]! ^= 1 << (bit & 7);
    const both = new Uint8Array([...first, ...second, ...device.seal(encoder.encode("third\n"))]);
    const [text, error] = opened(server, both);
    // If the changed length is larger, the end waits for the rest, and delivers nothing of it.
    assertEquals(text, "first\n", `bit ${bit}`);
    const waits = bit < 16 && error === undefined;
    assert(waits || error === "BAD_SEAL", `bit ${bit}: ${error}`);
    if (waits) assertEquals(opened(server, new Uint8Array(MOST)), ["", "BAD_SEAL"]);
  }
});

Deno.test("a record that comes again, too late, or back to its sender is BAD_SEAL", () => {
  const record = (end: Seal, text: string) => end.seal(encoder.encode(text));
  {
    const [device, server] = pair();
    const one = record(device, "one\n");
    assertEquals(opened(server, one.slice()), ["one\n", undefined]);
    assertEquals(opened(server, one), ["", "BAD_SEAL"]);
  }
  {
    const [device, server] = pair();
    const [one, two] = [record(device, "one\n"), record(device, "two\n")];
    assertEquals(opened(server, new Uint8Array([...two, ...one])), ["", "BAD_SEAL"]);
  }
  {
    const [device] = pair();
    assertEquals(opened(device, record(device, "mirror\n")), ["", "BAD_SEAL"]);
  }
  {
    const { toServer, toDevice } = sealKeys(new Uint8Array(32).fill(1), "another greeting");
    const [device] = pair();
    const other = new Seal(toDevice, toServer, LINE, LINE);
    assertEquals(opened(other, record(device, "of another connection\n")), ["", "BAD_SEAL"]);
  }
});

Deno.test("a record of nothing, or of more than a line, is BAD_SEAL as soon as its length is known", () => {
  for (const length of [0, MOST + 1, 0xffff]) {
    const [, server] = pair();
    assertEquals(opened(server, Uint8Array.of(length >> 8)), ["", undefined]);
    assertEquals(opened(server, Uint8Array.of(length & 255)), ["", "BAD_SEAL"]);
  }
});

Deno.test("a stream that ends within a record has delivered nothing of it", () => {
  const [device, server] = pair();
  const record = device.seal(encoder.encode("all or nothing\n"));
  for (const byte of record.subarray(0, -1)) {
    assertEquals(opened(server, Uint8Array.of(byte)), ["", undefined]);
  }
  assertEquals(opened(server, record.subarray(-1)), ["all or nothing\n", undefined]);
});

Deno.test("noise is never opened", () => {
  const random = new Random(99);
  for (let n = 0; n < 2000; n++) {
    const [, server] = pair();
    const noise = Uint8Array.from({ length: 200 }, () => random.int(0, 255));
    noise[0] = 0;
    noise[1] = random.int(1, MOST);
    assertEquals(opened(server, noise), ["", "BAD_SEAL"]);
  }
});
