/** The firmware's own ChaCha20-Poly1305 and its records, on this machine. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { createCipheriv } from "node:crypto";
import { Ephemeral } from "../../server/protocol/ephemeral.ts";
import { Seal, sealKeys } from "../../server/protocol/seal.ts";
import { Random } from "../support/random.ts";
import { toolTest } from "../support/tools.ts";
import {
  aead,
  ephemeral,
  iterated,
  poly1305,
  session,
  x25519,
  zeros,
} from "../vectors/seal/vectors.ts";
import { unitProgram } from "./unit_program.ts";

const ask = unitProgram("seal.c", [
  "seal.c",
  "records.c",
  "chacha20_poly1305.c",
  "x25519.c",
  "hmac.c",
  "bytes.c",
]);

const hex = (text: string) => new TextEncoder().encode(text).toHex();

const { key, hello, welcome, proof, line } = session;
const begin = [`begin ${line}`, `derive ${key} ${hex(hello + welcome)}`, `send ${hex(proof)}`];

toolTest("sums and streams: RFC 8439, and any lengths", { gcc: "gcc" }, async ({ gcc }) => {
  const random = new Random(1);
  const others = Array.from({ length: 200 }, (_, length) => {
    const [key, nonce, text] = [random.bytes(32), random.bytes(12), random.bytes(length + 1)];
    if (length % 3 === 0) key.fill(255), text.fill(255);
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
    const sealed = cipher.update(text);
    cipher.final();
    return { key: key.toHex(), nonce: nonce.toHex(), text: text.toHex(), sealed: sealed.toHex() };
  });
  const streams = [...aead, ...others];
  const answers = await ask(gcc, [
    ...poly1305.map(({ key, text }) => `poly1305 ${key} ${text}`),
    ...streams.map(({ key, nonce, text }) => `stream ${key}${nonce} ${text}`),
  ]);
  const expected = [...poly1305.map(({ tag }) => tag), ...streams.map(({ sealed }) => sealed)];
  assertEquals(answers, expected);
});

toolTest(
  "X25519: RFC 7748, keys of small order, and random numbers",
  { gcc: "gcc" },
  async ({ gcc }) => {
    const random = new Random(2);
    const others = Array.from({ length: 200 }, (_, n) => {
      const [scalar, point] = [random.bytes(32), random.bytes(32)];
      if (n % 4 === 0) scalar.fill(255, random.int(0, 31)), point.fill(255, random.int(0, 31));
      if (n % 4 === 1) scalar.fill(0, random.int(0, 31)), point.fill(0, random.int(1, 31));
      const shared = new Ephemeral(scalar).share(point.toHex())?.toHex() ?? "00".repeat(32);
      return { scalar: scalar.toHex(), point: point.toHex(), shared };
    });
    const cases = [
      ...x25519,
      ...others,
      ...zeros.map((point) => ({ scalar: "5a".repeat(32), point, shared: "00".repeat(32) })),
    ];
    const { start, end } = iterated;
    const answers = await ask(gcc, [
      ...cases.map(({ scalar, point }) => `x25519 ${scalar} ${point}`),
      `iterate ${start} ${start}`,
    ]);
    assertEquals(answers, [...cases.map(({ shared }) => shared), end]);
  },
);

toolTest("a whole session of suite 04 matches the vectors", { gcc: "gcc" }, async ({ gcc }) => {
  const { key, hello, welcome, proof, line, records, deviceSecret } = ephemeral;
  const lines = records.map(({ to, text, sealed }) =>
    to === "toServer" ? `send ${hex(text)}` : `receive ${sealed}`
  );
  const greeting = [
    `begin ${line} 04`,
    `ephemeral ${deviceSecret}`,
    `derive ${key} ${hex(hello + welcome)}`,
    `send ${hex(proof)}`,
  ];
  const answers = await ask(gcc, [...greeting, ...lines]);
  const expected = records.map(({ to, text, sealed }) => to === "toServer" ? sealed : hex(text));
  assertEquals(answers, ["", hello.slice(59, 123), "", hex(proof), ...expected]);
});

toolTest(
  "an invalid ephemeral key or one of small order breaks the seal, and a secret is used once",
  {
    gcc: "gcc",
  },
  async ({ gcc }) => {
    const { key, hello, welcome, line, deviceSecret } = ephemeral;
    const begin = [`begin ${line} 04`, `ephemeral ${deviceSecret}`];
    const derive = (welcome: string) => `derive ${key} ${hex(hello + welcome)}`;
    const other = (key: string) => welcome.slice(0, 59) + key + welcome.slice(123);
    const bad = [...zeros, "Z".repeat(64), `${"0".repeat(63)}G`, welcome.slice(59, 122) + "\n"];
    const lines = bad.flatMap((key) => [...begin, derive(other(key)), `receive ${hex("00x\n")}`]);
    const answers = await ask(gcc, [
      ...lines,
      `begin ${line} 04`,
      `derive ${key} 0a`,
      "receive 00",
    ]);
    const own = hello.slice(59, 123);
    assertEquals(answers, [...bad.flatMap(() => ["", own, "", " broken"]), "", "", " broken"]);
    // Without a new one, the secret is zeros, so the key differs from the vector's.
    const again = [
      ...begin,
      derive(welcome),
      `begin ${line} 04`,
      derive(welcome),
      "send 0a",
      "send 0a",
    ];
    const [, , , , , , second] = await ask(gcc, again);
    assertNotEquals(second, ephemeral.records[0]!.sealed);
  },
);

toolTest("a whole session's records match the vectors", { gcc: "gcc" }, async ({ gcc }) => {
  const lines = session.records.map(({ to, text, sealed }) =>
    to === "toServer" ? `send ${hex(text)}` : `receive ${sealed}`
  );
  const answers = await ask(gcc, [...begin, ...lines]);
  const expected = session.records.map(({ to, text, sealed }) =>
    to === "toServer" ? sealed : hex(text)
  );
  assertEquals(answers, ["", "", hex(proof), ...expected]);
});

toolTest("the greeting is in the clear, and everything after the welcome is not", {
  gcc: "gcc",
}, async ({ gcc }) => {
  const answers = await ask(gcc, [
    `begin ${line}`,
    `send ${hex(hello)}`,
    `receive ${hex(welcome.slice(0, 50))}`,
    `receive ${hex(welcome.slice(50))}`,
    `derive ${key} ${hex(hello + welcome)}`,
    `receive ${hex("00open valve\n")}`,
    `begin ${line}`,
    `receive ${hex("\x0405\n")}`,
  ]);
  assertEquals(answers, [
    "",
    hex(hello),
    `clear:${hex(welcome.slice(0, 50))}`,
    `clear:${hex(welcome.slice(50))}`,
    "",
    " broken", // a record of 12,336 bytes
    "",
    `clear:${hex("\x0405\n")}`,
  ]);
});

toolTest("records arrive however they are cut, and wherever the core's buffer is meanwhile", {
  gcc: "gcc",
}, async ({ gcc }) => {
  const random = new Random(7);
  const keys = sealKeys(Uint8Array.fromHex(key), hello + welcome);
  const server = new Seal(keys.toDevice, keys.toServer, line, line);
  const lines: string[] = [];
  let expected = "";
  for (let n = 0; n < 100; n++) {
    const text = "x".repeat(random.int(1, 3 * line));
    const records = server.seal(new TextEncoder().encode(text));
    expected += hex(text);
    for (let at = 0; at < records.length;) {
      const next = at + random.int(1, 200);
      lines.push(`room ${random.int(0, 1800)} ${line + 3}`);
      lines.push(`receive ${records.subarray(at, next).toHex()}`);
      at = next;
    }
  }
  assertEquals((await ask(gcc, [...begin, ...lines])).slice(begin.length).join(""), expected);
});

toolTest("a record waits for room, and is then taken", { gcc: "gcc" }, async ({ gcc }) => {
  const record = session.records.find(({ to }) => to === "toDevice")!;
  const size = record.text.length;
  const answers = await ask(gcc, [
    ...begin,
    `room 0 ${size - 1}`,
    `receive ${record.sealed}`,
    `room 100 ${size}`,
    `receive ${record.sealed.slice(4)}`,
  ]);
  assertEquals(answers.slice(begin.length), [
    "",
    ` left:${record.sealed.length / 2 - 2}`,
    "",
    hex(record.text),
  ]);
});

toolTest(
  "a changed, repeated, mirrored, too long or empty record breaks the seal, and delivers nothing",
  {
    gcc: "gcc",
  },
  async ({ gcc }) => {
    const [first, second] = session.records.filter(({ to }) => to === "toDevice");
    const up = session.records.find(({ to }) => to === "toServer")!;
    const bad: string[] = [second!.sealed, up.sealed, "0000", "0084", "ffff"];
    for (let bit = 16; bit < first!.sealed.length * 4; bit++) {
      const bytes = Uint8Array.fromHex(first!.sealed);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      bad.push(bytes.toHex());
    }
    const answers = await ask(gcc, [
      ...bad.flatMap((bytes) => [...begin, `receive ${bytes}`]),
      ...begin,
      `receive ${first!.sealed}`,
      `receive ${first!.sealed}`,
    ]);
    const outcomes = answers.filter((_, n) => n % 4 === 3);
    assertEquals(outcomes.slice(0, bad.length), bad.map(() => " broken"));
    assertEquals([outcomes[bad.length], answers.at(-1)], [hex(first!.text), " broken"]);
  },
);
