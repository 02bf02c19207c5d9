/** The firmware's own ChaCha20-Poly1305 and its records, on this machine. */
import { assertEquals } from "@std/assert";
import { createCipheriv } from "node:crypto";
import { run } from "../../bridge/esp8266/toolchain.ts";
import { Seal, sealKeys } from "../../server/protocol/seal.ts";
import { Random } from "../support/random.ts";
import { toolTest } from "../support/tools.ts";
import { aead, poly1305, session } from "../vectors/seal/vectors.ts";

const FIRMWARE = new URL("../../bridge/esp8266/firmware/", import.meta.url).pathname;
const UNITS = new URL("units/seal.c", import.meta.url).pathname;
const SOURCES = ["seal.c", "records.c", "chacha20_poly1305.c", "hmac.c", "bytes.c"];

/** Compiles with checks for undefined behaviour, and gives the answer to each line. */
async function ask(gcc: string, lines: string[]): Promise<string[]> {
  const folder = await Deno.makeTempDir();
  try {
    const flags = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"];
    const sources = SOURCES.map((name) => FIRMWARE + name);
    const more = ["-fno-sanitize-recover=all", `-I${FIRMWARE}`, UNITS, ...sources, "-o", "units"];
    await run(gcc, [...flags, ...more], folder);
    await Deno.writeTextFile(`${folder}/lines`, lines.map((line) => `${line}\n`).join(""));
    const child = new Deno.Command("sh", { args: ["-c", "./units < lines"], cwd: folder });
    const { success, stdout, stderr } = await child.output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).split("\n").slice(0, -1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

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

toolTest("a whole session's records are those of the vectors", { gcc: "gcc" }, async ({ gcc }) => {
  const lines = session.records.map(({ to, text, sealed }) =>
    to === "toServer" ? `send ${hex(text)}` : `receive ${sealed}`
  );
  const answers = await ask(gcc, [...begin, ...lines]);
  const expected = session.records.map(({ to, text, sealed }) =>
    to === "toServer" ? sealed : hex(text)
  );
  assertEquals(answers, ["", "", hex(proof), ...expected]);
});

toolTest("the greeting is in the clear, and what follows the welcome is not", {
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

toolTest("records arrive however they are cut, and wherever the core wants them meanwhile", {
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

toolTest("a record waits for its room, and is taken then", { gcc: "gcc" }, async ({ gcc }) => {
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
  "what was changed, repeated, mirrored, too long or nothing breaks the seal, and delivers nothing",
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
