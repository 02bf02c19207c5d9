import { assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { md5 } from "./md5.ts";

Deno.test("MD5 gives the digests of RFC 1321's examples", () => {
  const examples = {
    "": "d41d8cd98f00b204e9800998ecf8427e",
    "abc": "900150983cd24fb0d6963f7d28e17f72",
    "message digest": "f96b697d7cb7938d525a2f31aaf161d0",
    "12345678901234567890123456789012345678901234567890123456789012345678901234567890":
      "57edf4a22be3c955ac49da2e2107b67a",
  };
  for (const [text, digest] of Object.entries(examples)) {
    assertEquals(md5(new TextEncoder().encode(text)), digest);
  }
});

Deno.test("MD5 agrees with Node's for every length around block boundaries", () => {
  for (let length = 0; length < 200; length++) {
    const data = Uint8Array.from({ length }, (_, i) => i * 31 + length);
    assertEquals(md5(data), createHash("md5").update(data).digest("hex"), `${length} bytes`);
  }
  const large = new Uint8Array(65536).fill(0xff);
  assertEquals(md5(large), createHash("md5").update(large).digest("hex"));
});
