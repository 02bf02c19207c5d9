import { assert, assertEquals, assertThrows } from "@std/assert";
import { Deno as Node, escapeRegExp, fromBase64, fromHex, groupBy, withResolvers } from "./node.ts";

/** Both, side by side: Deno's functions, and their replacements under Node. */
const BOTH = [["Deno", Deno], ["Node", Node as unknown as typeof Deno]] as const;

for (const [name, ours] of BOTH) {
  Deno.test(`${name}: a file is created once, written, and read again from its beginning`, async () => {
    const folder = Deno.makeTempDirSync();
    try {
      const path = `${folder}/a`;
      {
        using file = await ours.open(path, { write: true, createNew: true, mode: 0o600 });
        assertEquals(await file.write(new Uint8Array([1, 2, 3])), 3);
        await file.sync();
      }
      assertEquals(ours.statSync(path).mode! & 0o777, 0o600);
      const again = assertThrows(() => ours.openSync(path, { write: true, createNew: true }));
      assert(again instanceof ours.errors.AlreadyExists);
      using file = ours.openSync(path, { read: true, write: true });
      const bytes = new Uint8Array(5);
      assertEquals([file.readSync(bytes), bytes[2]], [3, 3]);
      assertEquals(file.readSync(bytes), null);
      file.seekSync(0, ours.SeekMode.Start);
      assertEquals(file.readSync(bytes.subarray(0, 2)), 2);
      ours.renameSync(path, `${path}2`);
      const { isFile, size } = ours.statSync(ours.realPathSync(`${path}2`));
      assertEquals([isFile, size], [true, 3]);
      assertEquals([...ours.readDirSync(folder)].map((entry) => entry.name), ["a2"]);
      ours.removeSync(`${path}2`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });

  Deno.test(`${name}: a missing file is reported as missing, and as nothing else`, () => {
    const error = assertThrows(() => ours.readTextFileSync("/nowhere/at all"));
    assert(error instanceof ours.errors.NotFound);
    assert(!(error instanceof ours.errors.PermissionDenied));
    assert(!(error instanceof ours.errors.NotCapable));
    assert(assertThrows(() => ours.statSync("/nowhere/at all")) instanceof ours.errors.NotFound);
  });
}

Deno.test("Node: a closed file cannot be read", () => {
  const file = Node.openSync(new URL(import.meta.url).pathname);
  file.close();
  assertThrows(() => file.readSync(new Uint8Array(1)), Error, "closed");
});

Deno.test("withResolvers gives a promise and the function that resolves it", async () => {
  const { promise, resolve } = withResolvers<number>();
  resolve(7);
  assertEquals(await promise, 7);
});

Deno.test("values are grouped as Map.groupBy does it", () => {
  const isOdd = (n: number) => n % 2 === 1;
  assertEquals(groupBy([1, 2, 3], isOdd), Map.groupBy([1, 2, 3], isOdd));
});

Deno.test("an escaped text matches itself alone", () => {
  const text = "a.b*c^$(d)[e]{f}|g\\h+?/-é";
  const expression = new RegExp(`^${escapeRegExp(text)}$`, "su");
  assertEquals([expression.test(text), expression.test(`${text}x`), expression.test("a")], [
    true,
    false,
    false,
  ]);
});

Deno.test("hex and base64url are read, and nothing else is", () => {
  assertEquals(fromHex("00fF"), new Uint8Array([0, 255]));
  assertEquals(fromBase64("-_8"), new Uint8Array([251, 255]));
  for (const wrong of ["0", "0g", "0x"]) assertThrows(() => fromHex(wrong), SyntaxError);
  for (const wrong of ["a", "a+b/", "a b", "é"]) assertThrows(() => fromBase64(wrong), SyntaxError);
});
