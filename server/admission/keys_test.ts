import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";
import type { DeviceKey } from "../protocol/proof.ts";
import { addKey, exposure, readKeys, removeKey } from "./keys.ts";
import { type Disk, realDisk } from "./replace_file.ts";

/** A folder of its own for each test. */
class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync();
  readonly keys = `${this.path}/keys.json`;

  write(text: string | Uint8Array): void {
    if (typeof text === "string") Deno.writeTextFileSync(this.keys, text);
    else Deno.writeFileSync(this.keys, text);
  }

  /** Names of the files in it. */
  get files(): string[] {
    return Array.from(Deno.readDirSync(this.path), ({ name }) => name).sort();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

const SECRET = "c0ffee".repeat(11).slice(0, 64);

function hex(key: DeviceKey | undefined): string {
  return Array.from(key!.bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test("a key is made, for its owner alone, and read back", async () => {
  using folder = new Folder();
  const key = await addKey(folder.keys, "kitchen");
  assertMatch(key, /^[0-9a-f]{64}$/);
  assertEquals(hex(readKeys(folder.keys).get("kitchen")), key);
  assertEquals(Deno.statSync(folder.keys).mode! & 0o777, 0o600);
  assertEquals(exposure(folder.keys), undefined);
  assertEquals(folder.files, ["keys.json"]);
});

Deno.test("every device gets a key of its own", async () => {
  using folder = new Folder();
  const ids = ["1", "küche 🐙", "__proto__", "constructor", '"quoted"'];
  const keys = [];
  for (const id of ids) keys.push(await addKey(folder.keys, id));
  assertEquals(new Set(keys).size, ids.length);
  const read = readKeys(folder.keys);
  assertEquals([...read.keys()].sort(), ids.sort());
});

Deno.test("a key is replaced only if asked for", async () => {
  using folder = new Folder();
  const first = await addKey(folder.keys, "1");
  const error = await assertRejects(() => addKey(folder.keys, "1"), LocalError, "--replace");
  assertEquals(error.code, "BAD_ARGUMENT");
  assertEquals(hex(readKeys(folder.keys).get("1")), first);
  const second = await addKey(folder.keys, "1", { replace: true });
  assert(second !== first);
  assertEquals(hex(readKeys(folder.keys).get("1")), second);
  assertEquals(folder.files, ["keys.json"], "nothing is left of the refused one");
});

Deno.test("a key is removed; a missing one is reported", async () => {
  using folder = new Folder();
  await addKey(folder.keys, "1");
  const kept = await addKey(folder.keys, "2");
  await removeKey(folder.keys, "1");
  assertEquals(Array.from(readKeys(folder.keys), ([id, key]) => [id, hex(key)]), [["2", kept]]);
  await assertRejects(() => removeKey(folder.keys, "1"), LocalError, '"1" has no key');
});

Deno.test("many processes that add a key at the same time all succeed", async () => {
  using folder = new Folder();
  const ids = Array.from({ length: 20 }, (_, n) => `${n}`);
  const keys = await Promise.all(ids.map((id) => addKey(folder.keys, id)));
  const read = readKeys(folder.keys);
  assertEquals(ids.map((id) => hex(read.get(id))), keys);
  assertEquals(folder.files, ["keys.json"]);
});

Deno.test("leftovers of an interrupted command are reported, with the remedy", async () => {
  using folder = new Folder();
  Deno.writeTextFileSync(`${folder.keys}.new`, "");
  let said = "";
  addKey(folder.keys, "1").catch((error) => said = `${error}`);
  assertStringIncludes(await until(() => said), `remove ${folder.path}`);
});

Deno.test("a reader always finds a whole file while others change it", async () => {
  using folder = new Folder();
  await addKey(folder.keys, "first");
  let done = false;
  const changes = (async () => {
    for (let n = 0; n < 30; n++) await addKey(folder.keys, "second", { replace: true });
    done = true;
  })();
  while (!done) {
    assert(readKeys(folder.keys).has("first"));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await changes;
});

Deno.test("a changed file keeps its mode, and a link to it stays a link", async () => {
  using folder = new Folder();
  await addKey(folder.keys, "1");
  Deno.chmodSync(folder.keys, 0o640);
  Deno.symlinkSync(folder.keys, `${folder.path}/link`);
  await addKey(`${folder.path}/link`, "2");
  assertEquals(Deno.statSync(folder.keys).mode! & 0o777, 0o640);
  assert(Deno.lstatSync(`${folder.path}/link`).isSymlink);
  assertEquals([...readKeys(folder.keys).keys()], ["1", "2"]);
});

Deno.test("a file that everybody may read or change causes a warning; one for a group does not", () => {
  using folder = new Folder();
  folder.write("{}");
  for (const [mode, word] of [[0o644, "read"], [0o606, "change"], [0o602, "change"]] as const) {
    Deno.chmodSync(folder.keys, mode);
    assertMatch(exposure(folder.keys)!, new RegExp(`can ${word} the keys .*chmod 600`));
  }
  Deno.chmodSync(folder.keys, 0o640);
  assertEquals(exposure(folder.keys), undefined);
});

Deno.test("an id that no device could send gets no key", async () => {
  using folder = new Folder();
  for (
    const id of ["", "two\nlines", "a\0b", "\x7f", "\ud83d", "\x85", "x".repeat(65), "é".repeat(33)]
  ) {
    const error = await assertRejects(() => addKey(folder.keys, id), LocalError);
    assertEquals(error.code, "BAD_ARGUMENT");
  }
  assertEquals(folder.files, []);
  await addKey(folder.keys, "x".repeat(64));
  // Names that earlier versions accepted stay valid.
  folder.write(JSON.stringify({ ["x".repeat(128)]: SECRET, "\x85": SECRET }));
  assertEquals(readKeys(folder.keys).size, 2);
});

Deno.test("an empty object has no keys; an empty file cannot be read, but a key can be added to it", async () => {
  using folder = new Folder();
  folder.write("{}");
  assertEquals(readKeys(folder.keys).size, 0);
  for (const text of ["", "\n", "\ufeff"]) {
    folder.write(text);
    assertThrows(() => readKeys(folder.keys), LocalError, "is empty");
    await addKey(folder.keys, "1"); // made with `touch`
    assertEquals(readKeys(folder.keys).size, 1);
  }
});

Deno.test("a file without keys replaces keys in use only if it says so explicitly", async () => {
  using folder = new Folder();
  folder.write("{}");
  const error = assertThrows(() => readKeys(folder.keys, 3), LocalError, "would remove all 3");
  assertStringIncludes(error.message, '{ "no keys": true }');
  folder.write('{ "no keys": true }');
  assertEquals(readKeys(folder.keys, 3).size, 0);
  await addKey(folder.keys, "1");
  assertEquals([...readKeys(folder.keys, 3).keys()], ["1"]);
  await removeKey(folder.keys, "1"); // that was said explicitly
  assertEquals(readKeys(folder.keys, 3).size, 0);
  await addKey(folder.keys, "no keys");
  await addKey(folder.keys, "2");
  assertEquals([...readKeys(folder.keys).keys()].sort(), ["2", "no keys"]);
});

Deno.test("a byte-order mark, as Windows' editors write one, is accepted", () => {
  using folder = new Folder();
  folder.write(`\ufeff{ "1": "${SECRET}" }\r\n`);
  assertEquals(hex(readKeys(folder.keys).get("1")), SECRET);
});

Deno.test("two keys for one id are an error, however the id is escaped", async () => {
  using folder = new Folder();
  const other = SECRET.replace("c", "d");
  for (
    const [first, second] of [["a", "a"], ["a", "\\u0061"], ['\\"', '\\"'], ["{", "{"], [
      "\\\\",
      "\\\\",
    ]]
  ) {
    folder.write(`{ "${first}": "${SECRET}", "x": "${SECRET}", "${second}" : "${other}" }`);
    assertThrows(() => readKeys(folder.keys), LocalError, "has two keys for");
    await assertRejects(() => addKey(folder.keys, "2"), LocalError, "has two keys for");
  }
  folder.write(`{ "a:": "${SECRET}", "a": "${SECRET}", "\\"a\\":": "${SECRET}" }`);
  assertEquals(readKeys(folder.keys).size, 3);
});

Deno.test("a changed file is synced before the rename, and its folder after it", async () => {
  using folder = new Folder();
  const calls: string[] = [];
  const named = (path: string) => path.replace(folder.path, "");
  const disk: Disk = {
    create(path) {
      const file = realDisk.create(path);
      return {
        writeSync(bytes) {
          calls.push("write");
          return file.writeSync(bytes.subarray(0, 50)); // a disk may take it in pieces
        },
        syncSync() {
          calls.push(`sync ${Deno.statSync(path).size}`);
          file.syncSync();
        },
        [Symbol.dispose]: () => file[Symbol.dispose](),
      };
    },
    rename(from, to) {
      calls.push(`rename ${named(from)} ${named(to)}`);
      realDisk.rename(from, to);
    },
    syncFolder(path) {
      calls.push(`sync folder ${named(path)}`);
      realDisk.syncFolder(path);
    },
  };
  await addKey(folder.keys, "1", { given: SECRET, suite: 2 }, disk);
  const { size } = Deno.statSync(folder.keys);
  const expected = [
    "write",
    "write",
    `sync ${size}`,
    "rename /keys.json.new /keys.json",
    "sync folder ",
  ];
  assertEquals(calls, expected);
  // Through a link: in the folder where the file really is.
  calls.length = 0;
  Deno.mkdirSync(`${folder.path}/etc`);
  Deno.symlinkSync("../keys.json", `${folder.path}/etc/link.json`);
  await addKey(
    `${folder.path}/etc/link.json`,
    "1",
    { given: SECRET, suite: 2, replace: true },
    disk,
  );
  assertEquals(calls, expected);
});

Deno.test("the real disk is told to sync the file and its folder", async () => {
  using folder = new Folder();
  const { syncSync } = Deno.FsFile.prototype;
  const synced: boolean[] = []; // of each: is it a folder?
  Deno.FsFile.prototype.syncSync = function () {
    synced.push(this.statSync().isDirectory);
    syncSync.call(this);
  };
  try {
    await addKey(folder.keys, "1");
    assertEquals(synced, Deno.build.os === "windows" ? [false] : [false, true]);
    await removeKey(folder.keys, "1");
    assertEquals(synced.length, Deno.build.os === "windows" ? 2 : 4);
  } finally {
    Deno.FsFile.prototype.syncSync = syncSync;
  }
});

Deno.test("a key in capital letters is accepted", () => {
  using folder = new Folder();
  folder.write(JSON.stringify({ 1: SECRET.toUpperCase() }));
  assertEquals(hex(readKeys(folder.keys).get("1")), SECRET);
});

Deno.test("an error in a file of keys is reported without its content", async () => {
  using folder = new Folder();
  const wrong: [string | Uint8Array, string][] = [
    [`{ "1": "${SECRET}", }`, "is not JSON"],
    [`{ "1": "${SECRET}`, "is not JSON"],
    [SECRET, "is not JSON"],
    [`["${SECRET}"]`, "is not a JSON object"],
    [`"${SECRET}"`, "is not a JSON object"],
    ["null", "is not a JSON object"],
    [`{ "1": ["${SECRET}"] }`, 'the key of "1" must be 64 hex digits'],
    [`{ "1": "${SECRET.slice(1)}" }`, 'the key of "1" must be 64 hex digits'],
    [`{ "1": "${SECRET}0" }`, 'the key of "1" must be 64 hex digits'],
    [`{ "1": " ${SECRET.slice(1)}" }`, 'the key of "1" must be 64 hex digits'],
    [`{ "": "${SECRET}" }`, "a name must have at least one character"],
  ];
  for (const [content, reason] of wrong) {
    folder.write(content);
    for (
      const error of [
        assertThrows(() => readKeys(folder.keys), LocalError, reason),
        await assertRejects(() => addKey(folder.keys, "2"), LocalError, reason),
      ]
    ) {
      assertEquals(error.code, "BAD_ARGUMENT");
      assert(!Deno.inspect(error).includes(SECRET.slice(2, 30)), `${error}`);
    }
    assertEquals(Deno.readTextFileSync(folder.keys), content, "it is left as it was");
  }
  folder.write(new Uint8Array([0xff, 0xfe, 0]));
  assertThrows(() => readKeys(folder.keys), LocalError);
  assertEquals(folder.files, ["keys.json"]);
});

Deno.test("a path without a file is reported", async () => {
  using folder = new Folder();
  assertThrows(() => readKeys(folder.keys), LocalError, "does not exist");
  assertEquals(exposure(folder.keys), undefined);
  assertThrows(() => readKeys(folder.path), LocalError, "cannot be used");
  await assertRejects(() => addKey(folder.path, "1"), LocalError);
  await assertRejects(() => addKey(`${folder.path}/no/keys`, "1"), LocalError, "does not exist");
});

Deno.test("an invalid key is reported with its device", () => {
  using folder = new Folder();
  for (const value of ["5", "true", "null", '["x"]', '{ "x": 1, "x": 1 }', '"short"']) {
    folder.write(`{ "kitchen": ${value} }`);
    const { message } = assertThrows(() => readKeys(folder.keys, 1), LocalError);
    if (!message.includes('two keys for "x"')) assertStringIncludes(message, '"kitchen"');
  }
});

Deno.test("a given key is added; another one for the same device is refused", async () => {
  using folder = new Folder();
  assertEquals(await addKey(folder.keys, "kitchen", { given: SECRET.toUpperCase() }), SECRET);
  assertEquals(hex(readKeys(folder.keys).get("kitchen")), SECRET);
  const again = await assertRejects(() => addKey(folder.keys, "kitchen"), LocalError);
  assertEquals(again.message, '"kitchen" already has a key: replace it with --replace');
});

Deno.test({
  name: "a file of keys keeps its owner when another user changes it",
  ignore: Deno.build.os === "windows" || Deno.uid() !== 0,
  async fn() {
    using folder = new Folder();
    await addKey(folder.keys, "kitchen");
    Deno.chownSync(folder.keys, 1234, 2345);
    await addKey(folder.keys, "cellar");
    const { uid, gid } = Deno.statSync(folder.keys);
    assertEquals([uid, gid], [1234, 2345]);
  },
});

Deno.test("a new key is for sealed links, an old one for any suite", async () => {
  using folder = new Folder();
  Deno.writeTextFileSync(folder.keys, JSON.stringify({ old: SECRET }), { mode: 0o600 });
  await addKey(folder.keys, "new", { given: SECRET });
  await addKey(folder.keys, "simple", { given: SECRET, suite: 2 });
  await addKey(folder.keys, "forward", { given: SECRET, suite: 4 });
  assertEquals(Array.from(readKeys(folder.keys), ([id, { suite }]) => [id, suite]), [
    ["old", 2],
    ["new", 3],
    ["simple", 2],
    ["forward", 4],
  ]);
  assertEquals(JSON.parse(Deno.readTextFileSync(folder.keys)), {
    old: SECRET,
    new: `03:${SECRET}`,
    simple: SECRET,
    forward: `04:${SECRET}`,
  });
});

Deno.test("a key for an unknown suite is refused, and is not repeated in the message", () => {
  using folder = new Folder();
  for (
    const key of [
      `05:${SECRET}`,
      `02:${SECRET}`,
      `3:${SECRET}`,
      `03:${SECRET}0`,
      `03:`,
      `03 ${SECRET}`,
    ]
  ) {
    Deno.writeTextFileSync(folder.keys, JSON.stringify({ "1": key }), { mode: 0o600 });
    const { message } = assertThrows(() => readKeys(folder.keys), LocalError, "64 hex digits");
    assert(!message.includes(SECRET));
  }
});
