import { assertEquals } from "@std/assert";
import { proofOf } from "./proof.ts";

Deno.test("a proof is 128 bits of HMAC-SHA256: RFC 4231, test cases 1 and 2", () => {
  assertEquals(
    proofOf(new Uint8Array(20).fill(0x0b), "Hi There"),
    "b0344c61d8db38535ca8afceaf0bf12b",
  );
  const key = new TextEncoder().encode("Jefe");
  assertEquals(proofOf(key, "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c7");
});
