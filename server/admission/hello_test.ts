/** Hellos: which are accepted, and how the others are refused. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Door, key } from "../../tests/support/door.ts";
import {
  helloLine,
  isWelcome,
  proveLine,
  refusal,
  type Said,
} from "../../tests/support/greeting.ts";
import { PeerError } from "../protocol/errors.ts";

const encoder = new TextEncoder();

Deno.test("a hello of dialect 1 is the device's name, and is admitted at once", () => {
  const guest = new Door().knock();
  guest.says("küche\n00behind it\n");
  assertEquals([guest.heard, guest.admitted?.id, guest.admitted?.dialect], ["", "küche", 1]);
  assertEquals(new TextDecoder().decode(guest.admission.rest), "00behind it\n");
});

for (
  const [what, hello, code] of [
    ["is empty", "\n", "BAD_HELLO"],
    ["has control characters", "a\x07b\n", "BAD_HELLO"],
    ["begins with a control character", "\x05\n", "BAD_HELLO"],
    ["is a welcome", "\x0200\n", "BAD_HELLO"],
    ["is a prove", `\x03${"0".repeat(32)}\n`, "BAD_HELLO"],
    ["is a refusal", "\x0402\n", "BAD_HELLO"],
    ["is not UTF-8", new Uint8Array([97, 0xff, 10]), "BAD_HELLO"],
    ["has a TAB, as if metadata came behind it", "kitchen\tversion=1\n", "BAD_HELLO"],
    ["is longer than 320 bytes", `${"x".repeat(321)}\n`, "HELLO_TOO_LONG"],
    ["is longer than 320 bytes and has no end", "x".repeat(321), "HELLO_TOO_LONG"],
  ] as const
) {
  Deno.test(`a first line of no dialect that ${what} is rejected without an answer`, () => {
    assertEquals(new Door().knock().turnedAway(hello), [code, ""]);
  });
}

const good = helloLine();
const malformed: [what: string, hello: string][] = [
  ["is nothing but its first character", "\x01"],
  ["ends after its suite", "\x0100"],
  ["ends in a number", good.slice(0, 30)],
  ["ends in the nonce", good.slice(0, 70)],
  ["has capital digits", good.replace("abcdef", "ABCDEF")],
  ["has a character that is not a digit", good.replace("00abcdef", "00abcdeg")],
  ["has a space in a number", good.replace("00abcdef", " 0abcdef")],
  ["has a sign in a number", good.replace("00abcdef", "-0abcdef")],
  ["has a nonce that is not hexadecimal", helloLine({ nonce: "z".repeat(32) })],
  ["names suite 01, as older devices do", helloLine({ suite: "01" })],
  ["names suite 04 with a nonce of 32 digits", helloLine({ suite: "04" })],
  ["has a key of 63 digits", helloLine({ suite: "04", nonce: "a".repeat(63), id: "-" })],
  ["ends in its key", helloLine({ suite: "04", nonce: "a".repeat(63), id: "" })],
  ["names suite 05", helloLine({ suite: "05" })],
  ["names suite ff", helloLine({ suite: "ff" })],
  ["names no suite", helloLine({ suite: "zz" })],
  ["names its stream 0", helloLine({ txEpoch: 0 })],
  ["has a window of 0", helloLine({ window: 0 })],
  ["has a window of 65", helloLine({ window: 65 })],
  ["has a window of 2^31", helloLine({ window: 2 ** 31 })],
  ["has a window of 2^32 - 1", helloLine({ window: 2 ** 32 - 1 })],
  ["has room for less than a line: bytes below line + 3", helloLine({ bytes: 514, line: 512 })],
  ["has room for no bytes", helloLine({ bytes: 0 })],
  ["takes lines without text", helloLine({ line: 0 })],
  ["has a line so long that line + 3 wraps around", helloLine({ bytes: 2, line: 2 ** 32 - 1 })],
];

for (const [what, hello] of malformed) {
  Deno.test(`a malformed greeting that ${what} is BAD_GREETING, refusal 05`, () => {
    for (const door of [new Door(), Door.withKey()]) {
      const told = door.knock().turnedAway(`${hello}\n`);
      assertEquals(told, ["BAD_GREETING", refusal("05")]);
      assertEquals(door.store.size, 0);
    }
  });
}

for (const [what, id] of [["no name", ""], ["a name with control characters", "a\x1bb"]] as const) {
  Deno.test(`a hello of dialect 2 with ${what} is BAD_HELLO, refusal 05`, () => {
    const told = new Door().knock().turnedAway(`${helloLine({ id })}\n`);
    assertEquals(told, ["BAD_HELLO", refusal("05")]);
  });
}

Deno.test("a hello of dialect 2 that is not UTF-8 is BAD_HELLO, refusal 05", () => {
  const bytes = new Uint8Array([...encoder.encode(helloLine({ id: "" })), 0xc3, 10]);
  assertEquals(new Door().knock().turnedAway(bytes), ["BAD_HELLO", refusal("05")]);
});

Deno.test("a hello of dialect 2 over 320 bytes is HELLO_TOO_LONG; one of 320 bytes is accepted", () => {
  const longest = helloLine({ id: `${"x".repeat(164)}\ta=${"y".repeat(62)}` });
  assertEquals(longest.length, 320);
  assertEquals(new Door().knock().turnedAway(`${longest}x\n`)[0], "HELLO_TOO_LONG");
  const guest = new Door().knock();
  guest.says(`${longest}\n`);
  assert(isWelcome(guest.heard));
});

Deno.test("a device's metadata follows a TAB, and is not part of its name", () => {
  for (const metadata of ["a=", "reset=power-on version=0.1.0 ort=küche", `a=${"é".repeat(63)}`]) {
    const guest = new Door().knock();
    guest.greets({ id: `kitchen\t${metadata}` });
    guest.says("\n");
    assertEquals([guest.admitted?.id, guest.admitted?.metadata], ["kitchen", metadata]);
  }
});

Deno.test("the proof covers the metadata", () => {
  const guest = Door.withKey().knock();
  guest.greets({ suite: "02", id: "1\tversion=1" });
  const { hello, welcome } = guest.greeting;
  const forged = hello.replace("version=1", "version=2");
  assertEquals(guest.turnedAway(proveLine(key, forged, welcome))[0], "BAD_PROOF");

  const honest = Door.withKey().knock();
  honest.greets({ suite: "02", id: "1\tversion=1" });
  honest.says(honest.proof());
  assertEquals([honest.admitted?.id, honest.admitted?.metadata], ["1", "version=1"]);
});

for (
  const [what, metadata] of [
    ["is empty", ""],
    ["has 129 bytes", `a=${"x".repeat(127)}`],
    ["has 128 characters, but 129 bytes", `a=${"x".repeat(125)}é`],
    ["has a second TAB", "a=1\tb=2"],
    ["has a NUL", "a=\0"],
    ["has a carriage return", "a=1\r"],
    ["has a DEL", "a=\x7f"],
    ["has no pair", "watchdog"],
    ["has a pair without its name", "=watchdog"],
    ["begins with a space", " a=1"],
    ["ends with a space", "a=1 "],
    ["has two spaces between pairs", "a=1  b=2"],
  ] as const
) {
  Deno.test(`a hello whose metadata ${what} is BAD_GREETING, refusal 05`, () => {
    const door = new Door();
    const told = door.knock().turnedAway(`${helloLine({ id: `kitchen\t${metadata}` })}\n`);
    assertEquals(told, ["BAD_GREETING", refusal("05")]);
    assertEquals(door.store.size, 0);
  });
}

Deno.test("a hello with metadata and no name is BAD_HELLO, refusal 05", () => {
  const told = new Door().knock().turnedAway(`${helloLine({ id: "\ta=1" })}\n`);
  assertEquals(told, ["BAD_HELLO", refusal("05")]);
});

Deno.test("a hello at its limits is welcome: windows of 1 and 64, bytes of line + 3, any position", () => {
  const max = 2 ** 32 - 1;
  const limits: Partial<Said>[] = [
    { window: 1 },
    { window: 64 },
    { bytes: 515, line: 512 },
    { bytes: 4, line: 1 },
    { bytes: max, line: max - 3 },
    { txEpoch: max, txFirst: max, rxEpoch: max, rxNext: max },
    { txEpoch: 1 },
    { nonce: "0".repeat(32) },
  ];
  for (const said of limits) {
    const welcome = new Door().knock().greets(said);
    assertEquals([welcome.suite, welcome.proof], ["00", ""]);
  }
});

Deno.test("a hello may come byte by byte, and a proof too", () => {
  const guest = Door.withKey().knock();
  const hello = helloLine({ suite: "02" });
  for (const byte of `${hello}\n`) guest.says(byte);
  const prove = proveLine(key, hello, guest.heard.trimEnd());
  for (const byte of prove) {
    assertEquals(guest.admitted, undefined);
    guest.says(byte);
  }
  assertEquals(guest.admitted?.id, "1");
});

Deno.test("names that only earlier versions gave to devices are still admitted", () => {
  for (const id of ["x".repeat(229), "a\x85b", "\x9b"]) {
    const guest = new Door().knock();
    guest.greets({ id });
    guest.says("\n");
    assertEquals(guest.admitted?.id, id);
    const stock = new Door().knock();
    stock.says(`${id}\n`);
    assertEquals(stock.admitted?.id, id);
  }
});

for (const suite of ["00", "02"] as const) {
  const door = () => suite === "00" ? new Door() : Door.withKey();
  Deno.test(`empty lines behind a hello of suite ${suite}, before the welcome, confirm nothing`, () => {
    const guest = door().knock();
    const hello = helloLine({ suite });
    guest.says(`${hello}\n\n\n`);
    assert(isWelcome(guest.heard));
    guest.admission.beforeWelcome(encoder.encode("\n")); // while a commit was under way
    assertEquals([guest.admitted, guest.admission.rest.length], [undefined, 0]);
    guest.says(suite === "00" ? "\n" : proveLine(key, hello, guest.heard.trimEnd()));
    assertEquals(guest.admitted?.id, "1");
  });

  Deno.test(`another line behind a hello of suite ${suite}, before the welcome, is BAD_LINE`, () => {
    for (
      const early of [
        "00a\n",
        "\n00\n",
        "0",
        `${helloLine({ suite })}\n`,
        `\x03${"0".repeat(32)}\n`,
      ]
    ) {
      const guest = door().knock();
      const told = guest.turnedAway(`${helloLine({ suite })}\n${early}`);
      assertEquals([guest.heard, ...told], ["", "BAD_LINE", ""], early);
      const late = door().knock();
      late.says(`${helloLine({ suite })}\n`);
      const error = assertThrows(
        () => late.admission.beforeWelcome(encoder.encode(early)),
        PeerError,
      );
      assertEquals(error.code, "BAD_LINE");
    }
  });
}

Deno.test("the longest hello is accepted, even if its end arrives later", () => {
  const id = "x".repeat(64);
  const door = new Door({ open: true }, { helloBytes: id.length });
  const guest = door.knock();
  guest.says(id);
  guest.says("\n");
  assertEquals(guest.admitted?.id, id);
  assertEquals(door.knock().turnedAway(`${id}x`)[0], "HELLO_TOO_LONG");
});

Deno.test("a byte-order mark is part of the device's name", () => {
  const guest = new Door().knock();
  guest.says("\ufeffkitchen\n");
  assertEquals(guest.admitted?.id, "\ufeffkitchen");
});
