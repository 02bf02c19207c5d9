/** Which settings, addresses and texts a link accepts, and its errors for the others. */
import { assertEquals } from "@std/assert";
import { toolTest } from "../support/tools.ts";
import { buildSketch, outputOf } from "./build.ts";

const HOST = "host: a name of 1 to 63 bytes, and perhaps a port";
const ID = "id: 1 to 64 bytes of UTF-8, without controls";
const KEY = "key: 64 hex digits";

/** In hex: the first and the last characters of each length. */
const GOOD_IDS = "20 7e c2a0 dfbf e0a080 ed9fbf ee8080 efbfbf f0908080 f48fbfbf".split(" ");
const BAD_IDS =
  ("1f 7f 80 bf c1bf c280 c29f c2 c220 e09fbf eda080 edbfbf e0a0 e0a020 f08fbfbf f4908080 f5808080 f09080 ff " +
    "61c2").split(" ");

toolTest("the error names the wrong setting, and a text that cannot be sent is refused", {
  "g++": "g++",
}, async (tools) => {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  try {
    const program = `${folder}/settings`;
    const sketch = new URL("settings.cpp", import.meta.url).pathname;
    await buildSketch(tools["g++"], sketch, program, { board: "other" });
    assertEquals(
      (await outputOf(program, [], { IDS: [...GOOD_IDS, ...BAD_IDS].join(" ") })).split("\n"),
      [
        "before begin: begin was not called",
        "no random: random: this board needs a source of it",
        `empty id: ${ID}`,
        `no id: ${ID}`,
        `long id: ${ID}`,
        `id with a tab: ${ID}`,
        ...GOOD_IDS.map((id) => `${id}: yes`),
        ...BAD_IDS.map((id) => `${id}: ${ID}`),
        `no host: ${HOST}`,
        `empty host: ${HOST}`,
        `long host: ${HOST}`,
        `second host: ${HOST}`,
        ...[
          "a:",
          "a:0",
          "a:65536",
          "a:4294967297",
          "a:99999999999999999999",
          "a:-1",
          "a:1x",
          "[]",
          "[]:1",
        ]
          .map((port) => `${port}: ${HOST}`),
        `short key: ${KEY}`,
        `key with a g: ${KEY}`,
        "short timeout: timeout: 100 to 60000 ms",
        "forward secrecy, short texts: forwardSecrecy: Text must be 153 at least",
        "forward secrecy, small inbox: forwardSecrecy: Inbox must be Text + 239 at least",
        "good: yes",
        "empty text: no",
        "long text: no",
        "newline: no",
        "first byte 2: no",
        "first byte 0: no",
        "first byte 3: yes",
        "without a link: no",
        "room: yes",
        "longest: yes",
        "no room: no",
        "small one: yes",
        "window: no",
        "pending: 3",
        "a second link: yes",
        "pending: 3 and 1",
        "ended: no",
        "one host: one|8123 one|8123 one|8123 one|8123",
        "hosts: one|8123 two|1 ::1|65535 fe80::1|8123",
        "",
      ],
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
