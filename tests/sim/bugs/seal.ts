/** Bugs of sealed links. */
import { type Bugs, edit } from "./bug.ts";

const ADMISSION = "server/admission/admission.ts";
const CONNECTION = "server/runtime/connection.ts";
const CIPHER = "server/protocol/chacha20_poly1305.ts";
const SEAL = "server/protocol/seal.ts";
const PROVING = "bridge/host/proving.ts";

export const SEAL_BUGS: Bugs = {
  "seal: all records have one number": edit(SEAL, "this.#next++", "this.#next"),
  "seal: a tag is not compared": edit(CIPHER, "if (differs !== 0) return false;", ""),
  "seal: the server seals with the key of the other direction": edit(
    ADMISSION,
    "new Seal(toDevice, toServer,",
    "new Seal(toServer, toDevice,",
  ),
  "seal: both directions have one key": edit(
    SEAL,
    "toDevice: bytes.subarray(CIPHER_KEY_BYTES),",
    "toDevice: bytes.subarray(0, CIPHER_KEY_BYTES),",
  ),
  "seal: what was said is not in the keys": edit(SEAL, ".update(greeting)", '.update("")'),
  "seal: what ephemeral keys share is not in the keys": edit(
    SEAL,
    "shared ? concat(key, shared) : key",
    "key",
  ),
  "seal: the device has one ephemeral key for all connections": edit(
    PROVING,
    "this.#ephemeral = this.suite === EPHEMERAL ? new Ephemeral() : undefined;",
    "this.#ephemeral = this.suite === EPHEMERAL ? (Proving.pair ??= new Ephemeral()) : undefined;",
  ),
  "seal: the server has one ephemeral key for all connections": edit(
    ADMISSION,
    "hello.suite === EPHEMERAL ? new Ephemeral() : undefined;",
    "hello.suite === EPHEMERAL ? (Admission.pair ??= new Ephemeral()) : undefined;",
  ),
  "seal: a stream that was cut off is taken for one that has ended": edit(
    CONNECTION,
    "    this.close();\n    this.#stage!.ended(reason);",
    "    this.#stage!.data(Uint8Array.of(10));\n    this.close();\n    this.#stage!.ended(reason);",
  ),
  "seal: a record that is cut off is taken for one that has ended": edit(
    SEAL,
    "if (next > bytes.length) break;",
    "if (next > bytes.length) return { bytes: bytes.subarray(at + LENGTH_BYTES) };",
  ),
};
