import { assertEquals } from "@std/assert";
import { TextLineStream, toText } from "@std/streams";

async function lines(chunks: string[], options?: { allowCR: boolean }): Promise<string[]> {
  const stream = ReadableStream.from(chunks).pipeThrough(new TextLineStream(options));
  return await Array.fromAsync(stream);
}

Deno.test("TextLineStream cuts at line ends, wherever the chunks end", async () => {
  assertEquals(await lines(["a\nb", "c\n", "\nd\n"]), ["a", "bc", "", "d"]);
  assertEquals(await lines(["a\r", "\nb\r\n"]), ["a", "b"]);
  assertEquals(await lines([..."a\r\n\r\nb\n"]), ["a", "", "b"]);
});

Deno.test("TextLineStream gives out a last line without an end, if there is one", async () => {
  assertEquals(await lines(["a\nb"]), ["a", "b"]);
  assertEquals(await lines(["a\n"]), ["a"]);
  assertEquals(await lines([]), []);
});

Deno.test("TextLineStream takes a lone CR for an end only when allowed", async () => {
  assertEquals(await lines(["a\rb\n"]), ["a\rb"]);
  assertEquals(await lines(["a\rb\r", "\nc\r"], { allowCR: true }), ["a", "b", "c"]);
  assertEquals(await lines(["a\r"]), ["a\r"]);
});

Deno.test("toText joins strings, and characters cut by a chunk", async () => {
  assertEquals(await toText(ReadableStream.from(["a", "b"])), "ab");
  const bytes = new TextEncoder().encode("aé€");
  assertEquals(
    await toText(ReadableStream.from([...bytes].map((b) => new Uint8Array([b])))),
    "aé€",
  );
});
