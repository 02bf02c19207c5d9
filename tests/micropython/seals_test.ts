/**
 * Sealed links of the client in bridge/micropython, without a network: the ciphers, valid records, and invalid ones.
 * MicroPython compiles `cipher_native.py` for this machine; CPython runs it as Python.
 */
import { assertEquals } from "@std/assert";
import { interpreters, PACKAGE, program } from "./interpreters.ts";
import { PythonProcess } from "./python_process.ts";

const VECTORS = new URL("../vectors/seal/vectors.json", import.meta.url).pathname;

for (const [name, path] of interpreters()) {
  Deno.test(`${name}: only the other end can open a record, and a changed record is rejected`, async () => {
    await using seals = new PythonProcess(path, [program("seals.py"), PACKAGE, VECTORS]);
    await seals.ended;
    assertEquals(seals.trouble, "");
    assertEquals(seals.said, [
      "rfc: ok",
      "alike: ok",
      "session: ok",
      "lines: proof, said '00up\\n', got down, said '00\\n', got xy, said '01\\n', said '\\n'",
      "damaged: BAD_SEAL, SILENT",
      "strange: BAD_SEAL, BAD_SEAL, BAD_SEAL, BAD_SEAL",
      "refused: REFUSED, REFUSED",
      "silent: SILENT",
      "free: 0",
    ]);
  });
}
